//! `set_mode` of a cap: one that observes has no CHECK, so that a row too many may stay without a slot.

use crate::cap::definition::Cap;
use crate::cap::rows as cap_rows;
use crate::cap::rule::{ATTACHMENT, FULL_ATTACHMENT};
use crate::cap::standing::{full_triggers, lowest_slot, refuse_inherited_check, StandingCap};
use crate::guard::arguments::identifier;
use crate::guard::kind::put_mode;
use crate::guard::outcome::Mode;
use crate::guard::target::Target;
use crate::guard::trigger::Existing;
use crate::pg::error::Report;

/// Lets a cap that stands enforce or observe.
pub fn set_mode(target: &Target, guard: &Existing, mode: Mode) -> Result<(), Report> {
    let standing = StandingCap::required(target, guard.guard())?;
    let (options, _) = standing.definition(target)?;
    // A cap's slots were an int when it was made.
    let cap = standing.with(target, options.slots as i32, mode)?;
    let full = full_triggers(target.oid, options.column)?;
    if cap.standing_check(target)?.is_some() {
        refuse_inherited_check(target, &cap.guard)?;
        target.run(&cap.drop_check(target))?;
    }
    if mode == Mode::Enforce {
        cap_rows::number(target, &cap, lowest_slot(Some(&standing)))?;
    }
    put_mode(target, guard, &ATTACHMENT, mode)?;
    for full in full {
        put_mode(target, &full, &FULL_ATTACHMENT, mode)?;
    }
    match mode {
        Mode::Observe => Ok(()),
        Mode::Enforce => complete(target, &cap),
    }
}

/// Puts up the CHECK, and has it hold for the rows that stand.
fn complete(target: &Target, cap: &Cap) -> Result<(), Report> {
    target.alter_as_owner(&cap.add_check(target, " NOT VALID")?)?;
    let (table, check) = (&target.qualified, identifier(&cap.check_name()));
    target.alter_as_owner(&format!("ALTER TABLE {table} VALIDATE CONSTRAINT {check}"))
}
