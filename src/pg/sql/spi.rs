//! SQL run by raceguard's functions, never by its guards (see docs/internals.md).

use super::ffi;
use super::result_row::{FromCell, ResultRow, Rows};
use crate::pg::base::encoding::utf8_cstr;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::guc;
use crate::pg::base::memory::{own, push, reserve};
use crate::pg::base::sqlstate;
use crate::pg::base::text::cstr;
use crate::pg::data::convert::text_datum;
use core::ffi::{c_char, c_int, CStr};
use pgrx::pg_sys::{self, Datum, Oid};
use std::ffi::CString;

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

/// Runs `body` with an SPI connection, whose memory goes with it: what `body` returns must not lie there. After an
/// error the connection is left to the rollback that has to follow.
pub fn connected<T: Send + 'static>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    // SAFETY: paired with SPI_finish below.
    check(catch(|| unsafe { ffi::SPI_connect() })?)?;
    let value = body()?;
    // SAFETY: as above.
    check(catch(|| unsafe { ffi::SPI_finish() })?)?;
    Ok(value)
}

/// A statement as Postgres takes it.
pub fn c_statement(sql: &str) -> Result<CString, Report> {
    CString::new(sql).map_err(|_| {
        Report::error(
            sqlstate::INVALID_PARAMETER,
            format_args!("a statement must not contain a zero byte"),
        )
    })
}

/// Runs one statement inside [`connected`] and returns its rows.
pub fn run(sql: &str, params: &[Param]) -> Result<Rows, Report> {
    execute(sql, params, false)
}

/// Runs one SELECT inside [`connected`] that sees what is committed by now, at any isolation level.
pub fn run_now(sql: &str, params: &[Param]) -> Result<Rows, Report> {
    // A read-only statement runs under the active snapshot.
    under_present_snapshot(|| execute(sql, params, true))
}

/// Runs `body` with the present snapshot as the active one.
pub fn under_present_snapshot<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    // SAFETY: an ERROR takes it off as well.
    catch(|| unsafe { ffi::PushActiveSnapshot(ffi::GetLatestSnapshot()) })?;
    let value = body()?;
    // SAFETY: pushed above.
    catch(|| unsafe { ffi::PopActiveSnapshot() })?;
    Ok(value)
}

/// Runs one SELECT inside [`connected`] that sees what the statement that called the function saw, and nothing that
/// it did: what an event trigger finds dropped is still there. Nothing where there is no such view any more.
pub fn run_before(sql: &str, params: &[Param]) -> Result<Rows, Report> {
    // SAFETY: reads a variable of the session.
    match unsafe { ffi::ActiveSnapshotSet() } {
        true => execute(sql, params, true),
        false => Ok(Vec::new()),
    }
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
        ffi::SPI_execute_with_args(
            sql,
            count,
            types.cast_mut(),
            values.cast_mut(),
            nulls,
            read_only,
            0,
        )
    })?)?;
    result_rows()
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
            ffi::BeginInternalSubTransaction(core::ptr::null());
            pg_sys::CurrentMemoryContext = context;
        })?;
        let outcome = body();
        catch(|| {
            if outcome.is_ok() {
                ffi::ReleaseCurrentSubTransaction();
            } else {
                ffi::RollbackAndReleaseCurrentSubTransaction();
            }
            pg_sys::CurrentMemoryContext = context;
            pg_sys::CurrentResourceOwner = owner;
        })?;
        Ok(outcome)
    }
}

/// The first value of the first row, `None` for NULL or no row.
pub fn one<T>(sql: &str, params: &[Param]) -> Result<Option<T>, Report>
where
    T: for<'a> FromCell<'a>,
{
    run(sql, params)?.first().map_or(Ok(None), |row| row.get(0))
}

/// A parameter's type and value.
pub(super) fn datum(param: &Param) -> Result<(Oid, Option<Datum>), Report> {
    Ok(match *param {
        Param::Text(text) => (pg_sys::TEXTOID, Some(text_datum(text)?)),
        Param::OptText(None) => (pg_sys::TEXTOID, None),
        Param::OptText(Some(text)) => (pg_sys::TEXTOID, Some(text_datum(text)?)),
        Param::Oid(oid) => (pg_sys::OIDOID, Some(Datum::from(oid))),
        Param::Int(i) => (pg_sys::INT8OID, Some(Datum::from(i))),
        Param::Typed(type_oid, value) => (type_oid, value),
    })
}

