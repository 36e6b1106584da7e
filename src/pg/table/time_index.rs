//! The index (key..., at) behind a cooldown: found by its structure, its times read in order.

use super::ffi;
use super::index_list;
use super::key::{Key, KeyValues, Runs};
use super::partitions;
use super::relation::Table;
use super::scan_row::{clear, ScanRow};
use crate::pg::base::error::Report;
use crate::pg::base::memory::{Buffer, Memory};
use crate::pg::base::sqlstate;
use crate::pg::base::text::{cstr, PgText};
use crate::pg::data::column::Column;
use crate::pg::data::instant::Clock;
use crate::pg::data::row_slot::RowSlot;
use crate::pg::session::snapshot::Deciding;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Datum, Oid};

/// The index of one cooldown on one leaf table.
#[derive(Clone, Copy)]
pub struct TimeIndex<'m> {
    table: Oid,
    index: Oid,
    predicate: Option<Key<'m>>,
    at: Column,
    clock: Clock,
    /// Equality on the key's parts, and "not before" on the time as the last. A scan writes its values here, and
    /// copies them when it begins.
    conditions: *mut pg_sys::ScanKeyData,
    /// Where scans put the rows they find.
    row: ScanRow<'m>,
    /// Nothing that key or predicate run could drop the index.
    harmless: bool,
}

/// Finds the index of a cooldown: a valid btree whose columns are the key's parts and the time,
/// ascending, and which leaves out no row that the cooldown judges.
pub fn find<'m>(
    table: Table,
    key: &Key,
    predicate: Option<Key<'m>>,
    at: Column,
    clock: Clock,
    memory: Memory<'m>,
) -> Option<TimeIndex<'m>> {
    let runs = predicate.map_or(Runs::Nothing, |predicate| predicate.runs()).max(key.runs());
    let harmless = runs <= Runs::BuiltIn;
    index_list::find(table, |index| {
        // SAFETY: the index is open while it is looked at.
        let (index, conditions) = unsafe {
            if !has_shape(index, key, at) || !covers(index, predicate) {
                return None;
            }
            ((*index).rd_id, conditions(index, memory))
        };
        let (table, row) = (table.oid(), ScanRow::new(table, memory));
        Some(TimeIndex { table, index, predicate, at, clock, conditions, row, harmless })
    })
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
            && key.is_of_index(index, ffi::RelationGetIndexExpressions(index))
    }
}

/// The name of a unique index that allows one row of a key, or one inside the predicate, in all.
pub fn unique_index(table: Table, key: &Key, predicate: Option<Key>) -> Option<PgText> {
    // SAFETY: the index is open while it is looked at.
    index_list::find(table, |index| unsafe {
        let form = &*(*index).rd_index;
        let unique = form.indisunique
            && form.indisvalid
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && key.includes_index(
                index,
                ffi::RelationGetIndexExpressions(index),
                form.indnkeyatts as usize,
            )
            && covers(index, predicate);
        let name = cstr((*(*index).rd_rel).relname.data.as_ptr());
        unique.then(|| PgText::from_fmt(format_args!("{name}")))
    })
}

/// Whether the index holds every row that the predicate covers: it has none itself, or the same.
/// Both are compared as Postgres plans them, with SQL functions inlined.
unsafe fn covers(index: pg_sys::Relation, predicate: Option<Key>) -> bool {
    // SAFETY: the index is open.
    unsafe {
        let own = ffi::RelationGetIndexPredicate(index);
        own.is_null() || predicate.is_some_and(|p| p.is_index_predicate(own))
    }
}

unsafe fn conditions(index: pg_sys::Relation, memory: Memory) -> *mut pg_sys::ScanKeyData {
    // SAFETY: the index is open; btree operator families have all five operators for their own
    // input type.
    unsafe {
        let count = (*(*index).rd_index).indnkeyatts as usize;
        let mut keys = Buffer::new(memory, count);
        for i in 0..count {
            let strategy = if i + 1 == count {
                pg_sys::BTGreaterEqualStrategyNumber
            } else {
                pg_sys::BTEqualStrategyNumber
            };
            let (family, input) = (*(*index).rd_opfamily.add(i), *(*index).rd_opcintype.add(i));
            let mut key = pg_sys::ScanKeyData::default();
            let filled = &raw mut key;
            memory.within(|| {
                ffi::ScanKeyEntryInitialize(
                    filled,
                    0,
                    i as i16 + 1,
                    strategy as u16,
                    input,
                    *(*index).rd_indcollation.add(i),
                    ffi::get_opcode(ffi::get_opfamily_member(
                        family,
                        input,
                        input,
                        strategy as i16,
                    )),
                    Datum::null(),
                )
            });
            keys.push(key);
        }
        keys.as_mut_slice().as_mut_ptr()
    }
}

/// Locks every leaf that is not the table being written, which is locked already, as reading it
/// does. Says whether there was one.
pub fn lock(leaves: &[TimeIndex], written: Table) -> bool {
    let mut others = false;
    for leaf in leaves.iter().filter(|leaf| leaf.table != written.oid()) {
        // SAFETY: a table that is gone by now can be locked as well.
        unsafe { ffi::LockRelationOid(leaf.table, pg_sys::AccessShareLock as c_int) };
        others = true;
    }
    others
}

