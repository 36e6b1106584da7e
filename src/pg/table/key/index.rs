//! Keys and the columns, expressions and predicates of indexes.

use super::parse::used_columns;
use super::{Key, KeyPart, MAX_PARTS, NO_EXPRESSION};
use crate::pg::base::list::list_node;
use crate::pg::base::memory::{Buffer, Memory};
use crate::pg::base::text::cstr;
use crate::pg::table::ffi;
use crate::pg::table::index_list;
use crate::pg::table::relation::Table;
use core::ffi::c_int;
use pgrx::pg_sys;
use pgrx::pg_sys::Oid;

/// The columns of its table that an index's keys are made of, ascending; `None` if the index is gone. Inside
/// `catch`.
pub fn columns_of_index(index: Oid, memory: Memory<'_>) -> Option<&[i16]> {
    let mut columns: *mut pg_sys::Bitmapset = core::ptr::null_mut();
    // SAFETY: the index is opened, read and closed again; the set is in the current memory context.
    unsafe {
        let index = ffi::try_relation_open(index, pg_sys::AccessShareLock as c_int);
        if index.is_null() {
            return None;
        }
        let form = &*(*index).rd_index;
        for i in 0..form.indnkeyatts as usize {
            let attno = *form.indkey.values.as_ptr().add(i) as c_int;
            if attno != 0 {
                let member = attno - pg_sys::FirstLowInvalidHeapAttributeNumber;
                columns = ffi::bms_add_member(columns, member);
            }
        }
        let expressions = ffi::RelationGetIndexExpressions(index) as *mut pg_sys::Node;
        ffi::pull_varattnos(expressions, 1, &mut columns);
        ffi::index_close(index, pg_sys::NoLock as c_int);
    }
    let mut list = Buffer::new(memory, MAX_PARTS);
    // SAFETY: the set was made above.
    for attno in unsafe { used_columns(columns) } {
        list.push(attno);
    }
    Some(list.into_slice())
}

/// A unique index that an INSERT can run into at once.
#[derive(Clone, Copy)]
pub struct PlainIndex<'m> {
    pub oid: Oid,
    /// Over columns alone, without a predicate.
    pub plain: bool,
    /// The columns of its key; 0 is an expression.
    pub columns: &'m [i16],
    /// Whether two NULLs are the same.
    pub nulls_equal: bool,
}

impl PlainIndex<'_> {
    /// Whether these, ascending, are the columns of its key; `None` where its expressions may have more.
    pub fn has_columns(&self, columns: &[i16]) -> Option<bool> {
        if !self.columns.iter().all(|c| *c == 0 || columns.contains(c)) {
            return Some(false);
        }
        self.plain.then_some(columns.len() == self.columns.len())
    }
}

/// The unique indexes of a table that are valid and not deferrable. Inside `catch`.
pub fn unique_indexes_of<'m>(table: Table, memory: Memory<'m>) -> &'m [PlainIndex<'m>] {
    let mut found = Buffer::new(memory, 4);
    for oid in index_list::oids(table) {
        // SAFETY: the index is open while it is looked at.
        let read = |index| unsafe { plain_index(index, memory) };
        if let Some(index) = index_list::with_index(oid, read) {
            found.push(index);
        }
    }
    found.into_slice()
}

/// # Safety
/// The index is open.
unsafe fn plain_index<'m>(index: pg_sys::Relation, memory: Memory<'m>) -> Option<PlainIndex<'m>> {
    // SAFETY: promised by the caller.
    unsafe {
        let form = &*(*index).rd_index;
        // One of a key WITHOUT OVERLAPS (Postgres 18) is left out: several rows may be in the way of one.
        let decides = form.indisunique && !form.indisexclusion;
        if !decides || !form.indisvalid || !form.indimmediate {
            return None;
        }
        let mut columns = Buffer::new(memory, form.indnkeyatts as usize);
        for i in 0..form.indnkeyatts as usize {
            columns.push(*form.indkey.values.as_ptr().add(i));
        }
        let columns = columns.into_slice();
        let plain = columns.iter().all(|attno| *attno > 0)
            && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && ffi::RelationGetIndexPredicate(index).is_null();
        let (oid, nulls_equal) = ((*index).rd_id, form.indnullsnotdistinct);
        Some(PlainIndex { oid, plain, columns, nulls_equal })
    }
}

