//! `plan_number`: what `add_number` does, as steps that no writer waits for longer than a moment.
//!
//! The index comes first, while every number is NULL and none can clash; then the trigger, under which rows get
//! no number yet; then the rows that stand, and those that have come meanwhile, are numbered in the order of their
//! primary key, and the last of them under a lock that is held for as long as it takes to let the trigger
//! number rows from then on. A writer never meets the index, whatever it does in between. A counter's triggers come before the
//! guard's own, and what stood with a number before it is counted last, parent by parent.

use crate::errors;
use crate::guard::arguments::literal;
use crate::guard::index::failed_index;
use crate::guard::steps::{of_index, of_triggers, return_steps, Step};
use crate::guard::target::Target;
use crate::guard::trigger::put_up;
use crate::guard::wanted::Plan;
use crate::number::asked_for::asked_for;
use crate::number::counter_definition::{of_counters, Counter};
use crate::number::definition::{refuse_partition_key, NumberGuard, StandingNumbers};
use crate::number::install::plan;
use crate::number::number_rows::refuse_on_nodes;
use crate::number::rows;
use crate::number::rule::{ATTACHMENT, PENDING};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path};

function_entry!(raceguard_plan_number, crate::number::plan::plan_number);

/// `raceguard.plan_number(same arguments as add_number)`: the steps, in order. Changes nothing.
///
/// Raises what `add_number` raises for the same arguments.
fn plan_number(call: Call) -> Result<Value, Report> {
    let steps = connected(|| {
        let (target, numbers, replace) = asked_for(call)?;
        refuse_on_nodes(&target, "plan_number")?;
        pinned_search_path(|| {
            let replaced = matches!(plan(&target, &numbers, None, replace)?, Plan::Replace(_));
            refuse_partition_key(&target, &numbers.column)?;
            if replaced {
                refuse_other_key(&target, &numbers)?;
            }
            numbers.index().refuse_others(&target)?;
            rows::refuse_doubles(&target, &numbers)?;
            rows::refuse_too_many(&target, &numbers)?;
            steps(&target, &numbers, replaced)
        })
    })?;
    return_steps(call, &steps)
}

/// 55000 where a guard that stands is to have another key: while the old index and the new one stand, the guard does not know which
/// is its own, and without either no number is judged.
fn refuse_other_key(target: &Target, numbers: &NumberGuard) -> Result<(), Report> {
    let standing = StandingNumbers::find(target, &numbers.guard)?;
    let Some(former) = standing.and_then(|standing| standing.index) else { return Ok(()) };
    if former.canonical(target.oid)?.0 == numbers.key {
        return Ok(());
    }
    Err(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "number guard \"{}\" on table \"{}\" cannot get another key while others write",
            numbers.guard, target.name
        ),
    )
    .detail(format_args!(
        "Its index {} is its rule for key ({}), and there is no moment without a rule.",
        former.qualified, former.key
    ))
    .hint(format_args!(
        "Add a guard with a column of its own, number_column => '...' and guard => '...', and drop this one; or call raceguard.add_number with replace => true, for which readers and writers wait."
    ))
    .table(target.oid)
    .column(&numbers.column))
}

