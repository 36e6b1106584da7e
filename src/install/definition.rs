//! `guard_definition`: a guard's trigger arguments as jsonb, for the view `raceguard.guards`.

use super::cap_definition;
use super::trigger::decode_arguments;
use crate::pg::call::{self, function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path, run, Param};
use pgrx::pg_sys;
use serde_json::{json, Map};

function_entry!(raceguard_guard_definition, crate::install::definition::guard_definition);

/// `guard_definition(trigger)`.
fn guard_definition(call: Call) -> Result<Value, Report> {
    let Some(trigger) = call.oid(0) else { return Ok(Value::Null) };
    let definition = connected(|| {
        pinned_search_path(|| {
            let rows = run(
                "SELECT p.proname, encode(t.tgargs, 'hex'), t.tgrelid \
                 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
                 JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'raceguard' \
                 WHERE t.oid = $1",
                &[Param::Oid(trigger)],
            )?;
            let Some(row) = rows.into_iter().next() else { return Ok(None) };
            let text = |i: usize| row[i].as_deref().unwrap_or_default();
            let mut definition = options(text(0), &decode_arguments(text(1)));
            if text(0) == crate::guards::cap::FUNCTION {
                let table = pg_sys::Oid::from(text(2).parse::<u32>().unwrap_or_default());
                for option in cap_definition::key_and_predicate(table, &definition)? {
                    insert(&mut definition, &option);
                }
            }
            Ok(Some(serde_json::Value::Object(definition).to_string()))
        })
    })?;
    match definition {
        Some(text) => Ok(Value::Raw(call::input(&text, pg_sys::JSONBOID, -1)?)),
        None => Ok(Value::Null),
    }
}

/// Trigger arguments as an object: the first under the name it has in the `add_*` call.
fn options(function: &str, arguments: &[String]) -> Map<String, serde_json::Value> {
    let mut object = Map::new();
    let first = match function {
        "version_guard" => "version_column",
        "cap_guard" => "slot_column",
        "parent_version_guard" => "foreign_key",
        _ => "key",
    };
    if let Some(value) = arguments.first() {
        object.insert(first.to_owned(), json!(value));
    }
    for argument in arguments.iter().skip(1) {
        insert(&mut object, argument);
    }
    object
}

/// Adds `name=value`; numbers as numbers, a repeated name as an array.
fn insert(object: &mut Map<String, serde_json::Value>, argument: &str) {
    let (name, value) = argument.split_once('=').unwrap_or((argument, "true"));
    let value = match value.parse::<i64>() {
        Ok(number) => json!(number),
        Err(_) => json!(value),
    };
    if name == "ignore" {
        let list = object.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
        return;
    }
    object.insert(name.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_an_object() {
        let arguments: Vec<String> =
            ["v", "ignore=a", "ignore=b", "mode=observe"].map(String::from).to_vec();
        assert_eq!(
            serde_json::Value::Object(options("version_guard", &arguments)),
            json!({"version_column": "v", "ignore": ["a", "b"], "mode": "observe"})
        );
    }
}
