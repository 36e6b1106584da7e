//! The row that an INSERT ... ON CONFLICT DO UPDATE is about to change, found and locked before
//! Postgres does so itself.
//!
//! BEFORE INSERT triggers of an upsert fire before Postgres looks for the row that is in the way.
//! Who locks something there and then waits for that row meets an UPDATE that holds the row and
//! waits for the lock. So a guard looks first, by the same calls as ExecInsert and
//! ExecOnConflictUpdate of nodeModifyTable.c, which then find the row held by their own transaction.

use super::executor;
use super::ffi;
use super::trigger::Firing;
use crate::pg::data::row_slot::RowSlot;
use crate::pg::data::tuple::Row;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, TM_Result, TupleTableSlot};

/// An upsert whose BEFORE INSERT trigger fires. `Copy`: it points into the executor's state.
#[derive(Clone, Copy)]
pub struct Upsert<'f> {
    state: *mut pg_sys::EState,
    relation: *mut pg_sys::ResultRelInfo,
    slot: *mut TupleTableSlot,
    lasts: PhantomData<Firing<'f>>,
}

/// What became of a row that was found.
#[derive(Clone, Copy)]
pub enum Found<'a> {
    /// It is locked as the UPDATE will lock it, and stands in the slot until [`Upsert::forget`].
    Locked(Row<'a>, RowSlot<'a>),
    /// It was changed or deleted meanwhile.
    Gone,
    /// This very command wrote it; Postgres will refuse to change it again.
    Own,
}

impl<'f> Upsert<'f> {
    /// The upsert behind the firing of a BEFORE INSERT trigger, if it is one.
    #[inline]
    pub fn of(firing: Firing<'f>) -> Option<Upsert<'f>> {
        let (state, relation) = executor::upsert(firing)?;
        Some(Upsert { state, relation, slot: firing.new_in_slot().as_raw(), lasts: PhantomData })
    }

    /// The row that is in the way of the one to be inserted. Waits for transactions that are
    /// writing such a row.
    pub fn find(self) -> Option<pg_sys::ItemPointerData> {
        let mut conflict = pg_sys::ItemPointerData::default();
        // SAFETY: the relation's indexes were opened before its BEFORE triggers fired; the slot holds
        // the row as the triggers up to here have left it. Plain frames.
        unsafe {
            let desc = (*(*self.relation).ri_RelationDesc).rd_att;
            let constr = (*desc).constr;
            let generated = !constr.is_null() && (*constr).has_generated_stored;
            // Postgres computes generated columns after the BEFORE triggers, an arbiter may use them.
            let slot = if generated { self.with_generated_columns() } else { self.slot };
            let free = ffi::ExecCheckIndexConstraints(
                self.relation,
                slot,
                self.state,
                &mut conflict,
                #[cfg(since_pg18)]
                &mut invalid_pointer(),
                (*self.relation).ri_onConflictArbiterIndexes,
            );
            if generated {
                ffi::ExecDropSingleTupleTableSlot(slot);
            }
            (!free).then_some(conflict)
        }
    }

    /// A copy of the row with its generated columns.
    unsafe fn with_generated_columns(self) -> *mut TupleTableSlot {
        // SAFETY: as in `find`; the copy is of the same relation.
        unsafe {
            let copy =
                ffi::table_slot_create((*self.relation).ri_RelationDesc, core::ptr::null_mut());
            if let Some(copy_slot) = (*(*copy).tts_ops).copyslot {
                copy_slot(copy, self.slot);
            }
            (*copy).tts_tableOid = (*(*self.relation).ri_RelationDesc).rd_id;
            ffi::ExecComputeStoredGenerated(
                self.relation,
                self.state,
                copy,
                pg_sys::CmdType::CMD_INSERT,
            );
            copy
        }
    }

    /// Locks a row that was found, as ExecOnConflictUpdate does.
    pub fn lock(&self, mut row: pg_sys::ItemPointerData) -> Found<'_> {
        // SAFETY: as in `find`. The slot for the existing row is empty until ExecOnConflictUpdate.
        unsafe {
            let relation = (*self.relation).ri_RelationDesc;
            let existing = self.existing();
            let mut failure = pg_sys::TM_FailureData::default();
            let mode = ffi::ExecUpdateLockMode(self.state, self.relation);
            let Some(tuple_lock) = (*(*relation).rd_tableam).tuple_lock else {
                return Found::Own;
            };
            let outcome = tuple_lock(
                relation,
                &mut row,
                (*self.state).es_snapshot,
                existing,
                (*self.state).es_output_cid,
                mode,
                pg_sys::LockWaitPolicy::LockWaitBlock,
                0,
                &mut failure,
            );
            match outcome {
                TM_Result::TM_Ok => {
                    let tuple = ffi::ExecFetchSlotHeapTuple(existing, false, core::ptr::null_mut());
                    Found::Locked(
                        Row::from_raw(tuple, (*relation).rd_att),
                        RowSlot::from_raw(existing),
                    )
                }
                other => {
                    self.forget();
                    let gone = matches!(other, TM_Result::TM_Updated | TM_Result::TM_Deleted);
                    if gone {
                        Found::Gone
                    } else {
                        Found::Own
                    }
                }
            }
        }
    }

    /// Empties the slot of the row that was locked: Postgres uses it next.
    pub fn forget(self) {
        // SAFETY: ExecClearTuple.
        unsafe {
            let existing = self.existing();
            if let Some(clear) = (*(*existing).tts_ops).clear {
                clear(existing);
            }
        }
    }

    fn existing(self) -> *mut TupleTableSlot {
        // SAFETY: `executor::upsert` answers only for relations that have this state.
        unsafe { (*(*self.relation).ri_onConflict).oc_Existing }
    }
}

/// A row that is in no table yet.
#[cfg(since_pg18)]
fn invalid_pointer() -> pg_sys::ItemPointerData {
    pg_sys::ItemPointerData {
        ip_blkid: pg_sys::BlockIdData { bi_hi: u16::MAX, bi_lo: u16::MAX },
        ip_posid: 0,
    }
}
