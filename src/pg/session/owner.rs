//! Acting with a table owner's rights, as Postgres's own maintenance commands and foreign keys do.
//!
//! Whoever writes to a table on somebody else's behalf runs that owner's code: triggers, key
//! expressions, predicates, defaults, CHECKs. It must not run with the rights of a superuser who calls
//! for a backfill, or of whoever writes a child row. So the role is switched to the owner in a
//! security-restricted operation, as REFRESH MATERIALIZED VIEW, CLUSTER and REINDEX do: what runs inside
//! cannot change the role back, and can leave nothing behind that would run later as the caller: no
//! deferred trigger, temporary table, prepared statement or cursor, and no setting, since all that were
//! changed are put back. Unlike those commands on Postgres 17 and later it keeps the search_path, which
//! a table's own triggers may count on.

use super::ffi;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::sqlstate;
use core::ffi::c_int;
use pgrx::pg_sys::{self, AclResult, Oid};

/// Runs `body` as the owner of a table that the caller has asked to have written. An owner who calls
/// for himself runs as he is, and so does a caller without the owner's rights, say over a partition of
/// somebody else's: nobody gets rights by this. Row security is not forced on the owner where it does
/// not bind the caller.
pub fn in_owners_name<T>(
    owner: Oid,
    body: impl FnOnce() -> Result<T, Report>,
) -> Result<T, Report> {
    if !acts_for(owner)? {
        return body();
    }
    let (user, _) = current();
    // SAFETY: a catalog look-up.
    let unbound = catch(|| unsafe { ffi::has_bypassrls_privilege(user) })?;
    let flags = if unbound { pg_sys::SECURITY_NOFORCE_RLS } else { 0 };
    restricted(owner, flags, body)
}

/// Whether [`in_owners_name`] switches to another role.
pub fn acts_for(owner: Oid) -> Result<bool, Report> {
    let (user, _) = current();
    // SAFETY: a catalog look-up.
    Ok(user != owner && catch(|| unsafe { ffi::has_privs_of_role(user, owner) })?)
}

/// Runs `body` as `owner`, for a guard that writes what he has to have written. The owner's row
/// security is not forced on him: a foreign key's own queries run under that flag as well.
pub fn acting_as<T>(owner: Oid, body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    let (user, context) = current();
    if user != owner {
        return restricted(owner, pg_sys::SECURITY_NOFORCE_RLS, body);
    }
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_NOFORCE_RLS;
    switched(owner, context | flags as c_int, body)
}

/// Runs `body` as `owner` in a security-restricted operation.
fn restricted<T>(
    owner: Oid,
    flags: u32,
    body: impl FnOnce() -> Result<T, Report>,
) -> Result<T, Report> {
    let (_, context) = current();
    let flags = flags | pg_sys::SECURITY_RESTRICTED_OPERATION;
    // SAFETY: the level is closed below; after an error the rollback closes it.
    let level = catch(|| unsafe { ffi::NewGUCNestLevel() })?;
    let value = switched(owner, context | flags as c_int, body).map_err(explained)?;
    // SAFETY: as above; undoes what was set inside.
    catch(|| unsafe { ffi::AtEOXact_GUC(false, level) })?;
    Ok(value)
}

/// Postgres says what is not allowed, and not why it is not here.
fn explained(report: Report) -> Report {
    if !report.is(sqlstate::INSUFFICIENT_PRIVILEGE) || !report.hint_text().is_empty() {
        return report;
    }
    report.hint(format_args!(
        "When somebody else has a table written, its triggers and functions run as its owner in a security-restricted operation: without deferred triggers, temporary tables and changes of the role."
    ))
}

fn switched<T>(
    role: Oid,
    inside: c_int,
    body: impl FnOnce() -> Result<T, Report>,
) -> Result<T, Report> {
    let (user, context) = current();
    // SAFETY: sets variables of the session. `body` returns its errors, so the caller's rights are
    // back on either way out.
    unsafe { ffi::SetUserIdAndSecContext(role, inside) };
    let outcome = body();
    // SAFETY: as above.
    unsafe { ffi::SetUserIdAndSecContext(user, context) };
    outcome
}

/// The role whose rights count now.
#[inline]
pub fn current_role() -> Oid {
    current().0
}

fn current() -> (Oid, c_int) {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: reads variables of the session.
    unsafe { ffi::GetUserIdAndSecContext(&mut user, &mut context) };
    (user, context)
}

/// Whether `role` may update a column of any row of a table: it has the owner's rights, or UPDATE on
/// the table or the column, and no row security that would bind it.
pub fn may_update(role: Oid, table: Oid, owner: Oid, attno: i16) -> Result<bool, Report> {
    if role == owner {
        return Ok(true);
    }
    let update = pg_sys::ACL_UPDATE as pg_sys::AclMode;
    // SAFETY: catalog look-ups; the caller holds the table open.
    catch(|| unsafe {
        ffi::has_privs_of_role(role, owner)
            || (!row_security_binds(role, table)
                && (ffi::pg_class_aclcheck(table, role, update) == AclResult::ACLCHECK_OK
                    || ffi::pg_attribute_aclcheck(table, attno, role, update)
                        == AclResult::ACLCHECK_OK))
    })
}

/// Whether row security filters what a role sees of a table; InvalidOid stands for the current role. A
/// plain frame.
pub fn row_security_binds(role: Oid, table: Oid) -> bool {
    let enabled = pg_sys::CheckEnableRlsResult::RLS_ENABLED as c_int;
    // SAFETY: asks without raising an error.
    unsafe { ffi::check_enable_rls(table, role, true) == enabled }
}