/// `replaced` where the guard that stands has another definition.
fn steps(target: &Target, numbers: &NumberGuard, replaced: bool) -> Result<Vec<Step>, Report> {
    let mut steps = Vec::new();
    let standing = StandingNumbers::find(target, &numbers.guard)?;
    let pending = standing.as_ref().is_some_and(StandingNumbers::is_pending);
    let open = pending || rows::unnumbered(target, numbers)? > 0;
    if target.column(&numbers.column)?.is_none() {
        steps.push(Step::new("ACCESS EXCLUSIVE", numbers.add_column(target)));
    }
    let add_counter = numbers.add_counter()?;
    // Of rows that have numbers already the counter knows nothing.
    let uncounted = add_counter.is_some() && target.column(&numbers.column)?.is_some();
    steps.extend(add_counter.map(|add| Step::new("ACCESS EXCLUSIVE", add)));
    let index = numbers.index();
    if index.standing(target)?.is_none() {
        let stands = |table: &Target| Ok(index.standing(table)?.is_some());
        let create = |table: &Target, concurrently: &str| numbers.create_index(table, concurrently);
        steps.extend(of_index(target, &numbers.guard, stands, create)?);
    }
    let leaves = if open { target.leaves()? } else { Vec::new() };
    for leaf in &leaves {
        steps.extend(of_open_index(leaf, numbers)?);
    }
    steps.extend(of_counter(target, numbers, standing.as_ref())?);
    let sound = standing.as_ref().is_some_and(|standing| {
        !replaced && standing.trigger.is_sound(&ATTACHMENT) && standing.is_pending() == open
    });
    if !sound {
        let name = numbers.trigger_name()?;
        let more: &[&str] = if open { &[PENDING] } else { &[] };
        let create = |put| numbers.create_trigger(target, &name, more, put);
        let standing = standing.map(|standing| standing.trigger);
        let statements = put_up(target, standing.as_ref(), &name, create)?;
        steps.extend(statements.into_iter().map(|ddl| Step::new("SHARE ROW EXCLUSIVE", ddl)));
    }
    if open || uncounted || numbers.counters_behind(target)? > 0 {
        let (table, guard) = (literal(&target.qualified), literal(&numbers.guard));
        let call = format!("CALL raceguard.number_rows({table}, {guard})");
        steps.push(Step::alone("SHARE ROW EXCLUSIVE", call));
    }
    let mut left = numbers.open_indexes(target)?;
    if left.is_empty() {
        left = leaves.iter().map(|leaf| numbers.open_name(leaf)).collect();
    }
    let drop =
        |index| Step::alone("SHARE UPDATE EXCLUSIVE", format!("DROP INDEX CONCURRENTLY {index}"));
    steps.extend(left.into_iter().map(drop));
    Ok(steps)
}

/// The steps that make the index of a table's rows that have no number yet.
fn of_open_index(leaf: &Target, numbers: &NumberGuard) -> Result<Vec<Step>, Report> {
    let mut steps = Vec::new();
    if numbers.open_index(leaf)?.is_some() {
        return Ok(steps);
    }
    let concurrently = |ddl| Step::alone("SHARE UPDATE EXCLUSIVE", ddl);
    if let Some(index) = failed_index(leaf, &numbers.open_suffix())? {
        steps.push(concurrently(format!("DROP INDEX CONCURRENTLY {index}")));
    }
    steps.push(concurrently(numbers.create_open_index(leaf, "CONCURRENTLY ")?));
    Ok(steps)
}

/// The steps that make a counter's triggers stand. Where the guard has another one, or is to have none, it first numbers
/// without any: no row is refused in between.
fn of_counter(
    target: &Target,
    numbers: &NumberGuard,
    standing: Option<&StandingNumbers>,
) -> Result<Vec<Step>, Report> {
    let former = match standing {
        Some(standing) => Counter::of(&standing.trigger)?,
        None => None,
    };
    let arguments = |counter: &Option<Counter>| counter.as_ref().map(Counter::arguments);
    let (Some(standing), Some(former)) =
        (standing, former.filter(|f| Some(f.arguments()) != arguments(&numbers.counter)))
    else {
        return Ok(of_triggers(numbers.counter_triggers(target)?));
    };
    let kept: Vec<String> = standing
        .trigger
        .arguments
        .iter()
        .filter(|argument| !former.arguments().contains(argument))
        .cloned()
        .collect();
    let mut statements = vec![standing.trigger.with(&ATTACHMENT, &kept)];
    statements.extend(former.drop_statements(target, &numbers.guard, numbers.counter.as_ref())?);
    if let Some(counter) = &numbers.counter {
        statements.extend(
            counter
                .keeper(numbers.start)?
                .statements(&counter.parent, &of_counters(&counter.parent)?)?,
        );
        statements.extend(counter.writer(&numbers.guard)?.statements(target, &[])?);
    }
    Ok(of_triggers(statements))
}
