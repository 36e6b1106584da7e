//! The unique index behind a cap: found by its structure, its key and predicate evaluated.
//!
//! The index is never looked up by name: a shard or partition has an index of another name, and
//! REINDEX CONCURRENTLY leaves a second one beside it for a while.

use super::cap_scan::Scan;
use super::error::Report;
use super::key::{Key, KeyValues, MAX_PARTS};
use super::raw;
use super::relation::{Column, Table};
use super::text::{cstr, display, quote_ident, PgText};
use crate::errors;
use core::ffi::{c_char, c_int};
use core::fmt::Write;
use pgrx::pg_sys::{self, Datum, Oid};

extern "C-unwind" {
    fn RelationGetPartitionQual(relation: pg_sys::Relation) -> *mut pg_sys::List;
    fn fix_opfuncids(node: *mut pg_sys::Node);
    fn LockRelationOid(relation: Oid, mode: pg_sys::LOCKMODE);
    fn pg_get_indexdef_columns(index: Oid, pretty: bool) -> *mut c_char;
    fn FunctionCall2Coll(
        function: *mut pg_sys::FmgrInfo,
        collation: Oid,
        a: Datum,
        b: Datum,
    ) -> Datum;
}

/// The index of one cap on one (leaf) table. It lives in the memory context it was found in.
#[derive(Clone, Copy)]
pub struct CapIndex {
    pub oid: Oid,
    pub key: Key,
    /// The predicate without its conditions on the slot; `None` if nothing else is left.
    predicate: Option<Key>,
    /// Equality conditions on the key's parts, and on the slot as the last. Scans write their
    /// values here; a scan copies them when it begins, so one set serves all.
    conditions: *mut pg_sys::ScanKeyData,
    /// Where scans put the rows they find; empty between scans.
    row: *mut *mut pg_sys::TupleTableSlot,
    slot: Column,
}

/// Finds the index of a cap. Plain frames; `None` if there is none.
pub fn find(table: Table, slot: Column) -> Result<Option<CapIndex>, Report> {
    let mut found: Option<pg_sys::Relation> = None;
    // SAFETY: each index of the list is opened under the lock the writer already holds (or takes
    // here), read, and closed again unless it is the one.
    unsafe {
        let list = raw::RelationGetIndexList(table.as_raw());
        let count = if list.is_null() { 0 } else { (*list).length as usize };
        for i in 0..count {
            let oid = (*(*list).elements.add(i)).oid_value;
            let index = raw::index_open(oid, pg_sys::AccessShareLock as c_int);
            if !has_shape(index, slot.attno) {
                raw::index_close(index, pg_sys::AccessShareLock as c_int);
                continue;
            }
            match found {
                None => found = Some(index),
                Some(first) if same_key(first, index) => {
                    raw::index_close(index, pg_sys::AccessShareLock as c_int)
                }
                Some(first) => return Err(ambiguous(table, first, index)),
            }
        }
        let Some(index) = found else { return Ok(None) };
        let compiled = compile(table, index, slot);
        raw::index_close(index, pg_sys::AccessShareLock as c_int);
        Ok(Some(compiled))
    }
}

/// Unique, valid, ready, immediate, a btree, the slot as last key column and in the predicate.
unsafe fn has_shape(index: pg_sys::Relation, slot: i16) -> bool {
    // SAFETY: the index is open.
    unsafe {
        let form = &*(*index).rd_index;
        let count = form.indnkeyatts as usize;
        form.indisunique
            && form.indisvalid
            && form.indisready
            && form.indimmediate
            && !form.indnullsnotdistinct
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && count >= 2
            && *form.indkey.values.as_ptr().add(count - 1) == slot
            && predicate_conditions(index).any(|(node, uses)| excludes_zero(node, uses, slot))
    }
}

/// Whether a condition is `slot > 0`, by its form: a comparison that uses nothing but the slot. An
/// index on `slot IS NOT NULL` would hold the slot 0 of rows that are about to be refused.
unsafe fn excludes_zero(node: *mut pg_sys::Node, uses: Uses, slot: i16) -> bool {
    // SAFETY: every node begins with its tag.
    unsafe { uses.is_only(slot) && (*node).type_ == pg_sys::NodeTag::T_OpExpr }
}

/// The columns that a condition uses.
#[derive(Clone, Copy)]
struct Uses(*mut pg_sys::Bitmapset);

impl Uses {
    fn is_only(self, attno: i16) -> bool {
        let member = attno as c_int - pg_sys::FirstLowInvalidHeapAttributeNumber;
        // SAFETY: a valid or empty set.
        unsafe { raw::bms_membership(self.0) == 1 && raw::bms_is_member(member, self.0) }
    }
}

