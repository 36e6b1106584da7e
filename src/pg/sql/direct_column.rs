//! A guard's column written past SPI and the executor, where that comes to the same: the row is found by a unique index,
//! a new version of it formed and handed to the heap, as the executor would after planning, starting up and asking
//! triggers that have nothing to do.
//!
//! Only what goes right at once is done here. Where the row is not there, a condition refuses the new value, it is out of
//! range, or another transaction has changed the row meanwhile, nothing is written and the caller has the executor do all of it,
//! which then finds out why, follows the row, and says so.

use super::direct_plan::{DirectPlan, DirectTarget};
use super::ffi;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::Memory;
use crate::pg::data::column::read_integer;
use crate::pg::data::row_slot::RowSlot;
use crate::pg::data::tuple::Row;
use crate::pg::entry::new_in_place::write_into;
use crate::pg::session::snapshot::is_kept;
use crate::pg::table::scan_row::clear;
use core::ffi::c_int;
use core::ptr::null_mut;
use pgrx::pg_sys::{self, Datum, HeapTuple, Relation, TupleTableSlot};

/// What is made of a column's value.
#[derive(Clone, Copy)]
pub enum Change {
    /// Adds an integer; NULL counts as zero.
    Add(i128),
    /// Adds a numeric value to a numeric column.
    AddNumeric(Datum),
    /// Sets it to an integer that is higher.
    Raise(i64),
}

/// A column of a table's rows that is written past the executor. What it was made of is to be watched: see
/// [`DirectPlan`].
pub struct DirectColumn {
    context: pg_sys::MemoryContext,
    plan: *mut DirectPlan<'static>,
}

impl DirectColumn {
    /// `None` where the executor has to write it.
    pub fn open(target: DirectTarget) -> Result<Option<DirectColumn>, Report> {
        // SAFETY: the context is that of the result, which deletes it.
        let context = catch(|| unsafe {
            ffi::AllocSetContextCreateInternal(
                pg_sys::CacheMemoryContext,
                c"raceguard direct column".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            )
        })?;
        let mut column = DirectColumn { context, plan: null_mut() };
        // SAFETY: the plan lies in the context, and is handed out by nobody.
        let memory: Memory<'static> = unsafe { Memory::from_raw(context) };
        column.plan = catch(|| {
            memory.within(|| match DirectPlan::of(&target, memory) {
                Some(plan) => memory.keep(&[plan]).as_ptr().cast_mut(),
                None => null_mut(),
            })
        })?;
        Ok((!column.plan.is_null()).then_some(column))
    }

    /// Writes the column of the row with these key values, in the name of the table's owner, whose role is the current
    /// one; the caller has locked the table for writing. Whether it is done: the executor has to do it otherwise.
    pub fn write(&self, key: &[Datum], change: Change) -> Result<bool, Report> {
        self.with_row(key, |plan, table, row| {
            // SAFETY: the row is that of the table, found under the active snapshot.
            unsafe { plan.update(table, row, change) }.then_some(())
        })
        .map(|done| done.is_some())
    }

    /// Locks the row with these key values as an UPDATE would that leaves its key alone, and reads its integer column; in
    /// the name of the table's owner, as [`DirectColumn::write`]. `None` where the executor has to do it, 55P03 where
    /// somebody else has it and the caller does not wait.
    pub fn lock(&self, key: &[Datum], waits: bool) -> Result<Option<Option<i64>>, Report> {
        let policy = match waits {
            true => pg_sys::LockWaitPolicy::LockWaitBlock,
            false => pg_sys::LockWaitPolicy::LockWaitError,
        };
        self.with_row(key, |plan, table, row| {
            // SAFETY: as in `write`.
            unsafe { plan.lock(table, row, policy) }
        })
    }

