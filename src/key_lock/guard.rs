//! Key locks: every writer of a key waits its turn, whoever writes.
//!
//! OLD's and NEW's key are locked, the smaller hash first, until the transaction ends. A NULL key
//! locks nothing. DELETE deletes.
//!
//! Two triggers run the guard. The first one fires before any other BEFORE trigger of the table, so
//! that these read under the lock. The guard itself fires last and locks the key that the row has
//! come to have; where no other trigger stands between, it has nothing to do. Where that holds for every
//! event the first one turns it off for the rest of the statement, and counts in its place.
//!
//! An UPDATE and a DELETE hold their row before any trigger fires. An upsert has to take the two in
//! the same order: it first finds and locks the row that it is about to change.

use crate::guard::attachment;
use crate::guard::bypass;
use crate::guard::locking::Trial;
use crate::guard::outcome::{self, Mode};
use crate::guard::own_writes;
use crate::key_lock::locks::{lock, lock_on_trial, locked, Locking};
use crate::key_lock::observe::{observe_first, observe_last};
use crate::key_lock::protocol::{self, lock_two, InTheWay, Locked, Upserter};
use crate::key_lock::rule::{FirstKeyLockRules, KeyLockRules, Rule, ATTACHMENT, FIRST_ATTACHMENT};
use crate::pg::error::Report;
use crate::pg::rule_cache;
use crate::pg::snapshot::Ended;
use crate::pg::stop::stop;
use crate::pg::trigger::{guard_entry, Event, Firing, Timing};
use crate::pg::trigger_order::{note, set_note, statement_is_current, turn_off};
use crate::pg::tuple::Row;
use crate::pg::upsert::{Found, Upsert};
use pgrx::pg_sys::{ItemPointerData, Oid};

guard_entry!(raceguard_key_lock_guard, "key_lock_guard", crate::key_lock::guard::fire);

guard_entry!(
    raceguard_key_lock_first_guard,
    "key_lock_first_guard",
    crate::key_lock::guard::fire_first
);

/// The trigger function `raceguard.key_lock_guard`, BEFORE INSERT OR UPDATE OR DELETE row trigger.
///
/// Arguments: the key as in CREATE INDEX, then `namespace=NUMBER` and `mode=enforce|observe`. Returns the row as it is,
/// when the keys of OLD and NEW are locked until the transaction ends. Serves the check that counts before it inserts.
///
/// Raises 53200 where the lock table is full, 22003 for a key that a namespace has no room for, 55P03 and 40P01 as any
/// lock, 39P01, 42703 and the parser's errors for a trigger that is no such guard.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, lock_last(firing))
}

#[inline]
fn lock_last(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) {
        return Err(attachment::otherwise(&ATTACHMENT, firing.table()));
    }
    if bypass::covers(firing) {
        outcome::bypassed(firing);
        return Ok(firing.pass());
    }
    let rule = rule_cache::rule::<KeyLockRules>(firing.definition())?;
    if rule.options.mode == Mode::Observe {
        observe_last(rule, firing, is_done(rule, firing));
        return Ok(firing.pass());
    }
    if !is_done(rule, firing) {
        lock_written(rule, firing)?;
    }
    outcome::passed(firing);
    Ok(firing.pass())
}

/// The trigger function `raceguard.key_lock_first_guard`, BEFORE INSERT OR UPDATE OR DELETE row trigger under a name that
/// sorts before all others: the table's own triggers read under the lock. Arguments, result and errors as of [`fire`].
pub fn fire_first(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, lock_first(firing))
}

#[inline]
fn lock_first(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) {
        return Err(attachment::otherwise(&FIRST_ATTACHMENT, firing.table()));
    }
    if bypass::covers(firing) {
        if note(firing) == Some(ALONE) {
            outcome::bypassed(firing);
        }
        return Ok(firing.pass());
    }
    let rule = rule_cache::rule::<FirstKeyLockRules>(firing.definition())?;
    if rule.options.mode == Mode::Observe {
        observe_first(rule, firing);
        return Ok(firing.pass());
    }
    let alone = match note(firing) {
        Some(known) => known == ALONE,
        None => turn_guard_off(firing, rule.follower),
    };
    lock_written(rule, firing)?;
    if alone {
        outcome::passed(firing);
    }
    Ok(firing.pass())
}

