//! The unique index (key..., number) behind a cap or behind numbers: found by its structure, its key and
//! predicate evaluated. A cap's numbers are its slots.
//!
//! The index is never looked up by name: a shard or partition has an index of another name, and
//! REINDEX CONCURRENTLY leaves a second one beside it for a while.

use super::ffi;
use super::index_list;
use super::key::{Key, KeyValues, MAX_PARTS};
use super::numbered_scan::Scan;
use super::relation::Table;
use super::scan_row::ScanRow;
use crate::pg::base::error::Report;
use crate::pg::base::memory::{here, Buffer, Memory};
use crate::pg::base::sqlstate;
use crate::pg::base::text::{cstr, display, quote_ident, PgText};
use crate::pg::data::column::Column;
use crate::pg::data::row_slot::RowSlot;
use core::ffi::c_int;
use core::fmt::Write;
use pgrx::pg_sys::{self, Datum, Oid};

/// What the numbers of an index are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexForm {
    /// The slots of a cap: its predicate has `slot > 0`.
    Slots,
    /// Numbers that go on: it has no predicate.
    Numbers,
}

impl IndexForm {
    /// What the guard is called that has such an index.
    pub fn guard(self) -> &'static str {
        match self {
            IndexForm::Slots => "cap",
            IndexForm::Numbers => "number guard",
        }
    }

    /// What its last column is called.
    pub fn column(self) -> &'static str {
        match self {
            IndexForm::Slots => "slot column",
            IndexForm::Numbers => "number column",
        }
    }
}

/// The index of one guard on one (leaf) table.
#[derive(Clone, Copy)]
pub struct NumberedIndex<'m> {
    pub oid: Oid,
    pub key: Key<'m>,
    /// The predicate without its conditions on the number; `None` if nothing else is left.
    pub predicate: Option<Key<'m>>,
    /// Equality conditions on the key's parts, and as the last one on the number: equality with a slot, and
    /// "not below" among numbers that go on. Behind them the same once more with "not below" at the end. Scans
    /// write their values here; a scan copies them when it begins, so one set serves all.
    conditions: *mut pg_sys::ScanKeyData,
    /// Where scans put the rows they find.
    row: ScanRow<'m>,
    number: Column,
}

/// Finds the index whose last column is `number`. Plain frames; `None` if there is none.
pub fn find<'m>(
    table: Table,
    number: Column,
    form: IndexForm,
    memory: Memory<'m>,
) -> Result<Option<NumberedIndex<'m>>, Report> {
    let [first, others @ ..] = candidates(table, number.attno, form, memory) else {
        return Ok(None);
    };
    index_list::with_index(*first, |index| {
        for other in others {
            index_list::with_index(*other, |other| {
                // SAFETY: both are open, on one table.
                match unsafe { index_list::have_one_form(index, other) } {
                    // The twin that REINDEX CONCURRENTLY makes.
                    true => Ok(()),
                    // SAFETY: as above.
                    false => Err(unsafe { ambiguous(table, form, index, other) }),
                }
            })?;
        }
        // SAFETY: the index is open and of the right shape.
        Ok(Some(memory.within(|| unsafe { compile(table, index, number, form, memory) })))
    })
}

/// The indexes of a form that end with a column. Plain frames.
pub fn candidates<'m>(table: Table, number: i16, form: IndexForm, memory: Memory<'m>) -> &'m [Oid] {
    let mut found = Buffer::new(memory, 1);
    for oid in index_list::oids(table) {
        // SAFETY: the index is open while it is looked at.
        if index_list::with_index(oid, |index| unsafe { has_form(index, number, form) }) {
            found.push(oid);
        }
    }
    found.into_slice()
}

