//! SQL run by raceguard's functions, never by its guards (see docs/internals.md).

use super::call::text_datum;
use super::error::{catch, Report};
use super::guc;
use super::raw;
use super::text::{cstr, utf8_cstr};
use crate::errors;
use core::ffi::CStr;
use core::ffi::{c_char, c_int, c_long};
use pgrx::pg_sys::{self, Datum, Oid};
use std::ffi::CString;

extern "C-unwind" {
    fn GetLatestSnapshot() -> pg_sys::Snapshot;
    fn PushActiveSnapshot(snapshot: pg_sys::Snapshot);
    fn PopActiveSnapshot();
    fn SPI_connect() -> c_int;
    fn SPI_finish() -> c_int;
    fn SPI_execute_with_args(
        sql: *const c_char,
        count: c_int,
        types: *const Oid,
        values: *const Datum,
        nulls: *const c_char,
        read_only: bool,
        limit: c_long,
    ) -> c_int;
    fn SPI_getvalue(
        tuple: pg_sys::HeapTuple,
        desc: pg_sys::TupleDesc,
        column: c_int,
    ) -> *mut c_char;
    fn SPI_result_code_string(code: c_int) -> *const c_char;
    fn BeginInternalSubTransaction(name: *const c_char);
    fn ReleaseCurrentSubTransaction();
    fn RollbackAndReleaseCurrentSubTransaction();
    fn SPI_freetuptable(table: *mut pg_sys::SPITupleTable);
}

/// A parameter of a statement.
#[derive(Clone, Copy)]
pub enum Param<'a> {
    Text(&'a str),
    OptText(Option<&'a str>),
    Oid(Oid),
    Int(i64),
    /// A value already in Postgres's form.
    Typed(Oid, Option<Datum>),
}

/// The rows of a result, every value in its text form.
pub type Rows = Vec<Vec<Option<String>>>;

/// Runs `body` with an SPI connection. After an error the connection is left to the rollback that
/// has to follow.
pub fn connected<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    // SAFETY: paired with SPI_finish below.
    check(catch(|| unsafe { SPI_connect() })?)?;
    let value = body()?;
    // SAFETY: as above.
    check(catch(|| unsafe { SPI_finish() })?)?;
    Ok(value)
}

/// A statement as Postgres takes it.
pub fn c_statement(sql: &str) -> Result<CString, Report> {
    CString::new(sql).map_err(|_| {
        Report::error(
            errors::INVALID_PARAMETER,
            format_args!("a statement must not contain a zero byte"),
        )
    })
}

/// Runs one statement inside [`connected`] and returns its rows as text.
pub fn run(sql: &str, params: &[Param]) -> Result<Rows, Report> {
    execute(sql, params, false)
}

/// Runs one SELECT inside [`connected`] that sees what is committed by now, at any isolation level.
pub fn run_now(sql: &str, params: &[Param]) -> Result<Rows, Report> {
    // SAFETY: a read-only statement runs under the active snapshot; an ERROR takes it off as well.
    catch(|| unsafe { PushActiveSnapshot(GetLatestSnapshot()) })?;
    let rows = execute(sql, params, true)?;
    // SAFETY: pushed above.
    catch(|| unsafe { PopActiveSnapshot() })?;
    Ok(rows)
}

fn execute(sql: &str, params: &[Param], read_only: bool) -> Result<Rows, Report> {
    let sql = c_statement(sql)?;
    let mut types = Vec::with_capacity(params.len());
    let mut values = Vec::with_capacity(params.len());
    let mut nulls: Vec<c_char> = Vec::with_capacity(params.len());
    for param in params {
        let (type_oid, value) = datum(param)?;
        types.push(type_oid);
        values.push(value.unwrap_or(Datum::null()));
        nulls.push(if value.is_some() { b' ' } else { b'n' } as c_char);
    }
    let (sql, count) = (sql.as_ptr(), params.len() as c_int);
    let (types, values, nulls) = (types.as_ptr(), values.as_ptr(), nulls.as_ptr());
    // SAFETY: the three arrays have `count` entries; Postgres copies what it keeps.
    check(catch(|| unsafe {
        SPI_execute_with_args(sql, count, types, values, nulls, read_only, 0)
    })?)?;
    read_rows()
}

