//! The indexes of a table, each looked at in turn.

use super::ffi;
use super::relation::Table;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Oid};

/// The OIDs of an open table's indexes. Plain frames.
pub(in crate::pg) fn oids(table: Table<'_>) -> impl Iterator<Item = Oid> + Clone {
    // SAFETY: the relation is open; the list is a copy in the current memory context, and NIL is NULL.
    let (list, count) = unsafe {
        let list = ffi::RelationGetIndexList(table.as_raw());
        (list, if list.is_null() { 0 } else { (*list).length as usize })
    };
    // SAFETY: `i` lies within the list.
    (0..count).map(move |i| unsafe { (*(*list).elements.add(i)).oid_value })
}

/// Runs `look` with an index of an open table open, under the lock of a reader. Plain frames.
pub(in crate::pg) fn with_index<T>(index: Oid, look: impl FnOnce(pg_sys::Relation) -> T) -> T {
    // SAFETY: opened for a table that is locked, which keeps its indexes; closed again.
    unsafe {
        let index = ffi::index_open(index, pg_sys::AccessShareLock as c_int);
        let seen = look(index);
        ffi::index_close(index, pg_sys::AccessShareLock as c_int);
        seen
    }
}

/// Opens the indexes of a table one after the other, until `look` answers. Plain frames.
pub(super) fn find<T>(
    table: Table,
    mut look: impl FnMut(pg_sys::Relation) -> Option<T>,
) -> Option<T> {
    oids(table).find_map(|oid| with_index(oid, &mut look))
}

/// Whether two indexes have the same columns, expressions, operator families, collations and predicate, as
/// those that REINDEX CONCURRENTLY makes of each other.
///
/// # Safety
/// Both are open, on one table.
pub(super) unsafe fn have_one_form(a: pg_sys::Relation, b: pg_sys::Relation) -> bool {
    // SAFETY: promised by the caller; the arrays have an entry for each key column.
    unsafe {
        let (x, y) = (&*(*a).rd_index, &*(*b).rd_index);
        x.indnkeyatts == y.indnkeyatts
            && (0..x.indnkeyatts as usize).all(|i| {
                *x.indkey.values.as_ptr().add(i) == *y.indkey.values.as_ptr().add(i)
                    && *(*a).rd_opfamily.add(i) == *(*b).rd_opfamily.add(i)
                    && *(*a).rd_indcollation.add(i) == *(*b).rd_indcollation.add(i)
            })
            && ffi::equal(
                ffi::RelationGetIndexExpressions(a).cast(),
                ffi::RelationGetIndexExpressions(b).cast(),
            )
            && ffi::equal(
                ffi::RelationGetIndexPredicate(a).cast(),
                ffi::RelationGetIndexPredicate(b).cast(),
            )
    }
}
