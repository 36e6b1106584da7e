//! A kind of statistics of raceguard's own within Postgres's cumulative statistics, which Postgres writes to a file when
//! it stops and reads when it starts. After a crash it begins with none.
//!
//! An entry is found by database and object and is a row of 64-bit words in shared memory, which every backend reaches
//! by atomics alone; Postgres's lock of the entry is not needed for that. Postgres drops the entries of a database with
//! it, and sets those of one to zero in `pg_stat_reset()`.
//!
//! Up to Postgres 17 there is no such thing, and no entry.

use core::sync::atomic::AtomicU64;

/// The words of an entry. Their number is part of the file: with another one Postgres would take the file for damaged,
/// and begin without any statistics, its own included. There are more than there is use for.
pub const WORDS: usize = 24;
/// The first word says whose the entry is; it is not in the file.
pub const OWNER: usize = 0;
/// When Postgres last set the entry to zero; 0 for never.
pub const RESET_AT: usize = 16;

pub type Words = &'static [AtomicU64; WORDS];

/// Database and object of an entry.
pub type EntryKey = (u32, u64);

#[cfg(not(since_pg18))]
#[path = "custom_statistics/before_18.rs"]
mod entries;
#[cfg(since_pg18)]
#[path = "custom_statistics/since_18.rs"]
mod entries;

pub use entries::{drop_entries, entry, is_registered, keys, register};
