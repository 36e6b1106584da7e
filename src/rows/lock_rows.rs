//! `lock_rows`: row locks in key order.

use crate::errors;
use crate::guard::arguments::one_of;
use crate::guard::arguments::required;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::jsonb::{Json, JsonKind};
use crate::pg::memory::{self, here, Memory, Scratch};
use crate::pg::result_set::return_set;
use crate::pg::spi::connected;
use crate::pg::text::PgText;
use crate::rows::keys::not_there;
use crate::rows::table::{describe, Described, RowKey};
use pgrx::pg_sys::Datum;

function_entry!(raceguard_lock_rows, crate::rows::lock_rows::lock_rows);

/// `lock_rows(target, pks, wait, strength) -> setof jsonb`.
///
/// Locks the rows of the primary keys in `pks` (an array of jsonb objects), one after the other in the
/// order of the key's index, and returns them in that order as they are once locked. `strength` is that
/// of SELECT ... FOR: `no key update`, which lets others insert rows that refer to the locked ones,
/// `update`, `share` or `key share`. A key given twice is locked and returned once. `wait`: `wait`, `nowait`
/// (55P03 if another transaction has one of them locked), or `skip` (rows that are locked, or not
/// there, are left out). Raises RG404 naming every missing key otherwise. Serves both sides of
/// a transfer, without the deadlock of A to B against B to A.
fn lock_rows(call: Call) -> Result<Value, Report> {
    connected(|| {
        let table = describe(required(call.oid(0), "target")?)?;
        let pks = required(call.json(1)?, "pks")?;
        let wait = required(call.text(2)?, "wait")?;
        let wait = one_of(&wait, "wait", &["wait", "nowait", "skip"])?;
        let strength = match call.count() {
            // The SQL of 0.1.0 has no strength and means this one.
            0..4 => "update".to_owned(),
            _ => required(call.text(3)?, "strength")?,
        };
        let strength = one_of(&strength, "strength", &STRENGTHS)?;
        here(|memory| {
            let keys = keys(&table, &pks, memory)?;
            return_set(call, &lock(&table, &keys, wait, strength)?)
        })
    })
}

/// The strengths of a row lock as SELECT ... FOR names them, the default first.
const STRENGTHS: [&str; 4] = ["no key update", "update", "share", "key share"];

/// The keys in key order, each once.
fn keys<'m>(table: &Described, pks: &Json, memory: Memory<'m>) -> Result<Vec<RowKey<'m>>, Report> {
    if pks.kind() != JsonKind::Array {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("argument \"pks\" must be an array"),
        )
        .detail(format_args!("It is {}.", pks.kind()))
        .hint(format_args!("Write an array of primary keys, each an object."))
        .table(table.oid));
    }
    let mut keys = Vec::new();
    memory::reserve(&mut keys, pks.count())?;
    let mut elements = pks.elements(memory)?;
    let scratch = Scratch::new()?;
    while let Some(pk) = elements.next()? {
        let argument = format!("pks[{}]", keys.len());
        keys.push(scratch.distil(memory, |scratch, memory| {
            table.keep(table.key_in_list(&argument, pk.datum()?, scratch)?, memory)
        })?);
    }
    scratch.done()?;
    table.put_in_order(keys, |key| key, |_, _| Ok(()))
}

fn lock(
    table: &Described,
    keys: &[RowKey],
    wait: &str,
    strength: &str,
) -> Result<Vec<Datum>, Report> {
    let waiting = match wait {
        "nowait" => " NOWAIT",
        "skip" => " SKIP LOCKED",
        _ => "",
    };
    let sql = format!(
        "SELECT pg_catalog.to_jsonb(r.*) FROM {} AS r WHERE {} FOR {}{waiting}",
        table.reference,
        table.condition(),
        strength.to_ascii_uppercase()
    );
    let statement = table.kept(sql, &table.key_types())?;
    let mut rows = Vec::new();
    memory::reserve(&mut rows, keys.len())?;
    let mut missing: Vec<&RowKey> = Vec::new();
    for key in keys {
        let values = key.with(&[]);
        // Made before: after an error nothing of Postgres is to be called.
        let shown = (wait == "nowait").then(|| table.shown(key)).transpose()?;
        let found = match wait {
            "skip" => statement.execute(&values),
            _ => table.lock_row(&statement, key, &values),
        };
        let found = found.map_err(|report| match shown {
            Some(key) if report.is(errors::LOCK_NOT_AVAILABLE) => locked(report, key),
            _ => report,
        })?;
        match found.only_result(1)? {
            Some(row) => rows.push(row),
            None => memory::push(&mut missing, key)?,
        }
    }
    if missing.is_empty() || wait == "skip" {
        return Ok(rows);
    }
    Err(not_there(table, &missing)?)
}

/// Postgres's own error does not say which row.
fn locked(report: Report, key: PgText) -> Report {
    report
        .detail(format_args!("Key {key} is locked by another transaction."))
        .hint(format_args!("Try again later, or wait for it with wait => 'wait'."))
}
