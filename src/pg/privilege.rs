//! What the calling role may do.

use super::error::Report;
use super::open::OpenTable;
use crate::errors;
use pgrx::pg_sys::{self, AclMode, AclResult, Oid};

extern "C-unwind" {
    fn pg_class_aclmask(
        table: Oid,
        role: Oid,
        mask: AclMode,
        how: pg_sys::AclMaskHow::Type,
    ) -> AclMode;
    fn pg_attribute_aclcheck_all(
        table: Oid,
        role: Oid,
        mode: AclMode,
        how: pg_sys::AclMaskHow::Type,
    ) -> AclResult::Type;
    fn check_enable_rls(table: Oid, role: Oid, no_error: bool) -> core::ffi::c_int;
    fn GetUserId() -> Oid;
    #[cfg(feature = "pg15")]
    fn pg_class_ownercheck(table: Oid, role: Oid) -> bool;
    #[cfg(not(feature = "pg15"))]
    fn object_ownercheck(class: Oid, object: Oid, role: Oid) -> bool;
    fn RecoveryInProgress() -> bool;
}

/// 42501 unless the caller may insert, update or delete in the table (or in columns of it).
pub fn require_write(open: &OpenTable) -> Result<(), Report> {
    let table = open.table();
    let (oid, wanted) =
        (table.oid(), (pg_sys::ACL_INSERT | pg_sys::ACL_UPDATE | pg_sys::ACL_DELETE) as AclMode);
    let columns = (pg_sys::ACL_INSERT | pg_sys::ACL_UPDATE) as AclMode;
    let any = pg_sys::AclMaskHow::ACLMASK_ANY;
    let allowed = super::error::catch(|| {
        // SAFETY: catalog look-ups for an existing table.
        unsafe {
            let role = GetUserId();
            pg_class_aclmask(oid, role, wanted, any) != 0
                || pg_attribute_aclcheck_all(oid, role, columns, any) == AclResult::ACLCHECK_OK
        }
    })?;
    if allowed {
        return Ok(());
    }
    Err(Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!("permission denied for table {}", table.name()),
    )
    .detail(format_args!("The call needs INSERT, UPDATE or DELETE on the table."))
    .hint(format_args!("Ask the owner for one of these privileges."))
    .table(oid))
}

/// Whether row security filters what the current role sees of a table. A plain frame.
pub fn row_security_applies(table: Oid) -> bool {
    // SAFETY: asks without raising an error; InvalidOid stands for the current role.
    unsafe { check_enable_rls(table, pg_sys::InvalidOid, true) == RLS_ENABLED }
}

/// CheckEnableRlsResult.
const RLS_ENABLED: core::ffi::c_int = 2;

/// 42501 unless the caller owns the table.
pub fn require_owner(open: &OpenTable) -> Result<(), Report> {
    let oid = open.table().oid();
    let owner = super::error::catch(|| {
        // SAFETY: catalog look-ups for an existing table.
        unsafe {
            #[cfg(feature = "pg15")]
            return pg_class_ownercheck(oid, GetUserId());
            #[cfg(not(feature = "pg15"))]
            return object_ownercheck(pg_sys::RelationRelationId, oid, GetUserId());
        }
    })?;
    if owner {
        return Ok(());
    }
    Err(Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!("must be owner of table {}", open.table().name()),
    )
    .detail(format_args!("Locking all keys of a table stops every other writer."))
    .hint(format_args!("Lock the keys you write: raceguard.lock_key, raceguard.lock_keys."))
    .table(oid))
}

/// Whether this server is a standby.
pub fn is_standby() -> bool {
    // SAFETY: reads shared state.
    unsafe { RecoveryInProgress() }
}
