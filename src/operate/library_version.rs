//! `raceguard.version()`.

use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;

function_entry!(raceguard_version, crate::operate::library_version::version);

/// `raceguard.version() -> text`: the version of the library that is loaded, `0.2.0` for one; that of the SQL objects,
/// which ALTER EXTENSION UPDATE moves on, stands in `pg_extension`. Raises nothing.
fn version(_call: Call) -> Result<Value, Report> {
    Ok(Value::Text(env!("CARGO_PKG_VERSION").to_owned()))
}
