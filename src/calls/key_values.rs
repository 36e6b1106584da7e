//! Key values as callers give them, coerced to the types of a guard's key.

use crate::errors;
use crate::guards::key_lock::Rule;
use crate::pg::call::{self, Call};
use crate::pg::error::Report;
use crate::pg::key::{Key, KeyPart};
use pgrx::pg_sys::{self, Datum, Oid};
use serde_json::Value as Json;

/// The key in the arguments after the first; `None` if any part is NULL.
pub fn of_arguments(call: Call, rule: &Rule) -> Result<Option<Vec<Datum>>, Report> {
    let given = call.variadic(1)?;
    require_count(given.len(), &rule.key, Some(rule.options.key))?;
    let mut key = Vec::with_capacity(given.len());
    for (part, (type_oid, value)) in rule.key.parts.iter().zip(given) {
        let Some(value) = value else { return Ok(None) };
        key.push(coerce(value, type_oid, part)?);
    }
    Ok(Some(key))
}

/// A JSON key, a scalar or an array in key order, as values of the key's types; `None` with a NULL.
/// `text` is the key as the guard's definition writes it, where it does.
pub fn of_json(given: &Json, key: &Key, text: Option<&str>) -> Result<Option<Vec<Datum>>, Report> {
    let given = match given {
        Json::Array(values) => values.as_slice(),
        scalar => core::slice::from_ref(scalar),
    };
    require_count(given.len(), key, text)?;
    key.parts
        .iter()
        .zip(given)
        .map(|(part, value)| of_json_value(value, part).transpose())
        .collect::<Option<Result<_, _>>>()
        .transpose()
}

fn of_json_value(value: &Json, part: &KeyPart) -> Result<Option<Datum>, Report> {
    let text = match value {
        Json::Null => return Ok(None),
        Json::String(text) => text.clone(),
        Json::Array(_) | Json::Object(_) if part.type_oid != pg_sys::JSONBOID => {
            return Err(Report::error(
                errors::INVALID_PARAMETER,
                format_args!("{value} is not a value of type {}", part.type_name()),
            )
            .detail(format_args!(
                "A key is a scalar, or an array of scalars in key order."
            ))
            .hint(format_args!(
                "Write a value of an array or composite type as a string in Postgres's own form, for example \"{{1,2}}\"."
            )));
        }
        other => other.to_string(),
    };
    call::input(&text, part.type_oid, part.typmod).map(Some)
}

fn require_count(given: usize, key: &Key, text: Option<&str>) -> Result<(), Report> {
    if given == key.parts.len() {
        return Ok(());
    }
    let report = Report::error(
        errors::INVALID_PARAMETER,
        format_args!("wrong number of key values: {given} given, the key has {}", key.parts.len()),
    );
    let report = match text {
        Some(text) => report.detail(format_args!("The key is ({text}).")),
        None => report.detail(format_args!("raceguard.guards shows the key in its definition.")),
    };
    Err(report.hint(format_args!("Give one value for each part of the key, in this order.")))
}

/// A value in the type of a key's part: `lock_key('posts', 42)` and a bigint column must meet.
fn coerce(value: Datum, from: Oid, part: &KeyPart) -> Result<Datum, Report> {
    if from == part.type_oid {
        return Ok(value);
    }
    call::input(&call::output(value, from)?, part.type_oid, part.typmod)
}