// What the first trigger notes for a statement.
const ALONE: u8 = 1;
const ACCOMPANIED: u8 = 0;

/// Turns the guard off for the statement where it would have nothing to do. Called before anything else
/// runs: what the rule says of the table's triggers is true at this moment.
#[inline(never)]
fn turn_guard_off(firing: Firing, follower: Option<Oid>) -> bool {
    let off = follower.is_some_and(|guard| turn_off(firing, guard));
    set_note(firing, if off { ALONE } else { ACCOMPANIED });
    off
}

/// Whether the first trigger has locked all there is to lock. Decided once for a statement, by what its
/// triggers are and not by what the table's have become meanwhile.
#[inline]
fn is_done(rule: &Rule, firing: Firing) -> bool {
    let done = note(firing).unwrap_or_else(|| {
        let done = if rule.done != 0 && statement_is_current(firing) { rule.done } else { 0 };
        set_note(firing, done);
        done
    });
    done & 1 << firing.event() as u8 != 0
}

/// Locks the keys of the row that is being written.
#[inline]
fn lock_written(rule: &Rule, firing: Firing) -> Result<(), Report> {
    match firing.event() {
        Event::Insert => {
            lock_inserted(rule, firing, locked(rule, firing.new_row(), firing.new_in_slot())?)
        }
        Event::Delete => {
            lock(rule, locked(rule, firing.old(), firing.old_in_slot())?, firing.definition())
        }
        Event::Update if own_writes::is_backfill(firing) => Ok(()),
        Event::Update => {
            let new = locked(rule, firing.new_row(), firing.new_in_slot())?;
            if rule.key.is_unchanged(firing.old(), firing.new_row()) {
                return lock(rule, new, firing.definition());
            }
            let old = locked(rule, firing.old(), firing.old_in_slot())?;
            lock_two(&Locking { rule, whose: firing.definition() }, old, new)
        }
    }
}

/// Locks the key of a row to be inserted: at once, or in an upsert after the row that is in the way.
#[inline]
fn lock_inserted(rule: &Rule, firing: Firing, key: Option<Locked>) -> Result<(), Report> {
    let Some(new) = key else { return Ok(()) };
    let locking = Locking { rule, whose: firing.definition() };
    let upserting = || Upsert::of(firing).map(|upsert| Upserting { locking, upsert });
    protocol::lock_inserted(&locking, upserting, new)
}

/// An upsert, before Postgres has looked for the row in its way.
struct Upserting<'a, 'r, 'f> {
    locking: Locking<'a, 'r>,
    upsert: Upsert<'f>,
}

impl Upserter for Upserting<'_, '_, '_> {
    type Failure = Report;
    type Row = ItemPointerData;
    type Moment = Ended;
    type Trial = Trial;

    fn now(&self) -> Ended {
        Ended::now()
    }

    fn find(&self) -> Option<ItemPointerData> {
        self.upsert.find()
    }

    fn lock_row(&self, row: ItemPointerData) -> Result<InTheWay, Report> {
        match self.upsert.lock(row) {
            Found::Gone => Ok(InTheWay::Gone),
            Found::Own => Ok(InTheWay::Own),
            Found::Locked(row, slot) => {
                let old = locked(self.locking.rule, row, slot)?;
                self.upsert.forget();
                Ok(InTheWay::Locked(old))
            }
        }
    }

    fn looked(&self) {
        stop(c"raceguard-key-looked");
    }

    fn lock_on_trial(&self, key: Locked) -> Result<Trial, Report> {
        lock_on_trial(self.locking.rule, key, self.locking.whose)
    }

    fn give_back(&self, trial: Trial) {
        trial.give_back();
    }
}
