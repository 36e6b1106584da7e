//! Key values as callers give them, coerced to the types of a guard's key.

use crate::errors;
use crate::pg::call::Call;
use crate::pg::convert;
use crate::pg::error::Report;
use crate::pg::jsonb::{Json, JsonKind};
use crate::pg::key::{Key, KeyPart};
use crate::pg::memory::{here, Memory};
use pgrx::pg_sys::{Datum, Oid};

/// The key in the arguments after the first; `None` if any part is NULL. `text` is the key as the
/// guard's definition writes it.
pub fn of_arguments(call: Call, key: &Key, text: &str) -> Result<Option<Vec<Datum>>, Report> {
    let given = call.variadic(1)?;
    require_count(given.len(), key, Some(text))?;
    let mut values = Vec::with_capacity(given.len());
    for (part, (type_oid, value)) in key.parts.iter().zip(given) {
        let Some(value) = value else { return Ok(None) };
        values.push(coerce(value, type_oid, part)?);
    }
    Ok(Some(values))
}

/// A JSON key, a scalar or an array in key order, as values of the key's types; `None` with a NULL.
/// `text` is the key as the guard's definition writes it, where it does.
pub fn of_json(given: &Json, key: &Key, text: Option<&str>) -> Result<Option<Vec<Datum>>, Report> {
    let count = match given.kind() {
        JsonKind::Array => given.count(),
        _ => 1,
    };
    require_count(count, key, text)?;
    let mut values = Vec::with_capacity(key.parts.len());
    here(|memory| {
        let mut elements = given.elements(memory)?;
        for part in key.parts {
            let Some(value) = elements.next()? else { return Ok(None) };
            match of_json_value(&value, part, memory)? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(values))
    })
}

fn of_json_value(value: &Json, part: &KeyPart, memory: Memory) -> Result<Option<Datum>, Report> {
    if value.kind() == JsonKind::Null {
        return Ok(None);
    }
    let json;
    let text = match value.plain(memory)? {
        // A string of JSON keeps its quotes: "1" is not 1.
        _ if part.is_json()? => {
            json = value.text()?;
            json.as_str()
        }
        Some(text) => text,
        None => {
            let value = value.text()?;
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
    };
    convert::input(text, part.type_oid, part.typmod).map(Some)
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
    here(|memory| convert::input(convert::output(value, from, memory)?, part.type_oid, part.typmod))
}
