//! The numbers of one key, read in order from its index: the slots of a cap, or numbers that go on.

use super::ffi;
use super::relation::Table;
use super::scan_row::clear;
use crate::pg::base::error::Report;
use crate::pg::base::stop::stop;
use crate::pg::data::column::{read_integer, Column};
use crate::pg::data::row_slot::RowSlot;
use crate::pg::session::advisory_lock::noting_wait;
use crate::pg::session::snapshot::{dirty, Deciding, Standstill};
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

/// A version of a row as a dirty snapshot sees it.
#[derive(Clone, Copy)]
pub enum Version {
    /// Committed, and nobody takes it out.
    Stays,
    /// Not committed yet, and not taken out again.
    Arrives,
    /// This transaction takes it out.
    Leaves(TransactionId),
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
        conditions: *mut pg_sys::ScanKeyData,
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
            ffi::index_rescan(scan, conditions, count as c_int, core::ptr::null_mut(), 0);
            scan
        }
    }

    /// Reads the taken slots in order.
    #[inline]
    pub fn pass(&self, direction: Direction) -> Pass<'t> {
        // The whole of a key is read from the index entries; for one slot copying a page of them
        // would not pay.
        self.pass_under(self.conditions, self.count, direction, direction == Direction::Lowest)
    }

    /// Reads the taken slots in order, from this one on.
    #[inline]
    pub fn pass_from(&self, slot: i64) -> Pass<'t> {
        // SAFETY: the second set of conditions stands behind the first, and is as long.
        let conditions = unsafe {
            let (parts, from) = (self.conditions, self.conditions.add(self.count + 1));
            for i in 0..self.count {
                (*from.add(i)).sk_argument = (*parts.add(i)).sk_argument;
            }
            (*from.add(self.count)).sk_argument = Datum::from(slot);
            from
        };
        self.pass_under(conditions, self.count + 1, Direction::Lowest, false)
    }

    #[inline]
    fn pass_under(
        &self,
        conditions: *mut pg_sys::ScanKeyData,
        count: usize,
        direction: Direction,
        want_entries: bool,
    ) -> Pass<'t> {
        let snapshot = Deciding::take();
        // SAFETY: as in `begin`; the snapshot is registered until `Pass::done`.
        let scan = unsafe { self.begin(snapshot.as_raw(), conditions, count, want_entries) };
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
            let scan = self.begin(snapshot.as_raw(), self.conditions, self.count + 1, false);
            let found = read(ffi::index_getnext_slot(scan, direction.of_scan(), self.row));
            ffi::index_endscan(scan);
            clear(self.row);
            snapshot.done();
            found
        }
    }

    /// Hands on all versions of rows in the order of their numbers. Under a dirty snapshot the scan does not stop at one
    /// moment, and can miss rows.
    pub fn look_dirtily(&self, mut see: impl FnMut(i64, Version)) {
        let mut snapshot = dirty();
        // SAFETY: as in `begin`; a dirty snapshot needs no registration and reports the writers of
        // the row just returned in xmin and xmax.
        unsafe {
            let scan = self.begin(&mut snapshot, self.conditions, self.count, false);
            let direction = pg_sys::ScanDirection::ForwardScanDirection;
            while ffi::index_getnext_slot(scan, direction, self.row) {
                let in_progress = |xid| xid != pg_sys::InvalidTransactionId;
                let version = if in_progress(snapshot.xmax) {
                    Version::Leaves(snapshot.xmax)
                } else if in_progress(snapshot.xmin) {
                    // Of such a version HeapTupleSatisfiesDirty does not tell whether its writer has taken it out again.
                    if is_going(self.row) {
                        continue;
                    }
                    Version::Arrives
                } else {
                    Version::Stays
                };
                see(read_number(self.row, self.number), version);
                stop(c"raceguard-cap-row-read");
            }
            ffi::index_endscan(scan);
            clear(self.row);
        }
    }

    /// The file that holds the index: another one after TRUNCATE or REINDEX.
    pub fn file(&self) -> u32 {
        // SAFETY: the index is open.
        unsafe {
            #[cfg(not(since_pg16))]
            return (*self.index).rd_node.relNode.to_u32();
            #[cfg(since_pg16)]
            return (*self.index).rd_locator.relNumber.to_u32();
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

    /// When its snapshot was taken.
    #[inline]
    pub fn moment(&self) -> Standstill {
        self.snapshot.moment()
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
            Some(self.number_of((*self.scan).xs_itup))
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

    /// The last of the taken slots that follow `slot`, which was found last, without a gap: as far as the page of
    /// the index that the scan has in hand goes, and its rows are visible to all. Going from entry to entry by
    /// the access method takes several times as long.
    #[inline]
    pub fn skip(&mut self, slot: i64) -> i64 {
        // SAFETY: the scan is open.
        match self.found > MANY && unsafe { (*self.scan).xs_want_itup } {
            true => self.skip_within_page(slot),
            false => slot,
        }
    }

    /// The map is asked once for a block: the entries of the page were in the index before that, and its bit was
    /// cleared before they were (see [`Pass::is_visible_to_all`]).
    fn skip_within_page(&mut self, slot: i64) -> i64 {
        let (mut last, mut visible) = (slot, pg_sys::InvalidBlockNumber);
        // SAFETY: the index is a btree, whose scan keeps what it has read of a page in `items`, up to `lastItem`, and
        // the entries in `currTuples`; `itemIndex` is that of the entry handed out last.
        unsafe {
            let state = (*self.scan).opaque as *mut pg_sys::BTScanOpaqueData;
            let position = &raw mut (*state).currPos;
            while (*position).itemIndex < (*position).lastItem {
                let item = (*position).items.as_ptr().add((*position).itemIndex as usize + 1);
                let place = &raw const (*item).heapTid;
                let block =
                    pgrx::itemptr::item_pointer_get_block_number_no_check(core::ptr::read(place));
                if block != visible {
                    if !self.is_visible_to_all(place.cast_mut()) {
                        break;
                    }
                    visible = block;
                }
                let entry = (*state).currTuples.add((*item).tupleOffset as usize);
                let found = self.number_of(entry.cast());
                if !(last..=last + 1).contains(&found) {
                    break;
                }
                (*position).itemIndex += 1;
                last = found;
            }
        }
        last
    }

    /// The number in an index entry: it follows the key and is never NULL.
    #[inline]
    unsafe fn number_of(&self, entry: pg_sys::IndexTuple) -> i64 {
        // SAFETY: the caller passes an entry of the scan.
        unsafe {
            let desc = (*self.scan).xs_itupdesc;
            let value = ffi::nocache_index_getattr(entry, (*self.scan).numberOfKeys + 1, desc);
            read_integer(value, self.number.type_oid)
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

/// The number of a row that a scan has found.
unsafe fn read_number(row: *mut pg_sys::TupleTableSlot, number: Column) -> i64 {
    // SAFETY: the row is one of the table's; no scan returns one without a number.
    unsafe { RowSlot::from_raw(row) }.integer(number).unwrap_or_default()
}

/// Whether an uncommitted version has been taken out again. Read without the page's lock: who writes at this moment counts
/// as before or after.
unsafe fn is_going(row: *mut pg_sys::TupleTableSlot) -> bool {
    // SAFETY: a scan of a heap has put a row there, and keeps its page pinned.
    unsafe {
        if (*row).tts_ops != &raw const pg_sys::TTSOpsBufferHeapTuple {
            return false;
        }
        let tuple = (*(row as *mut pg_sys::HeapTupleTableSlot)).tuple;
        let header = core::ptr::read((*tuple).t_data);
        let mask = header.t_infomask as u32;
        let locked_only = mask & pg_sys::HEAP_XMAX_LOCK_ONLY != 0;
        if mask & pg_sys::HEAP_XMAX_INVALID != 0 || locked_only {
            return false;
        }
        // Several lockers and a writer: his number is not worth finding out, one wait more does no harm.
        mask & pg_sys::HEAP_XMAX_IS_MULTI != 0
            || !ffi::TransactionIdDidAbort(header.t_choice.t_heap.t_xmax)
    }
}

/// Waits until a transaction, or the part of it that has this number and is undone, has ended.
pub fn wait_for_transaction(xid: TransactionId) -> Result<(), Report> {
    noting_wait(|| {
        // SAFETY: the number was that of a running transaction.
        unsafe {
            ffi::XactLockTableWait(
                xid,
                core::ptr::null_mut(),
                core::ptr::null_mut(),
                pg_sys::XLTW_Oper::XLTW_None,
            )
        }
    })
}
