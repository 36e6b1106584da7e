//! Cooldowns: at most so many rows per key within any period, in both directions of time.
//!
//! The check runs after the row is really there, so upserts are right, under the key's lock and
//! with a snapshot taken once it is held. Other transactions' uncommitted rows need not be looked
//! at: their own check comes later, under the same lock. There is no unique index behind a
//! cooldown, so the look must not miss a row: it never uses a dirty snapshot.

use super::locking;
use crate::errors::{self, Code};
use crate::pg::cache;
use crate::pg::error::Report;
use crate::pg::instant::{Clock, Period};
use crate::pg::key::{self, Key, KeyValues};
use crate::pg::memory::{self, Buffer};
use crate::pg::relation::{Column, Table};
use crate::pg::snapshot::Deciding;
use crate::pg::text::PgText;
use crate::pg::time_index::{self, TimeIndex};
use crate::pg::trigger::{guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::Row;
use pgrx::pg_sys::Oid;

guard_entry!(raceguard_cooldown_guard, "cooldown_guard", crate::guards::cooldown::fire);

/// The trigger function's name in SQL.
pub const FUNCTION: &str = "cooldown_guard";

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub key: &'a str,
    pub at: &'a str,
    pub period: &'a str,
    pub max_rows: usize,
    pub predicate: Option<&'a str>,
}

/// Reads the options; the error is the argument that is none or is missing.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let key = arguments.next().unwrap_or_default();
    let mut options = Options { key, at: "", period: "", max_rows: 1, predicate: None };
    for argument in arguments {
        match argument.split_once('=') {
            Some(("at", column)) => options.at = column,
            Some(("period", period)) => options.period = period,
            Some(("predicate", predicate)) => options.predicate = Some(predicate),
            Some(("max_rows", number)) => match number.parse() {
                Ok(rows @ 1..=1_000_000) => options.max_rows = rows,
                _ => return Err(argument),
            },
            _ => return Err(argument),
        }
    }
    match options {
        Options { key: "", .. } => Err("key"),
        Options { at: "", .. } => Err("at"),
        Options { period: "", .. } => Err("period"),
        _ => Ok(options),
    }
}

/// The rule of one cooldown on one (leaf) table.
#[derive(Clone, Copy)]
pub struct Rule {
    pub options: Options<'static>,
    pub key: Key,
    predicate: Option<Key>,
    at: Column,
    pub clock: Clock,
    period: Period,
    /// Every leaf that can hold rows of one key.
    leaves: &'static [TimeIndex],
    root: Oid,
}

/// A row's instant and the first instant at which its period is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub at: i64,
    pub end: i64,
}

/// Whether more than `max_rows` rows fall within one period around the row at `at`. The spans are
/// those of all rows of the key that may share a period with it, itself included, in ascending
/// order; windows it does not belong to are not judged.
pub fn exceeds(spans: &[Span], at: i64, max_rows: usize) -> bool {
    spans.windows(max_rows + 1).any(|window| match (window.first(), window.last()) {
        (Some(first), Some(last)) => first.at <= at && at <= last.at && last.at < first.end,
        _ => false,
    })
}

/// The first instant from `from` on at which another row would be allowed beside those of `spans`
/// (ascending): only where some row's period ends can that change. `end_of` is the period's end of
/// a row at an instant.
pub fn next_allowed(
    spans: &[Span],
    from: i64,
    max_rows: usize,
    end_of: impl Fn(i64) -> i64,
    with: &mut Buffer<Span>,
) -> i64 {
    let mut candidate = from;
    loop {
        with.clear();
        let position = spans.partition_point(|s| s.at <= candidate);
        with.extend(&spans[..position]);
        with.push(Span { at: candidate, end: end_of(candidate) });
        with.extend(&spans[position..]);
        if !exceeds(with.as_slice(), candidate, max_rows) {
            return candidate;
        }
        match spans.iter().map(|s| s.end).filter(|end| *end > candidate).min() {
            Some(later) => candidate = later,
            None => return candidate,
        }
    }
}

