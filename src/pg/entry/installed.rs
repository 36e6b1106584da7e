//! Whether the SQL objects of the database are of the version of this library.

use super::catalog::{with_row, Catalog};
use super::ffi;
use crate::pg::base::error::{tell, Level};
use crate::pg::base::per_backend::PerBackend;
use crate::pg::base::text::cstr;
use crate::pg::data::tuple::Row;
use core::cell::Cell;
use core::ptr::null_mut;
use pgrx::pg_sys::{self, Oid};

static LOOKED: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));

const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// Whether the session has not been warned yet, nor had no reason to be.
#[inline]
pub fn may_warn() -> bool {
    !LOOKED.get()
}

/// WARNING, once a session, where CREATE or ALTER EXTENSION installed another version. Not while one of them
/// is at work, nor in a parallel worker, whose leader tells. Plain frames or inside `catch`.
#[cold]
pub fn warn_of_other_version() {
    // SAFETY: variables of the backend.
    if unsafe { pg_sys::creating_extension || pg_sys::ParallelWorkerNumber >= 0 } {
        return;
    }
    LOOKED.set(true);
    // SAFETY: the caller's frames are plain.
    unsafe {
        with_installed(|installed| {
            if installed != LIBRARY {
                tell(
                    Level::Warning,
                    format_args!(
                        "the library of raceguard is version {LIBRARY}, its SQL objects in this database are version {installed}"
                    ),
                    Some(format_args!(
                        "ALTER EXTENSION raceguard UPDATE; if the library is the older one, reconnect, or restart a server that preloads it."
                    )),
                );
            }
        });
    }
}

/// Looks at the version in `pg_extension`, if the extension is there.
///
/// # Safety
/// Plain frames or inside `catch`.
unsafe fn with_installed(look: impl FnOnce(&str)) {
    let catalog = Catalog {
        table: pg_sys::ExtensionRelationId,
        index: Oid::from(pg_sys::ExtensionOidIndexId),
        column: pg_sys::Anum_pg_extension_oid as i16,
    };
    // SAFETY: a look into a catalog; the version is a text that is never NULL.
    unsafe {
        let extension = ffi::get_extension_oid(c"raceguard".as_ptr(), true);
        with_row(catalog, extension, null_mut(), |tuple, columns| {
            let row = Row::from_raw(tuple, columns);
            if let Some(version) = row.get(pg_sys::Anum_pg_extension_extversion as i16) {
                look(cstr(ffi::text_to_cstring(version.cast_mut_ptr())));
            }
        });
    }
}