unsafe fn predicate_conditions(
    index: pg_sys::Relation,
) -> impl Iterator<Item = (*mut pg_sys::Node, Uses)> {
    // SAFETY: the index is open; the list is a copy in the current memory context.
    let list = unsafe { raw::RelationGetIndexPredicate(index) };
    // SAFETY: NIL is NULL.
    let count = if list.is_null() { 0 } else { unsafe { (*list).length as usize } };
    (0..count).map(move |i| {
        // SAFETY: `i` lies within the list of expressions.
        unsafe {
            let node = (*(*list).elements.add(i)).ptr_value as *mut pg_sys::Node;
            let mut used: *mut pg_sys::Bitmapset = core::ptr::null_mut();
            raw::pull_varattnos(node, 1, &mut used);
            (node, Uses(used))
        }
    })
}

/// Whether two indexes of the right shape cap the same key: REINDEX CONCURRENTLY's twin does.
unsafe fn same_key(a: pg_sys::Relation, b: pg_sys::Relation) -> bool {
    // SAFETY: both are open.
    unsafe {
        let (x, y) = (&*(*a).rd_index, &*(*b).rd_index);
        x.indnkeyatts == y.indnkeyatts
            && (0..x.indnkeyatts as usize).all(|i| {
                *x.indkey.values.as_ptr().add(i) == *y.indkey.values.as_ptr().add(i)
                    && *(*a).rd_opfamily.add(i) == *(*b).rd_opfamily.add(i)
                    && *(*a).rd_indcollation.add(i) == *(*b).rd_indcollation.add(i)
            })
            && raw::equal(
                raw::RelationGetIndexExpressions(a) as *const _,
                raw::RelationGetIndexExpressions(b) as *const _,
            )
            && raw::equal(
                raw::RelationGetIndexPredicate(a) as *const _,
                raw::RelationGetIndexPredicate(b) as *const _,
            )
    }
}

fn ambiguous(table: Table, a: pg_sys::Relation, b: pg_sys::Relation) -> Report {
    // SAFETY: both indexes are open.
    let (a, b) = unsafe {
        (cstr((*(*a).rd_rel).relname.data.as_ptr()), cstr((*(*b).rd_rel).relname.data.as_ptr()))
    };
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("table \"{}\" has two different indexes that could be its cap", table.name()),
    )
    .detail(format_args!("Both \"{a}\" and \"{b}\" end with the slot column."))
    .hint(format_args!("Drop the one that is not the cap's, or give it a slot column of its own."))
    .table(table.oid())
}

unsafe fn compile(table: Table, index: pg_sys::Relation, slot: Column) -> CapIndex {
    // SAFETY: the index is open and has the shape of a cap's: at least one key part, then the
    // slot; its operator families have an equality operator for their own input type.
    unsafe {
        let count = (*(*index).rd_index).indnkeyatts as usize;
        let key = Key::of_index(table, index, raw::RelationGetIndexExpressions(index), count - 1);
        let conditions =
            raw::palloc(count * size_of::<pg_sys::ScanKeyData>()) as *mut pg_sys::ScanKeyData;
        for i in 0..count {
            let (family, input) = (*(*index).rd_opfamily.add(i), *(*index).rd_opcintype.add(i));
            let operator = raw::get_opfamily_member(
                family,
                input,
                input,
                pg_sys::BTEqualStrategyNumber as i16,
            );
            raw::ScanKeyEntryInitialize(
                conditions.add(i),
                0,
                i as i16 + 1,
                pg_sys::BTEqualStrategyNumber as u16,
                input,
                *(*index).rd_indcollation.add(i),
                raw::get_opcode(operator),
                Datum::null(),
            );
        }
        let mut rest: *mut pg_sys::List = core::ptr::null_mut();
        for (node, uses) in predicate_conditions(index) {
            // With the slot taken as 1, conditions on nothing but the slot hold.
            if !uses.is_only(slot.attno) {
                rest = raw::lappend(rest, node as *mut _);
            }
        }
        let row = raw::palloc(size_of::<*mut pg_sys::TupleTableSlot>()) as *mut _;
        *row = raw::MakeSingleTupleTableSlot(
            raw::CreateTupleDescCopyConstr((*table.as_raw()).rd_att),
            raw::table_slot_callbacks(table.as_raw()),
        );
        CapIndex {
            oid: (*index).rd_id,
            key,
            predicate: (!rest.is_null()).then(|| Key::of_conditions(rest)),
            conditions,
            row,
            slot,
        }
    }
}

/// The partition constraint of a partition, to tell an UPDATE that moves the row away.
pub fn partition_constraint(table: Table) -> Option<Key> {
    // SAFETY: the relation is open; the list is a copy in the current memory context.
    unsafe {
        if !(*(*table.as_raw()).rd_rel).relispartition {
            return None;
        }
        let list = RelationGetPartitionQual(table.as_raw());
        if list.is_null() {
            return None;
        }
        // Unlike an index's predicate it has not been through the planner.
        fix_opfuncids(list as *mut pg_sys::Node);
        Some(Key::of_conditions(list))
    }
}