/// Whether a unique index of an open table is being built, or taken away, beside others (CREATE INDEX,
/// REINDEX or DROP INDEX CONCURRENTLY): rows go into it, and ON CONFLICT does not know it.
pub fn has_unfinished_unique_index(table: Table) -> bool {
    let unfinished = |index: pg_sys::Relation| {
        // SAFETY: the index is open while it is looked at.
        let form = unsafe { &*(*index).rd_index };
        (form.indisunique && !form.indisvalid).then_some(())
    };
    index_list::find(table, unfinished).is_some()
}

/// Whether the index of that name on an open table has the form of another one of it: the same columns,
/// expressions, operator families, collations and predicate. Reads what is so now, whatever the
/// transaction's snapshot.
pub fn is_twin(table: Table, index: Oid, name: &str) -> bool {
    let Some(twin) = index_named(table, name) else { return false };
    let mut listed = index_list::oids(table);
    if listed.clone().any(|oid| oid == index) {
        return have_one_form(index, twin);
    }
    // It was read under an old snapshot, and has been rebuilt: another of the form will do.
    listed.any(|oid| oid != twin && have_one_form(oid, twin))
}

/// The same for the index of a partition that belongs to one of the partitioned table above.
pub fn is_twin_below(partition: Oid, index: Oid, name: &str) -> bool {
    // SAFETY: the partition is opened and closed again, and its lock kept; NULL for an OID that names none.
    unsafe {
        let relation = ffi::try_relation_open(partition, pg_sys::AccessShareLock as c_int);
        if relation.is_null() {
            return false;
        }
        let table = Table::from_raw(relation);
        // Once the two have changed places the name is the other's.
        let same = match index_named(table, name) {
            Some(twin) => index_list::oids(table)
                .any(|oid| belongs_to(oid, index) && (oid == twin || have_one_form(oid, twin))),
            None => is_leftover(name),
        };
        ffi::relation_close(relation, pg_sys::NoLock as c_int);
        same
    }
}

/// Whether REINDEX CONCURRENTLY gives such a name to the index that it makes, or takes away: it waited for the lock that a
/// failed INSERT has let go of, and the index is gone before anybody can look at it.
fn is_leftover(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.ends_with("_ccold") || name.ends_with("_ccnew")
}

/// Whether a partition's index belongs to one of the partitioned table above.
unsafe fn belongs_to(index: Oid, above: Oid) -> bool {
    // SAFETY: the list is one of OIDs.
    unsafe {
        let ancestors = ffi::get_partition_ancestors(index);
        let count = if ancestors.is_null() { 0 } else { (*ancestors).length as usize };
        (0..count).any(|i| (*(*ancestors).elements.add(i)).oid_value == above)
    }
}

fn index_named(table: Table, name: &str) -> Option<Oid> {
    // SAFETY: the name of an index of an open table.
    index_list::oids(table).find(|oid| unsafe { cstr(ffi::get_rel_name(*oid)) } == name)
}

fn have_one_form(one: Oid, other: Oid) -> bool {
    index_list::with_index(one, |one| {
        // SAFETY: both are open, on one table.
        index_list::with_index(other, |other| unsafe { index_list::have_one_form(one, other) })
    })
}

