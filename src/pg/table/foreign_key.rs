//! Foreign keys, found by their names or by the parent they lead to, and the condition that follows one to its parent row.

use super::ffi;
use super::relation::Table;
use crate::pg::base::memory::{here, Buffer, Memory};
use crate::pg::base::text::{cstr, quote_ident, PgText};
use crate::pg::data::column::Storage;
use core::ffi::c_int;
use core::fmt::Write;
use pgrx::pg_sys::{self, Oid};

/// A foreign key, its referencing columns as the table at hand numbers them.
#[derive(Clone, Copy)]
pub struct ForeignKey<'k> {
    pub constraint: Oid,
    /// The table that the constraint was made on: the partitioned table for its partitions.
    pub child: Oid,
    pub parent: Oid,
    /// FOREIGN KEY (..., PERIOD ...): a row may have several parents, which cover its period together.
    pub over_periods: bool,
    pub columns: &'k [ForeignKeyColumn],
    /// The partitioned tables above the one at hand: the constraint may be theirs.
    pub tables: &'k [Oid],
}

/// One pair of columns of a foreign key.
#[derive(Clone, Copy, PartialEq)]
pub struct ForeignKeyColumn {
    pub attno: i16,
    pub type_oid: Oid,
    pub storage: Storage,
    pub parent_attno: i16,
    /// The operator that Postgres itself compares parent and child with.
    pub operator: Oid,
}

/// The enforced foreign key with this name on a table or on a partitioned table above it (whose
/// partitions may hold it under another name). Plain frames.
pub fn find<'m>(table: Table, name: &str, memory: Memory<'m>) -> Option<ForeignKey<'m>> {
    let name = PgText::from_fmt(format_args!("{name}")).into_raw();
    // SAFETY: the name ends in a zero byte.
    let oid_of =
        |holder: Table| unsafe { ffi::get_relation_constraint_oid(holder.oid(), name, true) };
    search(table, memory, oid_of)
}

/// The only enforced foreign key that leads from a table, or the topmost partitioned table above it that
/// has any, to a parent; otherwise how many there are. As [`find`].
pub fn find_only<'m>(
    table: Table,
    parent: Oid,
    memory: Memory<'m>,
) -> Result<ForeignKey<'m>, usize> {
    find_only_of(table, memory, |_, _, leads_to| leads_to == parent)
}

/// The only enforced foreign key of which something is true: on which table, its name, and to which it leads.
/// As [`find_only`].
pub fn find_only_of<'m>(
    table: Table,
    memory: Memory<'m>,
    is_it: impl Fn(Table, &str, Oid) -> bool,
) -> Result<ForeignKey<'m>, usize> {
    let mut count = 0;
    let found = search(table, memory, |holder| {
        let mut first = pg_sys::InvalidOid;
        let is_it = |key: &pg_sys::ForeignKeyCacheInfo| {
            // SAFETY: the constraint's name, or NULL where it is gone.
            let name = unsafe { cstr(ffi::get_constraint_name(key.conoid)) };
            is_enforced(key) && is_it(holder, name, key.confrelid)
        };
        for key in keys(holder).filter(is_it) {
            if count == 0 {
                first = key.conoid;
            }
            count += 1;
        }
        first
    });
    match found {
        Some(key) if count == 1 => Ok(key),
        _ => Err(count),
    }
}

/// The first foreign key that `choose` finds on a table or a partitioned table above it, from the top.
fn search<'m>(
    table: Table,
    memory: Memory<'m>,
    mut choose: impl FnMut(Table) -> Oid,
) -> Option<ForeignKey<'m>> {
    // SAFETY: ancestors are opened and closed here; the list belongs to this call.
    unsafe {
        if !(*(*table.as_raw()).rd_rel).relispartition {
            return key_of(table, table, choose(table), &[], memory);
        }
        let ancestors = ffi::get_partition_ancestors(table.oid());
        let mut above = Buffer::new(memory, length(ancestors));
        for i in (0..length(ancestors)).rev() {
            above.push((*(*ancestors).elements.add(i)).oid_value);
        }
        let above = above.into_slice();
        for oid in above {
            let relation = ffi::relation_open(*oid, pg_sys::AccessShareLock as c_int);
            let holder = Table::from_raw(relation);
            let found = key_of(holder, table, choose(holder), above, memory);
            ffi::relation_close(relation, pg_sys::AccessShareLock as c_int);
            if found.is_some() {
                return found;
            }
        }
        key_of(table, table, choose(table), above, memory)
    }
}

