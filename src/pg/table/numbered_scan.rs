//! The numbers of one key, read in order from its index: the slots of a cap, or numbers that go on.

use super::ffi;
use super::relation::Table;
use crate::pg::base::error::Report;
use crate::pg::data::column::{read_integer, Column};
use crate::pg::data::row_slot::RowSlot;
use crate::pg::session::advisory_lock::noting_wait;
use crate::pg::session::snapshot::{dirty, Deciding};
use core::ffi::c_int;
use pgrx::pg_sys::{self, Datum, TransactionId};

/// Which end of the numbers a scan starts from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Lowest,
    Highest,
}

impl Direction {
    fn of_scan(self) -> pg_sys::ScanDirection::Type {
        match self {
            Direction::Lowest => pg_sys::ScanDirection::ForwardScanDirection,
            Direction::Highest => pg_sys::ScanDirection::BackwardScanDirection,
        }
    }
}

/// The numbers of one key being read. `Copy`: an ERROR leaves its parts to their owners.
#[derive(Clone, Copy)]
pub struct Scan<'t> {
    pub(super) table: Table<'t>,
    pub(super) index: pg_sys::Relation,
    pub(super) row: *mut pg_sys::TupleTableSlot,
    pub(super) conditions: *mut pg_sys::ScanKeyData,
    pub(super) count: usize,
    pub(super) number: Column,
}

/// The versions of rows in one slot, as a dirty snapshot sees them.
#[derive(Clone, Copy)]
struct Group {
    slot: i64,
    /// A committed version that nobody takes out.
    stays: bool,
    /// An uncommitted version.
    arriving: bool,
    /// Who takes a version out.
    leaving: Option<TransactionId>,
}

impl Default for Group {
    fn default() -> Group {
        Group { slot: i64::MIN, stays: false, arriving: false, leaving: None }
    }
}

impl Group {
    /// Whether the slot is one of the cap's and stays taken or may: a version that only arrives has
    /// found the slot free.
    fn is_taken(&self, slots: i64) -> bool {
        (1..=slots).contains(&self.slot) && (self.stays || self.leaving.is_some())
    }

    /// Whom to wait for. One that also arrives is an update that keeps the slot.
    fn leaver(&self) -> Option<TransactionId> {
        self.leaving.filter(|_| !self.stays && !self.arriving)
    }
}

/// One pass over the key's rows under one deciding snapshot.
#[derive(Clone, Copy)]
pub struct Pass<'t> {
    scan: pg_sys::IndexScanDesc,
    snapshot: Deciding,
    table: Table<'t>,
    row: *mut pg_sys::TupleTableSlot,
    number: Column,
    direction: pg_sys::ScanDirection::Type,
    /// How many rows have been found.
    found: u32,
    /// The page of the visibility map that is pinned, or 0.
    map: pg_sys::Buffer,
}

/// From this row on the visibility map is asked first: pinning its page costs as much as looking at a
/// few rows, and looking at a row several times what asking the map does.
const MANY: u32 = 16;

impl<'t> Scan<'t> {
    unsafe fn begin(
        &self,
        snapshot: pg_sys::Snapshot,
        count: usize,
        want_entries: bool,
    ) -> pg_sys::IndexScanDesc {
        // SAFETY: table and index are open, the conditions are complete.
        unsafe {
            let scan = ffi::index_beginscan(
                self.table.as_raw(),
                self.index,
                snapshot,
                #[cfg(since_pg18)]
                core::ptr::null_mut(),
                count as c_int,
                0,
                #[cfg(since_pg19)]
                pg_sys::ScanOptions::SO_NONE,
            );
            // The scan makes room for the entries when it is started.
            (*scan).xs_want_itup = want_entries;
            ffi::index_rescan(scan, self.conditions, count as c_int, core::ptr::null_mut(), 0);
            scan
        }
    }

