//! `plan_cap`: what `add_cap` does, as steps that no writer waits for longer than a moment.
//!
//! The index comes first, while every slot is NULL and none can clash; then the triggers, so that
//! every row written from then on gets a slot by the guard; then the rows that stand are numbered
//! by the guard itself. A writer never meets the index, whatever it does in between: numbering
//! before the triggers would leave rows that change their key to run into a unique violation.

use super::arguments::{identifier, literal};
use super::cap::{asked_for, standing};
use super::cap_definition::Cap;
use super::cap_rows;
use super::target::Target;
use super::trigger;
use crate::pg::call::{function_entry, text_datum, Call, Value};
use crate::pg::error::Report;
use crate::pg::rows::return_rows;
use crate::pg::spi::{connected, pinned_search_path, run, without_row_security, Param};
use pgrx::pg_sys::{Datum, Oid};

function_entry!(raceguard_plan_cap, crate::install::cap_plan::plan_cap);

/// One step.
struct Step {
    ddl: String,
    lock: &'static str,
    /// Whether Postgres refuses it inside a transaction block.
    alone: bool,
}

fn step(lock: &'static str, ddl: String) -> Step {
    Step { ddl, lock, alone: false }
}

/// `raceguard.plan_cap(same arguments as add_cap)`: the steps, in order. Changes nothing.
///
/// Raises what `add_cap` raises for the same arguments.
fn plan_cap(call: Call) -> Result<Value, Report> {
    let steps = connected(|| {
        let (target, cap) = asked_for(call)?;
        pinned_search_path(|| {
            refuse_other(&target, &cap)?;
            without_row_security(|| {
                cap_rows::refuse_overfull(&target, &cap)?;
                cap_rows::refuse_above(&target, &cap)
            })?;
            steps(&target, &cap)
        })
    })?;
    let mut rows = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        rows.push([
            Datum::from(i as i32 + 1),
            text_datum(&step.ddl)?,
            text_datum(step.lock)?,
            Datum::from(step.alone),
        ]);
    }
    return_rows(call, &rows)
}

fn steps(target: &Target, cap: &Cap) -> Result<Vec<Step>, Report> {
    let table = &target.qualified;
    let mut steps = Vec::new();
    let mut check = cap.standing_check(target)?;
    // The plan adds the CHECK after the trigger: without that it is what DROP EXTENSION ... CASCADE left.
    let (name, full) = cap.trigger_names()?;
    let left_over = !has_trigger(target, &name)?;
    if check.as_ref().is_some_and(|check| left_over || !check.as_many) {
        steps.push(step("ACCESS EXCLUSIVE", cap.drop_check(target)));
        check = None;
    }
    if target.column(&cap.column)?.is_none() {
        steps.push(step("ACCESS EXCLUSIVE", cap.add_column(target)));
    }
    if cap.index(target)?.is_none() {
        if target.partitioned {
            // CONCURRENTLY works on leaves only; the index of the root then takes theirs over.
            for leaf in leaves(target)? {
                index_steps(&leaf, cap, &mut steps)?;
            }
            steps.push(step("SHARE", cap.create_index(target, "")));
        } else {
            index_steps(target, cap, &mut steps)?;
        }
    }
    let lock = "SHARE ROW EXCLUSIVE";
    // The one that refuses comes first: without it a full cap would let rows in.
    if !has_trigger(target, &full)? {
        steps.push(step(lock, cap.create_full_trigger(target)?));
    }
    if !has_trigger(target, &name)? {
        steps.push(step(lock, cap.create_trigger(target)?));
    }
    if check.is_none() {
        let (table, guard) = (literal(table), literal(&cap.guard));
        steps.push(Step {
            ddl: format!("CALL raceguard.number_slots({table}, {guard})"),
            lock: "ROW EXCLUSIVE",
            alone: true,
        });
        steps.push(step("ACCESS EXCLUSIVE", cap.add_check(target, " NOT VALID")));
    }
    if !check.is_some_and(|check| check.valid) {
        let name = identifier(&cap.check_name());
        let ddl = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
        steps.push(step("SHARE UPDATE EXCLUSIVE", ddl));
    }
    Ok(steps)
}

/// The index of a table that is no root, and what an earlier try has left in its way.
fn index_steps(table: &Target, cap: &Cap, steps: &mut Vec<Step>) -> Result<(), Report> {
    let concurrently = |ddl| Step { ddl, lock: "SHARE UPDATE EXCLUSIVE", alone: true };
    if cap.index(table)?.is_some() {
        return Ok(());
    }
    if let Some(index) = cap.failed_index(table)? {
        steps.push(concurrently(format!("DROP INDEX CONCURRENTLY {index}")));
    }
    steps.push(concurrently(cap.create_index(table, "CONCURRENTLY ")));
    Ok(())
}

/// 42710 if a guard of that name stands with another definition.
fn refuse_other(target: &Target, cap: &Cap) -> Result<(), Report> {
    let (name, _) = cap.trigger_names()?;
    let Some(standing) = standing(target, &name)? else { return Ok(()) };
    let wanted = cap.wanted();
    if trigger::same_arguments(&standing.arguments, &wanted.arguments) {
        return Ok(());
    }
    trigger::plan(target, Some(standing), &wanted, false).map(|_| ())
}

pub fn has_trigger(target: &Target, name: &str) -> Result<bool, Report> {
    let rows = run(
        "SELECT FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2::name",
        &[Param::Oid(target.oid), Param::Text(name)],
    )?;
    Ok(!rows.is_empty())
}

/// The partitions that hold rows.
fn leaves(target: &Target) -> Result<Vec<Target>, Report> {
    let rows = run(
        "SELECT c.oid, n.nspname, c.relname FROM pg_partition_tree($1) t \
         JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE t.isleaf ORDER BY n.nspname, c.relname",
        &[Param::Oid(target.oid)],
    )?;
    let leaf = |row: Vec<Option<String>>| {
        let name = row[2].clone()?;
        Some(Target {
            oid: Oid::from(row[0].as_deref()?.parse::<u32>().ok()?),
            qualified: format!("{}.{}", identifier(row[1].as_deref()?), identifier(&name)),
            name,
            partitioned: false,
            is_partition: true,
        })
    };
    Ok(rows.into_iter().filter_map(leaf).collect())
}
