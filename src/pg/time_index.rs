//! The index (key..., at) behind a cooldown: found by its structure, its times read in order.

use super::error::Report;
use super::instant::Clock;
use super::key::{slot_value, Key, KeyValues, MAX_PARTS};
use super::memory::Buffer;
use super::raw;
use super::relation::{Column, Table};
use super::snapshot::Deciding;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Datum, Oid};

extern "C-unwind" {
    fn find_all_inheritors(
        parent: Oid,
        mode: pg_sys::LOCKMODE,
        counts: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
    fn has_partition_attrs(
        relation: pg_sys::Relation,
        columns: *mut pg_sys::Bitmapset,
        used_in_expression: *mut bool,
    ) -> bool;
    fn LockRelationOid(table: Oid, mode: pg_sys::LOCKMODE);
    fn bms_add_member(set: *mut pg_sys::Bitmapset, x: c_int) -> *mut pg_sys::Bitmapset;
}

/// The index of one cooldown on one leaf table. It lives in the memory context it was found in.
#[derive(Clone, Copy)]
pub struct TimeIndex {
    table: Oid,
    index: Oid,
    predicate: Option<Key>,
    at: Column,
    clock: Clock,
    /// Equality on the key's parts, and "not before" on the time as the last.
    conditions: &'static [pg_sys::ScanKeyData],
}

/// Finds the index of a cooldown: a valid btree whose columns are the key's parts and the time,
/// ascending, and which leaves out no row that the cooldown judges.
pub fn find(
    table: Table,
    key: &Key,
    predicate: Option<Key>,
    at: Column,
    clock: Clock,
) -> Option<TimeIndex> {
    // SAFETY: each index is opened, read and closed again.
    unsafe {
        let list = raw::RelationGetIndexList(table.as_raw());
        let count = if list.is_null() { 0 } else { (*list).length as usize };
        for i in 0..count {
            let oid = (*(*list).elements.add(i)).oid_value;
            let index = raw::index_open(oid, pg_sys::AccessShareLock as c_int);
            let conditions =
                (has_shape(index, key, at) && covers(index, predicate)).then(|| conditions(index));
            raw::index_close(index, pg_sys::AccessShareLock as c_int);
            if let Some(conditions) = conditions {
                return Some(TimeIndex {
                    table: table.oid(),
                    index: oid,
                    predicate,
                    at,
                    clock,
                    conditions,
                });
            }
        }
        None
    }
}

unsafe fn has_shape(index: pg_sys::Relation, key: &Key, at: Column) -> bool {
    // SAFETY: the index is open; its arrays have an entry for each column.
    unsafe {
        let form = &*(*index).rd_index;
        let count = key.parts.len() + 1;
        form.indisvalid
            && form.indisready
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && form.indnkeyatts as usize == count
            && *form.indkey.values.as_ptr().add(count - 1) == at.attno
            && *(*index).rd_indoption.add(count - 1) & 1 == 0
            && key.is_of_index(index, raw::RelationGetIndexExpressions(index))
    }
}

/// Whether the index holds every row that the predicate covers: it has none itself, or the same.
/// Both are compared as Postgres plans them, with SQL functions inlined.
unsafe fn covers(index: pg_sys::Relation, predicate: Option<Key>) -> bool {
    // SAFETY: the index is open.
    unsafe {
        let own = raw::RelationGetIndexPredicate(index);
        own.is_null() || predicate.is_some_and(|p| p.is_index_predicate(own))
    }
}

unsafe fn conditions(index: pg_sys::Relation) -> &'static [pg_sys::ScanKeyData] {
    // SAFETY: the index is open; btree operator families have all five operators for their own
    // input type.
    unsafe {
        let count = (*(*index).rd_index).indnkeyatts as usize;
        let keys =
            raw::palloc(count * size_of::<pg_sys::ScanKeyData>()) as *mut pg_sys::ScanKeyData;
        for i in 0..count {
            let strategy = if i + 1 == count {
                pg_sys::BTGreaterEqualStrategyNumber
            } else {
                pg_sys::BTEqualStrategyNumber
            };
            let (family, input) = (*(*index).rd_opfamily.add(i), *(*index).rd_opcintype.add(i));
            raw::ScanKeyEntryInitialize(
                keys.add(i),
                0,
                i as i16 + 1,
                strategy as u16,
                input,
                *(*index).rd_indcollation.add(i),
                raw::get_opcode(raw::get_opfamily_member(family, input, input, strategy as i16)),
                Datum::null(),
            );
        }
        core::slice::from_raw_parts(keys, count)
    }
}

/// Locks every leaf that is not the table being written, which is locked already, as reading it
/// does. Says whether there was one.
pub fn lock(leaves: &[TimeIndex], written: Table) -> bool {
    let mut others = false;
    for leaf in leaves.iter().filter(|leaf| leaf.table != written.oid()) {
        // SAFETY: a table that is gone by now can be locked as well.
        unsafe { LockRelationOid(leaf.table, pg_sys::AccessShareLock as c_int) };
        others = true;
    }
    others
}

impl TimeIndex {
    /// The index itself.
    pub fn index(&self) -> Oid {
        self.index
    }

