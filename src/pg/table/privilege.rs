//! What the calling role may do.

use super::ffi;
use super::open_table::OpenTable;
use crate::pg::base::error::Report;
use crate::pg::base::sqlstate;
use crate::pg::session::owner::row_security_binds;
use pgrx::pg_sys::{self, AclMode, AclResult, Oid};

/// 42501 unless the caller may insert, update or delete in the table (or in columns of it).
pub fn require_write(open: &OpenTable) -> Result<(), Report> {
    let rights = pg_sys::ACL_INSERT | pg_sys::ACL_UPDATE | pg_sys::ACL_DELETE;
    if has_any(open, rights)? {
        return Ok(());
    }
    Err(denied(open)
        .detail(format_args!("The call needs INSERT, UPDATE or DELETE on the table."))
        .hint(format_args!("Ask the owner for one of these privileges.")))
}

/// 42501 unless the caller may try to insert any row: what the call tells, of rows that he may not be
/// allowed to see, an INSERT would tell as well. Where row security applies to him that depends on the
/// row, which the call does not have.
pub fn require_trying(open: &OpenTable) -> Result<(), Report> {
    if !has_any(open, pg_sys::ACL_INSERT)? {
        return Err(denied(open)
            .detail(format_args!(
                "The call tells what an INSERT would tell, and needs INSERT on the table."
            ))
            .hint(format_args!("Ask the owner for this privilege.")));
    }
    let oid = open.table().oid();
    if !crate::pg::base::error::catch(|| row_security_applies(oid))? {
        return Ok(());
    }
    Err(Report::error(
        sqlstate::INSUFFICIENT_PRIVILEGE,
        format_args!("row security of table \"{}\" applies to the current role", open.table().name()),
    )
    .detail(format_args!(
        "The answer depends on all rows of the key, also on those that row security hides."
    ))
    .hint(format_args!(
        "Insert the row: the error of the guard tells the same. Or let a SECURITY DEFINER function of the table's owner ask, for the keys that it allows."
    ))
    .table(oid))
}

/// Whether the caller has one of some privileges on the table, or on columns of it.
fn has_any(open: &OpenTable, rights: u32) -> Result<bool, Report> {
    let (oid, wanted) = (open.table().oid(), rights as AclMode);
    let columns = (rights & (pg_sys::ACL_INSERT | pg_sys::ACL_UPDATE)) as AclMode;
    let any = pg_sys::AclMaskHow::ACLMASK_ANY;
    crate::pg::base::error::catch(|| {
        // SAFETY: catalog look-ups for an existing table.
        unsafe {
            let role = ffi::GetUserId();
            ffi::pg_class_aclmask(oid, role, wanted, any) != 0
                || ffi::pg_attribute_aclcheck_all(oid, role, columns, any) == AclResult::ACLCHECK_OK
        }
    })
}

fn denied(open: &OpenTable) -> Report {
    let table = open.table();
    Report::error(
        sqlstate::INSUFFICIENT_PRIVILEGE,
        format_args!("permission denied for table {}", table.name()),
    )
    .table(table.oid())
}

/// Whether the current role may read the system columns of a table's rows: it has SELECT on the table, not only
/// on some columns. A plain frame.
pub fn reads_system_columns(table: Oid) -> bool {
    // SAFETY: catalog look-ups; a table that is gone is an ERROR.
    unsafe {
        let select = pg_sys::ACL_SELECT as AclMode;
        ffi::pg_class_aclcheck(table, ffi::GetUserId(), select) == AclResult::ACLCHECK_OK
    }
}

/// Whether row security filters what the current role sees of a table. A plain frame.
pub fn row_security_applies(table: Oid) -> bool {
    row_security_binds(pg_sys::InvalidOid, table)
}

/// 42501 unless the caller owns the table.
pub fn require_owner(open: &OpenTable) -> Result<(), Report> {
    let oid = open.table().oid();
    let owner = crate::pg::base::error::catch(|| {
        // SAFETY: catalog look-ups for an existing table.
        unsafe {
            #[cfg(not(since_pg16))]
            return ffi::pg_class_ownercheck(oid, ffi::GetUserId());
            #[cfg(since_pg16)]
            return ffi::object_ownercheck(pg_sys::RelationRelationId, oid, ffi::GetUserId());
        }
    })?;
    if owner {
        return Ok(());
    }
    Err(Report::error(
        sqlstate::INSUFFICIENT_PRIVILEGE,
        format_args!("must be owner of table {}", open.table().name()),
    )
    .detail(format_args!("Locking all keys of a table stops every other writer."))
    .hint(format_args!("Lock the keys you write: raceguard.lock_key, raceguard.lock_keys."))
    .table(oid))
}

/// Whether this server is a standby.
pub fn is_standby() -> bool {
    // SAFETY: reads shared state.
    unsafe { ffi::RecoveryInProgress() }
}