impl CapIndex {
    /// Locks the index for a reader until its transaction ends; a writer has done so already.
    pub fn lock(&self) {
        // SAFETY: plain frames or inside `catch`.
        unsafe { LockRelationOid(self.oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE) };
    }

    /// Whether the row in a slot is subject to the cap.
    #[inline]
    pub fn covers(&self, row: *mut pg_sys::TupleTableSlot) -> bool {
        match &self.predicate {
            None => true,
            Some(predicate) => predicate.is_true(row),
        }
    }

    /// Whether two keys without NULLs are the same to the index.
    pub fn same_key(&self, a: &KeyValues, b: &KeyValues) -> bool {
        a.as_slice().iter().zip(b.as_slice()).enumerate().all(|(i, (a, b))| {
            // SAFETY: there is a condition for each part, whose function compares two values of
            // the part's type.
            unsafe {
                let condition = self.conditions.add(i);
                let function = &raw mut (*condition).sk_func;
                FunctionCall2Coll(function, (*condition).sk_collation, *a, *b).value() != 0
            }
        })
    }

    /// The row for a new scan. One that is not empty was left by a scan that an ERROR ended: its
    /// buffer is no longer pinned, so it must not be cleared but is given up.
    #[inline]
    unsafe fn empty_row(&self) -> *mut pg_sys::TupleTableSlot {
        // SAFETY: made in `compile`, replaced only here by one of the same kind.
        unsafe {
            let row = *self.row;
            if (*row).tts_flags & pg_sys::TTS_FLAG_EMPTY as u16 == 0 {
                let caller = pg_sys::CurrentMemoryContext;
                pg_sys::CurrentMemoryContext = (*row).tts_mcxt;
                *self.row =
                    raw::MakeSingleTupleTableSlot((*row).tts_tupleDescriptor, (*row).tts_ops);
                pg_sys::CurrentMemoryContext = caller;
            }
            *self.row
        }
    }

    /// Starts reading the slots of a key.
    #[inline]
    pub fn open(&self, table: Table, key: &KeyValues) -> Scan {
        // SAFETY: there is a condition for each part. The lock on the table keeps its indexes:
        // DROP INDEX conflicts with it, DROP INDEX and REINDEX CONCURRENTLY wait for it.
        unsafe {
            for (i, value) in key.as_slice().iter().enumerate() {
                (*self.conditions.add(i)).sk_argument = *value;
            }
            let index = raw::index_open(self.oid, pg_sys::NoLock as c_int);
            Scan {
                table,
                index,
                row: self.empty_row(),
                conditions: self.conditions,
                count: key.as_slice().len(),
                slot: self.slot,
            }
        }
    }

    /// The key as an error names it, `("userId")=(42)`; `None` where the caller may not see it.
    pub fn describe(&self, key: &KeyValues) -> Option<PgText> {
        let mut values = [Datum::null(); MAX_PARTS];
        let nulls = [false; MAX_PARTS];
        for (to, from) in values.iter_mut().zip(key.as_slice()) {
            *to = *from;
        }
        // SAFETY: BuildIndexValueDescription checks the privileges and row security; the slot's
        // value, which it also shows, is a by-value zero. Its text is not used: it has the slot.
        unsafe {
            let index = raw::index_open(self.oid, pg_sys::AccessShareLock as c_int);
            let allowed =
                !raw::BuildIndexValueDescription(index, values.as_ptr(), nulls.as_ptr()).is_null();
            let table = (*(*index).rd_index).indrelid;
            raw::index_close(index, pg_sys::AccessShareLock as c_int);
            if !allowed {
                return None;
            }
            let columns = cstr(pg_get_indexdef_columns(self.oid, true));
            let slot = cstr(raw::get_attname(table, self.slot.attno, true));
            let suffix = PgText::from_fmt(format_args!(", {}", quote_ident(slot)));
            let columns = columns.strip_suffix(suffix.as_str()).unwrap_or(columns);
            let mut text = PgText::from_fmt(format_args!("({columns})=("));
            for (i, (part, value)) in self.key.parts.iter().zip(key.as_slice()).enumerate() {
                let separator = if i == 0 { "" } else { ", " };
                let _ = write!(text, "{separator}{}", display(*value, part.type_oid));
            }
            let _ = text.write_char(')');
            Some(text)
        }
    }
}

/// An integer of any width.
#[inline]
pub fn read_integer(value: Datum, type_oid: Oid) -> i64 {
    match type_oid {
        pg_sys::INT2OID => value.value() as i16 as i64,
        pg_sys::INT4OID => value.value() as i32 as i64,
        _ => value.value() as i64,
    }
}