    /// Reads the taken slots in order.
    #[inline]
    pub fn pass(&self, direction: Direction) -> Pass<'t> {
        let snapshot = Deciding::take();
        // The whole of a key is read from the index entries; for one slot copying a page of them
        // would not pay.
        let want_entries = direction == Direction::Lowest;
        // SAFETY: as in `begin`; the snapshot is registered until `Pass::done`.
        let scan = unsafe { self.begin(snapshot.as_raw(), self.count, want_entries) };
        Pass {
            scan,
            snapshot,
            table: self.table,
            row: self.row,
            number: self.number,
            direction: direction.of_scan(),
            found: 0,
            map: 0,
        }
    }

    /// Whether a slot of the key is taken, as of now.
    #[inline]
    pub fn is_taken(&self, slot: i64) -> bool {
        self.look(Direction::Lowest, slot, |found| found)
    }

    /// The number that comes first of those that meet the index's condition on the number, as of now: a slot
    /// itself, or of numbers that go on the lowest or highest that is not below `number`.
    #[inline]
    pub fn first(&self, direction: Direction, number: i64) -> Option<i64> {
        self.look(direction, number, |found| {
            // SAFETY: the row is the one that was found.
            found.then(|| unsafe { read_number(self.row, self.number) })
        })
    }

    /// Hands `read` whether a row was found; it stands in the scan's place for one meanwhile.
    #[inline]
    fn look<T>(&self, direction: Direction, number: i64, read: impl FnOnce(bool) -> T) -> T {
        let snapshot = Deciding::take();
        // SAFETY: as in `begin`; the condition on the number follows those on the key.
        unsafe {
            (*self.conditions.add(self.count)).sk_argument = Datum::from(number);
            let scan = self.begin(snapshot.as_raw(), self.count + 1, false);
            let found = read(ffi::index_getnext_slot(scan, direction.of_scan(), self.row));
            ffi::index_endscan(scan);
            clear(self.row);
            snapshot.done();
            found
        }
    }

    /// Waits for a transaction that is taking a row out of a slot; `false` if there is none and all
    /// `slots` are taken. A row whose new version keeps the slot stays in it, whatever becomes of that
    /// transaction. Where fewer are taken, one that was leaving has left since the caller looked, and
    /// where a row is just arriving, another has left its slot: the caller decides again.
    pub fn wait_for_leaver(&self, slots: i64, before_wait: impl FnOnce()) -> Result<bool, Report> {
        let mut snapshot = dirty();
        let mut leaver: Option<TransactionId> = None;
        // SAFETY: as in `begin`; a dirty snapshot needs no registration and reports the writers of
        // the row just returned in xmin and xmax.
        unsafe {
            let scan = self.begin(&mut snapshot, self.count, false);
            let mut taken = 0;
            let mut group = Group::default();
            let direction = pg_sys::ScanDirection::ForwardScanDirection;
            loop {
                let found = ffi::index_getnext_slot(scan, direction, self.row);
                let slot = if found { read_number(self.row, self.number) } else { i64::MIN };
                if slot != group.slot {
                    taken += group.is_taken(slots) as i64;
                    leaver = leaver.or(group.leaver());
                    group = Group { slot, ..Group::default() };
                }
                if !found {
                    break;
                }
                let in_progress = |xid| xid != pg_sys::InvalidTransactionId;
                if in_progress(snapshot.xmax) {
                    group.leaving = Some(snapshot.xmax);
                } else if in_progress(snapshot.xmin) {
                    group.arriving = true;
                } else {
                    group.stays = true;
                }
            }
            ffi::index_endscan(scan);
            clear(self.row);
            match leaver {
                None => Ok(taken < slots),
                Some(xid) => {
                    let none = pg_sys::XLTW_Oper::XLTW_None;
                    before_wait();
                    noting_wait(|| {
                        ffi::XactLockTableWait(
                            xid,
                            core::ptr::null_mut(),
                            core::ptr::null_mut(),
                            none,
                        )
                    })?;
                    Ok(true)
                }
            }
        }
    }

    /// Closes the index.
    #[inline]
    pub fn close(self) {
        // SAFETY: opened in `NumberedIndex::open`.
        unsafe { ffi::index_close(self.index, pg_sys::NoLock as c_int) }
    }
}

impl Pass<'_> {
    /// Whether what the pass has found free is still so.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.snapshot.is_current()
    }

    /// The next taken slot. Its number is read from the index entry: taking the row apart to its last
    /// column would cost more than finding it.
    #[inline]
    pub fn next_taken(&mut self) -> Option<i64> {
        // SAFETY: the scan is open; in index entries, where it hands them out, the slot follows the
        // key and is never NULL.
        unsafe {
            if !(*self.scan).xs_want_itup {
                return ffi::index_getnext_slot(self.scan, self.direction, self.row)
                    .then(|| read_number(self.row, self.number));
            }
            loop {
                let place = ffi::index_getnext_tid(self.scan, self.direction);
                if place.is_null() {
                    return None;
                }
                if self.is_visible_to_all(place) || ffi::index_fetch_heap(self.scan, self.row) {
                    break;
                }
            }
            self.found += 1;
            let (entry, desc) = ((*self.scan).xs_itup, (*self.scan).xs_itupdesc);
            let value = ffi::nocache_index_getattr(entry, (*self.scan).numberOfKeys + 1, desc);
            Some(read_integer(value, self.number.type_oid))
        }
    }

    /// Whether a row need not be looked at, as in an index-only scan. nodeIndexonlyscan.c explains
    /// why the map is never stale in a way that matters: who inserts clears the bit before the entry
    /// is there to be read, who deletes before committing, and so before the snapshot.
    #[inline]
    unsafe fn is_visible_to_all(&mut self, place: pg_sys::ItemPointer) -> bool {
        if self.found < MANY {
            return false;
        }
        // SAFETY: the place comes from the table's index; the map's page is released in `done`.
        unsafe {
            let block = pgrx::itemptr::item_pointer_get_block_number_no_check(*place);
            let status = ffi::visibilitymap_get_status(self.table.as_raw(), block, &mut self.map);
            let visible = status as u32 & pg_sys::VISIBILITYMAP_ALL_VISIBLE != 0;
            if visible {
                // What looking at the row would have done for SERIALIZABLE.
                ffi::PredicateLockPage(self.table.as_raw(), block, self.snapshot.as_raw());
            }
            visible
        }
    }

    /// Ends the pass.
    #[inline]
    pub fn done(self) {
        // SAFETY: begun in `Scan::pass`.
        unsafe {
            ffi::index_endscan(self.scan);
            clear(self.row);
            if self.map != 0 {
                ffi::ReleaseBuffer(self.map);
            }
        }
        self.snapshot.done();
    }
}

/// ExecClearTuple: lets go of the buffer the row was in.
unsafe fn clear(row: *mut pg_sys::TupleTableSlot) {
    // SAFETY: the slot was made by table_slot_create.
    unsafe {
        if let Some(clear) = (*(*row).tts_ops).clear {
            clear(row);
        }
    }
}

/// The number of a row that a scan has found.
unsafe fn read_number(row: *mut pg_sys::TupleTableSlot, number: Column) -> i64 {
    // SAFETY: the row is one of the table's; no scan returns one without a number.
    unsafe { RowSlot::from_raw(row) }.integer(number).unwrap_or_default()
}
