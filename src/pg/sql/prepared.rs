//! Statements that are prepared once per session and run many times.

use super::ffi;
use super::spi::{c_statement, check};
use crate::pg::base::encoding::utf8_cstr;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::own;
use crate::pg::base::sqlstate;
use core::ffi::{c_char, c_int};
use core::marker::PhantomData;
use pgrx::pg_sys::{self, Datum, Oid};

/// A prepared statement that outlives the transaction. Postgres itself plans it anew when a table,
/// the role or a row security policy has changed.
pub struct Prepared {
    plan: pg_sys::SPIPlanPtr,
    parameters: usize,
}

impl Prepared {
    /// Prepares a statement inside [`super::spi::connected`].
    pub fn new(sql: &str, types: &[Oid]) -> Result<Prepared, Report> {
        let text = c_statement(sql)?;
        let text = text.as_ptr();
        let (list, count) = (types.as_ptr(), types.len() as c_int);
        // SAFETY: `list` has `count` entries; SPI_keepplan moves the plan out of the connection's
        // memory, so that it lives until SPI_freeplan.
        let plan = catch(|| unsafe {
            let plan = ffi::SPI_prepare(text, count, list.cast_mut());
            if !plan.is_null() {
                ffi::SPI_keepplan(plan);
            }
            plan
        })?;
        if plan.is_null() {
            // SAFETY: SPI_prepare left the reason in SPI_result.
            check(unsafe { pg_sys::SPI_result }.min(-1))?;
        }
        Ok(Prepared { plan, parameters: count as usize })
    }

    /// The plan, for wrappers in this module tree.
    pub(in crate::pg) fn as_raw(&self) -> pg_sys::SPIPlanPtr {
        self.plan
    }

    /// Postgres reads as many values as there are parameters, whatever it is given.
    pub(super) fn check_count(&self, values: &[Option<Datum>]) -> Result<(), Report> {
        if values.len() == self.parameters {
            return Ok(());
        }
        Err(Report::error(
            sqlstate::INTERNAL,
            format_args!("statement takes {} parameters, not {}", self.parameters, values.len()),
        ))
    }

    /// Runs the statement with a snapshot of its own, and looks at the first row it returns.
    ///
    /// `values` must be as many as the parameters and of the types named in `prepare`.
    pub fn execute(&self, values: &[Option<Datum>]) -> Result<Outcome<'_>, Report> {
        self.check_count(values)?;
        let mut nulls: Vec<c_char> = Vec::with_capacity(values.len());
        let mut data: Vec<Datum> = Vec::with_capacity(values.len());
        for value in values {
            nulls.push(if value.is_some() { b' ' } else { b'n' } as c_char);
            data.push(value.unwrap_or(Datum::null()));
        }
        let (plan, data, nulls) = (self.plan, data.as_ptr(), nulls.as_ptr());
        // SAFETY: the arrays have one entry per parameter, checked above.
        check(catch(|| unsafe { ffi::SPI_execute_plan(plan, data.cast_mut(), nulls, false, 0) })?)?;
        // SAFETY: SPI_processed and SPI_tuptable describe the statement just run.
        let (rows, table) = unsafe { (pg_sys::SPI_processed, pg_sys::SPI_tuptable) };
        Ok(Outcome { rows, table, of: PhantomData })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let plan = self.plan;
        // SAFETY: the plan was kept by `prepare` and is freed once. A failure leaves it allocated.
        let _ = catch(|| unsafe { ffi::SPI_freeplan(plan) });
    }
}

/// What a statement did. Valid until the SPI connection is finished.
#[derive(Clone, Copy)]
pub struct Outcome<'p> {
    rows: u64,
    table: *mut pg_sys::SPITupleTable,
    of: PhantomData<&'p Prepared>,
}

impl Outcome<'_> {
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
                ffi::SPI_getbinval(*(*table).vals, (*table).tupdesc, column as c_int, &mut is_null);
            (!is_null).then(|| ffi::SPI_datumTransfer(value, false, -1))
        })
    }

    /// [`Outcome::result`] of a statement that is one of many: frees its rows, some kilobytes, at once.
    pub fn only_result(self, column: usize) -> Result<Option<Datum>, Report> {
        let value = self.result(column)?;
        let table = self.table;
        if !table.is_null() {
            // SAFETY: the table of the statement just run, which nobody looks at again.
            catch(|| unsafe { ffi::SPI_freetuptable(table) })?;
        }
        Ok(value)
    }

    /// [`Outcome::text`] of a statement that is one of many: frees its rows, some kilobytes, at once.
    pub fn only_text(self, column: usize) -> Result<Option<String>, Report> {
        let text = self.text(column)?;
        let table = self.table;
        if !table.is_null() {
            // SAFETY: the table of the statement just run, which nobody looks at again.
            catch(|| unsafe { ffi::SPI_freetuptable(table) })?;
        }
        Ok(text)
    }

    /// A column of the first row in its text form, `None` for NULL or without a row.
    pub fn text(self, column: usize) -> Result<Option<String>, Report> {
        if self.rows == 0 {
            return Ok(None);
        }
        let table = self.table;
        // SAFETY: as in `result`; SPI_getvalue returns NUL-terminated text or NULL.
        unsafe {
            let text =
                catch(|| ffi::SPI_getvalue(*(*table).vals, (*table).tupdesc, column as c_int))?;
            match text.is_null() {
                true => Ok(None),
                false => own(utf8_cstr(text)?).map(Some),
            }
        }
    }
}
