//! What this session has counted, guard by guard.
//!
//! A row that passes is counted in the session's own memory (an atomic in shared memory would cost several times the
//! guard's fast path) and added to the shared counters when the transaction ends, whichever way. Everything else is
//! rare, and goes to the shared counters at once.
//!
//! **What is remembered, and what makes it stale.** For a trigger's OID, which guard's counters it counts in. OIDs are
//! not reused within a session's life but after four thousand million; a clone keeps its root; and whose a place of the
//! table is, its key tells. What finds no place counts nowhere until the transaction ends, and looks again after.

use crate::guard::stats::counters::{Counters, Word, WORDS};
use crate::guard::stats::layout::{key, Heading};
use crate::guard::stats::table;
use crate::guard::stats::winners;
use crate::pg::advisory_lock;
use crate::pg::alloc::is_exiting;
use crate::pg::guc;
use crate::pg::per_backend::PerBackend;
use crate::pg::transaction_end::{self, Listener};
use crate::pg::trigger::{find_all, Definition};
use crate::pg::trigger_catalog;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};

/// The guards a session may alternate between without looking one up again: those of a dozen tables.
const TALLIES: usize = 64;

/// What is known of one trigger. No trigger has the OID 0.
struct Tally {
    trigger: Cell<u32>,
    /// Rows that passed and are not yet added.
    passed: Cell<u64>,
    counters: Cell<Counters>,
    key: Cell<u64>,
}

/// Where those count who have found no place. Its key is 0.
static NOWHERE: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

static SESSION: PerBackend<[Tally; TALLIES]> = PerBackend::new(
    [const {
        Tally {
            trigger: Cell::new(0),
            passed: Cell::new(0),
            counters: Cell::new(Counters(&NOWHERE)),
            key: Cell::new(0),
        }
    }; TALLIES],
);

/// The tallies that the transaction has used, a bit for each: its end looks at no others.
static USED: PerBackend<Cell<u64>> = PerBackend::new(Cell::new(0));
const _: () = assert!(TALLIES == u64::BITS as usize);

static LISTENER: Listener = Listener {
    before_commit: || {
        if guc::explains_conflicts() && used(USED.get()).any(|tally| tally.passed.get() > 0) {
            winners::record();
        }
        Ok(())
    },
    ended: || {
        if !is_exiting() {
            used(USED.take()).for_each(settle);
            advisory_lock::take_news();
        }
    },
    // The locks that it took are about to go, and with them what keeps triggers and their entries.
    rolled_back: |_| {
        if table::is_persistent() {
            SESSION.iter().for_each(settle)
        }
    },
    released: |_| {},
};

#[inline]
fn tally_of(trigger: u32) -> &'static Tally {
    &SESSION[trigger as usize % TALLIES]
}

/// The tallies whose bits are set.
fn used(bits: u64) -> impl Iterator<Item = &'static Tally> {
    let rest = |bits: &u64| Some(bits & (bits - 1)).filter(|bits| *bits != 0);
    let bits = core::iter::successors(Some(bits).filter(|bits| *bits != 0), rest);
    bits.map(|bits| tally_of(bits.trailing_zeros()))
}

/// Counts one row that a guard let pass. Plain frames.
#[inline]
pub fn passed(trigger: Definition) {
    if !guc::counts_passed() {
        return;
    }
    let id = trigger.id().to_u32();
    let tally = tally_of(id);
    if tally.passed.get() == 0 || tally.trigger.get() != id {
        first_in_transaction(tally, trigger);
    }
    tally.passed.set(tally.passed.get() + 1);
}

/// Finds out where a trigger counts, unless that is known since an earlier transaction. Plain frames.
fn first_in_transaction(tally: &'static Tally, trigger: Definition) {
    let id = trigger.id().to_u32();
    let (counters, key) = (tally.counters.get(), tally.key.get());
    if tally.trigger.get() != id || key == 0 || counters.key() != key {
        look_up(tally, trigger);
    }
    use_tally(id);
}

