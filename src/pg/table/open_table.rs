//! Tables opened by a function for as long as it needs them.

use super::ffi;
use super::relation::Table;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::sqlstate;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Oid};

/// An open table; closed when dropped, its lock kept until the transaction ends.
pub struct OpenTable(pg_sys::Relation);

/// Opens a table with the lock that reading it takes.
pub fn open_table(oid: Oid) -> Result<OpenTable, Report> {
    // SAFETY: closed by Drop; after an ERROR the rollback closes it.
    let relation =
        catch(|| unsafe { ffi::try_relation_open(oid, pg_sys::AccessShareLock as c_int) })?;
    if relation.is_null() {
        return Err(no_table(oid));
    }
    Ok(OpenTable(relation))
}

/// 42P01.
pub fn no_table(oid: Oid) -> Report {
    Report::error(
        sqlstate::UNDEFINED_TABLE,
        format_args!("table with OID {} does not exist", oid.to_u32()),
    )
    .detail(format_args!("It was dropped, or the number never named a table."))
    .hint(format_args!("Name the table, for example 'orders'."))
}

/// The same for a table that may have been dropped.
pub fn try_open_table(oid: Oid) -> Result<Option<OpenTable>, Report> {
    // SAFETY: as in `open_table`; NULL for a table that does not exist.
    let relation =
        catch(|| unsafe { ffi::try_relation_open(oid, pg_sys::AccessShareLock as c_int) })?;
    // Not then_some: a value made for nothing would close NULL when it is dropped.
    Ok((!relation.is_null()).then(|| OpenTable(relation)))
}

/// Runs `body` with a table open, if it is there, and gives the lock of reading it back at once: for looks at
/// many tables. An error is left to the rollback that has to follow.
pub fn glance<T>(
    oid: Oid,
    body: impl FnOnce(Table) -> Result<T, Report>,
) -> Result<Option<T>, Report> {
    let lock = pg_sys::AccessShareLock as c_int;
    // SAFETY: closed below; NULL for a table that does not exist.
    let relation = catch(|| unsafe { ffi::try_relation_open(oid, lock) })?;
    if relation.is_null() {
        return Ok(None);
    }
    // SAFETY: open until the next line but one.
    let value = body(unsafe { Table::from_raw(relation) })?;
    // SAFETY: opened above.
    catch(|| unsafe { ffi::relation_close(relation, lock) })?;
    Ok(Some(value))
}

impl OpenTable {
    pub fn table(&self) -> Table<'_> {
        // SAFETY: open until dropped.
        unsafe { Table::from_raw(self.0) }
    }
}

impl Drop for OpenTable {
    fn drop(&mut self) {
        // SAFETY: opened by `open_table`; NoLock keeps the lock. On the way out of an error the
        // transaction's end closes the relation: closing it here as well is what C code in
        // PG_CATCH may do, the resource owner has not been released yet.
        unsafe { ffi::relation_close(self.0, pg_sys::NoLock as c_int) }
    }
}
