//! Cooldowns: at most so many rows per key within any period, in both directions of time.
//!
//! The check runs after the row is really there, so upserts are right, under the key's lock and
//! with a snapshot taken once it is held. Other transactions' uncommitted rows need not be looked
//! at: their own check comes later, under the same lock. There is no unique index behind a
//! cooldown, so the look must not miss a row: it never uses a dirty snapshot.

use crate::cooldown::ahead::{self, Credit, Stretch};
use crate::cooldown::decision::{exceeds, next_allowed, Span};
use crate::cooldown::reports;
use crate::cooldown::rule::{rule, Rule, ATTACHMENT};
use crate::errors::Code;
use crate::guard::attachment;
use crate::guard::bypass;
use crate::guard::locking::{self, Seen};
use crate::guard::outcome::{self, Mode};
use crate::guard::waiting;
use crate::pg::advisory_lock::Family;
use crate::pg::error::Report;
use crate::pg::instant::is_finite;
use crate::pg::key::KeyValues;
use crate::pg::memory::{here, Buffer};
use crate::pg::relation::Table;
use crate::pg::snapshot::Deciding;
use crate::pg::trigger::{guard_entry, Event, Firing, Timing};
use crate::pg::tuple::Row;

guard_entry!(raceguard_cooldown_guard, "cooldown_guard", crate::cooldown::guard::fire);

/// The trigger function `raceguard.cooldown_guard`, AFTER INSERT OR UPDATE row trigger.
///
/// Arguments: the key as in CREATE INDEX, `at=COLUMN`, `period=INTERVAL`, then `max_rows=NUMBER`,
/// `predicate=EXPRESSION`, `own_past=true` and `mode=enforce|observe`. Returns the row as it is. Serves the limit that
/// two requests at once would both find unreached.
///
/// Raises RG429 with the instant from which the row is allowed, 55000 without the index (key..., at), 53200 where the lock
/// table is full, 39P01, 42703 and the parser's errors for a trigger that is no such guard.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, judge(firing))
}

fn judge(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) || firing.event() == Event::Delete {
        return Err(attachment::otherwise(&ATTACHMENT, firing.table()));
    }
    let stretch = ahead::take(firing);
    if bypass::covers(firing) {
        outcome::bypassed(firing);
        return Ok(firing.new_row());
    }
    let rule = rule(firing.definition())?;
    let (new, slot) = (firing.new_row(), firing.new_in_slot());
    let Some(at) = new.get(rule.at.attno).map(|d| rule.clock.read(d)).filter(|at| is_finite(*at))
    else {
        return Ok(new);
    };
    if rule.predicate.is_some_and(|p| !p.is_true(slot)) {
        return Ok(new);
    }
    let key = rule.key.values(slot);
    if key.has_null() {
        return Ok(new);
    }
    let before = match firing.event() {
        Event::Update => time_before(rule, firing, &key),
        _ => None,
    };
    if before == Some(at) {
        return Ok(new);
    }
    let past = before.filter(|_| rule.options.own_past);
    let waits = lock(firing, rule, &key)?;
    let is_refused = match past {
        None => is_too_close(firing, rule, &key, at, stretch),
        Some(_) => here(|memory| {
            let mut spans = Buffer::new(memory, rule.options.max_rows.min(64) + 2);
            let from = From { written: Some(firing.table()), at };
            read(rule, &key, from, rule.reach, past, |span| spans.push(span));
            exceeds(sorted(rule, past, &mut spans), at, rule.options.max_rows)
        }),
    };
    if is_refused {
        let judged = Judged { at, past };
        let next = first_allowed(rule, &key, at, Some(judged));
        outcome::refuse(firing, rule.options.mode, Code::Rg429, |style| {
            reports::running(style, firing, rule, &key, at, next)
        })?;
    } else if !waits {
        outcome::passed(firing);
    }
    Ok(new)
}

/// Whether a row that has no past of its own shares a period with too many others, by what its statement knows of the
/// key or by a look into the index.
fn is_too_close(
    firing: Firing,
    rule: &Rule,
    key: &KeyValues,
    at: i64,
    stretch: Option<Stretch>,
) -> bool {
    let (max_rows, words, credit) =
        (rule.options.max_rows, rule.key.words(key), Credit::of(firing));
    let within = (at.saturating_sub(rule.reach), at.saturating_add(rule.reach));
    if let (Some(words), Some(stretch)) = (words, stretch) {
        let mut room = ahead::room();
        if let Some(spans) = stretch.covering(words, within, &mut room) {
            credit.was_worth_it(firing);
            stretch.keep();
            return exceeds(spans, at, max_rows);
        }
    }
    credit.looked(firing);
    here(|memory| {
        let mut spans = Buffer::new(memory, max_rows.min(64) + 2);
        let from = From { written: Some(firing.table()), at };
        let ([_], Some(words), true) = (rule.leaves, words, credit.reads_on()) else {
            read(rule, key, from, rule.reach, None, |span| spans.push(span));
            return exceeds(sorted(rule, None, &mut spans), at, max_rows);
        };
        let (mut beyond, mut known) = (0, i64::MAX);
        let snapshot = Deciding::take();
        for leaf in rule.leaves {
            leaf.read(from.written, snapshot, key, within.0, |at| {
                beyond += usize::from(at > within.1);
                if beyond > ahead::BEYOND {
                    known = at.saturating_sub(1);
                    return false;
                }
                if is_finite(at) {
                    spans.push(Span { at, end: rule.clock.plus(at, rule.period) });
                }
                true
            });
        }
        let moment = snapshot.moment();
        snapshot.done();
        ahead::keep(firing, words, moment, (within.0, known), spans.as_mut_slice());
        exceeds(spans.as_mut_slice(), at, max_rows)
    })
}

