//! Statements that are prepared once per session and run many times.

use super::error::{catch, Report};
use super::spi::{c_statement, check};
use super::text::utf8_cstr;
use crate::errors;
use core::ffi::{c_char, c_int, c_long};
use pgrx::pg_sys::{self, Datum, Oid};

extern "C-unwind" {
    fn SPI_prepare(sql: *const c_char, count: c_int, types: *const Oid) -> pg_sys::SPIPlanPtr;
    fn SPI_keepplan(plan: pg_sys::SPIPlanPtr) -> c_int;
    fn SPI_freeplan(plan: pg_sys::SPIPlanPtr) -> c_int;
    fn SPI_execute_plan(
        plan: pg_sys::SPIPlanPtr,
        values: *const Datum,
        nulls: *const c_char,
        read_only: bool,
        limit: c_long,
    ) -> c_int;
    fn SPI_getbinval(
        tuple: pg_sys::HeapTuple,
        desc: pg_sys::TupleDesc,
        column: c_int,
        is_null: *mut bool,
    ) -> Datum;
    fn SPI_getvalue(
        tuple: pg_sys::HeapTuple,
        desc: pg_sys::TupleDesc,
        column: c_int,
    ) -> *mut c_char;
    fn SPI_datumTransfer(value: Datum, by_value: bool, length: c_int) -> Datum;
}

/// A prepared statement that outlives the transaction. Postgres itself plans it anew when a table,
/// the role or a row security policy has changed.
pub struct Plan {
    plan: pg_sys::SPIPlanPtr,
    parameters: usize,
}

impl Plan {
    /// Prepares a statement inside [`super::spi::connected`].
    pub fn prepare(sql: &str, types: &[Oid]) -> Result<Plan, Report> {
        let text = c_statement(sql)?;
        let text = text.as_ptr();
        let (list, count) = (types.as_ptr(), types.len() as c_int);
        // SAFETY: `list` has `count` entries; SPI_keepplan moves the plan out of the connection's
        // memory, so that it lives until SPI_freeplan.
        let plan = catch(|| unsafe {
            let plan = SPI_prepare(text, count, list);
            if !plan.is_null() {
                SPI_keepplan(plan);
            }
            plan
        })?;
        if plan.is_null() {
            // SAFETY: SPI_prepare left the reason in SPI_result.
            check(unsafe { pg_sys::SPI_result }.min(-1))?;
        }
        Ok(Plan { plan, parameters: count as usize })
    }

    /// The plan, for wrappers in this module tree.
    pub(super) fn as_raw(&self) -> pg_sys::SPIPlanPtr {
        self.plan
    }

    /// Runs the statement with a snapshot of its own, and looks at the first row it returns.
    ///
    /// `values` must be as many as the parameters and of the types named in `prepare`.
    pub fn execute(&self, values: &[Option<Datum>]) -> Result<Outcome, Report> {
        if values.len() != self.parameters {
            return Err(Report::error(
                errors::INTERNAL,
                format_args!(
                    "statement takes {} parameters, not {}",
                    self.parameters,
                    values.len()
                ),
            ));
        }
        let mut nulls: Vec<c_char> = Vec::with_capacity(values.len());
        let mut data: Vec<Datum> = Vec::with_capacity(values.len());
        for value in values {
            nulls.push(if value.is_some() { b' ' } else { b'n' } as c_char);
            data.push(value.unwrap_or(Datum::null()));
        }
        let (plan, data, nulls) = (self.plan, data.as_ptr(), nulls.as_ptr());
        // SAFETY: the arrays have one entry per parameter, checked above.
        check(catch(|| unsafe { SPI_execute_plan(plan, data, nulls, false, 0) })?)?;
        // SAFETY: SPI_processed and SPI_tuptable describe the statement just run.
        Ok(unsafe { Outcome { rows: pg_sys::SPI_processed, table: pg_sys::SPI_tuptable } })
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        let plan = self.plan;
        // SAFETY: the plan was kept by `prepare` and is freed once. A failure leaves it allocated.
        let _ = catch(|| unsafe { SPI_freeplan(plan) });
    }
}

/// What a statement did. Valid until the SPI connection is finished.
#[derive(Clone, Copy)]
pub struct Outcome {
    rows: u64,
    table: *mut pg_sys::SPITupleTable,
}

impl Outcome {
    /// How many rows were returned (or written, without RETURNING).
    pub fn rows(self) -> u64 {
        self.rows
    }

    /// A column of the first row, as a varlena copied to where the function's result may lie.
    pub fn result(self, column: usize) -> Result<Option<Datum>, Report> {
        if self.rows == 0 {
            return Ok(None);
        }
        let table = self.table;
        // SAFETY: there is a first row, and its column is of variable length.
        catch(|| unsafe {
            let mut is_null = true;
            let value =
                SPI_getbinval(*(*table).vals, (*table).tupdesc, column as c_int, &mut is_null);
            (!is_null).then(|| SPI_datumTransfer(value, false, -1))
        })
    }

    /// A column of the first row in its text form, `None` for NULL or without a row.
    pub fn text(self, column: usize) -> Result<Option<String>, Report> {
        if self.rows == 0 {
            return Ok(None);
        }
        let table = self.table;
        // SAFETY: as in `result`; SPI_getvalue returns NUL-terminated text or NULL.
        unsafe {
            let text = catch(|| SPI_getvalue(*(*table).vals, (*table).tupdesc, column as c_int))?;
            match text.is_null() {
                true => Ok(None),
                false => utf8_cstr(text).map(|t| Some(t.to_owned())),
            }
        }
    }
}