/// A foreign key of `holder`, its columns numbered as in `table`.
fn key_of<'m>(
    holder: Table,
    table: Table,
    constraint: Oid,
    tables: &'m [Oid],
    memory: Memory<'m>,
) -> Option<ForeignKey<'m>> {
    if constraint == pg_sys::InvalidOid {
        return None;
    }
    let key = info(holder, constraint)?;
    Some(ForeignKey {
        constraint,
        child: holder.oid(),
        parent: key.confrelid,
        over_periods: is_over_periods(constraint),
        columns: columns(&key, holder, table, memory)?,
        tables,
    })
}

/// What Postgres knows about an enforced foreign key of a table.
fn info(holder: Table, constraint: Oid) -> Option<pg_sys::ForeignKeyCacheInfo> {
    keys(holder).find(|key| key.conoid == constraint && is_enforced(key))
}

/// The foreign keys of a table. What looks at them must let nothing invalidate the table meanwhile.
fn keys(holder: Table) -> impl Iterator<Item = pg_sys::ForeignKeyCacheInfo> {
    // SAFETY: the list belongs to the relation's cache entry; each element is copied.
    unsafe {
        let keys = ffi::RelationGetFKeyList(holder.as_raw());
        (0..length(keys)).map(move |i| {
            *((*(*keys).elements.add(i)).ptr_value as *const pg_sys::ForeignKeyCacheInfo)
        })
    }
}

/// Whether a foreign key may be checked as late as when the transaction ends: a row may wait for its parent then, also
/// for one of another transaction. Plain frames.
pub fn is_deferrable(constraint: Oid) -> bool {
    // SAFETY: the row, where there is one, is a pg_constraint.
    with_row(constraint, |form| unsafe { (*form).condeferrable })
}

/// Asks the catalog's row of a constraint; false where there is none.
fn with_row(
    constraint: Oid,
    ask: impl FnOnce(*const pg_sys::FormData_pg_constraint) -> bool,
) -> bool {
    let cache = pg_sys::SysCacheIdentifier::CONSTROID as c_int;
    // SAFETY: the row is given back; plain frames.
    unsafe {
        let row = ffi::SearchSysCache1(cache, pg_sys::Datum::from(constraint));
        if row.is_null() {
            return false;
        }
        let form = (*row).t_data.byte_add((*(*row).t_data).t_hoff as usize);
        let answer = ask(form.cast::<pg_sys::FormData_pg_constraint>());
        ffi::ReleaseSysCache(row);
        answer
    }
}

impl ForeignKey<'_> {
    /// Whether the table it was made on still has it, between columns of the same types. Plain frames.
    pub fn stands(&self, child: Table) -> bool {
        let same = |(a, b): (&ForeignKeyColumn, &ForeignKeyColumn)| {
            (a.type_oid, a.parent_attno, a.operator) == (b.type_oid, b.parent_attno, b.operator)
        };
        info(child, self.constraint).is_some_and(|key| {
            let is_the_same = |now: &[ForeignKeyColumn]| {
                now.len() == self.columns.len() && now.iter().zip(self.columns).all(same)
            };
            key.confrelid == self.parent
                && here(|memory| columns(&key, child, child, memory).is_some_and(is_the_same))
        })
    }
}

fn columns<'m>(
    key: &pg_sys::ForeignKeyCacheInfo,
    holder: Table,
    table: Table,
    memory: Memory<'m>,
) -> Option<&'m [ForeignKeyColumn]> {
    let count = (key.nkeys as usize).min(key.conkey.len());
    let mut columns = Buffer::new(memory, count);
    for i in 0..count {
        let attno = *key.conkey.get(i)?;
        let column = if holder.oid() == table.oid() {
            table.column(attno)?
        } else {
            table.column_named(holder.column_name(attno))?
        };
        columns.push(ForeignKeyColumn {
            attno: column.attno,
            type_oid: column.type_oid,
            storage: Storage::of(column),
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
            ffi::generate_operator_clause(
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

#[cfg(not(since_pg18))]
fn is_over_periods(_constraint: Oid) -> bool {
    false
}

#[cfg(since_pg18)]
fn is_over_periods(constraint: Oid) -> bool {
    // SAFETY: the row, where there is one, is a pg_constraint.
    with_row(constraint, |form| unsafe { (*form).conperiod })
}

#[cfg(not(since_pg18))]
fn is_enforced(_key: &pg_sys::ForeignKeyCacheInfo) -> bool {
    true
}

#[cfg(since_pg18)]
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