    /// Reads the key's times from `low` on in ascending order, as of one deciding moment, until
    /// `each` says no.
    pub fn read(
        &self,
        snapshot: Deciding,
        key: &KeyValues,
        low: i64,
        mut each: impl FnMut(i64) -> bool,
    ) {
        let mut conditions = [pg_sys::ScanKeyData::default(); MAX_PARTS];
        let count = self.conditions.len();
        for (i, template) in self.conditions.iter().enumerate() {
            conditions[i] = *template;
            conditions[i].sk_argument = match key.as_slice().get(i) {
                Some(value) => *value,
                None => self.clock.floor(low),
            };
        }
        // SAFETY: the leaf and its index are opened under a lock that is kept until the
        // transaction ends; all parts are closed in the reverse order.
        unsafe {
            let relation = raw::relation_open(self.table, pg_sys::AccessShareLock as c_int);
            let index = raw::index_open(self.index, pg_sys::AccessShareLock as c_int);
            let row = raw::table_slot_create(relation, core::ptr::null_mut());
            let scan = raw::index_beginscan(
                relation,
                index,
                snapshot.as_raw(),
                #[cfg(feature = "pg18")]
                core::ptr::null_mut(),
                count as c_int,
                0,
            );
            raw::index_rescan(scan, conditions.as_ptr(), count as c_int, core::ptr::null(), 0);
            let direction = pg_sys::ScanDirection::ForwardScanDirection;
            while raw::index_getnext_slot(scan, direction, row) {
                if self.predicate.is_some_and(|p| !p.is_true(row)) {
                    continue;
                }
                let mut null = false;
                let value = slot_value(row, self.at.attno, &mut null);
                if !null && !each(self.clock.read(value)) {
                    break;
                }
            }
            raw::index_endscan(scan);
            raw::ExecDropSingleTupleTableSlot(row);
            raw::index_close(index, pg_sys::NoLock as c_int);
            raw::relation_close(relation, pg_sys::NoLock as c_int);
        }
    }
}

/// The tables whose rows of one key may stand within a period of each other: the table itself, or
/// all leaves of its partition tree unless the key decides the partition. With the second value,
/// every table of the tree, on which the answer depends.
pub fn family(table: Table, key: &Key) -> (&'static [Oid], &'static [Oid]) {
    let mut own = Buffer::new(1);
    own.push(table.oid());
    let own = own.into_slice();
    let root = lock_root(table);
    if root == table.oid() && !table.is_partitioned() {
        return (own, &[]);
    }
    // SAFETY: the tree's tables are locked in the mode that reading takes, opened and closed;
    // find_all_inheritors locks all but the root.
    unsafe {
        let tree =
            find_all_inheritors(root, pg_sys::AccessShareLock as c_int, core::ptr::null_mut());
        let count = (*tree).length as usize;
        let (mut all, mut leaves) = (Buffer::new(count), Buffer::new(count));
        let mut decided = true;
        for i in 0..count {
            let oid = (*(*tree).elements.add(i)).oid_value;
            let relation = raw::relation_open(oid, pg_sys::NoLock as c_int);
            let member = Table::from_raw(relation);
            if member.is_partitioned() {
                decided &= key_decides_partition(table, key, member);
            } else {
                leaves.push(oid);
            }
            all.push(oid);
            raw::relation_close(relation, pg_sys::NoLock as c_int);
        }
        if decided && !table.is_partitioned() {
            return (own, all.into_slice());
        }
        (leaves.into_slice(), all.into_slice())
    }
}

/// The topmost partitioned table, locked as reading it does. A write to a leaf need not have locked
/// it, and until it is locked a table in between may be detached.
fn lock_root(table: Table) -> Oid {
    loop {
        let root = table.root();
        if root == table.oid() {
            return root;
        }
        // SAFETY: a table that is gone by now can be locked as well.
        unsafe { LockRelationOid(root, pg_sys::AccessShareLock as c_int) };
        if table.root() == root {
            return root;
        }
    }
}

/// Whether rows of one key always go to the same partition of `parent`: no column outside the key
/// takes part in its partition key.
unsafe fn key_decides_partition(table: Table, key: &Key, parent: Table) -> bool {
    // SAFETY: the parent is open and partitioned; the set is built in the current memory context.
    unsafe {
        let mut others: *mut pg_sys::Bitmapset = core::ptr::null_mut();
        for attno in 1..=parent.column_count() {
            if !key.has_column(table, parent.column_name(attno)) {
                let member = attno as c_int - pg_sys::FirstLowInvalidHeapAttributeNumber;
                others = bms_add_member(others, member);
            }
        }
        let mut in_expression = false;
        !has_partition_attrs(parent.as_raw(), others, &mut in_expression)
    }
}

/// Opens a table for the time `body` takes. Plain frames.
pub fn with_table<T>(oid: Oid, body: impl FnOnce(Table) -> Result<T, Report>) -> Result<T, Report> {
    // SAFETY: closed again; after an ERROR the rollback closes it.
    unsafe {
        let relation = raw::relation_open(oid, pg_sys::AccessShareLock as c_int);
        let outcome = body(Table::from_raw(relation));
        raw::relation_close(relation, pg_sys::NoLock as c_int);
        outcome
    }
}