impl<'k> Key<'k> {
    /// The first `count` columns of an index as a key; the index is open.
    ///
    /// # Safety
    /// `index` is an open index on `table`, `expressions` its expressions; they lie in the memory, which is
    /// the current context.
    pub unsafe fn of_index(
        table: Table,
        index: pg_sys::Relation,
        expressions: *mut pg_sys::List,
        count: usize,
        memory: Memory<'k>,
    ) -> Key<'k> {
        let mut parts = Buffer::new(memory, count);
        let mut next_expression = 0;
        for i in 0..count {
            // SAFETY: promised by the caller; a column number of 0 stands for the next expression.
            unsafe {
                let attno = *(*(*index).rd_index).indkey.values.as_ptr().add(i);
                let collation = *(*index).rd_indcollation.add(i);
                let (type_oid, typmod, expression) = match table.column(attno) {
                    Some(column) => (column.type_oid, column.typmod, NO_EXPRESSION),
                    None => {
                        let e = list_node(expressions, next_expression) as *mut pg_sys::Node;
                        next_expression += 1;
                        let state =
                            ffi::ExecInitExpr(e as *mut pg_sys::Expr, core::ptr::null_mut());
                        (ffi::exprType(e), ffi::exprTypmod(e), (state, e))
                    }
                };
                parts.push(KeyPart::new(attno, expression, type_oid, typmod, collation));
            }
        }
        // SAFETY: promised by the caller; the context is made where the parts are.
        unsafe { Key::new(parts, ffi::CreateStandaloneExprContext(), memory) }
    }

    /// Conditions joined by AND, as a key of one boolean.
    ///
    /// # Safety
    /// `conditions` is a list of planned boolean expressions over one table; it lies in the memory, which is the
    /// current context.
    pub unsafe fn of_conditions(conditions: *mut pg_sys::List, memory: Memory<'k>) -> Key<'k> {
        let mut parts = Buffer::new(memory, 1);
        // SAFETY: promised by the caller.
        let (expression, context) = unsafe {
            let all = ffi::make_ands_explicit(conditions);
            let state = ffi::ExecInitExpr(all, core::ptr::null_mut());
            ((state, all as *mut pg_sys::Node), ffi::CreateStandaloneExprContext())
        };
        parts.push(KeyPart::new(0, expression, pg_sys::BOOLOID, -1, pg_sys::InvalidOid));
        // SAFETY: promised by the caller.
        unsafe { Key::new(parts, context, memory) }
    }

    /// Whether this key of one boolean is the same as an index's predicate.
    ///
    /// # Safety
    /// `conditions` is a predicate as the relation cache has it, over the key's table.
    pub unsafe fn is_index_predicate(&self, conditions: *mut pg_sys::List) -> bool {
        let [KeyPart { attno, tree, .. }] = *self.parts else { return false };
        // SAFETY: promised by the caller; the steps are those of RelationGetIndexPredicate.
        unsafe {
            let tree = match attno {
                0 => tree,
                // A boolean column by itself.
                _ => ffi::makeVar(1, attno, pg_sys::BOOLOID, -1, pg_sys::InvalidOid, 0).cast(),
            };
            let own = ffi::canonicalize_qual(tree as *mut pg_sys::Expr, false);
            ffi::equal(ffi::make_ands_implicit(own) as *const _, conditions as *const _)
        }
    }

    /// Whether the first columns of an index are the parts of this key, in its order.
    ///
    /// # Safety
    /// `index` is an open index on the key's table with more columns than the key has parts;
    /// `expressions` are its expressions.
    pub unsafe fn is_of_index(
        &self,
        index: pg_sys::Relation,
        expressions: *mut pg_sys::List,
    ) -> bool {
        let mut next_expression = 0;
        self.parts.iter().enumerate().all(|(i, part)| {
            // SAFETY: promised by the caller; a column number of 0 stands for the next expression.
            unsafe {
                if *(*index).rd_indcollation.add(i) != part.collation {
                    return false;
                }
                let attno = *(*(*index).rd_index).indkey.values.as_ptr().add(i);
                if attno != 0 || part.attno != 0 {
                    return attno == part.attno;
                }
                next_expression += 1;
                ffi::equal(list_node(expressions, next_expression - 1), part.tree as *const _)
            }
        })
    }

    /// Whether each of the first `count` columns of an index is a part of this key, in any order.
    ///
    /// # Safety
    /// `index` is an open index on the key's table with at least `count` columns; `expressions` are
    /// its expressions.
    pub unsafe fn includes_index(
        &self,
        index: pg_sys::Relation,
        expressions: *mut pg_sys::List,
        count: usize,
    ) -> bool {
        let mut next_expression = 0;
        (0..count).all(|i| {
            // SAFETY: promised by the caller; a column number of 0 stands for the next expression.
            unsafe {
                let collation = *(*index).rd_indcollation.add(i);
                let attno = *(*(*index).rd_index).indkey.values.as_ptr().add(i);
                let tree = match attno {
                    0 => list_node(expressions, next_expression) as *const core::ffi::c_void,
                    _ => core::ptr::null(),
                };
                next_expression += usize::from(attno == 0);
                self.parts.iter().any(|part| {
                    part.collation == collation
                        && part.attno == attno
                        && (attno != 0 || ffi::equal(tree.cast(), part.tree as *const _))
                })
            }
        })
    }
}
