//! `plan_guards`: what a guard on each of many tables takes, and who stands in the way.

use crate::errors;
use crate::operate::rollout::blockers::Blockers;
use crate::operate::rollout::options::Wish;
use crate::operate::rollout::tables::{Choice, UnguardedTable};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::text_datum;
use crate::pg::error::Report;
use crate::pg::memory;
use crate::pg::result_set::return_nullable_rows;
use crate::pg::spi::{connected, in_subtransaction, pinned_search_path};
use pgrx::pg_sys::{Datum, Oid};
use std::collections::HashSet;

function_entry!(raceguard_plan_guards, crate::operate::rollout::plan_guards::plan_guards);

/// How long a look at a table may wait for whoever has locked it exclusively, in milliseconds.
const PATIENCE: i64 = 200;

/// A row of the plan.
struct Line {
    target: Oid,
    /// `None` for a table that cannot have the guard.
    step: Option<PlannedStep>,
    blocked_by: Option<String>,
}

struct PlannedStep {
    ddl: String,
    lock: String,
    alone: bool,
    /// Of the table, in bytes.
    size: i64,
}

/// `raceguard.plan_guards(kind, options, schemas, where_column, exclude)`: the steps of `plan_<kind>` for every
/// table that is chosen and has not all of the guard, with the table's size and who holds locks that a step has to
/// wait for. A table that cannot have the guard has one row, whose `blocked_by` says why. Changes nothing. Serves
/// the DBA who has to know before the roll-out what it will wait for.
///
/// Raises 22023 for an unknown kind or option or a value of the wrong type, 3F000, 22004.
fn plan_guards(call: Call) -> Result<Value, Report> {
    let lines = connected(|| {
        let wish = Wish::read(call.text(0)?, call.plain(1)?)?;
        let candidates = Choice::read(call, 2)?.candidates()?;
        let blockers = pinned_search_path(Blockers::now)?;
        let mut plan = PlannedLines::default();
        for candidate in &candidates {
            add_lines(&mut plan, &wish, candidate, &blockers)?;
        }
        Ok(plan.lines)
    })?;
    let mut rows = Vec::new();
    memory::reserve(&mut rows, lines.len())?;
    for (i, line) in lines.iter().enumerate() {
        rows.push(line.row(i as i32 + 1)?);
    }
    return_nullable_rows(call, &rows)
}

#[derive(Default)]
struct PlannedLines {
    lines: Vec<Line>,
    /// What is to be done for one table may be the same for another: on a parent that both have.
    seen: HashSet<String>,
}

impl Line {
    /// As the function returns it.
    fn row(&self, number: i32) -> Result<[Option<Datum>; 7], Report> {
        let text = |text: &String| text_datum(text);
        let step = self.step.as_ref();
        Ok([
            Some(Datum::from(number)),
            Some(Datum::from(self.target)),
            step.map(|step| text(&step.ddl)).transpose()?,
            step.map(|step| text(&step.lock)).transpose()?,
            step.map(|step| Datum::from(step.alone)),
            step.map(|step| Datum::from(step.size)),
            self.blocked_by.as_ref().map(text).transpose()?,
        ])
    }
}

fn add_lines(
    plan: &mut PlannedLines,
    wish: &Wish,
    candidate: &UnguardedTable,
    blockers: &Blockers,
) -> Result<(), Report> {
    let target = candidate.oid;
    let planned = in_subtransaction(|| {
        candidate.waiting_at_most(PATIENCE, || {
            let size = pinned_search_path(|| candidate.size())?;
            let steps =
                wish.run("plan", "called.ddl, called.lock_mode, called.own_transaction", target)?;
            Ok((size, steps))
        })
    })?;
    let (size, steps) = match planned {
        Ok(planned) => planned,
        Err(cause) if cause.is(errors::QUERY_CANCELED) => return Err(cause),
        Err(cause) => {
            let held = blockers.of(target, "ACCESS SHARE").map(|who| format!(" ({who})"));
            let why = format!("{}{}", cause.message_text(), held.unwrap_or_default());
            return memory::push(
                &mut plan.lines,
                Line { target, step: None, blocked_by: Some(why) },
            );
        }
    };
    for step in &steps {
        let (ddl, lock, alone) = (step.get::<String>(0)?, step.get::<String>(1)?, step.get(2)?);
        memory::reserve(&mut plan.seen, 1)?;
        if !plan.seen.insert(memory::own(&ddl)?) {
            continue;
        }
        let blocked_by = blockers.of(target, &lock);
        let step = Some(PlannedStep { ddl, lock, alone, size });
        memory::push(&mut plan.lines, Line { target, step, blocked_by })?;
    }
    Ok(())
}
