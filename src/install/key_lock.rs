//! `add_key_lock`: a trigger that makes the writers of one key wait for each other.

use super::arguments::required;
use super::key::canonical_key;
use super::target::Target;
use super::trigger::{self, Plan, Wanted};
use crate::guards::key_lock::{check, FUNCTION};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path};

function_entry!(raceguard_add_key_lock, crate::install::key_lock::add_key_lock);

/// The guard's name: there is one per table.
const GUARD: &str = "key_lock";

/// `add_key_lock(target, key, namespace, replace)`.
fn add_key_lock(call: Call) -> Result<Value, Report> {
    connected(|| {
        let target = pinned_search_path(|| Target::owned(call, 0))?;
        let key = required(call.text(1)?, "key")?;
        let namespace = call.int(2);
        let replace = required(call.bool(3), "replace")?;
        let key = canonical_key(&target, &key, |_, key| check(key, namespace))?;
        let mut arguments = vec![key];
        arguments.extend(namespace.map(|n| format!("namespace={n}")));
        pinned_search_path(|| {
            install(&target, Wanted { guard: GUARD, function: FUNCTION, arguments }, replace)
        })
    })
}

fn install(target: &Target, wanted: Wanted, replace: bool) -> Result<Value, Report> {
    target.lock("SHARE ROW EXCLUSIVE")?;
    let standing = trigger::existing(target, FUNCTION)?.into_iter().next();
    match trigger::plan(target, standing, &wanted, replace)? {
        Plan::Keep(name) => return Ok(Value::Text(name)),
        Plan::Replace(standing) => trigger::drop(target, &standing.trigger)?,
        Plan::Create => {}
    }
    let name = trigger::trigger_name(GUARD, "")?;
    let events = "BEFORE INSERT OR UPDATE OR DELETE";
    trigger::create(target, &name, events, None, FUNCTION, &wanted.arguments)?;
    let key = wanted.arguments.first().map(String::as_str).unwrap_or_default();
    let namespace = wanted.arguments.get(1).map(|n| format!(", {n}")).unwrap_or_default();
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\" on key ({key}){namespace}",
            target.name
        ),
        None,
    );
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(Value::Text(name))
}
