//! raceguard's settings. They work without preloading: Postgres keeps a value set before the
//! library is loaded as a placeholder and hands it over here.

use super::raw;
use core::ffi::{c_int, CStr};
use core::sync::atomic::{AtomicI32, Ordering};
use pgrx::pg_sys;

/// How an RG error reaches the client; see `raceguard.error_style`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum ErrorStyle {
    Native = 0,
    Integrity = 1,
    Postgrest = 2,
}

static ERROR_STYLE: AtomicI32 = AtomicI32::new(ErrorStyle::Native as i32);
static MAX_KEY_LOCKS: AtomicI32 = AtomicI32::new(DEFAULT_MAX_KEY_LOCKS);

/// A stock server has room for 12,856 such locks (PG 15, max_locks_per_transaction 64): a thousand per
/// transaction leaves room for twelve bulk jobs at once and is far above what a request touches.
const DEFAULT_MAX_KEY_LOCKS: i32 = 1000;

pub fn error_style() -> ErrorStyle {
    match ERROR_STYLE.load(Ordering::Relaxed) {
        1 => ErrorStyle::Integrity,
        2 => ErrorStyle::Postgrest,
        _ => ErrorStyle::Native,
    }
}

/// Locks one transaction takes one by one before it takes the whole table's.
pub fn max_key_locks() -> i32 {
    MAX_KEY_LOCKS.load(Ordering::Relaxed)
}

#[repr(transparent)]
struct Options([pg_sys::config_enum_entry; 4]);
// SAFETY: constant data that points at string literals.
unsafe impl Sync for Options {}

const fn option(name: &'static core::ffi::CStr, val: i32) -> pg_sys::config_enum_entry {
    pg_sys::config_enum_entry { name: name.as_ptr(), val, hidden: false }
}

static ERROR_STYLES: Options = Options([
    option(c"native", ErrorStyle::Native as i32),
    option(c"integrity", ErrorStyle::Integrity as i32),
    option(c"postgrest", ErrorStyle::Postgrest as i32),
    pg_sys::config_enum_entry { name: core::ptr::null(), val: 0, hidden: false },
]);

/// Sets any setting in a nesting level of its own and returns the level, for `AtEOXact_GUC`.
///
/// # Safety
/// Plain frames or inside `catch`; the names end in a zero byte. The level is closed by the caller or,
/// after an ERROR, by the rollback.
pub unsafe fn set_in_new_level(name: &CStr, value: &CStr) -> c_int {
    // SAFETY: promised by the caller.
    unsafe {
        let level = raw::NewGUCNestLevel();
        raw::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        level
    }
}

/// What `search_path` is while names must not depend on the session.
pub const PINNED_PATH: &CStr = c"pg_catalog, pg_temp";

/// Defines the settings; called once from `_PG_init`.
pub fn define() {
    // SAFETY: `_PG_init` runs once per backend; names, texts, options and variables are static.
    unsafe {
        pg_sys::DefineCustomEnumVariable(
            c"raceguard.error_style".as_ptr(),
            c"How raceguard's errors reach the client.".as_ptr(),
            c"native: SQLSTATE RG409 and so on; integrity: class 23, which drivers report as an integrity error; postgrest: SQLSTATE PGRST with the HTTP status.".as_ptr(),
            ERROR_STYLE.as_ptr() as *mut c_int,
            ErrorStyle::Native as i32,
            ERROR_STYLES.0.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            0,
            None,
            None,
            None,
        );
        pg_sys::DefineCustomIntVariable(
            c"raceguard.max_key_locks".as_ptr(),
            c"Key or slot locks that one transaction takes one by one.".as_ptr(),
            c"Past this number the transaction locks the whole table's keys or slots at once."
                .as_ptr(),
            MAX_KEY_LOCKS.as_ptr() as *mut c_int,
            DEFAULT_MAX_KEY_LOCKS,
            1,
            i32::MAX,
            pg_sys::GucContext::PGC_USERSET,
            0,
            None,
            None,
            None,
        );
        pg_sys::MarkGUCPrefixReserved(c"raceguard".as_ptr());
    }
}
