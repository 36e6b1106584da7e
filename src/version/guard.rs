//! Optimistic locking: the version guard judges the version an UPDATE states and bumps it once.
//!
//! The guard compares with OLD and writes OLD + 1, so a client that bumps the version itself and
//! one that leaves it alone both move it by exactly one.

use crate::errors::Code;
use crate::guard::attachment;
use crate::guard::outcome;
use crate::guard::own_writes;
use crate::guard::settling;
use crate::pg::error::Report;
use crate::pg::executor;
use crate::pg::memory::here;
use crate::pg::new_in_place::write_in_place;
use crate::pg::rule_cache;
use crate::pg::trigger::{guard_entry, Event, Firing, Timing};
use crate::pg::tuple::Row;
use crate::pg::version_clock;
use crate::pg::version_value::VersionKind;
use crate::version::decision::{judge, Stated, Verdict};
use crate::version::reports;
use crate::version::rule::{Rule, Unstated, VersionRules, ATTACHMENT};

guard_entry!(raceguard_version_guard, "version_guard", crate::version::guard::fire);

/// The trigger function `raceguard.version_guard`, BEFORE UPDATE row trigger, or BEFORE INSERT OR UPDATE.
///
/// Arguments: the version column, then `client_sends=next|current`, `unstated=allow|warn|reject`,
/// `mode=enforce|observe`, `ignore=COLUMN`, which may repeat. Returns NEW with the next version; an INSERT keeps the
/// version it brings. Serves two clients that read one row and both write it.
///
/// Raises RG409 for a stale version, RG428 where one has to be stated and is not, 22003 where the column can hold
/// no more, 39P01 and 42703 for a trigger that is no such guard.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, bump(firing))
}

/// NEW as it is written, with the next version.
#[inline]
fn bump(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) || firing.event() == Event::Delete {
        return Err(attachment::otherwise(&ATTACHMENT, firing.table()));
    }
    let rule = rule_cache::rule::<VersionRules>(firing.definition())?;
    let new = firing.new_row();
    if firing.event() == Event::Insert {
        // A given version stays: restores and partition moves must not reset it.
        return Ok(new);
    }
    let old = firing.old();
    if settling::is_own(firing) {
        // A total says nothing that anybody has read and would overwrite.
        return Ok(keep_version(rule, old, new));
    }
    let attno = rule.column.attno;
    let stored = old.get(attno).map(|d| rule.kind.read(d));
    let stated = if firing.sets_column(attno) {
        stated_by_statement(firing, rule, new, stored)
    } else {
        Stated::Nothing
    };
    if rule.ignores && stated == Stated::Nothing && !rule.watched.differ(old, new) {
        outcome::passed(firing);
        return Ok(keep_version(rule, old, new));
    }
    if stated == Stated::Nothing && own_writes::is_numbering_rows(firing.table().oid()) {
        return Ok(keep_version(rule, old, new));
    }
    let Some(next) = next_version(rule, stored) else {
        return Err(reports::overflow(firing, rule));
    };
    let options = rule.options;
    match judge(options.client_sends, options.unstated, stored, next, stated) {
        Verdict::Pass => outcome::passed(firing),
        Verdict::Stale
            if own_writes::is_numbering(firing.table().oid(), stored, stated.version()) =>
        {
            return Ok(new)
        }
        Verdict::Stale => outcome::refuse(firing, options.mode, Code::Rg409, |style| {
            reports::stale(firing, rule, stored, stated, style)
        })?,
        Verdict::NoneStated => unstated(firing, rule, stored, old, new)?,
    }
    if stated == Stated::Value(Some(next)) {
        return Ok(new);
    }
    let next = rule.kind.write(next);
    if write_in_place(firing, attno, next) {
        return Ok(new);
    }
    Ok(new.with(attno, Some(next)))
}

/// What the row states where the statement's SET list names the version. An action of MERGE that
/// leaves the version alone looks like one that states the stored version.
#[inline]
fn stated_by_statement(firing: Firing, rule: &Rule, new: Row, stored: Option<i64>) -> Stated {
    let sent = new.get(rule.attno()).map(|d| rule.kind.read(d));
    if sent == stored && rule.tells_apart && executor::action_leaves_out(firing, rule.attno()) {
        return Stated::Nothing;
    }
    Stated::Value(sent)
}

/// NEW with OLD's version, whatever another trigger made of it.
fn keep_version<'a>(rule: &Rule, old: Row, new: Row<'a>) -> Row<'a> {
    let attno = rule.attno();
    let read = |row: Row| row.get(attno).map(|d| rule.kind.read(d));
    if read(new) == read(old) {
        return new;
    }
    new.with(attno, old.get(attno))
}

/// An UPDATE without a version where that is not simply allowed. Foreign keys cannot state one.
#[cold]
fn unstated(
    firing: Firing,
    rule: &Rule,
    stored: Option<i64>,
    old: Row,
    new: Row,
) -> Result<(), Report> {
    if executor::is_foreign_key_action(firing) {
        outcome::passed(firing);
        return Ok(());
    }
    if rule.options.unstated == Unstated::Warn {
        reports::warn_unstated(firing, rule);
        outcome::passed(firing);
        return Ok(());
    }
    outcome::refuse(firing, rule.options.mode, Code::Rg428, |style| {
        here(|memory| {
            let counted = if rule.ignores { rule.watched.differing(old, new, memory) } else { &[] };
            reports::missing(firing, rule, stored, counted, style)
        })
    })
}

/// The version after `old`; `None` when the column's type cannot hold it.
#[inline]
fn next_version(rule: &Rule, old: Option<i64>) -> Option<i64> {
    match rule.kind {
        VersionKind::Timestamp { unit, .. } => version_clock::strictly_after(old, unit),
        _ => {
            let next = old.unwrap_or(0).checked_add(1)?;
            (next <= rule.kind.max()).then_some(next)
        }
    }
}