/// Takes the key's lock. A guard that only observes waits for nobody: of rows that others have not committed
/// yet it knows nothing but that their writer has the key, and tells of that; whether it had to.
fn lock(firing: Firing, rule: &Rule, key: &KeyValues) -> Result<bool, Report> {
    let hash = rule.key.hash(key.as_slice());
    if rule.options.mode == Mode::Enforce {
        locking::lock(Family::Keys, rule.root, hash, firing.definition())?;
        return Ok(false);
    }
    let seen = locking::observe_key(rule.root, hash);
    if seen != Seen::Free {
        let shown = rule.key.describe(firing.table(), rule.options.key, key);
        waiting::tell(firing, seen, shown);
    }
    Ok(seen != Seen::Free)
}

/// A row that has been written and is judged: its time, and the one it had before, where that counts.
#[derive(Clone, Copy)]
pub struct Judged {
    at: i64,
    past: Option<i64>,
}

/// The time that an UPDATEd row had before, where it counted under the same key.
fn time_before(rule: &Rule, firing: Firing, key: &KeyValues) -> Option<i64> {
    let slot = firing.old_in_slot();
    let at = firing.old().get(rule.at.attno).map(|d| rule.clock.read(d))?;
    if !is_finite(at) || rule.predicate.is_some_and(|p| !p.is_true(slot)) {
        return None;
    }
    let old = rule.key.more_values(slot);
    (!old.has_null() && rule.key.same_image(&old, key)).then_some(at)
}

/// Where reading begins: around this time, on behalf of a writer of this table.
#[derive(Clone, Copy)]
struct From<'t> {
    written: Option<Table<'t>>,
    at: i64,
}

/// Reads the rows of a key that may share a period with one at `from`, and those up to `ahead`
/// after it, in every leaf that can hold some, as of one moment; and a row's own `past`, which no
/// index holds any more.
fn read(
    rule: &Rule,
    key: &KeyValues,
    from: From,
    ahead: i64,
    past: Option<i64>,
    mut each: impl FnMut(Span),
) {
    let snapshot = Deciding::take();
    let (low, high) = (from.at.saturating_sub(rule.reach), from.at.saturating_add(ahead));
    if let Some(at) = past.filter(|at| (low..=high).contains(at)) {
        each(Span { at, end: rule.clock.plus(at, rule.period) });
    }
    for leaf in rule.leaves {
        leaf.read(from.written, snapshot, key, low, |at| {
            let inside = at <= high;
            if inside && is_finite(at) {
                each(Span { at, end: rule.clock.plus(at, rule.period) });
            }
            inside
        });
    }
    snapshot.done();
}

/// Spans of one leaf come in order; those of several, and a row's own past, are sorted in here.
fn sorted<'a>(rule: &Rule, past: Option<i64>, spans: &'a mut Buffer<Span>) -> &'a [Span] {
    let spans = spans.as_mut_slice();
    if rule.leaves.len() > 1 || past.is_some() {
        spans.sort_unstable_by_key(|s| s.at);
    }
    spans
}

/// The first instant from `from` on at which a row of the key is allowed; `judged` is a row that
/// stands there and is to be left out, its past apart.
///
/// Looks a few periods ahead at first, and as far as it takes only where all of that is taken: a
/// key may have many rows in the future.
pub fn first_allowed(rule: &Rule, key: &KeyValues, from: i64, judged: Option<Judged>) -> i64 {
    let past = judged.and_then(|row| row.past);
    let mut ahead = rule.reach.saturating_mul(4);
    here(|memory| {
        let mut spans = Buffer::new(memory, 64);
        loop {
            spans.clear();
            let mut left_out = judged.is_none();
            read(rule, key, From { written: None, at: from }, ahead, past, |span| {
                if !left_out && judged.is_some_and(|row| row.at == span.at) {
                    left_out = true;
                } else {
                    spans.push(span);
                }
            });
            let end_of = |at| rule.clock.plus(at, rule.period);
            let next =
                next_allowed(sorted(rule, past, &mut spans), from, rule.options.max_rows, end_of);
            if next.saturating_add(rule.reach) <= from.saturating_add(ahead) {
                return next;
            }
            ahead = ahead.saturating_mul(2);
        }
    })
}
