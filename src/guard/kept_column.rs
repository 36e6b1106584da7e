//! Columns that a guard writes: no other guard can have them.

use crate::errors;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::pg::error::Report;
use pgrx::pg_sys;

/// 42710 where another guard writes a column: its trigger fires before an UPDATE, and its first argument is the column. `own`
/// are the functions of the one that asks.
pub fn refuse_kept(target: &Target, column: &str, own: &[&str]) -> Result<(), Report> {
    let writing = (pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_UPDATE) as u16;
    for other in trigger::all(Some(target.oid))? {
        let function = other.function.as_str();
        let first = other.arguments.first().map(String::as_str);
        // The first argument of a lock is a key.
        let writes = other.shape.kind & writing == writing && !function.contains("lock");
        if first == Some(column) && writes && !own.contains(&function) {
            return Err(kept_by(target, column, &other));
        }
    }
    Ok(())
}

/// 42710: two guards cannot write one column.
pub fn kept_by(target: &Target, column: &str, other: &Existing) -> Report {
    Report::error(
        errors::DUPLICATE_OBJECT,
        format_args!("column \"{column}\" of table \"{}\" is kept by another guard", target.name),
    )
    .detail(format_args!(
        "Trigger \"{}\" of table {} that executes raceguard.{} writes it.",
        other.trigger, other.qualified, other.function
    ))
    .hint(format_args!("Name another column; one that does not exist is added."))
    .table(target.oid)
    .column(column)
    .constraint(&other.trigger)
}
