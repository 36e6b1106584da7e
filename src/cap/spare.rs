//! The free slots that the last look into a key has found, beyond the one that it took: for the next row of the same
//! key in the same command, which need not look again.
//!
//! What was found free is still so while no transaction has ended, this session runs the same command in the same
//! subtransaction ([`Standstill`]), and each row that the command has put into the index meanwhile is known. So what is
//! spare belongs to one index, is taken out by every firing of its cap, whatever the row, and put back only by one that
//! has chosen a slot out of it. It is kept for keys of a few machine words, which are compared whole: two keys
//! with the same hash would share slots. It is not kept where the row of the former firing may
//! not stand where the guard put it: another trigger has the last word about rows, or the statement may
//! insert nothing (ON CONFLICT).
//!
//! A row that was not inserted although it was thought to be would leave a gap, and one that stands where nobody expected
//! it 23505, by the unique index. Where no slot is spare the key is looked through as ever.

use crate::pg::key::FEW;
use crate::pg::per_backend::PerBackend;
use crate::pg::snapshot::Standstill;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

/// Of how many indexes something is kept at once; a power of two.
const PLACES: usize = 16;

/// Free slots of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spare {
    pub index: Oid,
    pub key: [usize; FEW],
    pub moment: Standstill,
    /// The first and the last of them.
    pub next: i64,
    pub last: i64,
}

static SPARE: PerBackend<[Cell<Option<Spare>>; PLACES]> =
    PerBackend::new([const { Cell::new(None) }; PLACES]);

fn place(index: Oid) -> &'static Cell<Option<Spare>> {
    &SPARE[index.to_u32() as usize % PLACES]
}

/// Takes out what is kept of an index.
#[inline]
pub fn take(index: Oid) -> Option<Spare> {
    place(index).take().filter(|spare| spare.index == index && spare.next <= spare.last)
}

/// Keeps slots for the next firing.
#[inline]
pub fn keep(spare: Spare) {
    place(spare.index).set(Some(spare));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spare_is_taken_out_once() {
        let moment = Standstill::default();
        let spare = Spare { index: Oid::from(1), key: [1, 0, 0, 0], moment, next: 2, last: 3 };
        keep(spare);
        assert_eq!(take(Oid::from(1)), Some(spare));
        assert_eq!(take(Oid::from(1)), None);
        keep(spare);
        assert_eq!(take(Oid::from(1 + PLACES as u32)), None);
        assert_eq!(take(Oid::from(1)), None);
        keep(Spare { next: 4, ..spare });
        assert_eq!(take(Oid::from(1)), None);
    }
}
