//! Aggregates: a write to a child row moves its parent's version, so that an
//! order and its lines are one thing to whoever saves them.
//!
//! A row trigger notes which parents were touched; a deferred constraint trigger bumps each of
//! them once, when the transaction ends or at SET CONSTRAINTS ... IMMEDIATE. The constraint
//! trigger's condition, `raceguard.parent_version_due()`, lets one event per transaction through,
//! so a million child rows leave one pending event and one note.

use crate::errors;
use crate::guard::attachment;
use crate::guard::outcome;
use crate::guard::own_writes;
use crate::guard::settling;
use crate::parent::bump::{bump_all, bump_noted, note_all};
use crate::parent::rule::{
    ParentRules, TruncateRules, ATTACHMENT, BUMP_ATTACHMENT, TRUNCATE_FUNCTION,
};
use crate::parent::session_notes;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::rule_cache;
use crate::pg::trigger::{guard_entry, Event, Firing, Timing};
use crate::pg::tuple::Row;

guard_entry!(raceguard_parent_version_guard, "parent_version_guard", crate::parent::guard::note);

guard_entry!(raceguard_parent_version_bump, "parent_version_bump", crate::parent::guard::bump);

guard_entry!(
    raceguard_parent_version_truncate,
    "parent_version_truncate",
    crate::parent::guard::truncate
);

function_entry!(raceguard_parent_version_due, crate::parent::guard::due);

/// The trigger function `raceguard.parent_version_guard`, AFTER INSERT OR UPDATE OR DELETE row
/// trigger. An UPDATE notes the parents of OLD and NEW.
pub fn note(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, note_parents(firing))
}

fn note_parents(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) {
        return Err(attachment::otherwise(&ATTACHMENT, firing.table()));
    }
    let foreign_key = rule_cache::rule::<ParentRules>(firing.definition())?;
    settling::begins_with(bump_noted);
    match firing.event() {
        Event::Insert => session_notes::note(foreign_key, firing.new_row())?,
        Event::Delete => session_notes::note(foreign_key, firing.old())?,
        // As a version guard, it has nothing to do with such a write.
        Event::Update if settling::is_own(firing) => return Ok(firing.pass()),
        Event::Update if own_writes::is_backfill(firing) => {}
        Event::Update => {
            session_notes::note(foreign_key, firing.new_row())?;
            session_notes::note(foreign_key, firing.old())?;
        }
    }
    // The bump trigger's condition was evaluated before this trigger fired. If nothing is
    // scheduled now, its event has fired already (constraints are immediate) or the bump trigger
    // is disabled or dropped: nobody else will bump what was just noted.
    if !session_notes::will_be_handled() && session_notes::any_left() {
        bump_all()?;
    }
    outcome::passed(firing);
    Ok(firing.pass())
}

/// The trigger function `raceguard.parent_version_bump`, deferrable constraint trigger AFTER
/// INSERT OR UPDATE OR DELETE.
pub fn bump(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, bump_deferred(firing))
}

fn bump_deferred(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) {
        return Err(attachment::otherwise(&BUMP_ATTACHMENT, firing.table()));
    }
    bump_all()?;
    Ok(firing.pass())
}

/// The trigger function `raceguard.parent_version_truncate`, statement trigger: BEFORE TRUNCATE
/// the rows still say which parents they have, AFTER it a parent truncated by the same statement
/// is gone and stays untouched.
pub fn truncate(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, truncate_children(firing))
}

fn truncate_children(firing: Firing) -> Result<Row, Report> {
    if firing.is_truncate(Timing::Before) {
        let foreign_key = rule_cache::rule::<TruncateRules>(firing.definition())?;
        note_all(firing.table(), foreign_key)?;
    } else if firing.is_truncate(Timing::After) {
        // It bumps what the other trigger has noted, which may be off.
        rule_cache::rule::<TruncateRules>(firing.definition())?;
        if !session_notes::will_be_handled() {
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

/// `raceguard.parent_version_due() -> boolean`: whether the bump trigger has to be queued for the row being
/// written: true once per transaction, until what was noted is bumped. For the condition of that trigger
/// alone; called elsewhere it makes COMMIT fail with 55000 where parents were noted and not bumped.
fn due(_call: Call) -> Result<Value, Report> {
    Ok(Value::Bool(!settling::is_under_way() && session_notes::schedule()))
}
