//! `plan_total`: what `add_total` does, as steps that no writer waits for longer than a moment.
//!
//! The triggers come first, without the bounds: from then on every change of a child is added to what the column says,
//! right or not. Then `recount` writes what is right, parent by parent under its lock. Only then do the bounds hold: a
//! total that has not been counted yet would be refused for nothing.

use crate::errors;
use crate::guard::arguments::{identifier, literal};
use crate::guard::steps::{of_triggers, return_steps, Step};
use crate::guard::trigger::{self, Put};
use crate::guard::wanted_trigger::WantedTrigger;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path};
use crate::total::definition::{
    parent_triggers, standing_check, standing_triggers, OwnedBounds, Total,
};
use crate::total::faults::check_name;
use crate::total::install::{asked_for, plan, refuse_late, standing_bounds};
use crate::total::rule::FUNCTION;

function_entry!(raceguard_plan_total, crate::total::plan::plan_total);

/// `raceguard.plan_total(same arguments as add_total)`: the steps, in order. Changes nothing.
///
/// Raises what `add_total` raises for the same arguments, but reads no rows: what is beyond a bound is found by the
/// steps that count and validate.
fn plan_total(call: Call) -> Result<Value, Report> {
    let steps = connected(|| {
        let total = asked_for(call)?;
        pinned_search_path(|| steps(&total))
    })?;
    return_steps(call, &steps)
}

fn steps(total: &Total) -> Result<Vec<Step>, Report> {
    let (child, parent) = (&total.child, &total.parent);
    let bounds = standing_bounds(parent, &total.column)?;
    let name = trigger::trigger_name(&total.guard, "")?;
    let own = standing_triggers(child)?.into_iter().find(|t| t.trigger == name);
    let half_made = bounds == Some(OwnedBounds::default())
        && own.as_ref().is_none_or(|own| own.arguments == total.arguments());
    if !half_made {
        plan(total, false)?;
    }
    let mut steps = Vec::new();
    if parent.column(&total.column)?.is_none() {
        steps.push(Step::new("ACCESS EXCLUSIVE", total.add_column()));
    }
    let mut statements = Vec::new();
    let without = parent_triggers(&total.base, &total.column, &OwnedBounds::default())?;
    if bounds.is_none() {
        statements.extend(missing(total, &without, true)?);
    }
    let own = total.child_triggers()?;
    let on_child = missing(total, &own, false)?;
    let counted = on_child.is_empty();
    statements.extend(on_child);
    steps.extend(of_triggers(statements));
    let check = standing_check(parent, &total.base)?;
    let bound = total.bounds != OwnedBounds::default();
    if !counted || (bound && check.is_none()) {
        let (table, guard) = (literal(&child.qualified), literal(&total.guard));
        let call = format!("CALL raceguard.recount({table}, {guard})");
        steps.push(Step::alone("ROW EXCLUSIVE", call));
    }
    if bound {
        let with = total.parent_triggers()?;
        steps.extend(of_triggers(match bounds.is_none() {
            // The one that says the bounds; the others stand by then.
            true => with
                .iter()
                .filter(|wanted| !wanted.arguments.is_empty())
                .map(|wanted| wanted.create(parent, Put::OrReplace))
                .collect(),
            false => missing(total, &with, true)?,
        }));
        steps.extend(of_check(total)?);
    }
    if !steps.is_empty() {
        refuse_late(total)?;
    }
    Ok(steps)
}

/// The statements that make triggers stand that do not.
fn missing(
    total: &Total,
    wanted: &[WantedTrigger],
    on_parent: bool,
) -> Result<Vec<String>, Report> {
    let target = if on_parent { &total.parent } else { &total.child };
    let standing = standing_triggers(target)?;
    let mut statements = Vec::new();
    for wanted in wanted {
        statements.extend(wanted.statements(target, &standing)?);
    }
    Ok(statements)
}

fn of_check(total: &Total) -> Result<Vec<Step>, Report> {
    let parent = &total.parent;
    let standing = standing_check(parent, &total.base)?;
    let mut steps = Vec::new();
    if let (None, Some(add)) = (&standing, total.add_check(" NOT VALID")) {
        steps.push(Step::new("ACCESS EXCLUSIVE", add));
    }
    if !standing.is_some_and(|check| check.valid) {
        let name = identifier(&check_name(&total.base));
        let ddl = format!("ALTER TABLE {} VALIDATE CONSTRAINT {name}", parent.qualified);
        steps.push(Step::new("SHARE UPDATE EXCLUSIVE", ddl));
    }
    Ok(steps)
}

/// 42704: a call that works on a total, without one.
pub fn no_total(table: &str, oid: pgrx::pg_sys::Oid, guard: &str) -> Report {
    Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{table}\" has no total named \"{guard}\""),
    )
    .detail(format_args!("A total is a trigger of raceguard.{FUNCTION} on the child."))
    .hint(format_args!(
        "Add one first with raceguard.add_total; raceguard.guards lists what there is."
    ))
    .table(oid)
}
