//! There are none.

use super::{EntryKey, Words};
use crate::pg::base::memory::Memory;
use pgrx::pg_sys::Oid;

pub fn register(_kind: u32) {}

pub fn is_registered() -> bool {
    false
}

pub fn entry(_database: Oid, _object: u64, _create: bool) -> Option<(Words, bool)> {
    None
}

pub fn keys<'m>(_memory: Memory<'m>) -> &'m [EntryKey] {
    &[]
}

pub fn drop_entries(_keys: &[EntryKey]) {}
