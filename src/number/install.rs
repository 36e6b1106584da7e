//! `add_number`: number column, unique index and the trigger that numbers the rows.

use crate::guard::index::failed_index;
use crate::guard::lock_tables::lock_tables;
use crate::guard::partitions::{
    refuse_guarded_partitions, refuse_inherited_guard, tell_of_children,
};
use crate::guard::target::Target;
use crate::guard::trigger::{self, put_up, Existing};
use crate::guard::wanted::{self, Plan, Wanted};
use crate::number::asked_for::asked_for;
use crate::number::counter_definition::Counter;
use crate::number::definition::{refuse_partition_key, NumberGuard, StandingNumbers};
use crate::number::removal::remove_rule;
use crate::number::rows;
use crate::number::rule::FUNCTION;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run};

function_entry!(raceguard_add_number, crate::number::install::add_number);

/// `raceguard.add_number(target, key, number_column, start, counter, foreign_key, guard, replace) -> text`: numbers the rows
/// of each key `start`, `start` + 1, and so on, none given twice and none left out by a rollback. `key` as in CREATE INDEX,
/// NULL for the whole table; with `counter`, a column of the row that `foreign_key` points to, which keeps the number
/// given last, it is that foreign key's columns. Returns the trigger's name. Serves invoice numbers, tickets per project
/// and revisions.
///
/// Raises 23505 with the keys that have a number twice, 22003 where numbers do not fit, 55000 (another index of
/// the form on the number column), 0A000 for a table that is partitioned by its numbers, 42501 unless the
/// caller owns the table and the parent, 42704 and 22023 for the foreign key, 42601, 42703, 42804, 42P17, 42710, 22004, 40001
/// at REPEATABLE READ and above where the table has changed since the snapshot.
fn add_number(call: Call) -> Result<Value, Report> {
    connected(|| {
        let (target, numbers, replace) = asked_for(call)?;
        target.with_shards_in_turn(|| pinned_search_path(|| install(&target, &numbers, replace)))
    })
}

fn install(target: &Target, numbers: &NumberGuard, replace: bool) -> Result<Value, Report> {
    refuse_inherited_guard(target, FUNCTION)?;
    // Read before the lock: a call that finds nothing to do keeps nobody waiting.
    let standing = StandingNumbers::find(target, &numbers.guard)?;
    let behind = match standing {
        Some(_) if rows::unnumbered(target, numbers)? > 0 => Some("rows stood without a number"),
        Some(_) if numbers.counters_behind(target)? > 0 => Some("counters were behind"),
        _ => None,
    };
    let light = behind.is_none() && only_triggers(target, numbers, standing.as_ref())?;
    lock(target, numbers, light)?;
    let plan = plan(target, numbers, behind, replace)?;
    if let Some(name) = plan.done(target)? {
        return Ok(Value::Text(name));
    }
    match plan.replaced(target) {
        Some(standing) if light => put_up_triggers(target, numbers, Some(&standing))?,
        replaced => {
            if let Some(standing) = replaced {
                let kept = numbers.index().standing(target)?.map(|index| index.oid);
                remove_rule(target, &standing, kept)?;
            }
            build(target, numbers)?;
        }
    }
    tell_of_numbers(target, numbers).map(Value::Text)
}

fn lock(target: &Target, numbers: &NumberGuard, light: bool) -> Result<(), Report> {
    let mut counted_in = None;
    if let Some(Counter { parent, column, .. }) = &numbers.counter {
        counted_in = Some(match parent.column(column)? {
            Some(_) => (parent, "SHARE ROW EXCLUSIVE"),
            None => (parent, "ACCESS EXCLUSIVE"),
        });
    }
    let mode = if light { "SHARE ROW EXCLUSIVE" } else { "ACCESS EXCLUSIVE" };
    lock_tables((target, mode), counted_in)
}

/// Whether a guard stands of which nothing but its own trigger differs from what is asked for, so that readers go on while it
/// is put up anew. A constraint trigger, that of a counter, can only be dropped, for which they wait.
fn only_triggers(
    target: &Target,
    numbers: &NumberGuard,
    standing: Option<&StandingNumbers>,
) -> Result<bool, Report> {
    let Some(standing) = standing.filter(|standing| !standing.is_pending()) else {
        return Ok(false);
    };
    let counter = Counter::of(&standing.trigger)?.map(|counter| counter.arguments());
    let index = numbers.index().standing(target)?.map(|index| index.oid);
    Ok(counter == numbers.counter.as_ref().map(Counter::arguments)
        && target.column(&numbers.column)?.is_some()
        && index.is_some()
        && index == standing.index.as_ref().map(|index| index.oid)
        && numbers.open_indexes(target)?.is_empty()
        && numbers.counter_writer_fault(target)?.is_none())
}

/// What to do about the guard that stands, if any; `behind` is what is wrong with the rows. Call it inside
/// `pinned_search_path`.
pub fn plan(
    target: &Target,
    numbers: &NumberGuard,
    behind: Option<&str>,
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
        Some(compared) if compared.same => match numbers.counter_fault(target)? {
            Some(fault) => Some(fault),
            None => behind.map(str::to_owned),
        },
        _ => None,
    };
    wanted::decide(target, compared, &Wanted { fault, ..numbers.wanted() }, replace)
}

/// Puts up columns, index and triggers, and numbers the rows that stand.
fn build(target: &Target, numbers: &NumberGuard) -> Result<(), Report> {
    refuse_partition_key(target, &numbers.column)?;
    refuse_guarded_partitions(target, FUNCTION)?;
    numbers.index().refuse_others(target)?;
    if target.column(&numbers.column)?.is_none() {
        target.alter_as_owner(&numbers.add_column(target))?;
    }
    let added = numbers.add_counter()?;
    if let (Some(counter), Some(add)) = (&numbers.counter, added) {
        counter.parent.alter_as_owner(&add)?;
    }
    rows::number(target, numbers)?;
    if let Some(counters) = numbers.counters(target)? {
        counters.fill()?;
    }
    if numbers.index().standing(target)?.is_none() {
        if let Some(index) = failed_index(target, &numbers.guard)? {
            target.run(&format!("DROP INDEX {index}"))?;
        }
        run(&numbers.create_index(target, ""), &[])?;
    }
    for index in numbers.open_indexes(target)? {
        target.run(&format!("DROP INDEX {index}"))?;
    }
    put_up_triggers(target, numbers, None)
}

fn put_up_triggers(
    target: &Target,
    numbers: &NumberGuard,
    standing: Option<&Existing>,
) -> Result<(), Report> {
    for statement in numbers.counter_triggers(target)? {
        target.execute(&statement)?;
    }
    let name = numbers.trigger_name()?;
    let create = |put| numbers.create_trigger(target, &name, &[], put);
    target.run_all(&put_up(target, standing, &name, create)?)
}

/// Tells what has been made; the trigger's name.
fn tell_of_numbers(target: &Target, numbers: &NumberGuard) -> Result<String, Report> {
    let name = numbers.trigger_name()?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\": numbers from {}{}{}",
            target.name,
            numbers.start,
            numbers.per_key(),
            numbers.counted_in()
        ),
        None,
    );
    tell_of_children(target, "add_number")?;
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(name)
}
