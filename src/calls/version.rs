//! `raceguard.version()`.

use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;

function_entry!(raceguard_version, crate::calls::version::version);

fn version(_call: Call) -> Result<Value, Report> {
    Ok(Value::Text(env!("CARGO_PKG_VERSION").to_owned()))
}
