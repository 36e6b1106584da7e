//! The free slots that the last look into a key has found, beyond the one that it took: for the next row of the same
//! key in the same command, which need not look again.
//!
//! What was found free is still so while no transaction has ended, this session runs the same command in the same
//! subtransaction (a moment of [`crate::cap::protocol::Slots`]), and each row that the command has put into the index meanwhile is known. So what is
//! spare belongs to one index, is taken out by every firing of its cap, whatever the row, and put back only by one that
//! has chosen a slot out of it. It is kept for keys of a few machine words, which are compared whole: two keys
//! with the same hash would share slots. It is not kept where the row of the former firing may
//! not stand where the guard put it: another trigger has the last word about rows, or the statement may
//! insert nothing (ON CONFLICT).
//!
//! A row that was not inserted although it was thought to be would leave a gap, and one that stands where nobody expected
//! it 23505, by the unique index. Where no slot is spare the key is looked through as ever.

use core::cell::Cell;

/// Of how many indexes something is kept at once; a power of two.
const PLACES: usize = 16;

/// Free slots of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spare<W, M> {
    /// The index by its number.
    pub index: u32,
    pub key: W,
    pub moment: M,
    /// The first and the last of them.
    pub next: i64,
    pub last: i64,
}

/// What one session keeps.
pub struct Spares<W, M>([Cell<Option<Spare<W, M>>>; PLACES]);

impl<W: Copy, M: Copy> Spares<W, M> {
    pub const fn new() -> Spares<W, M> {
        Spares([const { Cell::new(None) }; PLACES])
    }

    #[inline]
    fn place(&self, index: u32) -> &Cell<Option<Spare<W, M>>> {
        &self.0[index as usize % PLACES]
    }

    /// Takes out what is kept of an index.
    #[inline]
    pub fn take(&self, index: u32) -> Option<Spare<W, M>> {
        self.place(index).take().filter(|spare| spare.index == index && spare.next <= spare.last)
    }

    /// Keeps slots for the next firing.
    #[inline]
    pub fn keep(&self, spare: Spare<W, M>) {
        self.place(spare.index).set(Some(spare));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spare_is_taken_out_once() {
        let spares = Spares::new();
        let spare = Spare { index: 1, key: [1, 0, 0, 0], moment: 5, next: 2, last: 3 };
        spares.keep(spare);
        assert_eq!(spares.take(1), Some(spare));
        assert_eq!(spares.take(1), None);
        spares.keep(spare);
        assert_eq!(spares.take(1 + PLACES as u32), None);
        assert_eq!(spares.take(1), None);
        spares.keep(Spare { next: 4, ..spare });
        assert_eq!(spares.take(1), None);
    }
}