    /// Hands a row with these key values to `body`, in a command of its own; `None` where there is none, or the executor
    /// has to see to it for another reason.
    fn with_row<T: Copy>(
        &self,
        key: &[Datum],
        body: impl FnOnce(&DirectPlan, Relation, *mut TupleTableSlot) -> Option<T>,
    ) -> Result<Option<T>, Report> {
        // SAFETY: made by `open`.
        let plan = unsafe { &*self.plan };
        if key.len() != plan.places.len() || !session_allows() {
            return Ok(None);
        }
        // SAFETY: the caller has locked the table, and the plan is not outdated. Commands and snapshots are those that
        // SPI would have.
        catch(|| unsafe {
            let table = ffi::relation_open(plan.table, pg_sys::NoLock as c_int);
            let mut done = None;
            if plan.owner_may() {
                ffi::CheckCmdReplicaIdentity(table, pg_sys::CmdType::CMD_UPDATE);
                ffi::CommandCounterIncrement();
                ffi::PushActiveSnapshot(match is_kept() {
                    true => ffi::GetLatestSnapshot(),
                    false => ffi::GetTransactionSnapshot(),
                });
                let row = plan.found.empty();
                if plan.find(table, key, row) {
                    done = body(plan, table, row);
                }
                clear(row);
                ffi::PopActiveSnapshot();
                if done.is_some() {
                    ffi::CommandCounterIncrement();
                }
            }
            ffi::relation_close(table, pg_sys::NoLock as c_int);
            done
        })
    }
}

impl Drop for DirectColumn {
    fn drop(&mut self) {
        let context = self.context;
        // SAFETY: made by `open`. A failure leaves it allocated.
        let _ = catch(|| unsafe { ffi::MemoryContextDelete(context) });
    }
}

/// Whether the session fires triggers as the plan takes for granted, and may write; and nobody wants to be asked about rights.
fn session_allows() -> bool {
    // SAFETY: variables of the session.
    unsafe {
        pg_sys::SessionReplicationRole as u32 != pg_sys::SESSION_REPLICATION_ROLE_REPLICA
            && !pg_sys::XactReadOnly
            && (&raw const pg_sys::ExecutorCheckPerms_hook).read().is_none()
    }
}

