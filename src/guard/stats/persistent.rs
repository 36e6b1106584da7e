//! The counters of guards as statistics of Postgres, one entry for each guard: Postgres keeps them over a restart, and
//! drops those of a database with it.
//!
//! **How long an entry's words may be used.** Postgres frees an entry once it is dropped and nobody refers to it any
//! more, and lets go of this session's reference whenever the session looks up statistics of any kind. Only
//! [`sweep`] drops one, and only of a trigger that is gone for everybody. A session looks at its counters of a
//! trigger while that fires, or has fired in the running (sub)transaction, whose lock of the table keeps the trigger: the
//! tallies of [`super::session`] hold to that. A transaction that has written may have dropped a trigger and may yet roll
//! that back, so it does not sweep.

use crate::guard::stats::counters::{Counters, Word, WORDS};
use crate::guard::stats::layout::{database_of, key, trigger_of, Heading};
use crate::pg::custom_statistics::{self as statistics, EntryKey, Words, OWNER, RESET_AT};
use crate::pg::guc;
use crate::pg::instant::Clock;
use crate::pg::memory::{here, Buffer};
use crate::pg::per_backend::PerBackend;
use crate::pg::{trigger_catalog, xid};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use pgrx::pg_sys::Oid;

const _: () = assert!(Word::Key as usize == OWNER && WORDS <= RESET_AT);

/// For how many guards counters are kept.
pub fn room() -> usize {
    guc::max_guards().unwrap_or_default()
}

/// How many guards have some. Plain frames, or inside `catch`.
pub fn used() -> usize {
    here(|memory| statistics::keys(memory).iter().filter(|(_, object)| *object != 0).count())
}

fn database(key: u64) -> Oid {
    Oid::from(database_of(key))
}

fn object(key: u64) -> u64 {
    u64::from(trigger_of(key))
}

/// The words of an entry that stands, with its owner in them: that is not in the file.
fn words(key: u64) -> Option<Words> {
    let (words, _) = statistics::entry(database(key), object(key), false)?;
    words[OWNER].store(key, Ordering::Release);
    Some(words)
}

fn counters(words: Words) -> Option<Counters> {
    words.first_chunk().map(Counters)
}

/// A word of what is kept beside the counters of all guards, in an entry that belongs to no database and is never
/// dropped.
pub fn heading(word: Heading) -> Option<&'static AtomicU64> {
    static FOUND: PerBackend<Cell<Option<Words>>> = PerBackend::new(Cell::new(None));
    let words = match FOUND.get() {
        Some(words) => words,
        None => {
            let (words, _) = statistics::entry(Oid::INVALID, 0, true)?;
            let now = Clock::TimestampTz.now() as u64;
            let made = &words[1 + Heading::Made as usize];
            let _ = made.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            FOUND.set(Some(words));
            words
        }
    };
    Some(&words[1 + word as usize])
}

/// The counters of a guard, if it has some.
pub fn find(key: u64) -> Option<Counters> {
    words(key).and_then(counters)
}

/// The counters of a guard, new ones if it has none; `None` where so many have some already.
pub fn find_or_take(key: u64) -> Option<Counters> {
    let taken = heading(Heading::Guards)?;
    if let Some(found) = find(key) {
        return Some(found);
    }
    if taken.load(Ordering::Relaxed) >= room() as u64 {
        return None;
    }
    if object(key) != 0 {
        // Where Postgres notes that it has set those of the database to zero.
        statistics::entry(database(key), 0, true)?;
    }
    let (words, is_new) = statistics::entry(database(key), object(key), true)?;
    if is_new && object(key) != 0 {
        taken.fetch_add(1, Ordering::Relaxed);
    }
    words[OWNER].store(key, Ordering::Release);
    counters(words)
}

/// When Postgres last set the counters of a database to zero; 0 for never.
pub fn reset_by_postgres(key: u64) -> u64 {
    words(key).map_or(0, |words| words[RESET_AT].load(Ordering::Relaxed))
}

/// Hands the counters of one database to `visit`, which calls nothing of Postgres.
pub fn each_of(database: Oid, visit: &mut dyn FnMut(u64, Counters)) {
    here(|memory| {
        let keys = statistics::keys(memory).iter();
        for (_, object) in keys.filter(|(of, _)| *of == database.to_u32()) {
            let key = key(database, Oid::from(*object as u32));
            if let Some(counters) = find(key) {
                visit(key, counters);
            }
        }
    })
}

/// Whether this transaction has not written anything: it cannot have dropped a trigger.
pub fn may_sweep() -> bool {
    xid::top().is_none()
}

/// Drops the entries of triggers that are gone. Plain frames or inside `catch`.
pub fn sweep() {
    let stay = here(|memory| {
        let mut gone: Buffer<EntryKey> = Buffer::new(memory, 64);
        let mut stay = 0;
        for (database, object) in statistics::keys(memory).iter().filter(|(_, o)| *o != 0) {
            match trigger_catalog::may_exist(*database, *object as u32) {
                true => stay += 1,
                false => gone.push((*database, *object)),
            }
        }
        let gone = gone.as_mut_slice();
        gone.sort_unstable();
        if !gone.is_empty() {
            statistics::drop_entries(gone);
        }
        stay
    });
    if let Some(taken) = heading(Heading::Guards) {
        taken.store(stay, Ordering::Relaxed);
    }
}
