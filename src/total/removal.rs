//! Taking a total off its tables.

use crate::guard::arguments::literal;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{one, Param};
use crate::total::definition::{
    base, drop_check, parent_trigger, standing_check, standing_triggers,
};
use crate::total::rule::{parse, BEGIN, END, FUNCTION, ROWS, SETTLE, TRUNCATED};
use crate::total::sums::Feeder;
use pgrx::pg_sys::Oid;

/// The parent, whose triggers, CHECK and column go with the last total that feeds the column.
pub fn removed_from(guard: &Existing) -> Result<Option<Oid>, Report> {
    let (Some(parent), Some(column)) = (parent_of(guard)?, guard.arguments.first()) else {
        return Ok(None);
    };
    let is_own = |feeder: &Feeder| feeder.child == guard.table && feeder.guard.1 == guard.guard();
    let others = Feeder::all_of(parent, column)?.iter().any(|feeder| !is_own(feeder));
    Ok((!others).then_some(parent))
}

/// Takes a total off a child. The parent's triggers, CHECK and column serve the other children that feed it, if any.
pub fn remove(child: &Target, guard: &Existing, drop_column: bool) -> Result<(), Report> {
    let parent = parent_of(guard)?.map(Target::of).transpose()?;
    let column = guard.arguments.first().cloned().unwrap_or_default();
    if let Some(parent) = &parent {
        parent.require_owner()?;
    }
    drop_triggers(child, guard.guard())?;
    let Some(parent) = parent else { return Ok(()) };
    let left = Feeder::all_of(parent.oid, &column)?;
    if column.is_empty() || !left.is_empty() {
        // One whose owner has lost the right to write the total may get it back.
        return tell_of_others(&parent, &column, left.iter().find(|feeder| !feeder.is_allowed));
    }
    parent.lock("ACCESS EXCLUSIVE")?;
    drop_parents(&parent, &column)?;
    match drop_column {
        true => parent.drop_column(&column),
        false => Ok(()),
    }
}

/// What of a total stays for a child that cannot write it at present.
fn tell_of_others(parent: &Target, column: &str, other: Option<&Feeder>) -> Result<(), Report> {
    let Some(other) = other else { return Ok(()) };
    let (child, guard) = (Target::of(other.child)?, &other.guard.1);
    tell(
        Level::Notice,
        format_args!(
            "column \"{column}\" of \"{}\" stays a total: \"{}\" feeds it, whose owner may not write it",
            parent.name, child.name
        ),
        Some(format_args!(
            "To do without it as well: SELECT raceguard.drop_guard({}, {});",
            literal(&child.qualified),
            literal(guard)
        )),
    );
    Ok(())
}

/// Drops the parent's triggers and its CHECK.
fn drop_parents(parent: &Target, column: &str) -> Result<(), Report> {
    let base = base(parent, column)?;
    for suffix in ["", ROWS, SETTLE, TRUNCATED] {
        let name = parent_trigger(&base, suffix)?;
        if trigger::exists(parent, &name)? {
            trigger::drop(parent, &name)?;
        }
    }
    match standing_check(parent, &base)? {
        Some(_) => parent.alter_as_owner(&drop_check(parent, &base)),
        None => Ok(()),
    }
}

/// Drops a guard's triggers on the child; what its owner dropped himself is not missed.
pub fn drop_triggers(child: &Target, guard: &str) -> Result<(), Report> {
    let standing = standing_triggers(child)?;
    for suffix in ["", SETTLE, END, BEGIN] {
        let name = trigger::trigger_name(guard, suffix)?;
        if standing.iter().any(|t| t.trigger == name) {
            trigger::drop(child, &name)?;
        }
    }
    Ok(())
}

/// The parent of a guard: that of its foreign key, or the one that its deferred trigger remembers.
pub fn parent_of(guard: &Existing) -> Result<Option<Oid>, Report> {
    let key = parse(guard.arguments.iter().map(String::as_str)).map(|options| options.foreign_key);
    one(
        "SELECT coalesce( \
           (SELECT confrelid FROM pg_constraint WHERE conrelid = $1 AND contype = 'f' AND conname = $2::name), \
           (SELECT tgconstrrelid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
            WHERE t.tgrelid = $1 AND t.tgconstrrelid <> 0 AND p.proname = 'total_settle' AND t.tgname = $3::name))",
        &[
            Param::Oid(guard.table),
            Param::Text(key.unwrap_or_default()),
            Param::Text(&format!("{}{SETTLE}", guard.trigger)),
        ],
    )
}

/// Takes off what is left of a guard of that name whose own trigger somebody dropped; false if nothing is.
pub fn remove_remains(child: &Target, guard: &str, _drop_column: bool) -> Result<bool, Report> {
    let standing = standing_triggers(child)?;
    let name = trigger::trigger_name(guard, "")?;
    let is_own = |t: &Existing| t.trigger == name && t.function == FUNCTION;
    let ends = [SETTLE, END, BEGIN].map(|end| format!("{name}{end}"));
    let any = standing.iter().any(|t| ends.contains(&t.trigger));
    if !any || standing.iter().any(is_own) {
        return Ok(false);
    }
    drop_triggers(child, guard)?;
    Ok(true)
}
