//! `lock_key`, `try_lock_key`: the lock of a key lock guard, taken before reading.

use crate::errors;
use crate::guards::key_lock::{self, Rule};
use crate::pg::cache;
use crate::pg::call::{self, function_entry, Call, Value};
use crate::pg::error::{catch, Report};
use crate::pg::open::{open_table, OpenTable};
use crate::pg::privilege;
use crate::pg::trigger;
use pgrx::pg_sys::{Datum, Oid};

function_entry!(raceguard_lock_key, crate::calls::key_locks::lock_key);
function_entry!(raceguard_try_lock_key, crate::calls::key_locks::try_lock_key);

/// `lock_key(target, VARIADIC key)`.
fn lock_key(call: Call) -> Result<Value, Report> {
    let table = writable(call)?;
    let rule = rule(&table)?;
    let Some(key) = key_argument(call, rule)? else {
        return Ok(Value::Void);
    };
    catch(|| {
        let what = key_lock::identify(rule, &key)?;
        key_lock::lock(rule, Some(what))
    })??;
    Ok(Value::Void)
}

/// `try_lock_key(target, VARIADIC key)`.
fn try_lock_key(call: Call) -> Result<Value, Report> {
    let table = writable(call)?;
    let rule = rule(&table)?;
    let Some(key) = key_argument(call, rule)? else {
        return Ok(Value::Bool(true));
    };
    let locked =
        catch(|| key_lock::identify(rule, &key).map(|what| key_lock::try_lock(rule, what)))??;
    Ok(Value::Bool(locked))
}

/// The table in the first argument, which the caller must be allowed to write: a passer-by must
/// not hold other people's keys.
fn writable(call: Call) -> Result<OpenTable, Report> {
    let oid = call.oid(0).ok_or_else(|| {
        Report::error(
            errors::NULL_NOT_ALLOWED,
            format_args!("argument \"target\" must not be NULL"),
        )
        .detail(format_args!("Key locks belong to a table."))
        .hint(format_args!("Name the table, for example 'posts'."))
    })?;
    let table = open_table(oid)?;
    privilege::require_write(&table)?;
    if privilege::is_standby() {
        return Err(Report::error(
            errors::READ_ONLY,
            format_args!("cannot lock keys during recovery"),
        )
        .detail(format_args!(
            "This server is a standby; nobody writes here, so there is nothing to wait for."
        ))
        .hint(format_args!("Lock on the primary.")));
    }
    Ok(table)
}

/// The rule of the table's key lock guard.
fn rule(table: &OpenTable) -> Result<&'static Rule, Report> {
    let handle = table.table();
    catch(|| match trigger::find(handle, key_lock::FUNCTION) {
        Some(definition) => cache::rule(definition, key_lock::build),
        None => Err(Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!("table \"{}\" has no key lock guard", handle.name()),
        )
        .detail(format_args!("Without the guard other writers would not respect the lock."))
        .hint(format_args!(
            "Add one first: SELECT raceguard.add_key_lock('{}', 'column');",
            handle.name()
        ))
        .table(handle.oid())),
    })?
}

/// The key in the arguments after the first, coerced to the key's types; `None` if any part is
/// NULL.
fn key_argument(call: Call, rule: &Rule) -> Result<Option<Vec<Datum>>, Report> {
    let given = call.variadic(1)?;
    if given.len() != rule.key.parts.len() {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!(
                "wrong number of key values: {} given, the key has {}",
                given.len(),
                rule.key.parts.len()
            ),
        )
        .detail(format_args!("The key is ({}).", rule.options.key))
        .hint(format_args!("Give one value for each part of the key, in this order.")));
    }
    let mut key = Vec::with_capacity(given.len());
    for (part, (type_oid, value)) in rule.key.parts.iter().zip(given) {
        let Some(value) = value else { return Ok(None) };
        key.push(coerce(value, type_oid, part.type_oid, part.typmod)?);
    }
    Ok(Some(key))
}

/// A value in the type of a key's part: `lock_key('posts', 42)` and a bigint column must meet.
fn coerce(value: Datum, from: Oid, to: Oid, typmod: i32) -> Result<Datum, Report> {
    if from == to {
        return Ok(value);
    }
    call::input(&call::output(value, from)?, to, typmod)
}
