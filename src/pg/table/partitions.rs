//! The tables of a partition tree.

use super::ffi;
use super::relation::Table;
use crate::pg::base::memory::{Buffer, Memory};
use core::ffi::c_int;
use pgrx::pg_sys::{self, Oid};

/// Opens a table that is locked, and each one below it, one after the other; all get locked as reading them
/// does. Plain frames.
pub(super) fn for_each_below(root: Oid, mut visit: impl FnMut(Table)) {
    // SAFETY: the tree's tables are locked by find_all_inheritors, opened and closed; the root itself, at
    // least, is on the list.
    unsafe {
        let mode = pg_sys::AccessShareLock as c_int;
        let tree = ffi::find_all_inheritors(root, mode, core::ptr::null_mut());
        for i in 0..(*tree).length as usize {
            let oid = (*(*tree).elements.add(i)).oid_value;
            let relation = ffi::relation_open(oid, pg_sys::NoLock as c_int);
            visit(Table::from_raw(relation));
            ffi::relation_close(relation, pg_sys::NoLock as c_int);
        }
    }
}

/// The tables below an open partitioned table that hold rows, locked as reading does.
pub fn leaves<'m>(table: Table, memory: Memory<'m>) -> &'m [Oid] {
    let mut leaves = Buffer::new(memory, 8);
    for_each_below(table.oid(), |member| {
        if !member.is_partitioned() {
            leaves.push(member.oid());
        }
    });
    leaves.into_slice()
}
