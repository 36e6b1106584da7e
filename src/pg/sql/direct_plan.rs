//! Whether a column of a table's rows can be written past the executor, and what that takes.
//!
//! **What a plan depends on**, and so what makes it stale: the table's columns, constraints, indexes and triggers, its
//! access method, rules and owner, all of which a [`Watch`](crate::pg::table_watch::Watch) on the table tells of. Of
//! functions, operators and types it uses only those that came with Postgres. What changes without the table, the
//! rights of its owner and the state of the session, is asked for each row.

use super::ffi;
use crate::pg::base::list::{list_length, list_node};
use crate::pg::base::memory::{Buffer, Memory};
use crate::pg::data::column::attribute;
use crate::pg::entry::trigger::{triggers, Definition};
use crate::pg::table::foreign_key::ForeignKeyColumn;
use crate::pg::table::index_list;
use crate::pg::table::key::{understand, with_pinned_text, Key, Runs};
use crate::pg::table::relation::Table;
use crate::pg::table::scan_row::ScanRow;
use core::ffi::c_int;
use core::ptr::null_mut;
use pgrx::pg_sys::{self, Datum, Node, Oid};

/// A column to be written, and how rows are found.
#[derive(Clone, Copy)]
pub struct DirectTarget<'a> {
    pub table: Table<'a>,
    /// Rows are found by the columns that these refer to.
    pub key: &'a [ForeignKeyColumn],
    pub attno: i16,
    /// The trigger function of raceguard's that keeps others from writing the column.
    pub keeper: &'a str,
    /// A condition on the row as it is to be written, which no search_path changes; NULL counts as true.
    pub condition: Option<&'a str>,
    /// Whether a trigger function of raceguard's does nothing about a guard's own write of a column.
    pub is_quiet: fn(&str) -> bool,
}

/// All of it lies in one memory context.
#[derive(Clone, Copy)]
pub(super) struct DirectPlan<'p> {
    pub table: Oid,
    pub owner: Oid,
    /// Whether nobody has granted or revoked anything: the owner has all rights.
    pub owned: bool,
    pub attno: i16,
    pub type_oid: Oid,
    pub index: Oid,
    /// A condition for each column of the index's key, and which of the given values it takes.
    pub conditions: *mut pg_sys::ScanKeyData,
    pub places: &'p [usize],
    pub found: ScanRow<'p>,
    pub written: ScanRow<'p>,
    /// The given condition and CHECKs, which are not to be false.
    pub checks: Option<Key<'p>>,
    /// Columns that may not be NULL.
    pub required: &'p [i16],
    /// The column, and dropped ones, which an UPDATE leaves NULL.
    pub replaced: &'p [c_int],
    /// Where the new value goes, with NULLs behind it for the dropped columns.
    pub values: *mut Datum,
    pub nulls: *mut bool,
    /// Whether the table has foreign keys, which are checked again for a row of the same transaction.
    pub refers: bool,
}

impl<'p> DirectPlan<'p> {
    /// `None` where the executor has to write the column: something would run for the row that is not known here, or
    /// might find another row or another value. Plain frames; `memory` is the current context.
    pub(super) fn of(target: &DirectTarget, memory: Memory<'p>) -> Option<DirectPlan<'p>> {
        let DirectTarget { table, attno, .. } = *target;
        let column = table.column(attno)?;
        let is_number = matches!(
            (column.type_oid, column.typmod),
            (pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID, _) | (pg_sys::NUMERICOID, -1)
        );
        if !is_number
            || !is_plain_heap(table)
            || table.is_referable(attno)
            || refers_by(table, attno)
        {
            return None;
        }
        if !fires_nothing(target) {
            return None;
        }
        let (index, conditions, places) = find_index(target, memory)?;
        let (found, written) = (ScanRow::new(table, memory), ScanRow::of_tuples(table, memory));
        let checks = checks(target, written, memory)?;
        let (required, replaced) = columns(target, memory)?;
        let (mut values, mut nulls) = (Buffer::new(memory, 1), Buffer::new(memory, 1));
        for i in 0..replaced.len() {
            values.push(Datum::null());
            nulls.push(i > 0);
        }
        Some(DirectPlan {
            table: table.oid(),
            owner: table.owner(),
            owned: has_no_acl(table.oid()),
            attno,
            type_oid: column.type_oid,
            index,
            conditions,
            places,
            found,
            written,
            checks,
            required,
            replaced,
            values: values.as_mut_slice().as_mut_ptr(),
            nulls: nulls.as_mut_slice().as_mut_ptr(),
            // SAFETY: the list belongs to the relation's cache entry.
            refers: unsafe { list_length(ffi::RelationGetFKeyList(table.as_raw())) } > 0,
        })
    }
}

/// The columns that may not be NULL, and those that a new version of a row gets anew: the one that is written and
/// dropped ones. `None` where Postgres generates one.
fn columns<'p>(target: &DirectTarget, memory: Memory<'p>) -> Option<(&'p [i16], &'p [c_int])> {
    let DirectTarget { table, attno, .. } = *target;
    let (mut required, mut replaced) = (Buffer::new(memory, 8), Buffer::new(memory, 1));
    replaced.push(c_int::from(attno));
    for attno in 1..=table.column_count() {
        match table.column(attno) {
            Some(column) if column.generated => return None,
            // SAFETY: `attno` lies within the descriptor.
            Some(_) if unsafe { (*attribute((*table.as_raw()).rd_att, attno)).attnotnull } => {
                required.push(attno)
            }
            Some(_) => {}
            None => replaced.push(c_int::from(attno)),
        }
    }
    Some((required.into_slice(), replaced.into_slice()))
}

