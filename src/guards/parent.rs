//! Aggregates: a write to a child row moves its parent's version (sources.md, A8).
//!
//! A row trigger notes which parents were touched; a deferred constraint trigger bumps each of
//! them once, when the transaction ends or at SET CONSTRAINTS ... IMMEDIATE. The constraint
//! trigger's condition, `raceguard.parent_version_due()`, lets one event per transaction through,
//! so a million child rows leave one pending event and one note.

use super::numbering;
use super::parent_bump::{bump_all, note_all};
use crate::errors;
use crate::pg::cache;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::foreign_key::{self, ForeignKey};
use crate::pg::memory;
use crate::pg::parent_set;
use crate::pg::trigger::{guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::Row;

guard_entry!(raceguard_parent_version_guard, "parent_version_guard", crate::guards::parent::note);
guard_entry!(raceguard_parent_version_bump, "parent_version_bump", crate::guards::parent::bump);
guard_entry!(
    raceguard_parent_version_truncate,
    "parent_version_truncate",
    crate::guards::parent::truncate
);
function_entry!(raceguard_parent_version_due, crate::guards::parent::due);

/// The trigger functions' names in SQL.
pub const FUNCTION: &str = "parent_version_guard";
pub const BUMP_FUNCTION: &str = "parent_version_bump";
pub const TRUNCATE_FUNCTION: &str = "parent_version_truncate";
/// The function in the bump trigger's WHEN condition.
pub const DUE_FUNCTION: &str = "parent_version_due";

/// Builds the rule of a parent version trigger: the foreign key that its argument names.
pub fn build(trigger: Definition) -> Result<ForeignKey, Report> {
    let table = trigger.table();
    let arguments = memory::keep_arguments(trigger);
    let [name] = arguments else {
        return Err(errors::wrong_argument(
            trigger.name(),
            table,
            format_args!("The one argument must name a foreign key of the table."),
        ));
    };
    foreign_key::find(table, name).ok_or_else(|| {
        Report::error(
            errors::UNDEFINED_OBJECT,
            format_args!(
                "guard \"{}\" on table \"{}\" names foreign key \"{name}\", which does not exist",
                trigger.name(),
                table.name()
            ),
        )
        .detail(format_args!(
            "Without an enforced foreign key a row has no parent whose version could move; writes are refused rather than left unguarded."
        ))
        .hint(format_args!(
            "Call raceguard.drop_guard, and raceguard.add_parent_version if the table still has a parent."
        ))
        .table(table.oid())
        .constraint(name)
    })
}

/// The trigger function `raceguard.parent_version_guard`, AFTER INSERT OR UPDATE OR DELETE row
/// trigger. An UPDATE notes the parents of OLD and NEW.
pub fn note(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) {
        return Err(errors::wrong_timing(
            FUNCTION,
            firing.table(),
            "AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW",
        ));
    }
    let foreign_key = cache::rule(firing.definition(), build)?;
    match firing.event() {
        Event::Insert => parent_set::note(foreign_key, firing.new_row()),
        Event::Delete => parent_set::note(foreign_key, firing.old()),
        Event::Update if numbering::is_backfill(firing) => {}
        Event::Update => {
            parent_set::note(foreign_key, firing.new_row());
            parent_set::note(foreign_key, firing.old());
        }
    }
    // The bump trigger's condition was evaluated before this trigger fired. If nothing is
    // scheduled now, its event has fired already (constraints are immediate) or the bump trigger
    // is disabled or dropped: nobody else will bump what was just noted.
    if !parent_set::will_be_handled() && parent_set::any_left() {
        bump_all()?;
    }
    Ok(firing.pass())
}

/// The trigger function `raceguard.parent_version_bump`, deferrable constraint trigger AFTER
/// INSERT OR UPDATE OR DELETE.
pub fn bump(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) {
        return Err(errors::wrong_timing(
            BUMP_FUNCTION,
            firing.table(),
            "AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW",
        ));
    }
    bump_all()?;
    Ok(firing.pass())
}

/// The trigger function `raceguard.parent_version_truncate`, statement trigger: BEFORE TRUNCATE
/// the rows still say which parents they have, AFTER it a parent truncated by the same statement
/// is gone and stays untouched.
pub fn truncate(firing: Firing) -> Result<Row, Report> {
    if firing.is_truncate(Timing::Before) {
        let foreign_key = cache::rule(firing.definition(), build)?;
        note_all(firing.table(), foreign_key)?;
    } else if firing.is_truncate(Timing::After) {
        if !parent_set::will_be_handled() {
            bump_all()?;
        }
    } else {
        return Err(errors::wrong_timing(
            TRUNCATE_FUNCTION,
            firing.table(),
            "BEFORE TRUNCATE or AFTER TRUNCATE, FOR EACH STATEMENT",
        ));
    }
    Ok(firing.pass())
}

/// `parent_version_due()`: whether the bump trigger has to be queued for the row being written.
fn due(_call: Call) -> Result<Value, Report> {
    Ok(Value::Bool(parent_set::schedule()))
}