/// Runs `body` in a subtransaction of its own. An error rolls it back and is returned in the inner
/// result, for the caller to raise or to swallow; the outer one is for what cannot be rolled back.
pub fn in_subtransaction<T>(
    body: impl FnOnce() -> Result<T, Report>,
) -> Result<Result<T, Report>, Report> {
    // SAFETY: as PL/pgSQL's EXCEPTION blocks do: memory context and resource owner are put back
    // after the subtransaction ends either way.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        catch(|| {
            BeginInternalSubTransaction(core::ptr::null());
            pg_sys::CurrentMemoryContext = context;
        })?;
        let outcome = body();
        catch(|| {
            if outcome.is_ok() {
                ReleaseCurrentSubTransaction();
            } else {
                RollbackAndReleaseCurrentSubTransaction();
            }
            pg_sys::CurrentMemoryContext = context;
            pg_sys::CurrentResourceOwner = owner;
        })?;
        Ok(outcome)
    }
}

/// The first value of the first row, `None` for NULL or no row.
pub fn one(sql: &str, params: &[Param]) -> Result<Option<String>, Report> {
    let rows = run(sql, params)?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
}

fn datum(param: &Param) -> Result<(Oid, Option<Datum>), Report> {
    Ok(match *param {
        Param::Text(text) => (pg_sys::TEXTOID, Some(text_datum(text)?)),
        Param::OptText(None) => (pg_sys::TEXTOID, None),
        Param::OptText(Some(text)) => (pg_sys::TEXTOID, Some(text_datum(text)?)),
        Param::Oid(oid) => (pg_sys::OIDOID, Some(Datum::from(oid))),
        Param::Int(i) => (pg_sys::INT8OID, Some(Datum::from(i))),
        Param::Typed(type_oid, value) => (type_oid, value),
    })
}

fn read_rows() -> Result<Rows, Report> {
    // SAFETY: SPI_tuptable and SPI_processed describe the statement just run; the table is freed
    // once its values are copied.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return Ok(Vec::new());
        }
        let desc = (*table).tupdesc;
        let mut rows = Vec::new();
        for i in 0..pg_sys::SPI_processed as usize {
            let tuple = *(*table).vals.add(i);
            let mut row = Vec::with_capacity((*desc).natts as usize);
            for column in 1..=(*desc).natts {
                let text = catch(|| SPI_getvalue(tuple, desc, column))?;
                row.push(match text.is_null() {
                    true => None,
                    false => Some(utf8_cstr(text)?.to_owned()),
                });
            }
            rows.push(row);
        }
        catch(|| SPI_freetuptable(table))?;
        Ok(rows)
    }
}

/// Every negative SPI code is an error: a COMMIT in a body, for one, is reported that way.
pub fn check(code: c_int) -> Result<(), Report> {
    if code >= 0 {
        return Ok(());
    }
    // SAFETY: returns a static text.
    let name = unsafe { cstr(SPI_result_code_string(code)) };
    Err(Report::error(
        errors::INTERNAL,
        format_args!("raceguard could not run a statement: {name}"),
    ))
}

/// Runs `body` with `search_path` set to pg_catalog, restoring it afterwards.
pub fn pinned_search_path<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_setting(c"search_path", guc::PINNED_PATH, body)
}

/// Runs `body` with row security off: a statement whose rows it would filter fails instead.
pub fn without_row_security<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_setting(c"row_security", c"off", body)
}

fn with_setting<T>(
    name: &CStr,
    value: &CStr,
    body: impl FnOnce() -> Result<T, Report>,
) -> Result<T, Report> {
    // SAFETY: the level is closed below; after an error the rollback closes it.
    let level = catch(|| unsafe { guc::set_in_new_level(name, value) })?;
    let value = body()?;
    // SAFETY: as above.
    catch(|| unsafe { raw::AtEOXact_GUC(true, level) })?;
    Ok(value)
}