impl DirectPlan<'_> {
    /// Whether the owner has not taken the rights away from himself.
    unsafe fn owner_may(&self) -> bool {
        let both = (pg_sys::ACL_UPDATE | pg_sys::ACL_SELECT) as pg_sys::AclMode;
        let all = pg_sys::AclMaskHow::ACLMASK_ALL;
        // SAFETY: a catalog look-up for an open table.
        self.owned || unsafe { ffi::pg_class_aclmask(self.table, self.owner, both, all) == both }
    }

    /// Puts the row with these key values into `row`.
    unsafe fn find(&self, table: Relation, key: &[Datum], row: *mut TupleTableSlot) -> bool {
        // SAFETY: the table is locked, and with it its indexes.
        unsafe {
            for (i, place) in self.places.iter().enumerate() {
                (*self.conditions.add(i)).sk_argument = key[*place];
            }
            let index = ffi::index_open(self.index, pg_sys::RowExclusiveLock as c_int);
            let count = self.places.len() as c_int;
            let scan = ffi::index_beginscan(
                table,
                index,
                ffi::GetActiveSnapshot(),
                #[cfg(since_pg18)]
                null_mut(),
                count,
                0,
                #[cfg(since_pg19)]
                pg_sys::ScanOptions::SO_NONE,
            );
            ffi::index_rescan(scan, self.conditions, count, null_mut(), 0);
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            let found = ffi::index_getnext_slot(scan, forward, row);
            ffi::index_endscan(scan);
            ffi::index_close(index, pg_sys::NoLock as c_int);
            found
        }
    }

    /// Writes a new version of the row that was found.
    unsafe fn update(&self, table: Relation, row: *mut TupleTableSlot, change: Change) -> bool {
        // SAFETY: a scan of a heap fills a slot of the heap's kind, which keeps the page pinned.
        unsafe {
            let old = (*(row as *mut pg_sys::HeapTupleTableSlot)).tuple;
            let found = Row::from_raw(old, (*table).rd_att);
            // A foreign key that has not been checked yet would be checked of a version that is gone.
            let writer = (*(*old).t_data).t_choice.t_heap.t_xmin;
            if self.refers && ffi::TransactionIdIsCurrentTransactionId(writer) {
                return false;
            }
            let Some(value) = self.changed(found.get(self.attno), change) else { return false };
            let place = self.written.empty();
            let new = match self.copied(old, value, place) {
                Some(new) => new,
                None => self.formed(old, (*table).rd_att, value, place),
            };
            (*new).t_tableOid = self.table;
            (*place).tts_tableOid = self.table;
            let done = self.is_allowed(Row::from_raw(new, (*table).rd_att), place)
                && self.put(table, old, new, place);
            clear(place);
            ffi::pfree(new.cast());
            done
        }
    }

    /// Locks the row that was found, unless another version has taken its place.
    unsafe fn lock(
        &self,
        table: Relation,
        row: *mut TupleTableSlot,
        policy: pg_sys::LockWaitPolicy::Type,
    ) -> Option<Option<i64>> {
        // SAFETY: as in `update`. The tuple lies in the page that comes back pinned.
        unsafe {
            let mut tuple = pg_sys::HeapTupleData {
                t_self: (*(*(row as *mut pg_sys::HeapTupleTableSlot)).tuple).t_self,
                ..Default::default()
            };
            let mut page: pg_sys::Buffer = 0;
            let mut failure = pg_sys::TM_FailureData::default();
            let outcome = ffi::heap_lock_tuple(
                table,
                &mut tuple,
                ffi::GetCurrentCommandId(true),
                pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
                policy,
                true,
                &mut page,
                &mut failure,
            );
            let value = (outcome == pg_sys::TM_Result::TM_Ok).then(|| {
                let value = Row::from_raw(&mut tuple, (*table).rd_att).get(self.attno);
                value.map(|value| read_integer(value, self.type_oid))
            });
            ffi::ReleaseBuffer(page);
            value
        }
    }

    /// The new value; `None` where the column cannot hold it, or it is the old one.
    unsafe fn changed(&self, old: Option<Datum>, change: Change) -> Option<Datum> {
        if self.type_oid == pg_sys::NUMERICOID {
            let Change::AddNumeric(amount) = change else { return None };
            let Some(old) = old else { return Some(amount) };
            let add = Some(ffi::numeric_add as _);
            // SAFETY: both are numeric values.
            return Some(unsafe {
                ffi::DirectFunctionCall2Coll(add, pg_sys::InvalidOid, old, amount)
            });
        }
        let old = old.map(|old| read_integer(old, self.type_oid));
        let new = match change {
            Change::Add(amount) => i128::from(old.unwrap_or(0)).checked_add(amount)?,
            Change::Raise(number) if old.is_none_or(|old| old < number) => number.into(),
            _ => return None,
        };
        Some(match self.type_oid {
            pg_sys::INT2OID => Datum::from(i16::try_from(new).ok()?),
            pg_sys::INT4OID => Datum::from(i32::try_from(new).ok()?),
            _ => Datum::from(i64::try_from(new).ok()?),
        })
    }

    /// A copy of the row with the value written where the old one lies, in `place`; `None` where that cannot be.
    unsafe fn copied(
        &self,
        old: HeapTuple,
        value: Datum,
        place: *mut TupleTableSlot,
    ) -> Option<HeapTuple> {
        if self.replaced.len() > 1 || self.type_oid == pg_sys::NUMERICOID {
            return None;
        }
        // SAFETY: the copy is a row of the table, whose descriptor the place has.
        unsafe {
            let new = ffi::heap_copytuple(old);
            ffi::ExecStoreHeapTuple(new, place, false);
            if write_into(place as *mut pg_sys::HeapTupleTableSlot, self.attno, value) {
                return Some(new);
            }
            clear(place);
            ffi::pfree(new.cast());
            None
        }
    }

    /// The row formed anew with the value in the column, and dropped columns NULL, in `place`.
    unsafe fn formed(
        &self,
        old: HeapTuple,
        desc: pg_sys::TupleDesc,
        value: Datum,
        place: *mut TupleTableSlot,
    ) -> HeapTuple {
        let count = self.replaced.len() as c_int;
        let columns = self.replaced.as_ptr().cast_mut();
        // SAFETY: the columns are the descriptor's; there are as many values, which are copied at once.
        unsafe {
            *self.values = value;
            let new =
                ffi::heap_modify_tuple_by_cols(old, desc, count, columns, self.values, self.nulls);
            ffi::ExecStoreHeapTuple(new, place, false);
            new
        }
    }

    /// Whether NOT NULL and the CHECKs let the new version pass, and it is not beyond its bounds.
    unsafe fn is_allowed(&self, new: Row, place: *mut TupleTableSlot) -> bool {
        // SAFETY: the place holds the row.
        let slot = unsafe { RowSlot::from_raw(place) };
        self.checks.is_none_or(|checks| checks.is_not_false(slot))
            && (!new.has_nulls() || self.required.iter().all(|attno| new.get(*attno).is_some()))
    }

    /// Hands the new version to the heap, and to the indexes where they need an entry for it.
    unsafe fn put(
        &self,
        table: Relation,
        old: HeapTuple,
        new: HeapTuple,
        place: *mut TupleTableSlot,
    ) -> bool {
        // SAFETY: the table is open and locked, both tuples are its own, the old one is pinned.
        unsafe {
            // What others have changed since the transaction's snapshot is theirs: 40001, says the executor.
            let crosscheck = match is_kept() {
                true => ffi::GetTransactionSnapshot(),
                false => null_mut(),
            };
            let mut at = (*old).t_self;
            let mut failure = pg_sys::TM_FailureData::default();
            let mut mode: pg_sys::LockTupleMode::Type = 0;
            #[cfg(since_pg16)]
            let mut indexes: pg_sys::TU_UpdateIndexes::Type = pg_sys::TU_UpdateIndexes::TU_None;
            let command = ffi::GetCurrentCommandId(true);
            let outcome = ffi::heap_update(
                table,
                &mut at,
                new,
                command,
                #[cfg(since_pg19)]
                0,
                crosscheck,
                true,
                &mut failure,
                &mut mode,
                #[cfg(since_pg16)]
                &mut indexes,
            );
            if outcome != pg_sys::TM_Result::TM_Ok {
                return false;
            }
            (*place).tts_tid = (*new).t_self;
            #[cfg(since_pg16)]
            match indexes {
                pg_sys::TU_UpdateIndexes::TU_None => {}
                which => enter(table, place, which == pg_sys::TU_UpdateIndexes::TU_Summarizing),
            }
            #[cfg(not(since_pg16))]
            if u32::from((*(*new).t_data).t_infomask2) & pg_sys::HEAP_ONLY_TUPLE == 0 {
                enter(table, place, false);
            }
            true
        }
    }
}

