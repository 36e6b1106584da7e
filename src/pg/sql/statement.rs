//! Statements kept prepared for the session, run under a snapshot of the caller's choice.
//!
//! **What an entry depends on.** Its text, in which every name is qualified, and the types of its
//! parameters: both are its key. Two foreign keys on columns of different types print the same
//! condition, and a value of one type read as another is a wrong row at best. What the names and
//! types stand for (tables, operators, casts, functions, row security, the role) Postgres watches
//! itself: it analyzes or plans the statement anew. So the types of the columns it returns may change,
//! and come with every row.

use super::ffi;
use super::prepared::Prepared;
use super::result_row::{FromCell, Rows};
use super::spi::{check, datum, result_rows, Param};
use crate::pg::base::alloc::fallibly;
use crate::pg::base::encoding::utf8;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::{exhausted, here, own, reserve};
use crate::pg::data::column::Storage;
use crate::pg::data::convert::output;
use crate::pg::data::key_bytes;
use core::cell::RefCell;
use core::ffi::{c_char, c_int};
use core::mem::ManuallyDrop;
use pgrx::pg_sys::{self, Datum, Oid, Snapshot};
use std::collections::HashMap;
use std::rc::Rc;

/// A prepared statement.
#[derive(Clone)]
pub struct Statement(Rc<Prepared>);

/// Statements kept before all are let go: a session sees few tables, except one that creates and
/// drops guarded tables all day.
const KEPT: usize = 256;

/// A statement's text and the types of its parameters.
type Signature = (String, Vec<Oid>);

thread_local! {
    /// Never dropped: freeing statements while the backend exits helps no one.
    static STATEMENTS: ManuallyDrop<RefCell<HashMap<Signature, Statement>>> = Default::default();
}

/// Prepares a statement once per session, inside `spi::connected`.
pub fn prepare(sql: String, types: &[Oid]) -> Result<Statement, Report> {
    let key = (sql, types.to_vec());
    if let Some(known) = STATEMENTS.with(|kept| kept.borrow().get(&key).cloned()) {
        return Ok(known);
    }
    let statement = Statement(Rc::new(Prepared::new(&key.0, types)?));
    let many = STATEMENTS.with(|kept| {
        let mut kept = kept.borrow_mut();
        let many = if kept.len() < KEPT { HashMap::new() } else { core::mem::take(&mut *kept) };
        kept.insert(key, statement.clone());
        many
    });
    // Frees what nobody runs any more, with the map no longer borrowed.
    drop(many);
    Ok(statement)
}

/// As [`super::spi::run`], with the statement kept prepared: for what a call runs each time with the same
/// text. Names that are not qualified are looked up in the search_path at hand, which Postgres watches too. Not for the
/// row type of a table that is not in its FROM: the plan would outlive that table.
pub fn run_kept(sql: impl Into<String>, params: &[Param]) -> Result<Rows, Report> {
    let (mut types, mut values) =
        (Vec::with_capacity(params.len()), Vec::with_capacity(params.len()));
    for param in params {
        let (type_oid, value) = datum(param)?;
        types.push(type_oid);
        values.push(value);
    }
    prepare(sql.into(), &types)?.0.execute(&values)?;
    result_rows()
}

/// The first value of the first row of [`run_kept`], `None` for NULL or no row.
pub fn one_kept<T>(sql: impl Into<String>, params: &[Param]) -> Result<Option<T>, Report>
where
    T: for<'a> FromCell<'a>,
{
    run_kept(sql, params)?.first().map_or(Ok(None), |row| row.get(0))
}

/// As [`run_kept`], with each row handed to `visit` as it is stored.
pub fn visit(
    sql: impl Into<String>,
    params: &[Param],
    mut visit: impl FnMut(&[Cell]) -> Result<(), Report>,
) -> Result<(), Report> {
    let (mut types, mut values) =
        (Vec::with_capacity(params.len()), Vec::with_capacity(params.len()));
    for param in params {
        let (type_oid, value) = datum(param)?;
        types.push(type_oid);
        values.push(value);
    }
    prepare(sql.into(), &types)?.lock(&values, &mut visit)
}

/// A column of a row: its type and its [`key_bytes`], `None` for NULL.
pub struct Cell {
    pub type_oid: Oid,
    pub storage: Storage,
    pub bytes: Option<Vec<u8>>,
}

impl Cell {
    /// The value as its type's output function writes it; `None` for NULL.
    pub fn shown(&self) -> Result<Option<String>, Report> {
        let Some(bytes) = self.bytes.as_deref() else { return Ok(None) };
        match key_bytes::split(bytes, self.storage) {
            Some((value, _)) => {
                here(|memory| own(output(value.datum(), self.type_oid, memory)?).map(Some))
            }
            None => Err(exhausted(bytes.len())),
        }
    }

    /// The text of a column of type text; `None` for NULL and for another type.
    pub fn text(&self) -> Result<Option<&str>, Report> {
        let bytes = self.bytes.as_deref().filter(|_| self.type_oid == pg_sys::TEXTOID);
        // A length of four bytes goes before a value of variable length.
        bytes.and_then(|bytes| bytes.get(4..)).map(utf8).transpose()
    }

