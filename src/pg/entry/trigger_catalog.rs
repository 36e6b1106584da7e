//! Triggers as `pg_trigger` has them, by OID: what the relation cache does not tell.

use super::catalog::{with_row, Catalog};
use super::ffi;
use crate::pg::session::snapshot::dirty;
use core::ptr::null_mut;
use pgrx::pg_sys::{self, Oid};

/// The trigger of the topmost partitioned table that a trigger is a clone of, or the trigger itself. Plain frames.
pub fn root_of(trigger: Oid) -> Oid {
    let mut root = trigger;
    // SAFETY: a null snapshot stands for the catalog's.
    while let Some(parent) = unsafe { parent_of(root, null_mut()) } {
        if parent == pg_sys::InvalidOid {
            break;
        }
        root = parent;
    }
    root
}

/// The database of this session.
pub fn own_database() -> Oid {
    // SAFETY: set when the session begins.
    unsafe { pg_sys::MyDatabaseId }
}

/// Whether a trigger may be there: one that another transaction is making or dropping too, and any of another
/// database as long as that is there. 0 stands for none in particular. Plain frames.
pub fn may_exist(database: u32, trigger: u32) -> bool {
    if trigger == 0 || Oid::from(database) != own_database() {
        // SAFETY: a syscache look-up that answers NULL for a database that is not there.
        return unsafe { !ffi::get_database_name(Oid::from(database)).is_null() };
    }
    let mut snapshot = dirty();
    // SAFETY: a dirty snapshot needs no registration.
    unsafe { parent_of(Oid::from(trigger), &mut snapshot) }.is_some()
}

/// `tgparentid` of a trigger; `None` where there is no such trigger.
///
/// # Safety
/// The snapshot outlives the call.
unsafe fn parent_of(trigger: Oid, snapshot: pg_sys::Snapshot) -> Option<Oid> {
    let catalog = Catalog {
        table: pg_sys::TriggerRelationId,
        index: Oid::from(pg_sys::TriggerOidIndexId),
        column: pg_sys::Anum_pg_trigger_oid as i16,
    };
    // SAFETY: promised by the caller; the columns that are read are never NULL and of fixed width.
    unsafe {
        with_row(catalog, trigger, snapshot, |tuple, _| {
            let header = (*tuple).t_data;
            let form =
                header.byte_add((*header).t_hoff as usize).cast::<pg_sys::FormData_pg_trigger>();
            (*form).tgparentid
        })
    }
}
