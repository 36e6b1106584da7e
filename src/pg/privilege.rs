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
    .detail(format_args!("Locking its keys needs INSERT, UPDATE or DELETE on the table."))
    .hint(format_args!("Ask the owner for one of these privileges."))
    .table(oid))
}

/// Whether Postgres would show the caller values of the table's rows in an error: with SELECT on
/// the table, and no row security in force.
pub fn may_show(table: Oid) -> bool {
    // SAFETY: catalog look-ups for an existing table.
    let readable = unsafe {
        pg_class_aclmask(
            table,
            GetUserId(),
            pg_sys::ACL_SELECT as AclMode,
            pg_sys::AclMaskHow::ACLMASK_ALL,
        ) != 0
    };
    readable && !row_security_applies(table)
}

/// Whether row security filters what the current role sees of a table. A plain frame.
pub fn row_security_applies(table: Oid) -> bool {
    // SAFETY: asks without raising an error; InvalidOid stands for the current role.
    unsafe { check_enable_rls(table, pg_sys::InvalidOid, true) == RLS_ENABLED }
}

/// CheckEnableRlsResult.
const RLS_ENABLED: core::ffi::c_int = 2;

/// Whether this server is a standby.
pub fn is_standby() -> bool {
    // SAFETY: reads shared state.
    unsafe { RecoveryInProgress() }
}