    /// Whether it is a boolean, and true.
    pub fn is_true(&self) -> bool {
        self.type_oid == pg_sys::BOOLOID && self.bytes.as_deref() == Some(&[1])
    }
}

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
        catch(|| unsafe { Moment(ffi::RegisterSnapshot(ffi::GetLatestSnapshot())) })
    }

    fn seen(self, sight: Sight) -> Snapshot {
        // SAFETY: the copy is registered until `done`, and no statement runs under it meanwhile.
        unsafe {
            (*self.0).curcid = match sight {
                Sight::Now => ffi::GetCurrentCommandId(false),
                Sight::BeforeThisTransaction => 0,
            };
        }
        self.0
    }

    /// Gives the snapshot back.
    pub fn done(self) -> Result<(), Report> {
        // SAFETY: registered in `take`.
        catch(|| unsafe { ffi::UnregisterSnapshot(self.0) })
    }
}

impl Statement {
    /// Runs a SELECT and hands each row to `visit`.
    pub fn select(
        &self,
        values: &[Option<Datum>],
        moment: Moment,
        sight: Sight,
        mut visit: impl FnMut(&[Cell]) -> Result<(), Report>,
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
                (ffi::RegisterSnapshot(ffi::GetLatestSnapshot()), ffi::GetTransactionSnapshot())
            }
        })?;
        self.execute(values, snapshot, crosscheck, false)?;
        // SAFETY: SPI_processed belongs to the statement just run.
        let count = unsafe { pg_sys::SPI_processed };
        if !snapshot.is_null() {
            // SAFETY: registered above.
            catch(|| unsafe { ffi::UnregisterSnapshot(snapshot) })?;
        }
        Ok(count)
    }

    /// Runs a SELECT that locks its rows, and hands each to `visit` as it is once locked.
    ///
    /// In a transaction with one snapshot for all statements, a row changed by others since then is 40001.
    pub fn lock(
        &self,
        values: &[Option<Datum>],
        mut visit: impl FnMut(&[Cell]) -> Result<(), Report>,
    ) -> Result<(), Report> {
        let none: Snapshot = core::ptr::null_mut();
        self.execute(values, none, none, false)?;
        read_rows(&mut visit)
    }

    fn execute(
        &self,
        values: &[Option<Datum>],
        snapshot: Snapshot,
        crosscheck: Snapshot,
        read_only: bool,
    ) -> Result<(), Report> {
        self.0.check_count(values)?;
        let nulls: Vec<c_char> =
            values.iter().map(|v| if v.is_some() { b' ' } else { b'n' } as c_char).collect();
        let values: Vec<Datum> = values.iter().map(|v| v.unwrap_or(Datum::null())).collect();
        let (plan, values, nulls) = (self.0.as_raw(), values.as_ptr(), nulls.as_ptr());
        // SAFETY: both arrays have an entry per parameter.
        check(catch(|| unsafe {
            ffi::SPI_execute_snapshot(
                plan,
                values.cast_mut(),
                nulls,
                snapshot,
                crosscheck,
                read_only,
                true,
                0,
            )
        })?)
    }
}

fn bytes_of(value: Datum, storage: Storage) -> Result<Vec<u8>, Report> {
    let mut bytes = Vec::new();
    match fallibly(|| key_bytes::append(&mut bytes, value, storage)) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(exhausted(bytes.len())),
    }
}

fn read_rows(visit: &mut dyn FnMut(&[Cell]) -> Result<(), Report>) -> Result<(), Report> {
    // SAFETY: SPI_tuptable and SPI_processed describe the statement just run.
    let (table, count) = unsafe { (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize) };
    if table.is_null() {
        return Ok(());
    }
    for i in 0..count {
        // SAFETY: the table has `count` rows of its descriptor.
        let (tuple, desc, columns) =
            unsafe { (*(*table).vals.add(i), (*table).tupdesc, (*(*table).tupdesc).natts) };
        let mut row = Vec::new();
        reserve(&mut row, columns as usize)?;
        for column in 1..=columns {
            let mut is_null = false;
            let is_null = &raw mut is_null;
            // SAFETY: `column` lies within the descriptor; a detoasted copy lives in SPI's memory.
            let (value, storage, type_oid, null) = catch(|| unsafe {
                let type_oid = (*crate::pg::data::column::attribute(desc, column as i16)).atttypid;
                let (storage, value) = (
                    crate::pg::data::column::storage(desc, column as i16),
                    ffi::SPI_getbinval(tuple, desc, column, is_null),
                );
                if *is_null {
                    return (value, storage, type_oid, true);
                }
                (key_bytes::flat(value, storage), storage, type_oid, false)
            })?;
            let bytes = match null {
                true => None,
                false => Some(bytes_of(value, storage)?),
            };
            row.push(Cell { type_oid, storage, bytes });
        }
        visit(&row)?;
    }
    // SAFETY: the rows have been copied.
    catch(|| unsafe { ffi::SPI_freetuptable(table) })
}