/// Whether it is a table of Postgres's own kind, without rules, that is no partition.
fn is_plain_heap(table: Table) -> bool {
    // SAFETY: the relation is open.
    unsafe {
        let relation = &*table.as_raw();
        let form = &*relation.rd_rel;
        form.relkind as u8 == pg_sys::RELKIND_RELATION
            && !form.relispartition
            && !form.relhasrules
            && core::ptr::eq(relation.rd_tableam, ffi::GetHeapamTableAmRoutine())
    }
}

/// Whether a table has the rights that it was created with.
fn has_no_acl(table: Oid) -> bool {
    let cache = pg_sys::SysCacheIdentifier::RELOID as c_int;
    // SAFETY: the row of an open table, which is given back.
    unsafe {
        let row = ffi::SearchSysCache1(cache, Datum::from(table));
        if row.is_null() {
            return false;
        }
        let mut is_null = false;
        let column = pg_sys::Anum_pg_class_relacl as i16;
        ffi::SysCacheGetAttr(cache, row, column, &mut is_null);
        ffi::ReleaseSysCache(row);
        is_null
    }
}

/// Whether a column is one by which the table refers to another.
fn refers_by(table: Table, attno: i16) -> bool {
    // SAFETY: the list belongs to the relation's cache entry, and nothing invalidates it meanwhile.
    unsafe {
        let keys = ffi::RelationGetFKeyList(table.as_raw());
        (0..list_length(keys)).any(|i| {
            let key = &*(list_node(keys, i) as *const pg_sys::ForeignKeyCacheInfo);
            key.conkey.iter().take(key.nkeys as usize).any(|own| *own == attno)
        })
    }
}

/// Whether no trigger has anything to do about an UPDATE of the column alone, while one keeps others from it. Those of
/// foreign keys look at their own columns only, see [`DirectPlan::refers`].
fn fires_nothing(target: &DirectTarget) -> bool {
    let DirectTarget { table, attno, keeper, is_quiet, .. } = *target;
    let row = pg_sys::TRIGGER_TYPE_ROW as u16;
    let mut is_kept = false;
    let quiet = |trigger: &Definition| {
        trigger.namespace() == "raceguard"
            && trigger.shape().kind & row != 0
            && is_quiet(trigger.function())
    };
    let all_quiet = triggers(table).filter(|trigger| trigger.fires().origin).all(|trigger| {
        let shape = trigger.shape();
        if shape.kind & pg_sys::TRIGGER_TYPE_UPDATE as u16 == 0 || trigger.is_foreign_keys() {
            return true;
        }
        if !quiet(&trigger) {
            return !trigger.is_of_updated(attno);
        }
        let plain = !shape.columns && !shape.condition;
        is_kept |= plain
            && shape.kind & pg_sys::TRIGGER_TYPE_BEFORE as u16 != 0
            && trigger.function() == keeper
            && trigger.argument(0) == table.column_name(attno);
        !shape.columns
    });
    all_quiet && is_kept
}

type KeyIndex<'p> = (Oid, *mut pg_sys::ScanKeyData, &'p [usize]);

