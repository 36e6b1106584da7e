//! Taking a number guard off a table.

use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::number::counter_definition::{drop_writer, Counter};
use crate::number::definition::StandingNumbers;
use crate::pg::error::Report;
use pgrx::pg_sys::Oid;

/// The parent in which it counts.
pub fn removed_from(guard: &Existing) -> Result<Option<Oid>, Report> {
    Ok(Counter::of(guard)?.map(|counter| counter.parent.oid))
}

/// Takes the triggers and its index away, unless the index is a constraint's; columns and numbers stay unless `drop_column`.
pub fn remove_guard(target: &Target, guard: &Existing, drop_column: bool) -> Result<(), Report> {
    let counter = Counter::of(guard)?;
    if let Some(counter) = &counter {
        counter.parent.require_owner()?;
    }
    remove_rule(target, guard, None)?;
    if !drop_column {
        return Ok(());
    }
    if let Some(column) = guard.arguments.first() {
        target.drop_column(column)?;
    }
    match counter {
        Some(counter) => counter.parent.drop_column(&counter.column),
        None => Ok(()),
    }
}

/// Takes off what is left of a guard of that name whose own trigger somebody dropped; false if nothing is.
pub fn remove_remains(target: &Target, guard: &str, _drop_column: bool) -> Result<bool, Report> {
    drop_writer(target, guard)
}

/// Takes the triggers away, and its index unless that is a constraint's or the one to be kept.
pub fn remove_rule(target: &Target, guard: &Existing, kept: Option<Oid>) -> Result<(), Report> {
    let standing = StandingNumbers::of(guard.clone())?;
    match Counter::of(guard)? {
        Some(counter) => counter.drop(target, guard.guard())?,
        None => drop_writer(target, guard.guard()).map(drop)?,
    }
    trigger::drop(target, &guard.trigger)?;
    for index in standing.definition(target)?.map_or(Ok(Vec::new()), |n| n.open_indexes(target))? {
        target.run(&format!("DROP INDEX {index}"))?;
    }
    match standing.index {
        Some(index) if !index.of_constraint && Some(index.oid) != kept => {
            target.run(&format!("DROP INDEX {}", index.qualified))
        }
        _ => Ok(()),
    }
}
