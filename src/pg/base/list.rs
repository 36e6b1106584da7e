//! Postgres's lists.

use core::ffi::c_void;
use pgrx::pg_sys;

/// The n-th pointer of a list.
///
/// # Safety
/// The list has more than `n` pointers.
pub unsafe fn list_node(list: *mut pg_sys::List, n: usize) -> *mut c_void {
    // SAFETY: the caller checked the length.
    unsafe { (*(*list).elements.add(n)).ptr_value }
}

/// The length of a list, which may be NIL.
///
/// # Safety
/// NULL, or a list.
pub unsafe fn list_length(list: *mut pg_sys::List) -> usize {
    // SAFETY: promised by the caller; a list knows its length.
    unsafe {
        if list.is_null() {
            0
        } else {
            (*list).length as usize
        }
    }
}
