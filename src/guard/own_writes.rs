//! Lets one writer pass the version guard with a version that is no successor, raceguard's own
//! backfill, or with none at all, its numbering of slots.
//!
//! What it lets through depends on the call that runs, and ends with it: the values returned by [`begin`]
//! and [`begin_rows`] put back what was there before, after an error too, and no ERROR jumps over their
//! frames, which are caught ones. Meanwhile the call holds a lock on the table, so OID and column number mean
//! the same throughout; a write by another trigger of the table is told from the call's own by its values.

use crate::pg::per_backend::PerBackend;
use crate::pg::trigger::Firing;
use crate::pg::tuple::Row;
use crate::pg::version_value::VersionKind;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

/// What the backfill writes at the moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Numbers {
    /// The very table, not its partitions.
    pub table: Oid,
    /// The version column.
    pub attno: i16,
    pub kind: VersionKind,
    /// Rows below this version are given a new one.
    pub below: i64,
    /// New versions start here.
    pub from: i64,
}

impl Numbers {
    /// Whether an UPDATE takes a row from the old numbers to the new. A trigger of the table that
    /// writes to it in between has to state versions as anybody else: its write does not.
    fn include(&self, table: Oid, stored: Option<i64>, sent: Option<i64>) -> bool {
        self.table == table
            && stored.is_none_or(|version| version < self.below)
            && sent.is_some_and(|version| version >= self.from)
    }

    fn version(&self, row: Row) -> Option<i64> {
        row.get(self.attno).map(|value| self.kind.read(value))
    }
}

/// The table whose rows are being given slots or numbers, and whether that may wait for a slot.
static ROWS_OF: PerBackend<Cell<Option<(u32, bool)>>> = PerBackend::new(Cell::new(None));
static CURRENT: PerBackend<Cell<Option<Numbers>>> = PerBackend::new(Cell::new(None));

/// Ends the numbering when dropped, after an error too.
pub struct Numbering(Option<Numbers>);

/// Lets these numbers through until the result is dropped.
pub fn begin(numbers: Numbers) -> Numbering {
    Numbering(CURRENT.replace(Some(numbers)))
}

impl Drop for Numbering {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Ends the numbering of rows when dropped, after an error too.
pub struct NumberingRows(Option<(u32, bool)>);

/// UPDATEs of `table` that state no version leave it alone, until the result is dropped. A row that
/// is numbered waits for a slot, or for the row with its counter, only if `waits`: who holds many rows must not.
pub fn begin_rows(table: Oid, waits: bool) -> NumberingRows {
    NumberingRows(ROWS_OF.replace(Some((table.to_u32(), waits))))
}

impl Drop for NumberingRows {
    fn drop(&mut self) {
        ROWS_OF.set(self.0);
    }
}

/// Whether the rows of a table are being given slots or numbers.
#[inline]
pub fn is_numbering_rows(table: Oid) -> bool {
    ROWS_OF.get().is_some_and(|(numbered, _)| numbered == table.to_u32())
}

/// Whether the rows of a table are being given numbers by a call that waits for nobody, since it holds many of them.
#[inline]
pub fn must_not_wait(table: Oid) -> bool {
    ROWS_OF.get() == Some((table.to_u32(), false))
}

/// Whether a row of the table that has no slot yet may wait for one.
#[inline]
pub fn waits_for_slots(table: Oid) -> bool {
    ROWS_OF.get() == Some((table.to_u32(), true))
}

/// Whether an UPDATE from the version `stored` to the version `sent` is the backfill's.
#[cold]
pub fn is_numbering(table: Oid, stored: Option<i64>, sent: Option<i64>) -> bool {
    CURRENT.get().is_some_and(|numbers| numbers.include(table, stored, sent))
}

/// Whether the UPDATE that fires a row trigger is the backfill's: it changes nothing but the
/// version, so it is no business of guards of other kinds.
#[inline]
pub fn is_backfill(firing: Firing) -> bool {
    CURRENT.get().is_some_and(|numbers| {
        let (old, new) = (numbers.version(firing.old()), numbers.version(firing.new_row()));
        numbers.include(firing.table().oid(), old, new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_step_to_the_new_numbers_is_let_through() {
        let (orders, other) = (Oid::from(1), Oid::from(2));
        assert!(!is_numbering(orders, Some(1), Some(5000)));
        {
            let numbers = Numbers {
                table: orders,
                attno: 2,
                kind: VersionKind::Int8,
                below: 1001,
                from: 2001,
            };
            let _outer = begin(numbers);
            assert!(is_numbering(orders, Some(1), Some(2001)));
            assert!(is_numbering(orders, None, Some(2001)));
            assert!(!is_numbering(other, Some(1), Some(2001)));
            assert!(!is_numbering(orders, Some(1), Some(7)));
            assert!(!is_numbering(orders, Some(1), None));
            assert!(!is_numbering(orders, Some(2001), Some(3001)));
            {
                let _inner = begin(Numbers { table: other, ..numbers });
                assert!(!is_numbering(orders, Some(1), Some(2001)));
            }
            assert!(is_numbering(orders, Some(1), Some(2001)));
        }
        assert!(!is_numbering(orders, Some(1), Some(2001)));
    }
}