/// Builds the rule of a cooldown trigger.
pub fn build(trigger: Definition) -> Result<Rule, Report> {
    let table = trigger.table();
    let arguments = memory::keep_arguments(trigger);
    let options = parse(arguments.iter().copied()).map_err(|bad| {
        errors::wrong_argument(
            trigger.name(),
            table,
            format_args!("\"{bad}\" is missing or is not an option of cooldown_guard."),
        )
    })?;
    let (key, at, clock, predicate) = compile(table, trigger.name(), &options)?;
    let (members, tree) = time_index::family(table, &key);
    cache::depend_on(tree);
    let mut leaves = Buffer::new(members.len());
    for leaf in members {
        let found = time_index::with_table(*leaf, |leaf| {
            let (key, at, clock, predicate) = compile(leaf, trigger.name(), &options)?;
            Ok(time_index::find(leaf, &key, predicate, options.predicate, at, clock))
        })?;
        leaves.push(found.ok_or_else(|| no_index(trigger, &options))?);
    }
    let period = Period::parse(options.period);
    let (leaves, root) = (leaves.into_slice(), table.root());
    Ok(Rule { options, key, predicate, at, clock, period, leaves, root })
}

type Compiled = (Key, Column, Clock, Option<Key>);

/// Key, time column and predicate as they are in one table of the tree.
fn compile(table: Table, trigger: &str, options: &Options<'static>) -> Result<Compiled, Report> {
    let at = table.column_named(options.at).ok_or_else(|| {
        errors::guard_column_missing(
            trigger,
            table,
            options.at,
            "Call raceguard.drop_guard and raceguard.add_cooldown with the column's present name.",
        )
    })?;
    let clock = Clock::of(at).ok_or_else(|| {
        errors::wrong_argument(
            trigger,
            table,
            format_args!("Column \"{}\" is not date, timestamp or timestamptz.", options.at),
        )
    })?;
    let (key, predicate) = key::with_pinned_path(|| {
        let key = key::parse(table, options.key)?.compile(table);
        let predicate = options.predicate.map(|p| {
            let text = PgText::from_fmt(format_args!("({p})"));
            Ok(key::parse(table, text.as_str())?.compile(table))
        });
        Ok((key, predicate.transpose()?))
    })?;
    if let Some(part) = key.unhashable() {
        return Err(key::no_hash_function(part).table(table.oid()));
    }
    Ok((key, at, clock, predicate))
}

fn no_index(trigger: Definition, options: &Options) -> Report {
    let table = trigger.table();
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "guard \"{}\" on table \"{}\" has lost its index",
            trigger.name(),
            table.name()
        ),
    )
    .detail(format_args!("There is no valid btree index on ({}, {}).", options.key, options.at))
    .hint(format_args!(
        "Create it again, on every partition, or drop the guard with raceguard.drop_guard."
    ))
    .table(table.oid())
    .constraint(trigger.name())
}

/// The trigger function `raceguard.cooldown_guard`, AFTER INSERT OR UPDATE row trigger.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) || firing.event() == Event::Delete {
        let timing = "AFTER INSERT OR UPDATE FOR EACH ROW";
        return Err(errors::wrong_timing(FUNCTION, firing.table(), timing));
    }
    let rule = cache::rule(firing.definition(), build)?;
    let (new, slot) = (firing.new_row(), firing.new_slot());
    let Some(at) = new.get(rule.at.attno).map(|d| rule.clock.read(d)) else { return Ok(new) };
    if rule.predicate.is_some_and(|p| !p.is_true(slot)) {
        return Ok(new);
    }
    let key = rule.key.values(slot);
    if key.has_null() || (firing.event() == Event::Update && unchanged(rule, firing, &key, at)) {
        return Ok(new);
    }
    locking::lock_key(rule.root, rule.key.hash(key.as_slice()))?;
    let end = rule.clock.plus(at, rule.period);
    let mut spans = Buffer::new(rule.options.max_rows + 1);
    read(rule, &key, rule.clock.before(at, rule.period), |span| {
        if span.at >= end {
            return false;
        }
        if span.end > at {
            spans.push(span);
        }
        true
    });
    let spans = sorted(rule, spans);
    if exceeds(spans, at, rule.options.max_rows) {
        return Err(running(firing, rule, &key, at));
    }
    Ok(new)
}

