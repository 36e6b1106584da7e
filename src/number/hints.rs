//! Where the highest number of a key was when this session last looked.
//!
//! Postgres reads a page of an index as a whole: of a key with many rows some hundred entries, to find
//! the last one. A scan that begins at the number given last reads one or two. A hint says nothing that has to be
//! true: where no row stands from there on the whole key is looked through, and where one does, the highest of
//! those is the highest of all. So nothing makes one stale: another key with the same place, a rollback or a deleted
//! row costs a second look, and rows of other sessions some more entries.

use crate::pg::per_backend::PerBackend;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

/// How many keys are remembered; a power of two.
const PLACES: usize = 64;

/// The index and the hash of a key, and a number.
type Hint = (u32, u32, i64);

static HINTS: PerBackend<[Cell<Hint>; PLACES]> =
    PerBackend::new([const { Cell::new((0, 0, 0)) }; PLACES]);

fn place(hash: u32) -> &'static Cell<Hint> {
    &HINTS[hash as usize % PLACES]
}

/// The number given last to a key.
pub fn last_given(index: Oid, hash: u32) -> Option<i64> {
    let (of_index, of_key, number) = place(hash).get();
    (of_index == index.to_u32() && of_key == hash).then_some(number)
}

/// Remembers it.
pub fn given(index: Oid, hash: u32, number: i64) {
    place(hash).set((index.to_u32(), hash, number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_of_one_index_and_key() {
        let (one, other) = (Oid::from(1), Oid::from(2));
        given(one, 7, 5);
        assert_eq!(last_given(one, 7), Some(5));
        assert_eq!(last_given(other, 7), None);
        assert_eq!(last_given(one, 7 + PLACES as u32), None);
        given(one, 7 + PLACES as u32, 9);
        assert_eq!(last_given(one, 7), None);
    }
}
