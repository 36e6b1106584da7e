//! Statements kept prepared for the session, run under a snapshot of the caller's choice.

use super::error::{catch, Report};
use super::key_bytes;
use super::plan::Plan;
use super::spi::check;
use core::cell::RefCell;
use core::ffi::{c_char, c_int, c_long};
use pgrx::pg_sys::{self, Datum, Oid, SPIPlanPtr, Snapshot};
use std::collections::HashMap;
use std::rc::Rc;

extern "C-unwind" {
    fn SPI_execute_snapshot(
        plan: SPIPlanPtr,
        values: *const Datum,
        nulls: *const c_char,
        snapshot: Snapshot,
        crosscheck: Snapshot,
        read_only: bool,
        fire_triggers: bool,
        limit: c_long,
    ) -> c_int;
    fn SPI_getbinval(
        tuple: pg_sys::HeapTuple,
        desc: pg_sys::TupleDesc,
        column: c_int,
        is_null: *mut bool,
    ) -> Datum;
    fn SPI_freetuptable(table: *mut pg_sys::SPITupleTable);
    fn GetLatestSnapshot() -> Snapshot;
    fn GetTransactionSnapshot() -> Snapshot;
    fn RegisterSnapshot(snapshot: Snapshot) -> Snapshot;
    fn UnregisterSnapshot(snapshot: Snapshot);
    fn GetCurrentCommandId(used: bool) -> pg_sys::CommandId;
}

/// A prepared statement.
#[derive(Clone)]
pub struct Statement(Rc<Plan>);

/// Statements kept before all are let go: a session sees few tables, except one that creates and
/// drops guarded tables all day.
const KEPT: usize = 256;

thread_local! {
    static STATEMENTS: RefCell<HashMap<String, Statement>> = RefCell::new(HashMap::new());
}

/// Prepares a statement once per session, inside `spi::connected`. The types belong to the text:
/// equal texts come with equal types.
pub fn prepare(sql: String, types: &[Oid]) -> Result<Statement, Report> {
    if let Some(known) = STATEMENTS.with_borrow(|kept| kept.get(&sql).cloned()) {
        return Ok(known);
    }
    let statement = Statement(Rc::new(Plan::prepare(&sql, types)?));
    let many = STATEMENTS.with_borrow_mut(|kept| {
        let many = if kept.len() < KEPT { HashMap::new() } else { core::mem::take(kept) };
        kept.insert(sql, statement.clone());
        many
    });
    // Frees what nobody runs any more, with the map no longer borrowed.
    drop(many);
    Ok(statement)
}

/// A row: per column its [`key_bytes`], `None` for NULL.
pub type RowBytes = [Option<Vec<u8>>];

/// What a SELECT sees.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Everything committed by now and the transaction's own writes.
    Now,
    /// Everything committed by now, and nothing that this transaction did: no row it inserted,
    /// and each row it changed as it was before. A snapshot whose command counter stands at zero
    /// sees exactly that.
    BeforeThisTransaction,
}

/// A moment: what others have committed by then stays the same for all looks at it.
#[derive(Clone, Copy)]
pub struct Moment(Snapshot);

impl Moment {
    /// The present one. An ERROR leaves it to the resource owner.
    pub fn take() -> Result<Moment, Report> {
        // SAFETY: registers a copy, whose command counter is ours to set.
        catch(|| unsafe { Moment(RegisterSnapshot(GetLatestSnapshot())) })
    }

    fn seen(self, sight: Sight) -> Snapshot {
        // SAFETY: the copy is registered until `done`, and no statement runs under it meanwhile.
        unsafe {
            (*self.0).curcid = match sight {
                Sight::Now => GetCurrentCommandId(false),
                Sight::BeforeThisTransaction => 0,
            };
        }
        self.0
    }

    /// Gives the snapshot back.
    pub fn done(self) -> Result<(), Report> {
        // SAFETY: registered in `take`.
        catch(|| unsafe { UnregisterSnapshot(self.0) })
    }
}

impl Statement {
    /// Runs a SELECT and hands each row to `visit`.
    pub fn select(
        &self,
        values: &[Option<Datum>],
        moment: Moment,
        sight: Sight,
        mut visit: impl FnMut(&RowBytes),
    ) -> Result<(), Report> {
        self.execute(values, moment.seen(sight), core::ptr::null_mut(), true)?;
        read_rows(&mut visit)
    }

    /// Runs an INSERT, UPDATE or DELETE and returns the number of its rows.
    ///
    /// It acts on the rows of this moment. In a transaction with one snapshot for all statements,
    /// a row changed or inserted by others since then is 40001, as it is for foreign keys.
    pub fn modify(&self, values: &[Option<Datum>]) -> Result<u64, Report> {
        let none: Snapshot = core::ptr::null_mut();
        // SAFETY: as in `select`; XactIsoLevel is a variable of the session.
        let (snapshot, crosscheck) = catch(|| unsafe {
            if pg_sys::XactIsoLevel < pg_sys::XACT_REPEATABLE_READ as c_int {
                (none, none)
            } else {
                (RegisterSnapshot(GetLatestSnapshot()), GetTransactionSnapshot())
            }
        })?;
        self.execute(values, snapshot, crosscheck, false)?;
        // SAFETY: SPI_processed belongs to the statement just run.
        let count = unsafe { pg_sys::SPI_processed };
        if !snapshot.is_null() {
            // SAFETY: registered above.
            catch(|| unsafe { UnregisterSnapshot(snapshot) })?;
        }
        Ok(count)
    }

    fn execute(
        &self,
        values: &[Option<Datum>],
        snapshot: Snapshot,
        crosscheck: Snapshot,
        read_only: bool,
    ) -> Result<(), Report> {
        let nulls: Vec<c_char> =
            values.iter().map(|v| if v.is_some() { b' ' } else { b'n' } as c_char).collect();
        let values: Vec<Datum> = values.iter().map(|v| v.unwrap_or(Datum::null())).collect();
        let (plan, values, nulls) = (self.0.as_raw(), values.as_ptr(), nulls.as_ptr());
        // SAFETY: both arrays have an entry per parameter.
        check(catch(|| unsafe {
            SPI_execute_snapshot(plan, values, nulls, snapshot, crosscheck, read_only, true, 0)
        })?)
    }
}

fn read_rows(visit: &mut dyn FnMut(&RowBytes)) -> Result<(), Report> {
    // SAFETY: SPI_tuptable and SPI_processed describe the statement just run.
    let (table, count) = unsafe { (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize) };
    if table.is_null() {
        return Ok(());
    }
    for i in 0..count {
        // SAFETY: the table has `count` rows of its descriptor.
        let (tuple, desc, columns) =
            unsafe { (*(*table).vals.add(i), (*table).tupdesc, (*(*table).tupdesc).natts) };
        let mut row = Vec::with_capacity(columns as usize);
        for column in 1..=columns {
            let mut is_null = false;
            let is_null = &raw mut is_null;
            // SAFETY: `column` lies within the descriptor; a detoasted copy lives in SPI's memory.
            let (value, shape, null) = catch(|| unsafe {
                let (shape, value) = (
                    super::relation::shape(desc, column as i16),
                    SPI_getbinval(tuple, desc, column, is_null),
                );
                if *is_null {
                    return (value, shape, true);
                }
                (key_bytes::flat(value, shape), shape, false)
            })?;
            row.push((!null).then(|| {
                let mut bytes = Vec::new();
                key_bytes::append(&mut bytes, value, shape);
                bytes
            }));
        }
        visit(&row);
    }
    // SAFETY: the rows have been copied.
    catch(|| unsafe { SPI_freetuptable(table) })
}
