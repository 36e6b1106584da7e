//! Totals: a column of the parent that always equals the count or the sum of its children.
//!
//! A row trigger notes what each written row adds to or takes from its parent. Statement triggers know when the
//! outermost statement ends, and settle then; a deferred trigger settles what no statement's end comes for: totals
//! that are settled at COMMIT, and rows written into a partition by its own name, which fire no statement trigger.
//! The CHECK on the parent is the rule; all this only keeps the column.

use crate::errors;
use crate::guard::attachment;
use crate::guard::child_key::key_values;
use crate::guard::outcome;
use crate::guard::own_writes;
use crate::guard::settling;
use crate::guard::spread;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::numeric;
use crate::pg::row_slot::RowSlot;
use crate::pg::rule_cache;
use crate::pg::trigger::{guard_entry, Event, Firing, Timing};
use crate::pg::trigger_order::turn_off;
use crate::pg::tuple::Row;
use crate::total::faults;
use crate::total::rule::{
    RowAmount, StatementRules, TotalRule, TotalRules, TruncatedTotals, ATTACHMENT,
    SETTLE_ATTACHMENT, STATEMENT_FUNCTION,
};
use crate::total::session;
use crate::total::settle::settle;
use crate::total::sums::note_truncated;

guard_entry!(raceguard_total_guard, "total_guard", crate::total::guard::note);

guard_entry!(raceguard_total_statement, "total_statement", crate::total::guard::statement);

guard_entry!(raceguard_total_settle, "total_settle", crate::total::guard::deferred);

function_entry!(raceguard_total_due, crate::total::guard::due);

/// Whether an amount is added or taken away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

/// The trigger function `raceguard.total_guard`, AFTER INSERT OR UPDATE OR DELETE row trigger.
pub fn note<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    outcome::leave(firing, note_row(firing))
}

fn note_row<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    if !firing.is_row(Timing::After) {
        return Err(attachment::otherwise(&ATTACHMENT, firing.table()));
    }
    let rule = rule_cache::rule::<TotalRules>(firing.definition())?;
    let old = || note_amount(rule, firing.old(), firing.old_in_slot(), Sign::Minus);
    let new = || note_amount(rule, firing.new_row(), firing.new_in_slot(), Sign::Plus);
    match firing.event() {
        Event::Insert => new()?,
        Event::Delete => old()?,
        Event::Update if own_writes::is_backfill(firing) => {}
        Event::Update => {
            old()?;
            new()?;
        }
    }
    // Its own deferred event has come already (constraints are immediate), or its triggers were disabled.
    if !session::will_be_settled() {
        settle(false)?;
    }
    outcome::passed(firing);
    Ok(firing.pass())
}

/// Notes what one row counts, if it counts and has a parent.
#[inline]
fn note_amount(rule: &TotalRule, row: Row, slot: RowSlot, sign: Sign) -> Result<(), Report> {
    let Some(values) = key_values(&rule.foreign_key, row) else { return Ok(()) };
    if rule.predicate.is_some_and(|predicate| !predicate.is_true(slot)) {
        return Ok(());
    }
    let signed = |n: i64| match sign {
        Sign::Plus => i128::from(n),
        Sign::Minus => -i128::from(n),
    };
    match rule.amount {
        RowAmount::Constant(n) => session::note_integer(rule.noted(), &values, signed(n)),
        RowAmount::Integer(key) => {
            let found = key.values(slot);
            let amount = found.as_slice().first().filter(|_| !found.has_null());
            match amount.and_then(|value| key.parts.first()?.integer(*value)) {
                Some(n) => session::note_integer(rule.noted(), &values, signed(n)),
                None => Ok(()),
            }
        }
        RowAmount::Numeric(key) => {
            let found = key.values(slot);
            let Some(value) = found.as_slice().first().filter(|_| !found.has_null()) else {
                return Ok(());
            };
            if !numeric::is_finite(*value) {
                return Err(faults::not_finite(rule.foreign_key.child));
            }
            let value = match sign {
                Sign::Plus => *value,
                Sign::Minus => numeric::negated(*value)?,
            };
            session::note_numeric(rule.noted(), &values, value)
        }
    }
}

/// The trigger function `raceguard.total_statement`, BEFORE and AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
/// statement trigger. BEFORE TRUNCATE the rows still say which parents they have.
pub fn statement<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    outcome::leave(firing, mark_statement(firing))
}

fn mark_statement<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    let truncates = firing.is_truncate(Timing::Before) || firing.is_truncate(Timing::After);
    if truncates && spread::is_shell(firing.table()) {
        return Ok(firing.pass());
    }
    if firing.is_statement(Timing::Before) {
        session::begin_statement()?;
        let rule = rule_cache::rule::<StatementRules>(firing.definition())?;
        if rule.late {
            session::expect_late_parents();
        }
        // Its condition would be compiled and say no.
        if let Some(settle) = rule.idle
            && firing.event() == Event::Insert
            && !firing.is_truncate(Timing::Before)
            && !session::is_late()
        {
            turn_off(firing, settle);
        }
        if firing.is_truncate(Timing::Before)
            && let Some(truncated) = rule_cache::rule::<TruncatedTotals>(firing.definition())?
        {
            note_truncated(firing.table(), truncated)?;
        }
    } else if firing.is_statement(Timing::After) {
        if session::end_statement() {
            if firing.is_truncate(Timing::After) {
                // No deferred trigger comes for it.
                settling::move_versions()?;
            }
            settle(false)?;
        }
    } else {
        return Err(errors::wrong_timing(
            STATEMENT_FUNCTION,
            firing.table(),
            "BEFORE or AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE, FOR EACH STATEMENT",
        ));
    }
    Ok(firing.pass())
}

/// The trigger function `raceguard.total_settle`, deferrable constraint trigger.
pub fn deferred<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    outcome::leave(firing, settle_deferred(firing))
}

fn settle_deferred<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    if !firing.is_row(Timing::After) {
        return Err(attachment::otherwise(&SETTLE_ATTACHMENT, firing.table()));
    }
    match session::in_statement() {
        // Constraints are immediate: further rows of the statement are still to be noted.
        true => session::unschedule(),
        false => {
            // One UPDATE for both, whichever trigger comes first.
            settling::move_versions()?;
            settle(true)?
        }
    }
    Ok(firing.pass())
}

/// `raceguard.total_due(at_commit) -> boolean`: whether the deferred trigger of a total has to be queued for the row
/// being written. For the condition of that trigger alone; called elsewhere it makes COMMIT fail with 55000 where
/// amounts were noted and not settled.
fn due(call: Call) -> Result<Value, Report> {
    Ok(Value::Bool(session::schedule(call.bool(0).unwrap_or(true))))
}
