//! Checks that every `add_*` makes of its arguments.

use crate::errors;
use crate::pg::error::{catch, Report};
use crate::pg::spi::{run, Param};
use crate::pg::text::quote_ident;

/// A required argument, or 22004.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T, Report> {
    value.ok_or_else(|| {
        Report::error(
            errors::NULL_NOT_ALLOWED,
            format_args!("argument \"{name}\" must not be NULL"),
        )
        .detail(format_args!("Only arguments whose default is NULL may be NULL."))
        .hint(format_args!("Leave \"{name}\" out to use its default, if it has one."))
    })
}

/// One of a fixed list of values, or 22023 with the list.
pub fn one_of<'a>(value: &'a str, name: &str, allowed: &[&str]) -> Result<&'a str, Report> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    let list = allowed.iter().map(|v| format!("\"{v}\"")).collect::<Vec<_>>().join(", ");
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("invalid value for argument \"{name}\": \"{value}\""),
    )
    .detail(format_args!("Allowed values are {list}."))
    .hint(format_args!("Write {name} => '{}', for example.", allowed.first().unwrap_or(&""))))
}

/// A number of rows that a guard lets in, or 22023.
pub fn positive(value: i32, name: &str) -> Result<i32, Report> {
    let because = ("A guard that lets no row in is no guard.", "Give a positive number.");
    at_least_one(value, name, because)
}

/// A number of at least one, or 22023 with this DETAIL and HINT.
pub fn at_least_one(value: i32, name: &str, because: (&str, &str)) -> Result<i32, Report> {
    if value >= 1 {
        return Ok(value);
    }
    let (detail, hint) = because;
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"{name}\" must be at least 1, not {value}"),
    )
    .detail(format_args!("{detail}"))
    .hint(format_args!("{hint}")))
}

/// The longest name Postgres keeps, in bytes.
pub const LONGEST_NAME: usize = 63;

/// Text as a SQL literal.
pub fn literal(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if escaped.contains('\\') {
        return format!("E'{}'", escaped.replace('\\', "\\\\"));
    }
    format!("'{escaped}'")
}

/// A name as a SQL identifier, always quoted.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as Postgres writes it: quoted only where it has to be.
pub fn quote_if_needed(name: &str) -> Result<String, Report> {
    Ok(catch(|| quote_ident(name))?.as_str().to_owned())
}
/// 3F000 for a schema that is not there.
pub fn require_schema(schema: &str, detail: &str, hint: &str) -> Result<(), Report> {
    let found = run("SELECT FROM pg_namespace WHERE nspname = $1::name", &[Param::Text(schema)])?;
    if !found.is_empty() {
        return Ok(());
    }
    Err(Report::error(
        errors::INVALID_SCHEMA_NAME,
        format_args!("schema \"{schema}\" does not exist"),
    )
    .detail(format_args!("{detail}"))
    .hint(format_args!("{hint}")))
}
