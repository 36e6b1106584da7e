//! `set_cap`: another number of slots for a cap that stands.

use crate::cap::definition::Cap;
use crate::cap::rows as cap_rows;
use crate::cap::rule::{ATTACHMENT, FULL_ATTACHMENT, FUNCTION};
use crate::cap::standing::{full_triggers, refuse_inherited_check, StandingCap};
use crate::guard::arguments::{positive, required};
use crate::guard::partitions::refuse_inherited_guard;
use crate::guard::target::Target;
use crate::guard::trigger::Put;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path};

function_entry!(raceguard_set_cap, crate::cap::set_cap::set_cap);

/// `raceguard.set_cap(target, slots, guard)`: allows another number of rows per key. Returns the
/// trigger's name. Serves the limit that the business changes: five highlighted posts a week instead of three.
///
/// Raises 23514 with the rows that stand above the new number, 42704 without such a cap, 0A000 where it comes
/// from a table above, 42501 unless the caller owns the table, 22023 and 22004, 40001 at REPEATABLE READ and
/// above where the table has changed since the snapshot.
fn set_cap(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let slots = positive(required(call.int(1), "slots")?, "slots")?;
            let guard = required(call.name(2)?, "guard")?;
            target.lock("ACCESS EXCLUSIVE")?;
            change(&target, slots, guard)
        })
    })
}

fn change(target: &Target, slots: i32, guard: String) -> Result<Value, Report> {
    let standing = StandingCap::required(target, &guard)?;
    let (options, _) = standing.definition(target)?;
    refuse_inherited_guard(target, FUNCTION)?;
    let full = full_triggers(target.oid, options.column)?.into_iter().next();
    let sound = standing.trigger.is_sound(&ATTACHMENT)
        && full.as_ref().is_some_and(|full| full.is_sound(&FULL_ATTACHMENT));
    if options.slots == slots as i64 && sound {
        tell(
            Level::Notice,
            format_args!("guard \"{guard}\" on table \"{}\" allows {slots} rows per key already, nothing to do", target.name),
            None,
        );
        return Ok(Value::Text(standing.trigger.trigger.clone()));
    }
    let cap = standing.with(target, slots, options.mode)?;
    replace(target, &cap)?;
    // A trigger that is replaced is enabled for ordinary sessions alone.
    for kept in [Some(&standing.trigger), full.as_ref()].into_iter().flatten() {
        target.run_all(&kept.always_on)?;
    }
    tell_of_change(target, &cap, options.slots, sound);
    Ok(Value::Text(standing.trigger.trigger.clone()))
}

/// Puts CHECK and triggers with another number in the place of those that stand.
fn replace(target: &Target, cap: &Cap) -> Result<(), Report> {
    cap_rows::refuse_outside(target, cap, 1)?;
    // A cap that is being added step by step has none yet.
    if let Some(check) = cap.standing_check(target)? {
        refuse_inherited_check(target, &cap.guard)?;
        target.run(&cap.drop_check(target))?;
        let not_valid = if check.valid { "" } else { " NOT VALID" };
        target.alter_as_owner(&cap.add_check(target, not_valid)?)?;
    }
    target.run(&cap.create_full_trigger(target, Put::OrReplace)?)?;
    target.run(&cap.create_trigger(target, Put::OrReplace)?)
}

fn tell_of_change(target: &Target, cap: &Cap, before: i64, sound: bool) {
    let (guard, table, slots) = (&cap.guard, &target.name, cap.slots);
    if !sound {
        tell(
            Level::Warning,
            format_args!(
                "triggers of guard \"{guard}\" on table \"{table}\" were disabled or missing and are put up anew"
            ),
            None,
        );
    }
    if before != slots as i64 {
        tell(
            Level::Notice,
            format_args!(
                "guard \"{guard}\" on table \"{table}\" allows {slots} rows per key instead of {before}"
            ),
            None,
        );
    }
}
