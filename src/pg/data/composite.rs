//! Composite values: rows as values of one column.

use super::ffi;
use crate::pg::base::per_backend::PerBackend;
use core::cell::OnceCell;
use pgrx::pg_sys::{self, Datum};

type GetHeader = unsafe extern "C-unwind" fn(Datum) -> pg_sys::HeapTupleHeader;

/// DatumGetHeapTupleHeader of a composite value.
///
/// Up to the minor releases that mended CVE-2026-6460 it was a macro around pg_detoast_datum. Since then it
/// is a function that also marks values stored before as what they are, so that taking one apart is
/// refused where its type has changed meanwhile. Linking to it would keep the library from loading
/// into an older server of the same major, so it is looked up where it is there.
///
/// # Safety
/// The value is composite. Plain frames or inside `catch`.
pub unsafe fn header_of(value: Datum) -> pg_sys::HeapTupleHeader {
    static FUNCTION: PerBackend<OnceCell<Option<GetHeader>>> = PerBackend::new(OnceCell::new());
    // SAFETY: promised by the caller; the server's function has this type in every release.
    unsafe {
        match FUNCTION.get_or_init(|| {
            let name = c"DatumGetHeapTupleHeader".as_ptr();
            let found = libc::dlsym(libc::RTLD_DEFAULT, name);
            (!found.is_null()).then(|| core::mem::transmute::<*mut libc::c_void, GetHeader>(found))
        }) {
            Some(function) => function(value),
            None => ffi::pg_detoast_datum(value.cast_mut_ptr()).cast(),
        }
    }
}