impl TimeIndex<'_> {
    /// The index itself.
    pub fn index(&self) -> Oid {
        self.index
    }

    /// Reads the key's times from `low` on in ascending order, as of one deciding moment, until
    /// `each` says no. The table that is written is open already; its indexes may be closed by now.
    pub fn read(
        &self,
        written: Option<Table>,
        snapshot: Deciding,
        key: &KeyValues,
        low: i64,
        mut each: impl FnMut(i64) -> bool,
    ) {
        let count = key.as_slice().len() + 1;
        // SAFETY: the leaf and its index are opened under a lock that is kept until the
        // transaction ends; all parts are closed in the reverse order. There is a condition for each part of the key,
        // and one for the time.
        unsafe {
            for (i, value) in key.as_slice().iter().enumerate() {
                (*self.conditions.add(i)).sk_argument = *value;
            }
            (*self.conditions.add(count - 1)).sk_argument = self.clock.floor(low);
            let open = written.filter(|written| written.oid() == self.table).map(Table::as_raw);
            let share = pg_sys::AccessShareLock as c_int;
            let relation = open.unwrap_or_else(|| ffi::try_relation_open(self.table, share));
            if relation.is_null()
                || !self.harmless && ffi::IndexGetRelation(self.index, true) != self.table
            {
                gone().throw()
            }
            let index = ffi::index_open(self.index, share);
            let row = self.row.empty();
            let scan = ffi::index_beginscan(
                relation,
                index,
                snapshot.as_raw(),
                #[cfg(since_pg18)]
                core::ptr::null_mut(),
                count as c_int,
                0,
                #[cfg(since_pg19)]
                pg_sys::ScanOptions::SO_NONE,
            );
            ffi::index_rescan(scan, self.conditions, count as c_int, core::ptr::null_mut(), 0);
            let direction = pg_sys::ScanDirection::ForwardScanDirection;
            while ffi::index_getnext_slot(scan, direction, row) {
                let row = RowSlot::from_raw(row);
                if self.predicate.is_some_and(|p| !p.is_true(row)) {
                    continue;
                }
                if row.get(self.at.attno).is_some_and(|value| !each(self.clock.read(value))) {
                    break;
                }
            }
            ffi::index_endscan(scan);
            clear(row);
            ffi::index_close(index, pg_sys::NoLock as c_int);
            if open.is_none() {
                ffi::relation_close(relation, pg_sys::NoLock as c_int);
            }
        }
    }
}

/// 55006: no other session can drop what is locked, but what the guard calls can.
#[cold]
fn gone() -> Report {
    Report::error(
        sqlstate::OBJECT_IN_USE,
        format_args!("a function in a guard's key or predicate drops what the guard reads"),
    )
    .detail(format_args!(
        "It is marked IMMUTABLE, and a table or an index of the cooldown was gone when it had returned."
    ))
    .hint(format_args!("A function in a key must do nothing but compute a value."))
}

/// The tables whose rows of one key may stand within a period of each other: the table itself, or
/// all leaves of its partition tree unless the key decides the partition. With the second value,
/// every table of the tree, on which the answer depends.
pub fn family<'m>(table: Table, key: &Key, memory: Memory<'m>) -> (&'m [Oid], &'m [Oid]) {
    let mut own = Buffer::new(memory, 1);
    own.push(table.oid());
    let own = own.into_slice();
    let root = lock_root(table);
    if root == table.oid() && !table.is_partitioned() {
        return (own, &[]);
    }
    let (mut all, mut leaves) = (Buffer::new(memory, 8), Buffer::new(memory, 8));
    let mut decided = true;
    partitions::for_each_below(root, |member| {
        if member.is_partitioned() {
            // SAFETY: the member is open and partitioned.
            decided &= unsafe { key_decides_partition(table, key, member) };
        } else {
            leaves.push(member.oid());
        }
        all.push(member.oid());
    });
    if decided && !table.is_partitioned() {
        return (own, all.into_slice());
    }
    (leaves.into_slice(), all.into_slice())
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
        unsafe { ffi::LockRelationOid(root, pg_sys::AccessShareLock as c_int) };
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
                others = ffi::bms_add_member(others, member);
            }
        }
        let mut in_expression = false;
        !ffi::has_partition_attrs(parent.as_raw(), others, &mut in_expression)
    }
}

/// Opens a table for the time `body` takes. Plain frames.
pub fn with_table<T>(oid: Oid, body: impl FnOnce(Table) -> Result<T, Report>) -> Result<T, Report> {
    // SAFETY: closed again; after an ERROR the rollback closes it.
    unsafe {
        let relation = ffi::relation_open(oid, pg_sys::AccessShareLock as c_int);
        let outcome = body(Table::from_raw(relation));
        ffi::relation_close(relation, pg_sys::NoLock as c_int);
        outcome
    }
}