/// The unique index over the columns that the key refers to, and what finds a row in it: as long as none is deferrable,
/// whose check a new entry would have to wait for.
fn find_index<'p>(target: &DirectTarget, memory: Memory<'p>) -> Option<KeyIndex<'p>> {
    let mut found = None;
    for oid in index_list::oids(target.table) {
        // SAFETY: the index is open while it is looked at.
        let (immediate, conditions) = index_list::with_index(oid, |index| unsafe {
            ((*(*index).rd_index).indimmediate, conditions_in(target, index, memory))
        });
        if !immediate {
            return None;
        }
        found = found.or(conditions.map(|(conditions, places)| (oid, conditions, places)));
    }
    found
}

/// # Safety
/// The index is open, one of the target's table.
unsafe fn conditions_in<'p>(
    target: &DirectTarget,
    index: pg_sys::Relation,
    memory: Memory<'p>,
) -> Option<(*mut pg_sys::ScanKeyData, &'p [usize])> {
    // SAFETY: promised by the caller; the arrays have an entry for each key column.
    unsafe {
        let form = &*(*index).rd_index;
        let count = form.indnkeyatts as usize;
        let fits = form.indisunique
            && form.indisvalid
            && form.indisready
            && !form.indisexclusion
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && count == target.key.len()
            && ffi::RelationGetIndexPredicate(index).is_null();
        if !fits {
            return None;
        }
        let conditions =
            ffi::palloc0(size_of::<pg_sys::ScanKeyData>() * count) as *mut pg_sys::ScanKeyData;
        let mut places = Buffer::new(memory, count);
        for i in 0..count {
            let attno = *form.indkey.values.as_ptr().add(i);
            let place = target.key.iter().position(|column| column.parent_attno == attno)?;
            let (operator, given) = (target.key[place].operator, target.key[place].type_oid);
            let (mut left, mut right) = (Oid::INVALID, Oid::INVALID);
            ffi::op_input_types(operator, &mut left, &mut right);
            let (family, input) = (*(*index).rd_opfamily.add(i), *(*index).rd_opcintype.add(i));
            let (function, collation) =
                (ffi::get_opcode(operator), *(*index).rd_indcollation.add(i));
            let equal = pg_sys::BTEqualStrategyNumber;
            let compares = ffi::get_op_opfamily_strategy(operator, family) as u32 == equal
                && left == input
                && ffi::IsBinaryCoercible(given, right)
                && target.table.column(attno)?.collation == collation
                && function.to_u32() < pg_sys::FirstNormalObjectId;
            if !compares {
                return None;
            }
            places.push(place);
            ffi::ScanKeyEntryInitialize(
                conditions.add(i),
                0,
                i as i16 + 1,
                equal as u16,
                right,
                collation,
                function,
                Datum::null(),
            );
        }
        Some((conditions, places.into_slice()))
    }
}

/// What the row must not make false, if there is anything: `None` where something else than Postgres's own functions would
/// run.
fn checks<'p>(
    target: &DirectTarget,
    row: ScanRow<'p>,
    memory: Memory<'p>,
) -> Option<Option<Key<'p>>> {
    let mut conditions = null_mut();
    if let Some(condition) = target.condition {
        let parsed = with_pinned_text(|| understand(target.table, condition, memory)).ok()?;
        conditions = with_condition(conditions, parsed.expression()?)?;
    }
    // SAFETY: a copy of the table's descriptor, which no invalidation takes away.
    unsafe {
        let constraints = (*(*row.empty()).tts_tupleDescriptor).constr;
        let count = if constraints.is_null() { 0 } else { (*constraints).num_check as usize };
        for i in 0..count {
            let check = &*(*constraints).check.add(i);
            #[cfg(since_pg18)]
            if !check.ccenforced {
                continue;
            }
            conditions = with_condition(conditions, ffi::stringToNode(check.ccbin) as *mut Node)?;
        }
        // An AND is false where one of them is, and only there.
        Some((!conditions.is_null()).then(|| Key::of_conditions(conditions, memory)))
    }
}

/// Adds a condition, planned; `None` for one that would run something else.
fn with_condition(list: *mut pg_sys::List, condition: *mut Node) -> Option<*mut pg_sys::List> {
    // SAFETY: a condition over the table, transformed by Postgres.
    unsafe {
        if Runs::of_expression(condition) != Runs::BuiltIn {
            return None;
        }
        let planned = ffi::expression_planner(condition as *mut pg_sys::Expr);
        Some(ffi::lappend(list, planned.cast()))
    }
}
