//! Cooldowns: at most so many rows per key within any period, in both directions of time.
//!
//! The check runs after the row is really there, so upserts are right, under the key's lock and
//! with a snapshot taken once it is held. Other transactions' uncommitted rows need not be looked
//! at: their own check comes later, under the same lock. There is no unique index behind a
//! cooldown, so the look must not miss a row: it never uses a dirty snapshot.

use super::cooldown_reports as reports;
use super::locking;
use super::outcome::{self, Mode};
use crate::errors::{self, Code};
use crate::pg::cache;
use crate::pg::error::{catch, Report};
use crate::pg::instant::{is_finite, Clock, Period};
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

/// The most rows that a cooldown may allow: for each row it reads all of its key within a period.
pub const MAX_ROWS: usize = 1_000_000;

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
                Ok(rows @ 1..=MAX_ROWS) => options.max_rows = rows,
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
    /// No period is longer.
    reach: i64,
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

/// Whether the row at `at` lies within the period of a row, its own included, that holds more than
/// `max_rows` rows. The spans are those of all rows of the key that may share a period with it,
/// itself included, in ascending order; periods it does not belong to are not judged.
pub fn exceeds(spans: &[Span], at: i64, max_rows: usize) -> bool {
    spans.iter().enumerate().any(|(i, start)| {
        start.at <= at
            && at < start.end
            && spans.get(i + max_rows).is_some_and(|last| last.at < start.end)
    })
}

/// The first instant from `from` on at which another row would be allowed beside those of `spans`
/// (ascending). `end_of` is the end of the period of a row at an instant.
///
/// A row at an instant shares a period with too many others in one of two ways: it lies in the
/// period of a row that already has `max_rows` in it, or its own period holds that many. While it
/// moves forward it can become free of others only where such a full period ends. One pass over
/// the rows therefore finds the instant, except where the wall clock is set back and a later row's
/// period may end first: there the loop goes on to an instant that is certainly allowed.
pub fn next_allowed(
    spans: &[Span],
    from: i64,
    max_rows: usize,
    end_of: impl Fn(i64) -> i64,
) -> i64 {
    let is_full = |i: usize, end: i64| spans.get(i + max_rows - 1).is_some_and(|s| s.at < end);
    let has_room = |at: i64| !is_full(spans.partition_point(|s| s.at < at), end_of(at));
    let mut allowed = from;
    for (i, span) in spans.iter().enumerate() {
        if span.end <= allowed || !is_full(i, span.end) {
            continue;
        }
        if allowed < span.at && has_room(allowed) {
            return allowed;
        }
        allowed = span.end;
    }
    while !has_room(allowed) {
        allowed = end_of(allowed);
    }
    allowed
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
        leaves.push(time_index::with_table(*leaf, |leaf| {
            let (key, at, clock, predicate) = compile(leaf, trigger.name(), &options)?;
            time_index::find(leaf, &key, predicate, at, clock)
                .ok_or_else(|| reports::no_index(trigger, leaf, &options))
        })?);
    }
    let period = catch(|| Period::parse(options.period)).ok();
    let period = period.filter(|p| p.is_positive() && p.is_finite()).ok_or_else(|| {
        let problem = format_args!("\"{}\" is not a positive period.", options.period);
        errors::wrong_argument(trigger.name(), table, problem)
    })?;
    let (leaves, root, reach) = (leaves.into_slice(), table.root(), clock.reach(period));
    Ok(Rule { options, key, predicate, at, clock, period, reach, leaves, root })
}

/// The rule of a cooldown's trigger, with every leaf it reads locked: an index cannot be dropped
/// or replaced any more once the leaf is locked, and what was committed before is known by then.
pub fn rule(trigger: Definition) -> Result<&'static Rule, Report> {
    loop {
        let rule = cache::rule(trigger, build)?;
        let others = time_index::lock(rule.leaves, trigger.table());
        if !others || core::ptr::eq(rule, cache::rule(trigger, build)?) {
            return Ok(rule);
        }
    }
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
    // Postgres's parser raises its errors, a renamed column for one, by itself.
    let read = |what: &str, shown: &str, text: &str| {
        catch(|| key::with_pinned_path(|| Ok(key::parse(table, text)?.compile(table))))
            .and_then(|outcome| outcome)
            .map_err(|cause| errors::guard_text_broken(trigger, table, what, shown, cause))
    };
    let key = read("key", options.key, options.key)?;
    let predicate = match options.predicate {
        Some(predicate) => {
            let condition = PgText::from_fmt(format_args!("({predicate})"));
            Some(read("predicate", predicate, condition.as_str())?)
        }
        None => None,
    };
    if predicate.is_some_and(|p| !p.is_condition()) {
        let problem = format_args!("The predicate is not a boolean expression.");
        return Err(errors::wrong_argument(trigger, table, problem));
    }
    if let Some(part) = key.unhashable() {
        return Err(key::no_hash_function(part).table(table.oid()));
    }
    Ok((key, at, clock, predicate))
}