/// Makes the entries of the indexes for a new version of a row, or only of those that summarize blocks.
#[cold]
unsafe fn enter(table: Relation, place: *mut TupleTableSlot, summarizing: bool) {
    // SAFETY: the table is open and locked; what is made here lies in the current context and in the state's own.
    unsafe {
        let state = ffi::CreateExecutorState();
        let info = ffi::palloc0(size_of::<pg_sys::ResultRelInfo>()) as *mut pg_sys::ResultRelInfo;
        (*info).type_ = pg_sys::NodeTag::T_ResultRelInfo;
        ffi::InitResultRelInfo(info, table, 0, null_mut(), 0);
        ffi::ExecOpenIndices(info, false);
        #[cfg(not(since_pg16))]
        ffi::ExecInsertIndexTuples(info, place, state, true, false, null_mut(), null_mut());
        #[cfg(all(since_pg16, not(since_pg19)))]
        ffi::ExecInsertIndexTuples(
            info,
            place,
            state,
            true,
            false,
            null_mut(),
            null_mut(),
            summarizing,
        );
        #[cfg(since_pg19)]
        {
            let only = if summarizing { pg_sys::EIIT_ONLY_SUMMARIZING } else { 0 };
            let flags = pg_sys::EIIT_IS_UPDATE | only;
            ffi::ExecInsertIndexTuples(info, state, flags, place, null_mut(), null_mut());
        }
        #[cfg(not(since_pg16))]
        let _ = summarizing;
        ffi::ExecCloseIndices(info);
        ffi::FreeExecutorState(state);
    }
}
