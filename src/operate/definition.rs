//! `guard_definition` and `guard_kind`: what the view `raceguard.guards` says of a guard.

use crate::guard::kind::definition;
use crate::guard::trigger::{arguments_in_hex, decode_arguments};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert;
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path, run, Param};
use crate::registry::kind_of;
use pgrx::pg_sys;

function_entry!(raceguard_guard_definition, crate::operate::definition::guard_definition);
function_entry!(raceguard_guard_kind, crate::operate::definition::guard_kind);

/// `raceguard.guard_kind(function name) -> text`: the kind of guard whose trigger calls a function
/// of this name in the schema `raceguard`; NULL if such a trigger is no guard. Raises nothing.
fn guard_kind(call: Call) -> Result<Value, Report> {
    let kind = call.name(0)?.and_then(|function| kind_of(&function));
    Ok(kind.map_or(Value::Null, |kind| Value::Text(kind.name.to_owned())))
}

/// `raceguard.guard_definition(trigger oid) -> jsonb`: the arguments of a guard's trigger under the
/// names they have in the `add_*` call, and what of the guard stands elsewhere; NULL if the trigger
/// is no guard, or has more arguments than a guard may have: those refuse every write.
fn guard_definition(call: Call) -> Result<Value, Report> {
    let Some(trigger) = call.oid(0) else { return Ok(Value::Null) };
    let definition = connected(|| {
        pinned_search_path(|| {
            let arguments = arguments_in_hex();
            let sql = format!(
                "SELECT p.proname, {arguments}, g.tgrelid \
                 FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid \
                 JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'raceguard' \
                 WHERE g.oid = $1"
            );
            let rows = run(&sql, &[Param::Oid(trigger)])?;
            let Some(row) = rows.first() else { return Ok(None) };
            let Some(kind) = kind_of(row.get(0)?) else { return Ok(None) };
            let Some(arguments) = row.get(1)? else { return Ok(None) };
            let table = row.get(2)?;
            let arguments = decode_arguments(arguments)?;
            let definition = definition(kind, table, &arguments)?;
            Ok(Some(serde_json::Value::Object(definition).to_string()))
        })
    })?;
    match definition {
        Some(text) => Ok(Value::Raw(convert::input(&text, pg_sys::JSONBOID, -1)?)),
        None => Ok(Value::Null),
    }
}
