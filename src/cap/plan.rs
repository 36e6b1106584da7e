//! `plan_cap`: what `add_cap` does, as steps that no writer waits for longer than a moment.
//!
//! The index comes first, while every slot is NULL and none can clash; then the triggers, so that
//! every row written from then on gets a slot by the guard; then the rows that stand are numbered
//! by the guard itself. A writer never meets the index, whatever it does in between: numbering
//! before the triggers would leave rows that change their key to run into a unique violation.

use crate::cap::definition::Cap;
use crate::cap::install::asked_for;
use crate::cap::rows as cap_rows;
use crate::cap::rule::ATTACHMENT;
use crate::cap::standing::{lowest_slot, refuses_slot_zero, StandingCap};
use crate::guard::arguments::{identifier, literal};
use crate::guard::shells;
use crate::guard::steps::{of_index, return_steps, Step};
use crate::guard::target::Target;
use crate::guard::trigger::{self, Put};
use crate::guard::wanted;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path};

function_entry!(raceguard_plan_cap, crate::cap::plan::plan_cap);

/// `raceguard.plan_cap(same arguments as add_cap) -> table(step, ddl, lock_mode, own_transaction)`: what is
/// left to do of `add_cap`, in order, for a table that is in use. Changes nothing.
///
/// Raises what `add_cap` raises for the same arguments.
fn plan_cap(call: Call) -> Result<Value, Report> {
    let steps = connected(|| {
        let (target, cap) = asked_for(call)?;
        pinned_search_path(|| {
            let standing = StandingCap::find(&target, &cap.guard)?;
            let lowest = lowest_slot(standing.as_ref());
            refuse_other(&target, &cap, standing)?;
            cap.refuse_other_indexes(&target)?;
            shells::refuse_rows_left(&target)?;
            cap_rows::refuse_overfull(&target, &cap)?;
            cap_rows::refuse_outside(&target, &cap, lowest)?;
            steps(&target, &cap)
        })
    })?;
    return_steps(call, &steps)
}

fn steps(target: &Target, cap: &Cap) -> Result<Vec<Step>, Report> {
    let table = &target.qualified;
    let mut steps = Vec::new();
    let mut check = cap.standing_check(target)?;
    // The plan adds the CHECK after the trigger: without that it is what DROP EXTENSION ... CASCADE left.
    let (name, full) = cap.trigger_names()?;
    let left_over = !trigger::exists(target, &name)?;
    if check.as_ref().is_some_and(|check| left_over || check.inherited || !check.as_many) {
        steps.push(Step::new("ACCESS EXCLUSIVE", cap.drop_check(target)));
        check = None;
    }
    if target.column(&cap.column)?.is_none() {
        steps.push(Step::new("ACCESS EXCLUSIVE", cap.add_column(target)));
    }
    if cap.index(target)?.is_none() {
        let stands = |table: &Target| Ok(cap.index(table)?.is_some());
        let create = |table: &Target, concurrently: &str| cap.create_index(table, concurrently);
        steps.extend(of_index(target, &cap.guard, stands, create)?);
    }
    let lock = "SHARE ROW EXCLUSIVE";
    // The one that refuses comes first: without it a full cap would let rows in.
    if !refuses_slot_zero(target.oid, &cap.column, &cap.full_attachment(target)?)? {
        steps.push(Step::new(lock, cap.create_full_trigger(target, put(target, &full)?)?));
    }
    let standing = StandingCap::find(target, &cap.guard)?;
    if !standing.is_some_and(|standing| standing.trigger.is_sound(&ATTACHMENT)) {
        steps.push(Step::new(lock, cap.create_trigger(target, put(target, &name)?)?));
    }
    let number = check.is_none() || cap_rows::any_in_slot_zero(target, cap)?;
    if number {
        let (table, guard) = (literal(table), literal(&cap.guard));
        // Each shard numbers its own rows.
        let on_nodes = target.place.is_some_and(|place| place.is_on_nodes() && place.is_shell());
        steps.push(Step::alone(
            "ROW EXCLUSIVE",
            match on_nodes {
                true => {
                    let each = literal(&format!("CALL raceguard.number_slots('%s', {guard})"));
                    format!("SELECT * FROM run_command_on_shards({table}, {each})")
                }
                false => format!("CALL raceguard.number_slots({table}, {guard})"),
            },
        ));
    }
    if check.is_none() {
        steps.push(Step::new("ACCESS EXCLUSIVE", cap.add_check(target, " NOT VALID")?));
    }
    if !check.is_some_and(|check| check.valid) {
        let name = identifier(&cap.check_name());
        let ddl = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
        steps.push(Step::new("SHARE UPDATE EXCLUSIVE", ddl));
    }
    Ok(steps)
}

/// 42710 if a guard of that name stands with another definition.
fn refuse_other(target: &Target, cap: &Cap, standing: Option<StandingCap>) -> Result<(), Report> {
    let Some(standing) = standing else { return Ok(()) };
    let compared = standing.compared(target, cap)?;
    wanted::decide(target, Some(compared), &cap.wanted(), false).map(|_| ())
}

/// For a trigger that is disabled or attached otherwise: it is put up anew.
fn put(target: &Target, name: &str) -> Result<Put, Report> {
    Ok(match trigger::exists(target, name)? {
        true => Put::OrReplace,
        false => Put::New,
    })
}
