//! The leaves of a partition tree.

use super::memory::Buffer;
use super::raw;
use super::relation::Table;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Oid};

extern "C-unwind" {
    fn find_all_inheritors(
        parent: Oid,
        mode: pg_sys::LOCKMODE,
        counts: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// The tables below an open partitioned table that hold rows, locked as reading them does.
pub fn leaves(table: Table) -> &'static [Oid] {
    // SAFETY: the tree's tables are locked by find_all_inheritors, opened and closed.
    unsafe {
        let mode = pg_sys::AccessShareLock as c_int;
        let tree = find_all_inheritors(table.oid(), mode, core::ptr::null_mut());
        let count = (*tree).length as usize;
        let mut leaves = Buffer::new(count);
        for i in 0..count {
            let oid = (*(*tree).elements.add(i)).oid_value;
            let relation = raw::relation_open(oid, pg_sys::NoLock as c_int);
            if !Table::from_raw(relation).is_partitioned() {
                leaves.push(oid);
            }
            raw::relation_close(relation, pg_sys::NoLock as c_int);
        }
        leaves.into_slice()
    }
}
