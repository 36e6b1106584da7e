//! Arguments that several calls take.

use crate::errors;
use crate::pg::call;
use crate::pg::error::Report;
use crate::pg::key::Key;
use pgrx::pg_sys::Datum;

/// A required argument, or 22004.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T, Report> {
    value.ok_or_else(|| {
        Report::error(
            errors::NULL_NOT_ALLOWED,
            format_args!("argument \"{name}\" must not be NULL"),
        )
        .detail(format_args!("The call needs a value for it."))
        .hint(format_args!("Pass a value for \"{name}\"."))
    })
}

/// A JSON key, scalar or array in key order, as values of the key's types; `None` with a NULL.
pub fn key_values(key: &serde_json::Value, compiled: &Key) -> Result<Option<Vec<Datum>>, Report> {
    let given = match key {
        serde_json::Value::Array(values) => values.as_slice(),
        scalar => core::slice::from_ref(scalar),
    };
    let parts = compiled.parts;
    if given.len() != parts.len() {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!(
                "wrong number of key values: {} given, the key has {}",
                given.len(),
                parts.len()
            ),
        )
        .detail(format_args!("A key is a scalar, or an array with one value for each part."))
        .hint(format_args!("raceguard.guards shows the key in its definition.")));
    }
    let mut values = Vec::with_capacity(parts.len());
    for (part, value) in parts.iter().zip(given) {
        let text = match value {
            serde_json::Value::Null => return Ok(None),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        values.push(call::input(&text, part.type_oid, part.typmod)?);
    }
    Ok(Some(values))
}
