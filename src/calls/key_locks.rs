//! `lock_key`, `try_lock_key`, `lock_keys`, `lock_table_keys`: the locks of a key lock guard,
//! taken before reading. All of them last until the transaction ends, so they work behind a
//! connection pool that hands out connections by the transaction.

use super::arguments::required;
use super::key_values;
use crate::errors;
use crate::guards::key_lock::{self, Rule};
use crate::guards::locking;
use crate::pg::cache;
use crate::pg::call::{self, function_entry, Call, Value};
use crate::pg::error::{catch, Report};
use crate::pg::lock::Family;
use crate::pg::open::{open_table, OpenTable};
use crate::pg::privilege;
use crate::pg::setting;
use crate::pg::trigger;
use pgrx::pg_sys::{self, Oid};
use serde_json::Value as Json;

function_entry!(raceguard_lock_key, crate::calls::key_locks::lock_key);
function_entry!(raceguard_try_lock_key, crate::calls::key_locks::try_lock_key);
function_entry!(raceguard_lock_keys, crate::calls::key_locks::lock_keys);
function_entry!(raceguard_lock_table_keys, crate::calls::key_locks::lock_table_keys);

/// `lock_key(target, VARIADIC key)`.
fn lock_key(call: Call) -> Result<Value, Report> {
    let table = writable(target(call)?)?;
    let rule = rule(&table)?;
    let Some(key) = key_values::of_arguments(call, rule)? else {
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
    let table = writable(target(call)?)?;
    let rule = rule(&table)?;
    let Some(key) = key_values::of_arguments(call, rule)? else {
        return Ok(Value::Bool(true));
    };
    let locked =
        catch(|| key_lock::identify(rule, &key).map(|what| key_lock::try_lock(rule, what)))??;
    Ok(Value::Bool(locked))
}

/// `lock_keys(target, keys)`.
fn lock_keys(call: Call) -> Result<Value, Report> {
    let target = target(call)?;
    lock_list(target, &required(call.json(1)?, "keys")?)?;
    Ok(Value::Void)
}

/// `SET LOCAL raceguard.lock_keys = target, keys`.
pub fn lock_by_setting(text: &str) -> Result<(), Report> {
    let Some((target, keys)) = setting::split_list(text) else {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("raceguard.lock_keys needs a table and its keys"),
        )
        .detail(format_args!("It was set to: {text}"))
        .hint(format_args!("For example SET LOCAL raceguard.lock_keys = posts, '[42]'.")));
    };
    let target = call::input(target, pg_sys::REGCLASSOID, -1)?;
    let keys = call::input(keys, pg_sys::JSONBOID, -1)?;
    lock_list(Oid::from(target.value() as u32), &call::json(keys)?)
}

/// Locks the keys of a JSON array in the order in which every writer locks.
fn lock_list(target: Oid, keys: &Json) -> Result<(), Report> {
    let table = writable(target)?;
    let rule = rule(&table)?;
    let Json::Array(keys) = keys else {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("keys must be a JSON array"),
        )
        .detail(format_args!("It is: {keys}"))
        .hint(format_args!(
            "Write [1, 2] for keys of one value, [[1, \"a\"], [2, \"b\"]] for keys of several."
        )));
    };
    let mut locks = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some(key) = key_values::of_json(key, &rule.key, Some(rule.options.key))? {
            locks.push(catch(|| key_lock::identify(rule, &key))??);
        }
    }
    locks.sort_unstable();
    locks.dedup();
    catch(|| key_lock::lock_all(rule, &locks))?
}

/// `lock_table_keys(target)`.
fn lock_table_keys(call: Call) -> Result<Value, Report> {
    let table = open_table(target(call)?)?;
    privilege::require_owner(&table)?;
    require_primary()?;
    let rule = rule(&table)?;
    if rule.options.namespace.is_some() {
        return Err(Report::error(
            errors::UNSUPPORTED,
            format_args!(
                "cannot lock all keys of table \"{}\": its key lock has a namespace",
                table.table().name()
            ),
        )
        .detail(format_args!(
            "Code that takes pg_advisory_xact_lock by hand would not see a lock on the whole table."
        ))
        .hint(format_args!("Lock the keys you write: raceguard.lock_keys."))
        .table(table.table().oid()));
    }
    catch(|| locking::lock_whole(rule.root, Family::Keys))??;
    Ok(Value::Void)
}

fn target(call: Call) -> Result<Oid, Report> {
    required(call.oid(0), "target")
}

/// A table that the caller may write: a passer-by must not hold other people's keys.
fn writable(target: Oid) -> Result<OpenTable, Report> {
    let table = open_table(target)?;
    privilege::require_write(&table)?;
    require_primary()?;
    Ok(table)
}

fn require_primary() -> Result<(), Report> {
    if !privilege::is_standby() {
        return Ok(());
    }
    Err(Report::error(errors::READ_ONLY, format_args!("cannot lock keys during recovery"))
        .detail(format_args!(
            "This server is a standby; nobody writes here, so there is nothing to wait for."
        ))
        .hint(format_args!("Lock on the primary.")))
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
            "Add one first: SELECT raceguard.add_key_lock({}, 'column');",
            handle.root_literal()
        ))
        .table(handle.oid())),
    })?
}