/// Unique, valid, ready, immediate, a btree, the number as last key column, and the predicate that goes with it.
unsafe fn has_form(index: pg_sys::Relation, number: i16, form: IndexForm) -> bool {
    // SAFETY: the index is open.
    unsafe {
        let entry = &*(*index).rd_index;
        let count = entry.indnkeyatts as usize;
        entry.indisunique
            && entry.indisvalid
            && entry.indisready
            && entry.indimmediate
            && !entry.indnullsnotdistinct
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && count >= 2
            && *entry.indkey.values.as_ptr().add(count - 1) == number
            && match form {
                IndexForm::Slots => predicate_conditions(index)
                    .any(|(node, uses)| excludes_zero(node, uses, number)),
                // Read from the highest number on, which is the last entry.
                IndexForm::Numbers => {
                    *(*index).rd_indoption.add(count - 1) & 1 == 0
                        && predicate_conditions(index).next().is_none()
                }
            }
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
        unsafe { ffi::bms_membership(self.0) == 1 && ffi::bms_is_member(member, self.0) }
    }
}

unsafe fn predicate_conditions(
    index: pg_sys::Relation,
) -> impl Iterator<Item = (*mut pg_sys::Node, Uses)> {
    // SAFETY: the index is open; the list is a copy in the current memory context.
    let list = unsafe { ffi::RelationGetIndexPredicate(index) };
    // SAFETY: NIL is NULL.
    let count = if list.is_null() { 0 } else { unsafe { (*list).length as usize } };
    (0..count).map(move |i| {
        // SAFETY: `i` lies within the list of expressions.
        unsafe {
            let node = (*(*list).elements.add(i)).ptr_value as *mut pg_sys::Node;
            let mut used: *mut pg_sys::Bitmapset = core::ptr::null_mut();
            ffi::pull_varattnos(node, 1, &mut used);
            (node, Uses(used))
        }
    })
}

/// # Safety
/// Both indexes are open.
unsafe fn ambiguous(
    table: Table,
    form: IndexForm,
    a: pg_sys::Relation,
    b: pg_sys::Relation,
) -> Report {
    // SAFETY: promised by the caller.
    let (a, b) = unsafe {
        (cstr((*(*a).rd_rel).relname.data.as_ptr()), cstr((*(*b).rd_rel).relname.data.as_ptr()))
    };
    Report::error(
        sqlstate::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "table \"{}\" has two different indexes that could be its {}",
            table.name(),
            match form {
                IndexForm::Slots => "cap",
                IndexForm::Numbers => "number guard's",
            }
        ),
    )
    .detail(format_args!("Both \"{a}\" and \"{b}\" end with the {}.", form.column()))
    .hint(format_args!(
        "Drop the one that is not the {}'s, or give it a {} of its own.",
        form.guard(),
        form.column()
    ))
    .table(table.oid())
}

/// # Safety
/// The index is open and has the form; the memory is the current context.
unsafe fn compile<'m>(
    table: Table,
    index: pg_sys::Relation,
    number: Column,
    form: IndexForm,
    memory: Memory<'m>,
) -> NumberedIndex<'m> {
    // SAFETY: the index is open and has its form: at least one key part, then the number; its
    // operator families have all five operators for their own input type.
    unsafe {
        let count = (*(*index).rd_index).indnkeyatts as usize;
        let expressions = ffi::RelationGetIndexExpressions(index);
        let key = Key::of_index(table, index, expressions, count - 1, memory);
        let conditions =
            ffi::palloc(2 * count * size_of::<pg_sys::ScanKeyData>()) as *mut pg_sys::ScanKeyData;
        for i in 0..count {
            let of_slots = form == IndexForm::Slots;
            let last = i + 1 == count;
            condition(index, i, last && !of_slots, conditions.add(i));
            condition(index, i, last, conditions.add(count + i));
        }
        let mut rest: *mut pg_sys::List = core::ptr::null_mut();
        for (node, uses) in predicate_conditions(index) {
            // With the slot taken as 1, conditions on nothing but the slot hold.
            if !uses.is_only(number.attno) {
                rest = ffi::lappend(rest, node as *mut _);
            }
        }
        NumberedIndex {
            oid: (*index).rd_id,
            key,
            predicate: (!rest.is_null()).then(|| Key::of_conditions(rest, memory)),
            conditions,
            row: ScanRow::new(table, memory),
            number,
        }
    }
}

