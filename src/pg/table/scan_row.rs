//! Where scans of an index put the rows they find: made once for a rule, and used by one scan at a time.

use super::ffi;
use super::relation::Table;
use crate::pg::base::memory::Memory;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, TupleTableSlot};

/// A place for a row, empty between scans.
#[derive(Clone, Copy)]
pub(in crate::pg) struct ScanRow<'m>(*mut *mut TupleTableSlot, PhantomData<Memory<'m>>);

impl<'m> ScanRow<'m> {
    /// One for the rows of a table.
    pub(in crate::pg) fn new(table: Table, memory: Memory<'m>) -> ScanRow<'m> {
        // SAFETY: the table is open.
        ScanRow::of_kind(table, unsafe { ffi::table_slot_callbacks(table.as_raw()) }, memory)
    }

    /// One for rows of a table that lie in memory.
    pub(in crate::pg) fn of_tuples(table: Table, memory: Memory<'m>) -> ScanRow<'m> {
        ScanRow::of_kind(table, &raw const pg_sys::TTSOpsHeapTuple, memory)
    }

    fn of_kind(
        table: Table,
        kind: *const pg_sys::TupleTableSlotOps,
        memory: Memory<'m>,
    ) -> ScanRow<'m> {
        // SAFETY: the table is open; its descriptor is copied.
        memory.within(|| unsafe {
            let place = ffi::palloc(size_of::<*mut TupleTableSlot>()) as *mut *mut TupleTableSlot;
            let desc = ffi::CreateTupleDescCopyConstr((*table.as_raw()).rd_att);
            *place = ffi::MakeSingleTupleTableSlot(desc, kind);
            ScanRow(place, PhantomData)
        })
    }

    /// The place for a new scan. One that is not empty is that of a scan that an ERROR ended, whose buffer is
    /// no longer pinned, or of one that goes on: it is given up here.
    #[inline]
    pub(in crate::pg) fn empty(&self) -> *mut TupleTableSlot {
        // SAFETY: made in `new`, replaced only here by one of the same kind.
        unsafe {
            let row = *self.0;
            if (*row).tts_flags & pg_sys::TTS_FLAG_EMPTY as u16 == 0 {
                let caller = pg_sys::CurrentMemoryContext;
                pg_sys::CurrentMemoryContext = (*row).tts_mcxt;
                *self.0 = ffi::MakeSingleTupleTableSlot((*row).tts_tupleDescriptor, (*row).tts_ops);
                pg_sys::CurrentMemoryContext = caller;
            }
            *self.0
        }
    }
}

/// ExecClearTuple: lets go of the buffer the row was in.
///
/// # Safety
/// The place is a scan's.
#[inline]
pub(in crate::pg) unsafe fn clear(row: *mut TupleTableSlot) {
    // SAFETY: promised by the caller.
    unsafe {
        if let Some(clear) = (*(*row).tts_ops).clear {
            clear(row);
        }
    }
}