/// The rows of the statement just run.
pub(super) fn result_rows() -> Result<Rows, Report> {
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
            let mut cells = Vec::new();
            reserve(&mut cells, (*desc).natts as usize)?;
            for column in 1..=(*desc).natts {
                let text = catch(|| ffi::SPI_getvalue(tuple, desc, column))?;
                cells.push(match text.is_null() {
                    true => None,
                    false => Some(own(utf8_cstr(text)?)?),
                });
            }
            push(&mut rows, ResultRow::new(cells))?;
        }
        catch(|| ffi::SPI_freetuptable(table))?;
        Ok(rows)
    }
}

/// Every negative SPI code is an error: a COMMIT in a body, for one, is reported that way.
pub fn check(code: c_int) -> Result<(), Report> {
    if code >= 0 {
        return Ok(());
    }
    // SAFETY: returns a static text.
    let name = unsafe { cstr(ffi::SPI_result_code_string(code)) };
    Err(Report::error(
        sqlstate::INTERNAL,
        format_args!("raceguard could not run a statement: {name}"),
    ))
}

/// Runs `body` with `search_path` set to pg_catalog, restoring it afterwards.
pub fn pinned_search_path<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_settings(&[(c"search_path", guc::PINNED_PATH)], body)
}

/// Runs `body`, which has Postgres write expressions of the catalog, with all settings pinned that their text depends
/// on.
pub fn pinned_text<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_settings(&guc::PINNED_TEXT, body)
}

/// Runs `body` with row security off: a statement whose rows it would filter fails instead.
pub fn without_row_security<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_settings(&[(c"row_security", c"off")], body)
}

/// Runs `body`, which may create triggers on tables that Citus distributes.
pub fn with_triggers_on_nodes<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_settings(&[(c"citus.enable_unsafe_triggers", c"on")], body)
}

/// Runs `body`, which looks up a table that may be a shard of Citus's, so that it is found.
pub fn with_shards_shown<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_settings(&[(c"citus.override_table_visibility", c"off")], body)
}

/// Runs `body`, the call that adds a guard to a table of Citus's, so that a node's shards are changed one after the other: a trigger
/// that is made FROM a table locks that, on a node, against another connection that does the same for another shard.
pub fn with_shards_in_turn<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_settings(&[(c"citus.multi_shard_modify_mode", c"sequential")], body)
}

/// Runs `body` with intervals written one way, whatever the session's style.
pub fn pinned_intervalstyle<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    with_settings(&[(c"intervalstyle", c"postgres")], body)
}

/// Runs `body`, a part of DDL, with as much memory for a sort or a hash table as CREATE INDEX has, if that is more.
pub fn with_maintenance_memory<T>(body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    // SAFETY: reads two settings.
    let kilobytes = unsafe { pg_sys::maintenance_work_mem.max(pg_sys::work_mem) };
    with_settings(&[(c"work_mem", &c_statement(&kilobytes.to_string())?)], body)
}

/// Runs `body` with a wait for each lock of at most so many milliseconds, then 55P03.
pub fn with_lock_timeout<T>(
    milliseconds: i64,
    body: impl FnOnce() -> Result<T, Report>,
) -> Result<T, Report> {
    with_settings(&[(c"lock_timeout", &c_statement(&milliseconds.to_string())?)], body)
}

fn with_settings<T>(
    settings: &[(&CStr, &CStr)],
    body: impl FnOnce() -> Result<T, Report>,
) -> Result<T, Report> {
    // SAFETY: the level is closed below; after an error the rollback closes it.
    let level = catch(|| unsafe { guc::set_in_new_level(settings) })?;
    let value = body()?;
    // SAFETY: as above.
    catch(|| unsafe { ffi::AtEOXact_GUC(true, level) })?;
    Ok(value)
}