/// The trigger function `raceguard.cooldown_guard`, AFTER INSERT OR UPDATE row trigger.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) || firing.event() == Event::Delete {
        let timing = "AFTER INSERT OR UPDATE FOR EACH ROW";
        return Err(errors::wrong_timing(FUNCTION, firing.table(), timing));
    }
    let rule = rule(firing.definition())?;
    let (new, slot) = (firing.new_row(), firing.new_slot());
    let Some(at) = new.get(rule.at.attno).map(|d| rule.clock.read(d)).filter(|at| is_finite(*at))
    else {
        return Ok(new);
    };
    if rule.predicate.is_some_and(|p| !p.is_true(slot)) {
        return Ok(new);
    }
    let key = rule.key.values(slot);
    if key.has_null() || (firing.event() == Event::Update && unchanged(rule, firing, &key, at)) {
        return Ok(new);
    }
    locking::lock_key(rule.root, rule.key.hash(key.as_slice()))?;
    let mut spans = Buffer::new(rule.options.max_rows.min(64) + 1);
    read(rule, &key, at, rule.reach, |span| spans.push(span));
    if exceeds(sorted(rule, &mut spans), at, rule.options.max_rows) {
        let next = first_allowed(rule, &key, at, Some(at));
        outcome::refuse(Mode::Enforce, Code::Rg429, |style| {
            reports::running(style, firing, rule, &key, at, next)
        })?;
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

/// Reads the rows of a key that may share a period with one at `from`, and those up to `ahead`
/// after it, in every leaf that can hold some, as of one moment.
fn read(rule: &Rule, key: &KeyValues, from: i64, ahead: i64, mut each: impl FnMut(Span)) {
    let snapshot = Deciding::take();
    let (low, high) = (from.saturating_sub(rule.reach), from.saturating_add(ahead));
    for leaf in rule.leaves {
        leaf.read(snapshot, key, low, |at| {
            let inside = at <= high;
            if inside && is_finite(at) {
                each(Span { at, end: rule.clock.plus(at, rule.period) });
            }
            inside
        });
    }
    snapshot.done();
}

/// Spans of one leaf come in order; those of several are sorted here.
fn sorted<'a>(rule: &Rule, spans: &'a mut Buffer<Span>) -> &'a [Span] {
    let spans = spans.as_mut_slice();
    if rule.leaves.len() > 1 {
        spans.sort_unstable_by_key(|s| s.at);
    }
    spans
}

/// The first instant from `from` on at which a row of the key is allowed; `except` is the instant
/// of a row to leave out, the one being judged.
///
/// Looks a few periods ahead at first, and as far as it takes only where all of that is taken: a
/// key may have many rows in the future.
pub fn first_allowed(rule: &Rule, key: &KeyValues, from: i64, except: Option<i64>) -> i64 {
    let mut ahead = rule.reach.saturating_mul(4);
    let mut spans = Buffer::new(64);
    loop {
        spans.clear();
        let mut left_out = except.is_none();
        read(rule, key, from, ahead, |span| {
            if !left_out && Some(span.at) == except {
                left_out = true;
            } else {
                spans.push(span);
            }
        });
        let end_of = |at| rule.clock.plus(at, rule.period);
        let next = next_allowed(sorted(rule, &mut spans), from, rule.options.max_rows, end_of);
        if next.saturating_add(rule.reach) <= from.saturating_add(ahead) {
            return next;
        }
        ahead = ahead.saturating_mul(2);
    }
}

#[cfg(test)]
#[path = "cooldown_tests.rs"]
mod tests;
