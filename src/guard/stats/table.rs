//! The counters of all guards of the server, found by database and trigger: in [`blocks`] of shared memory, or, where the
//! operator wants them to survive a restart, in statistics of Postgres ([`persistent`]).
//!
//! A place is given back when nothing is left of its trigger, which is looked for only where there is no room.

use crate::guard::stats::blocks::{self, Block};
use crate::guard::stats::counters::{Counters, Word};
use crate::guard::stats::layout::{database_of, key, trigger_of, Heading};
use crate::guard::stats::persistent;
use crate::guard::stats::winners;
use crate::pg::custom_statistics;
use crate::pg::guc;
use crate::pg::instant::Clock;
use crate::pg::memory::{here, Buffer};
use crate::pg::shared_memory;
use crate::pg::trigger_catalog;
use core::sync::atomic::{AtomicU64, Ordering};
use pgrx::pg_sys::Oid;

/// Has the server keep room, if it is preloading the library: for the blocks and the ring of winners, or for the ring and
/// statistics in place of the blocks.
pub fn ask_for_room() {
    let blocks = match guc::stats_kind() {
        Some(kind) => {
            custom_statistics::register(kind);
            0
        }
        None => blocks::bytes(),
    };
    shared_memory::ask_for(blocks + winners::BYTES);
}

/// Whether the counters are statistics of Postgres, which survive a restart.
pub fn is_persistent() -> bool {
    custom_statistics::is_registered()
}

/// The counters of a guard, if it has some. Plain frames, or inside `catch`.
pub fn find(key: u64) -> Option<Counters> {
    match is_persistent() {
        true => persistent::find(key),
        false => blocks::find(key),
    }
}

/// The counters of a guard, new ones if it has none; `None` where there is no room. Plain frames, or inside `catch`.
pub fn find_or_take(key: u64) -> Option<Counters> {
    match is_persistent() {
        true => persistent::find_or_take(key),
        false => blocks::find_or_take(key),
    }
}

/// A word of the heading; `None` where nothing can be counted. Plain frames, or inside `catch`.
pub fn heading(word: Heading) -> Option<&'static AtomicU64> {
    match is_persistent() {
        true => persistent::heading(word),
        false => blocks::first_block().map(|block| block.heading(word)),
    }
}

/// Where the counters are, for people to read.
pub fn backing() -> &'static str {
    match heading(Heading::Made) {
        None => "none",
        Some(_) if is_persistent() => "custom statistics",
        Some(_) => shared_memory::KIND,
    }
}

/// How many guards have room, and how many have taken it. Plain frames, or inside `catch`.
pub fn room_and_used() -> (usize, usize) {
    if is_persistent() {
        return (persistent::room(), persistent::used());
    }
    let blocks = || blocks::blocks().into_iter().flatten();
    (blocks().map(Block::room).sum(), blocks().map(|block| block.taken().count()).sum())
}

/// Whether so many guards have counters that a new one has to wait for a dropped one's. Plain frames, or inside `catch`.
pub fn is_full() -> bool {
    is_persistent()
        && heading(Heading::Guards)
            .is_some_and(|taken| taken.load(Ordering::Relaxed) >= persistent::room() as u64)
}

/// Hands the counters of one database's guards to `visit`, each with its key and those of one guard one after the
/// other, and the place at which the database remembers its last reset. Nothing of Postgres is called by `visit`.
/// Plain frames, or inside `catch`.
pub fn each_of(database: Oid, visit: &mut dyn FnMut(u64, Counters)) {
    if is_persistent() {
        return persistent::each_of(database, visit);
    }
    here(|memory| {
        let mut places = Buffer::new(memory, 64);
        for place in blocks::blocks().into_iter().flatten().flat_map(Block::taken) {
            let key = place.key();
            if database_of(key) == database.to_u32() {
                places.push((key, place));
            }
        }
        let places = places.as_mut_slice();
        places.sort_unstable_by_key(|(key, _)| *key);
        places.iter().for_each(|(key, place)| visit(*key, *place));
    })
}

/// When all counters of a database were last set to zero; 0 for never. Plain frames, or inside `catch`.
pub fn reset_of(database: Oid) -> u64 {
    let key = key(database, Oid::INVALID);
    let own = find(key).map_or(0, |place| place.get(Word::LastConflictAt));
    match is_persistent() {
        true => own.max(persistent::reset_by_postgres(key)),
        false => own,
    }
}

/// Gives back the places of triggers that are gone, at most every ten seconds; whether it looked. Plain frames.
pub fn sweep() -> bool {
    if is_persistent() && !persistent::may_sweep() {
        return false;
    }
    let Some(swept) = heading(Heading::Swept) else { return false };
    let moment = Clock::TimestampTz.now() as u64 / 10_000_000;
    if swept.swap(moment, Ordering::Relaxed) == moment {
        return false;
    }
    if is_persistent() {
        persistent::sweep();
        return true;
    }
    for place in blocks::blocks().into_iter().flatten().flat_map(Block::taken) {
        let key = place.key();
        if !trigger_catalog::may_exist(database_of(key), trigger_of(key)) {
            Block::give_back(place, key);
        }
    }
    true
}
