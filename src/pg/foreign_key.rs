//! Foreign keys, found by their names, and the condition that follows one to its parent row.

use super::key_bytes::Shape;
use super::memory::Buffer;
use super::raw;
use super::relation::Table;
use super::text::{quote_ident, PgText};
use core::ffi::{c_char, c_int};
use core::fmt::Write;
use pgrx::pg_sys::{self, Oid};

extern "C-unwind" {
    fn get_relation_constraint_oid(table: Oid, name: *const c_char, missing_ok: bool) -> Oid;
    fn RelationGetFKeyList(relation: pg_sys::Relation) -> *mut pg_sys::List;
    fn generate_operator_clause(
        buffer: pg_sys::StringInfo,
        left: *const c_char,
        left_type: Oid,
        operator: Oid,
        right: *const c_char,
        right_type: Oid,
    );
}

/// A foreign key, its referencing columns as the table at hand numbers them.
#[derive(Clone, Copy)]
pub struct ForeignKey {
    pub constraint: Oid,
    /// The table that the constraint was made on: the partitioned table for its partitions.
    pub child: Oid,
    pub parent: Oid,
    pub columns: &'static [KeyColumn],
}

/// One pair of columns of a foreign key.
#[derive(Clone, Copy)]
pub struct KeyColumn {
    pub attno: i16,
    pub type_oid: Oid,
    pub shape: Shape,
    pub parent_attno: i16,
    /// The operator that Postgres itself compares parent and child with.
    pub operator: Oid,
}

/// The enforced foreign key with this name on a table or on a partitioned table above it (whose
/// partitions may hold it under another name). Plain frames; the columns live in the current
/// memory context.
pub fn find(table: Table, name: &str) -> Option<ForeignKey> {
    let name = PgText::from_fmt(format_args!("{name}")).into_raw();
    // SAFETY: ancestors are opened and closed here; the list belongs to this call.
    unsafe {
        if (*(*table.as_raw()).rd_rel).relispartition {
            let ancestors = raw::get_partition_ancestors(table.oid());
            for i in (0..length(ancestors)).rev() {
                let oid = (*(*ancestors).elements.add(i)).oid_value;
                let relation = raw::relation_open(oid, pg_sys::AccessShareLock as c_int);
                let found = find_on(Table::from_raw(relation), table, name);
                raw::relation_close(relation, pg_sys::AccessShareLock as c_int);
                if found.is_some() {
                    return found;
                }
            }
        }
        find_on(table, table, name)
    }
}

/// The foreign key `name` of `holder`, its columns numbered as in `table`.
unsafe fn find_on(holder: Table, table: Table, name: *const c_char) -> Option<ForeignKey> {
    // SAFETY: the list belongs to the relation's cache entry; nothing below lets go of it before
    // the columns are copied.
    unsafe {
        let constraint = get_relation_constraint_oid(holder.oid(), name, true);
        if constraint == pg_sys::InvalidOid {
            return None;
        }
        let keys = RelationGetFKeyList(holder.as_raw());
        for i in 0..length(keys) {
            let key = *((*(*keys).elements.add(i)).ptr_value as *const pg_sys::ForeignKeyCacheInfo);
            if key.conoid == constraint && is_enforced(&key) {
                return Some(ForeignKey {
                    constraint,
                    child: holder.oid(),
                    parent: key.confrelid,
                    columns: columns(&key, holder, table)?,
                });
            }
        }
        None
    }
}

fn columns(
    key: &pg_sys::ForeignKeyCacheInfo,
    holder: Table,
    table: Table,
) -> Option<&'static [KeyColumn]> {
    let count = (key.nkeys as usize).min(key.conkey.len());
    let mut columns = Buffer::new(count);
    for i in 0..count {
        let attno = *key.conkey.get(i)?;
        let column = if holder.oid() == table.oid() {
            table.column(attno)?
        } else {
            table.column_named(holder.column_name(attno))?
        };
        columns.push(KeyColumn {
            attno: column.attno,
            type_oid: column.type_oid,
            shape: Shape::of(column),
            parent_attno: *key.confkey.get(i)?,
            operator: *key.conpfeqop.get(i)?,
        });
    }
    Some(columns.into_slice())
}

/// The condition that finds the parent row of the values `$1`, `$2`, ...: the foreign key's own
/// operators, named so that no search_path changes their meaning. Plain frames.
pub fn condition(key: ForeignKey, parent: Table) -> PgText {
    let mut text = PgText::new();
    for (i, column) in key.columns.iter().enumerate() {
        let Some(theirs) = parent.column(column.parent_attno) else {
            continue;
        };
        if i > 0 {
            let _ = text.write_str(" AND ");
        }
        let left = quote_ident(parent.column_name(column.parent_attno)).into_raw();
        let right = PgText::from_fmt(format_args!("${}", i + 1)).into_raw();
        // SAFETY: appends to the buffer; both operands are NUL-terminated.
        unsafe {
            generate_operator_clause(
                text.as_raw(),
                left,
                theirs.type_oid,
                column.operator,
                right,
                column.type_oid,
            );
        }
    }
    text
}

#[cfg(not(feature = "pg18"))]
fn is_enforced(_key: &pg_sys::ForeignKeyCacheInfo) -> bool {
    true
}

#[cfg(feature = "pg18")]
fn is_enforced(key: &pg_sys::ForeignKeyCacheInfo) -> bool {
    key.conenforced
}

unsafe fn length(list: *const pg_sys::List) -> usize {
    if list.is_null() {
        return 0;
    }
    // SAFETY: not NULL, so a list.
    unsafe { (*list).length as usize }
}
