//! Tables opened by a function for as long as it needs them.

use super::error::{catch, Report};
use super::raw;
use super::relation::Table;
use crate::errors;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Oid};

/// An open table; closed when dropped, its lock kept until the transaction ends.
pub struct OpenTable(Table);

/// Opens a table with the lock that reading it takes.
pub fn open_table(oid: Oid) -> Result<OpenTable, Report> {
    // SAFETY: closed by Drop; after an ERROR the rollback closes it.
    let relation =
        catch(|| unsafe { raw::try_relation_open(oid, pg_sys::AccessShareLock as c_int) })?;
    if relation.is_null() {
        return Err(Report::error(
            errors::UNDEFINED_TABLE,
            format_args!("table with OID {} does not exist", oid.to_u32()),
        )
        .detail(format_args!("It was dropped, or the number never named a table."))
        .hint(format_args!("Name the table, for example 'orders'.")));
    }
    // SAFETY: open until dropped.
    Ok(OpenTable(unsafe { Table::from_raw(relation) }))
}

/// The same for a table that may have been dropped.
pub fn try_open_table(oid: Oid) -> Result<Option<OpenTable>, Report> {
    // SAFETY: as in `open_table`; NULL for a table that does not exist.
    let relation = catch(|| unsafe { try_relation_open(oid, pg_sys::AccessShareLock as c_int) })?;
    // SAFETY: as in `open_table`.
    Ok((!relation.is_null()).then(|| OpenTable(unsafe { Table::from_raw(relation) })))
}

extern "C-unwind" {
    fn try_relation_open(oid: Oid, mode: pg_sys::LOCKMODE) -> pg_sys::Relation;
}

impl OpenTable {
    pub fn table(&self) -> Table {
        self.0
    }
}

impl Drop for OpenTable {
    fn drop(&mut self) {
        // SAFETY: opened by `open_table`; NoLock keeps the lock. On the way out of an error the
        // transaction's end closes the relation: closing it here as well is what C code in
        // PG_CATCH may do, the resource owner has not been released yet.
        unsafe { raw::relation_close(self.0.as_raw(), pg_sys::NoLock as c_int) }
    }
}
