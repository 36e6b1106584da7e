//! `guard_is_whole`: whether every part of a guard stands and does its work, for the view
//! `raceguard.guards`.

use crate::guard::kind::Inspected;
use crate::guard::trigger::of_oid;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path};
use crate::registry::kind_of;

function_entry!(raceguard_guard_is_whole, crate::operate::guard_is_whole::guard_is_whole);

/// `raceguard.guard_is_whole(trigger)`: whether the trigger is attached as its function needs it, and the
/// triggers, CHECK, index, column and foreign key that go with it stand and are in force. NULL if the
/// trigger is no guard. Whether the trigger itself is enabled is another question. What is missing
/// `check_guards` says.
fn guard_is_whole(call: Call) -> Result<Value, Report> {
    let Some(trigger) = call.oid(0) else { return Ok(Value::Null) };
    let whole = connected(|| {
        pinned_search_path(|| {
            let Some(guard) = of_oid(trigger)? else { return Ok(None) };
            let Some(kind) = kind_of(&guard.function) else { return Ok(None) };
            Inspected::new(kind, guard)?.is_whole().map(Some)
        })
    })?;
    Ok(whole.map_or(Value::Null, Value::Bool))
}
