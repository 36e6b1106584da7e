//! How far the slots of a key were taken when this session last looked through them.
//!
//! The lowest free slot is found by reading all taken ones below it, and a session that has just done so need not
//! do it again for the next row: it goes on from where it was. A hint is verified and never trusted. A slot found from
//! there on is free by the same look into the index as any other; where there is none the whole key is read, so that
//! no row is refused by what is remembered.
//!
//! What a hint can miss is a slot below it that was freed since. So it holds for a short time only, a few times
//! what reading the key took ([`TIMES`]), and never beyond what this session itself does to the key: it is forgotten at a
//! rollback, to a savepoint too, and by an UPDATE that takes a row out of its slot; by a DELETE, which fires no
//! trigger of the cap, the table's count of deletions has changed; after TRUNCATE the index has another file. It depends on
//! the index and the hash of the key: another key with the same hash costs a second look. What a cap's function
//! or number of slots is does not matter, since the search that uses the hint knows them.

use core::cell::Cell;
use std::time::{Duration, Instant};

/// How many keys are remembered; a power of two.
const PLACES: usize = 64;

/// Below this slot a key is read as a whole: that costs a microsecond or two.
pub const FROM: i64 = 64;

/// For how many times as long as the last look through the key took the next is put off: a twentieth of a session's
/// time at most goes into looking.
const TIMES: u32 = 20;

/// The longest time for which a look is put off.
const LONGEST: Duration = Duration::from_secs(1);

/// Of which key a hint is, and what has to be as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyAsSeen {
    pub index: u32,
    pub file: u32,
    pub hash: u32,
    /// How many rows of the table this session has deleted.
    pub deletions: i64,
}

#[derive(Clone, Copy)]
struct Bound {
    key: KeyAsSeen,
    /// The slots below were taken.
    next: i64,
    until: Instant,
}

/// What one session remembers.
pub struct Hints([Cell<Option<Bound>>; PLACES]);

impl Hints {
    pub const fn new() -> Hints {
        Hints([const { Cell::new(None) }; PLACES])
    }

    fn place(&self, key: KeyAsSeen) -> &Cell<Option<Bound>> {
        &self.0[key.hash as usize % PLACES]
    }

    /// The slot to look from. The clock is read where there is a hint.
    pub fn next(&self, key: KeyAsSeen, now: impl FnOnce() -> Instant) -> Option<i64> {
        let hint = self.place(key).get()?;
        (hint.key == key && now() < hint.until).then_some(hint.next)
    }

    /// Notes that the slots below `next` are taken, as a look through all of them found that took so long.
    pub fn looked(&self, key: KeyAsSeen, next: i64, took: Duration, now: Instant) {
        let put_off = took.saturating_mul(TIMES).min(LONGEST);
        let hint = now.checked_add(put_off).map(|until| Bound { key, next, until });
        self.place(key).set(hint);
    }

    /// Notes that those from where [`Hints::next`] pointed have been taken too.
    pub fn went_on(&self, key: KeyAsSeen, next: i64) {
        let place = self.place(key);
        place.set(place.get().map(|hint| Bound { next, ..hint }));
    }

    /// Forgets the keys of one index: a row has left its slot.
    pub fn forget(&self, index: u32) {
        for place in &self.0 {
            place.set(place.get().filter(|hint| hint.key.index != index));
        }
    }

    /// Forgets all: what was remembered may have been undone.
    pub fn forget_all(&self) {
        for place in &self.0 {
            place.set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(1);

    fn key(index: u32, hash: u32) -> KeyAsSeen {
        KeyAsSeen { index, file: 1, hash, deletions: 0 }
    }

    #[test]
    fn a_hint_is_of_one_key_as_it_was() {
        let (hints, start) = (Hints::new(), Instant::now());
        let next = |key| hints.next(key, || start);
        let one = key(1, 7);
        hints.looked(one, 500, LONG, start);
        assert_eq!(next(one), Some(500));
        assert_eq!(next(key(2, 7)), None);
        assert_eq!(next(key(1, 8)), None);
        assert_eq!(next(KeyAsSeen { file: 2, ..one }), None);
        assert_eq!(next(KeyAsSeen { deletions: 1, ..one }), None);
        hints.went_on(one, 501);
        assert_eq!(next(one), Some(501));
        hints.forget(2);
        assert_eq!(next(one), Some(501));
        hints.forget(1);
        assert_eq!(next(one), None);
        hints.went_on(one, 502);
        assert_eq!(next(one), None);
    }

    #[test]
    fn a_hint_ends_and_a_rollback_ends_all() {
        let (hints, start) = (Hints::new(), Instant::now());
        let next = |key| hints.next(key, || start);
        let (one, other) = (key(3, 20), key(3, 21));
        hints.looked(one, 500, Duration::ZERO, start);
        assert_eq!(next(one), None);
        hints.looked(one, 500, LONG, start);
        assert_eq!(hints.next(one, || start + LONGEST), None);
        hints.looked(other, 600, LONG, start);
        hints.forget_all();
        assert_eq!((next(one), next(other)), (None, None));
    }
}
