//! Acting with a table owner's rights, as Postgres's own foreign keys do.

use super::error::{catch, Report};
use core::ffi::c_int;
use pgrx::pg_sys::{self, AclResult, Oid};

extern "C-unwind" {
    fn GetUserIdAndSecContext(user: *mut Oid, context: *mut c_int);
    fn SetUserIdAndSecContext(user: Oid, context: c_int);
    fn has_privs_of_role(member: Oid, role: Oid) -> bool;
    fn pg_class_aclcheck(table: Oid, role: Oid, mode: pg_sys::AclMode) -> AclResult::Type;
    fn pg_attribute_aclcheck(
        table: Oid,
        attno: i16,
        role: Oid,
        mode: pg_sys::AclMode,
    ) -> AclResult::Type;
}

/// Runs `body` as `owner`. What runs inside cannot change the role, and the owner's row security
/// is not forced on him: a foreign key's own queries run under the same two flags.
pub fn acting_as<T>(owner: Oid, body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    let mut user = pg_sys::InvalidOid;
    let mut context: c_int = 0;
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_NOFORCE_RLS;
    // SAFETY: both functions read and set variables of the session. `body` returns its errors, so
    // the caller's rights are back on either way out.
    unsafe {
        GetUserIdAndSecContext(&mut user, &mut context);
        SetUserIdAndSecContext(owner, context | flags as c_int);
        let outcome = body();
        SetUserIdAndSecContext(user, context);
        outcome
    }
}

/// Whether `role` may update a column of a table: it has the owner's rights, or UPDATE on the
/// table or the column.
pub fn may_update(role: Oid, table: Oid, owner: Oid, attno: i16) -> Result<bool, Report> {
    let update = pg_sys::ACL_UPDATE as pg_sys::AclMode;
    // SAFETY: catalog look-ups; the caller holds the table open.
    catch(|| unsafe {
        has_privs_of_role(role, owner)
            || pg_class_aclcheck(table, role, update) == AclResult::ACLCHECK_OK
            || pg_attribute_aclcheck(table, attno, role, update) == AclResult::ACLCHECK_OK
    })
}