/// Whether an UPDATE left alone what the cooldown judges.
fn unchanged(rule: &Rule, firing: Firing, key: &KeyValues, at: i64) -> bool {
    let slot = firing.old_slot();
    if firing.old().get(rule.at.attno).map(|d| rule.clock.read(d)) != Some(at)
        || rule.predicate.is_some_and(|p| !p.is_true(slot))
    {
        return false;
    }
    let old = rule.key.more_values(slot);
    !old.has_null() && rule.key.same_image(&old, key)
}

/// Reads the rows of a key from `low` on, in every leaf that can hold some, as of one moment.
fn read(rule: &Rule, key: &KeyValues, low: i64, mut each: impl FnMut(Span) -> bool) {
    let snapshot = Deciding::take();
    for leaf in rule.leaves {
        leaf.read(snapshot, key, low, |at| {
            each(Span { at, end: rule.clock.plus(at, rule.period) })
        });
    }
    snapshot.done();
}

/// Spans of one leaf come in order; those of several are sorted here.
fn sorted(rule: &Rule, spans: Buffer<Span>) -> &'static [Span] {
    let spans = spans.into_mut_slice();
    if rule.leaves.len() > 1 {
        spans.sort_unstable_by_key(|s| s.at);
    }
    spans
}

/// The first instant from `from` on at which a row of the key is allowed; `except` is the instant
/// of a row to leave out, the one being judged.
pub fn first_allowed(rule: &Rule, key: &KeyValues, from: i64, except: Option<i64>) -> i64 {
    let mut spans = Buffer::new(rule.options.max_rows + 1);
    let mut left_out = except.is_none();
    read(rule, key, rule.clock.before(from, rule.period), |span| {
        if !left_out && Some(span.at) == except {
            left_out = true;
        } else if span.end > from {
            spans.push(span);
        }
        true
    });
    let spans = sorted(rule, spans);
    let mut with = Buffer::new(spans.len() + 1);
    let end_of = |at| rule.clock.plus(at, rule.period);
    next_allowed(spans, from, rule.options.max_rows, end_of, &mut with)
}

#[cold]
fn running(firing: Firing, rule: &Rule, key: &KeyValues, at: i64) -> Report {
    let table = firing.table();
    let next = first_allowed(rule, key, at, Some(at));
    let (max_rows, period) = (rule.options.max_rows, rule.options.period);
    let shown = rule.clock.show(next);
    let detail = match rule.key.describe(table, rule.options.key, key) {
        Some(key) => PgText::from_fmt(format_args!(
            "Key {key}: at most {max_rows} per {period}; the next is allowed at {shown}."
        )),
        None => PgText::from_fmt(format_args!(
            "At most {max_rows} of a key per {period}; the next is allowed at {shown}."
        )),
    };
    let wait = next.saturating_sub(rule.clock.now()).max(0);
    let seconds = (wait as u64).div_ceil(1_000_000);
    let hint = match seconds {
        0 => PgText::from_fmt(format_args!("Give the row a time of {shown} or later.")),
        _ => PgText::from_fmt(format_args!("Try again in {}.", waiting_time(seconds))),
    };
    errors::own(
        Code::Rg429,
        table.oid(),
        format_args!("cooldown of {period} is running in \"{}\"", table.name()),
        Some(format_args!("{detail}")),
        format_args!("{hint}"),
        Some(seconds),
    )
    .column(rule.options.at)
    .constraint(firing.trigger_name())
}

/// Seconds as days and clock time.
fn waiting_time(seconds: u64) -> PgText {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock =
        PgText::from_fmt(format_args!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60));
    match days {
        0 => clock,
        1 => PgText::from_fmt(format_args!("1 day {clock}")),
        _ => PgText::from_fmt(format_args!("{days} days {clock}")),
    }
}

#[cfg(test)]
#[path = "cooldown_tests.rs"]
mod tests;
