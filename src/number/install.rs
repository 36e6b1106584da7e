//! `add_number`: number column, unique index and the trigger that numbers the rows.

use crate::guard::arguments::required;
use crate::guard::index::failed_index;
use crate::guard::key::canonical_key;
use crate::guard::partitions::{
    refuse_guarded_partitions, refuse_inherited_guard, tell_of_children,
};
use crate::guard::spread;
use crate::guard::target::Target;
use crate::guard::trigger::{self, put_up};
use crate::guard::wanted::{self, Plan, Wanted};
use crate::number::definition::{column_type, refuse_partition_key, NumberGuard, StandingNumbers};
use crate::number::removal::remove_rule;
use crate::number::rows;
use crate::number::rule::FUNCTION;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run};

function_entry!(raceguard_add_number, crate::number::install::add_number);

/// `raceguard.add_number(target, key, number_column, start, guard, replace) -> text`: numbers the rows of each key
/// `start`, `start` + 1, and so on, none given twice and none left out by a rollback. `key` as in CREATE INDEX, NULL
/// for the whole table. Returns the trigger's name. Serves invoice numbers, tickets per project and revisions.
///
/// Raises 23505 with the keys that have a number twice, 22003 where numbers do not fit, 55000 (another index of
/// the form on the number column), 0A000 for a table that is partitioned by its numbers, 42501 unless the
/// caller owns the table, 42601, 42703, 42804, 42P17, 42710, 22004, 40001 at REPEATABLE READ and above where
/// the table has changed since the snapshot.
fn add_number(call: Call) -> Result<Value, Report> {
    connected(|| {
        let (target, numbers, replace) = asked_for(call)?;
        pinned_search_path(|| install(&target, &numbers, replace))
    })
}

/// The table and the numbers that the arguments describe, and `replace`.
pub fn asked_for(call: Call) -> Result<(Target, NumberGuard, bool), Report> {
    let target = pinned_search_path(|| Target::owned(call, 0))?;
    // One key for all rows: they are numbered through.
    let key = call.text(1)?.unwrap_or_else(|| "(1)".to_owned());
    let column = required(call.name(2)?, "number_column")?;
    let start = i64::from(required(call.int(3), "start")?);
    let guard = required(call.name(4)?, "guard")?;
    let replace = required(call.bool(5), "replace")?;
    let mut parts = 0;
    let key = canonical_key(&target, &key, |table, key| {
        parts = key.parts.len();
        spread::check_key(table, None, spread::NUMBER, key).map(drop)
    })?;
    let column_type = pinned_search_path(|| column_type(&target, &column, start))?;
    let numbers = NumberGuard { key, parts, column, column_type, start, guard };
    numbers.trigger_name()?;
    Ok((target, numbers, replace))
}

fn install(target: &Target, numbers: &NumberGuard, replace: bool) -> Result<Value, Report> {
    refuse_inherited_guard(target, FUNCTION)?;
    // Read before the lock: a call that finds nothing to do keeps nobody waiting.
    let stands = StandingNumbers::find(target, &numbers.guard)?.is_some();
    let unnumbered = stands && rows::unnumbered(target, numbers)? > 0;
    target.lock("ACCESS EXCLUSIVE")?;
    let plan = plan(target, numbers, unnumbered, replace)?;
    if let Some(name) = plan.done(target)? {
        return Ok(Value::Text(name));
    }
    if let Some(standing) = plan.replaced(target) {
        let kept = numbers.index().standing(target)?.map(|index| index.oid);
        remove_rule(target, &standing, kept)?;
    }
    build(target, numbers)?;
    tell_of_numbers(target, numbers).map(Value::Text)
}

/// What to do about the guard that stands, if any. Call it inside `pinned_search_path`.
pub fn plan(
    target: &Target,
    numbers: &NumberGuard,
    unnumbered: bool,
    replace: bool,
) -> Result<Plan, Report> {
    let standing = StandingNumbers::find(target, &numbers.guard)?;
    let pending = standing.as_ref().is_some_and(StandingNumbers::is_pending);
    let compared = standing.map(|standing| standing.compared(target, numbers)).transpose()?;
    let fault = match &compared {
        Some(_) if pending => Some("its rows were still to be numbered".to_owned()),
        Some(compared) if !compared.standing.off.is_empty() => {
            Some(format!("trigger \"{}\" was disabled", compared.standing.trigger))
        }
        Some(_) if unnumbered => Some("rows stood without a number".to_owned()),
        _ => None,
    };
    wanted::decide(target, compared, &Wanted { fault, ..numbers.wanted() }, replace)
}

/// Puts up column, index and trigger, and numbers the rows that stand.
fn build(target: &Target, numbers: &NumberGuard) -> Result<(), Report> {
    refuse_partition_key(target, &numbers.column)?;
    refuse_guarded_partitions(target, FUNCTION)?;
    numbers.index().refuse_others(target)?;
    let name = numbers.trigger_name()?;
    if target.column(&numbers.column)?.is_none() {
        target.alter_as_owner(&numbers.add_column(target))?;
    }
    rows::number(target, numbers)?;
    if numbers.index().standing(target)?.is_none() {
        if let Some(index) = failed_index(target, &numbers.guard)? {
            target.run(&format!("DROP INDEX {index}"))?;
        }
        run(&numbers.create_index(target, ""), &[])?;
    }
    for index in numbers.open_indexes(target)? {
        target.run(&format!("DROP INDEX {index}"))?;
    }
    let create = |put| numbers.create_trigger(target, &name, &[], put);
    target.run_all(&put_up(target, None, &name, create)?)
}

/// Tells what has been made; the trigger's name.
fn tell_of_numbers(target: &Target, numbers: &NumberGuard) -> Result<String, Report> {
    let name = numbers.trigger_name()?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\": numbers from {}{}",
            target.name,
            numbers.start,
            numbers.per_key()
        ),
        None,
    );
    tell_of_children(target, "add_number")?;
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(name)
}