/// Makes a condition on a column of the index, equality or "not below".
unsafe fn condition(
    index: pg_sys::Relation,
    i: usize,
    not_below: bool,
    to: *mut pg_sys::ScanKeyData,
) {
    let strategy = match not_below {
        true => pg_sys::BTGreaterEqualStrategyNumber,
        false => pg_sys::BTEqualStrategyNumber,
    };
    // SAFETY: as in `compile`; there is room for one more condition.
    unsafe {
        let (family, input) = (*(*index).rd_opfamily.add(i), *(*index).rd_opcintype.add(i));
        let operator = ffi::get_opfamily_member(family, input, input, strategy as i16);
        ffi::ScanKeyEntryInitialize(
            to,
            0,
            i as i16 + 1,
            strategy as u16,
            input,
            *(*index).rd_indcollation.add(i),
            ffi::get_opcode(operator),
            Datum::null(),
        );
    }
}

/// The partition constraint of a partition, to tell an UPDATE that moves the row away.
pub fn partition_constraint<'m>(table: Table, memory: Memory<'m>) -> Option<Key<'m>> {
    // SAFETY: the relation is open; the list is a copy in the memory.
    memory.within(|| unsafe {
        if !(*(*table.as_raw()).rd_rel).relispartition {
            return None;
        }
        let list = ffi::RelationGetPartitionQual(table.as_raw());
        if list.is_null() {
            return None;
        }
        // Unlike an index's predicate it has not been through the planner.
        ffi::fix_opfuncids(list as *mut pg_sys::Node);
        Some(Key::of_conditions(list, memory))
    })
}

impl NumberedIndex<'_> {
    /// Locks the index for a reader until its transaction ends; a writer has done so already.
    pub fn lock(&self) {
        // SAFETY: plain frames or inside `catch`.
        unsafe { ffi::LockRelationOid(self.oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE) };
    }

    /// Whether the index holds a row that has a number.
    #[inline]
    pub fn covers(&self, row: RowSlot) -> bool {
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
                ffi::FunctionCall2Coll(function, (*condition).sk_collation, *a, *b).value() != 0
            }
        })
    }

    /// Starts reading the numbers of a key.
    #[inline]
    pub fn open<'t>(&'t self, table: Table<'t>, key: &KeyValues) -> Scan<'t> {
        // SAFETY: there is a condition for each part. The lock on the table keeps its indexes:
        // DROP INDEX conflicts with it, DROP INDEX and REINDEX CONCURRENTLY wait for it.
        unsafe {
            for (i, value) in key.as_slice().iter().enumerate() {
                (*self.conditions.add(i)).sk_argument = *value;
            }
            let index = ffi::index_open(self.oid, pg_sys::NoLock as c_int);
            Scan {
                table,
                index,
                row: self.row.empty(),
                conditions: self.conditions,
                count: key.as_slice().len(),
                number: self.number,
            }
        }
    }

    /// The key as an error names it, `("userId")=(42)`; `None` where the caller may not see it, or all
    /// rows have the same.
    pub fn describe(&self, key: &KeyValues) -> Option<PgText> {
        let mut values = [Datum::null(); MAX_PARTS];
        let mut nulls = [false; MAX_PARTS];
        for (to, from) in values.iter_mut().zip(key.as_slice()) {
            *to = *from;
        }
        // SAFETY: BuildIndexValueDescription checks the privileges and row security; the
        // number's value, which it also shows, is a by-value zero. Its text is not used: it has the number.
        unsafe {
            let index = ffi::index_open(self.oid, pg_sys::AccessShareLock as c_int);
            let allowed =
                !ffi::BuildIndexValueDescription(index, values.as_mut_ptr(), nulls.as_mut_ptr())
                    .is_null();
            let table = (*(*index).rd_index).indrelid;
            ffi::index_close(index, pg_sys::AccessShareLock as c_int);
            if !allowed || here(|memory| self.key.constant(memory).is_some()) {
                return None;
            }
            let columns = cstr(ffi::pg_get_indexdef_columns(self.oid, true));
            let number = cstr(ffi::get_attname(table, self.number.attno, true));
            let suffix = PgText::from_fmt(format_args!(", {}", quote_ident(number)));
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