fn use_tally(trigger: u32) {
    USED.set(USED.get() | 1 << (trigger as usize % TALLIES));
}

/// Counts something that is rare. Plain frames.
#[cold]
pub fn count(trigger: Definition, word: Word, by: u64) {
    if guc::counts_refusals() {
        add(counters(trigger), word, by);
    }
}

/// Looks up where a trigger counts, so that [`count_if_known`] knows it. Plain frames.
pub fn know(trigger: Definition) {
    if guc::counts_refusals() {
        counters(trigger);
    }
}

/// Counts for a trigger that is known already, calling nothing of Postgres.
pub fn count_if_known(trigger: Definition, word: Word, by: u64) {
    let id = trigger.id().to_u32();
    let tally = tally_of(id);
    if guc::counts_refusals() && tally.trigger.get() == id {
        add(tally.counters.get(), word, by);
    }
}

/// The counters of the guard that a trigger belongs to, or of nobody where there is no room. Plain frames.
pub fn counters(trigger: Definition) -> Counters {
    let id = trigger.id().to_u32();
    let tally = tally_of(id);
    if tally.trigger.get() != id || tally.counters.get().key() != tally.key.get() {
        look_up(tally, trigger);
    }
    tally.counters.get()
}

fn add(counters: Counters, word: Word, by: u64) {
    counters.add(word, by);
    if counters.key() == 0 && word != Word::WaitTime {
        not_counted(by);
    }
}

fn not_counted(by: u64) {
    if let Some(overflow) = table::heading(Heading::Overflow) {
        overflow.fetch_add(by, Ordering::Relaxed);
    }
}

/// Adds what a tally holds to the shared counters. Calls nothing of Postgres, and looks at the counters only where the
/// running (sub)transaction has counted something: those of a trigger that is gone may be too.
fn settle(tally: &Tally) {
    let passed = tally.passed.take();
    let (counters, key) = (tally.counters.get(), tally.key.get());
    let mut found = key != 0;
    if passed > 0 {
        found = found && counters.key() == key;
        match found {
            true => counters.add(Word::Passed, passed),
            false => not_counted(passed),
        }
    }
    if !found {
        tally.trigger.set(0);
    }
}

/// Makes a tally a trigger's. Plain frames.
#[cold]
fn look_up(tally: &'static Tally, trigger: Definition) {
    static LISTENING: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));
    if !LISTENING.replace(true) {
        transaction_end::listen(&LISTENER);
    }
    settle(tally);
    tally.trigger.set(0);
    let guard = guard_of(trigger);
    let root = match guard.is_clone() {
        true => trigger_catalog::root_of(guard.id()),
        false => guard.id(),
    };
    let key = key(trigger_catalog::own_database(), root);
    let found = table::find_or_take(key).or_else(|| {
        if table::sweep() {
            table::find_or_take(key)
        } else {
            None
        }
    });
    tally.counters.set(found.unwrap_or(Counters(&NOWHERE)));
    tally.key.set(if found.is_some() { key } else { 0 });
    tally.trigger.set(trigger.id().to_u32());
    use_tally(trigger.id().to_u32());
}

/// The function of the guard that has triggers of a function beside its own.
pub type Whose = fn(companion: &str) -> Option<&'static str>;

static WHOSE: PerBackend<Cell<Option<Whose>>> = PerBackend::new(Cell::new(None));

/// Has [`guard_of`] know the companions of every kind of guard.
pub fn ask_for_companions(whose: Whose) {
    WHOSE.set(Some(whose));
}

/// The trigger that is the guard, for one that does a part of its work on the same table. Plain frames.
pub fn guard_of(trigger: Definition<'_>) -> Definition<'_> {
    let Some(whose) = WHOSE.get().and_then(|whose| whose(trigger.function())) else {
        return trigger;
    };
    find_all(trigger.table(), whose)
        .find(|guard| guard.argument(0) == trigger.argument(0))
        .unwrap_or(trigger)
}
