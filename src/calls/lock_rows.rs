//! `lock_rows`: row locks in key order (sources.md B1).

use super::keyed_table::{kind, Key, KeyedTable};
use crate::errors;
use crate::install::arguments::{one_of, required};
use crate::pg::call::{function_entry, input, Call, Value};
use crate::pg::error::Report;
use crate::pg::rows::return_set;
use crate::pg::spi::{connected, Prepared};
use pgrx::pg_sys::{self, Datum};
use serde_json::Value as Json;

function_entry!(raceguard_lock_rows, crate::calls::lock_rows::lock_rows);

/// `lock_rows(target, pks, wait) -> setof jsonb`.
///
/// Locks the rows of the primary keys in `pks` (an array of jsonb objects) as SELECT ... FOR UPDATE
/// does, one after the other in the order of the key's index, and returns them in that order as they
/// are once locked. A key given twice is locked and returned once. `wait`: `wait`, `nowait`
/// (55P03 if another transaction has one of them locked), or `skip` (rows that are locked, or not
/// there, are left out). Raises RG404 naming every missing key otherwise. Serves B1: both sides of
/// a transfer, without the deadlock of A to B against B to A.
fn lock_rows(call: Call) -> Result<Value, Report> {
    let rows = connected(|| {
        let (table, ()) = KeyedTable::of_argument(call, 0, |_| Ok(()))?;
        let pks = required(call.json(1)?, "pks")?;
        let keys = keys(&table, &pks)?;
        let wait = required(call.text(2)?, "wait")?;
        let wait = one_of(&wait, "wait", &["wait", "nowait", "skip"])?;
        lock(&table, &keys, wait)
    })?;
    let rows: Result<Vec<Datum>, Report> =
        rows.iter().map(|row| input(row, pg_sys::JSONBOID, -1)).collect();
    return_set(call, &rows?)
}

/// The keys in key order, each once.
fn keys(table: &KeyedTable, pks: &Json) -> Result<Vec<Key>, Report> {
    let Json::Array(pks) = pks else {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("argument \"pks\" must be an array"),
        )
        .detail(format_args!("It is {}.", kind(pks)))
        .hint(format_args!("Write an array of primary keys, each an object."))
        .table(table.oid));
    };
    let mut keys: Vec<Key> = Vec::with_capacity(pks.len());
    for (i, pk) in pks.iter().enumerate() {
        let key = table.key(pk, None, &format!("pks[{i}]"))?;
        if let Err(at) = table.find(&keys, &key, |key| key)? {
            keys.insert(at, key);
        }
    }
    Ok(keys)
}

fn lock(table: &KeyedTable, keys: &[Key], wait: &str) -> Result<Vec<String>, Report> {
    let clause = match wait {
        "nowait" => "FOR UPDATE NOWAIT",
        "skip" => "FOR UPDATE SKIP LOCKED",
        _ => "FOR UPDATE",
    };
    let statement = Prepared::new(
        &format!(
            "SELECT pg_catalog.to_jsonb(r.*) FROM {} AS r WHERE {} {clause}",
            table.reference,
            table.condition(1)
        ),
        &table.types(),
    )?;
    let mut rows = Vec::with_capacity(keys.len());
    let mut missing: Vec<&Key> = Vec::new();
    for key in keys {
        let found = statement.run(key.values()).map_err(|report| {
            if wait == "nowait" && report.is(errors::LOCK_NOT_AVAILABLE) {
                return locked(report, key);
            }
            report
        })?;
        match found.into_iter().next().and_then(|row| row.into_iter().next().flatten()) {
            Some(row) => rows.push(row),
            None => missing.push(key),
        }
    }
    if missing.is_empty() || wait == "skip" {
        return Ok(rows);
    }
    Err(table.no_such_row(&missing))
}

/// Postgres's own error does not say which row.
fn locked(report: Report, key: &Key) -> Report {
    report
        .detail(format_args!("Key {} is locked by another transaction.", key.shown))
        .hint(format_args!("Try again later, or wait for it with wait => 'wait'."))
}
