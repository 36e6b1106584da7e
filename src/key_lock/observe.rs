//! A key lock that only observes: it takes a key where nobody has it, and where somebody has, it tells of
//! the writer who would have waited. It waits for nobody and refuses nothing.

use crate::guard::locking::{self, Seen};
use crate::guard::outcome;
use crate::guard::own_writes;
use crate::guard::waiting;
use crate::key_lock::locks::locked;
use crate::key_lock::protocol::{in_order, Locked};
use crate::key_lock::rule::Rule;
use crate::pg::per_backend::PerBackend;
use crate::pg::row_slot::RowSlot;
use crate::pg::text::PgText;
use crate::pg::trigger::{Event, Firing};
use crate::pg::tuple::Row;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

/// Keys of a row that somebody else has.
type Told = [Option<(Oid, Locked)>; 2];

/// The keys of which the first trigger has told, for the last one, which meets the same row: there it is told of
/// once. A row that a trigger of the table writes in between hides that.
static TOLD: PerBackend<Cell<Told>> = PerBackend::new(Cell::new([None; 2]));

/// Looks at the keys of the row as the statement gives it. Plain frames.
pub fn observe_first(rule: &Rule, firing: Firing) {
    TOLD.set(observe_written(rule, firing, [None; 2]));
}

/// Looks at the keys of the row as it has come to be, unless that is `done`. Plain frames.
pub fn observe_last(rule: &Rule, firing: Firing, done: bool) {
    let mut told = TOLD.take();
    if !done {
        let more = observe_written(rule, firing, told);
        told = [told[0].or(more[0]), told[1].or(more[1])];
    }
    if told == [None; 2] {
        outcome::passed(firing);
    }
}

/// Tells of the keys that somebody else has and that were not `told` of, and answers which those are.
fn observe_written(rule: &Rule, firing: Firing, told: Told) -> Told {
    let old = || key(rule, firing, firing.old(), firing.old_in_slot());
    let new = || key(rule, firing, firing.new_row(), firing.new_in_slot());
    let keys = match firing.event() {
        Event::Insert => (None, new()),
        Event::Delete => (old(), None),
        Event::Update if own_writes::is_backfill(firing) => return [None; 2],
        Event::Update if rule.key.is_unchanged(firing.old(), firing.new_row()) => (None, new()),
        Event::Update => (old(), new()),
    };
    in_order(keys.0, keys.1).map(|key| {
        let known = key.map(|key| (rule.root, key)).filter(|known| !told.contains(&Some(*known)));
        let (_, key) = known?;
        let seen = observe(rule, key);
        if seen == Seen::Free {
            return None;
        }
        waiting::tell(firing, seen, shown(rule, firing));
        known
    })
}

/// What a row would be locked by. A key that has no lock is told of: a locking guard refuses the row.
fn key(rule: &Rule, firing: Firing, row: Row, in_slot: RowSlot) -> Option<Locked> {
    match locked(rule, row, in_slot) {
        Ok(key) => key,
        Err(report) => {
            outcome::observed(firing, "22003", report.message_text());
            None
        }
    }
}

fn observe(rule: &Rule, Locked(key): Locked) -> Seen {
    match rule.options.namespace {
        None => locking::observe_key(rule.root, key),
        Some(namespace) => locking::observe_in_namespace(namespace, key as i32),
    }
}

/// The key, where the writer may see it.
fn shown(rule: &Rule, firing: Firing) -> Option<PgText> {
    let slot = match firing.event() {
        Event::Delete => firing.old_in_slot(),
        _ => firing.new_in_slot(),
    };
    let key = rule.key.values(slot);
    rule.key.describe(firing.table(), rule.options.key, &key)
}
