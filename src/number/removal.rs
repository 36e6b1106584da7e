//! Taking a number guard off a table.

use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::number::definition::StandingNumbers;
use crate::pg::error::Report;
use pgrx::pg_sys::Oid;

/// Takes the trigger and its index away, unless the index is a constraint's; the column and its numbers stay
/// unless `drop_column`.
pub fn remove_guard(target: &Target, guard: &Existing, drop_column: bool) -> Result<(), Report> {
    remove_rule(target, guard, None)?;
    match (drop_column, guard.arguments.first()) {
        (true, Some(column)) => target.drop_column(column),
        _ => Ok(()),
    }
}

/// Takes the trigger away, and its index unless that is a constraint's or the one to be kept.
pub fn remove_rule(target: &Target, guard: &Existing, kept: Option<Oid>) -> Result<(), Report> {
    let standing = StandingNumbers::of(guard.clone())?;
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
