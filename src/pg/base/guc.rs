//! raceguard's settings. They work without preloading: Postgres keeps a value set before the
//! library is loaded as a placeholder and hands it over here.
//!
//! The variables are Postgres's to write: SET, rollback, RESET and a reload of the configuration change them,
//! and every use reads them. No cached object depends on one.

use super::ffi;
use super::shared_memory::is_preloading;
use core::ffi::{c_int, CStr};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
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

/// What is counted; see `raceguard.track`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Track {
    None = 0,
    Refusals = 1,
    All = 2,
}

static TRACK: AtomicI32 = AtomicI32::new(Track::All as i32);
static MAX_GUARDS: AtomicI32 = AtomicI32::new(DEFAULT_MAX_GUARDS);
static STATS_KIND: AtomicI32 = AtomicI32::new(0);
static LOG_LIMIT: AtomicI32 = AtomicI32::new(DEFAULT_LOG_LIMIT);
static LOG_CONFLICTS: AtomicBool = AtomicBool::new(false);
static EXPLAIN_CONFLICTS: AtomicBool = AtomicBool::new(false);

const DEFAULT_MAX_GUARDS: i32 = 1000;
/// One UPDATE in observe mode would otherwise write a line for each row.
const DEFAULT_LOG_LIMIT: i32 = 10;

/// Whether rows that pass are counted.
#[inline]
pub fn counts_passed() -> bool {
    TRACK.load(Ordering::Relaxed) == Track::All as i32
}

/// Whether anything is counted.
pub fn counts_refusals() -> bool {
    TRACK.load(Ordering::Relaxed) != Track::None as i32
}

/// For how many guards a preloaded library keeps counters; `None` without preloading.
pub fn max_guards() -> Option<usize> {
    let preloaded = MAX_GUARDS_DEFINED.load(Ordering::Relaxed);
    preloaded.then(|| MAX_GUARDS.load(Ordering::Relaxed).max(1) as usize)
}

/// The number under which the counters are statistics that survive a restart; `None` where they are not: without
/// preloading, before Postgres 18, and where no number was given.
pub fn stats_kind() -> Option<u32> {
    u32::try_from(STATS_KIND.load(Ordering::Relaxed)).ok().filter(|kind| *kind != 0)
}

static MAX_GUARDS_DEFINED: AtomicBool = AtomicBool::new(false);

/// Log lines that one guard may write in a minute.
pub fn log_limit() -> u64 {
    LOG_LIMIT.load(Ordering::Relaxed).max(0) as u64
}

/// Whether a refusal writes a log line besides its error.
pub fn logs_conflicts() -> bool {
    LOG_CONFLICTS.load(Ordering::Relaxed)
}

/// Whether RG409 says who wrote the row, and this session's writes are kept to be named so.
pub fn explains_conflicts() -> bool {
    EXPLAIN_CONFLICTS.load(Ordering::Relaxed)
}

pub fn error_style() -> ErrorStyle {
    match ERROR_STYLE.load(Ordering::Relaxed) {
        1 => ErrorStyle::Integrity,
        2 => ErrorStyle::Postgrest,
        _ => ErrorStyle::Native,
    }
}

/// Locks one transaction takes one by one before it takes the whole table's. That lock is otherwise the
/// owner's: who may set the limit decides whom two keys can block, so only a superuser and roles that
/// were granted SET on it may.
pub fn max_key_locks() -> i32 {
    MAX_KEY_LOCKS.load(Ordering::Relaxed)
}

/// Milliseconds after which who waits for a lock looks for a deadlock.
pub fn deadlock_timeout() -> i64 {
    // SAFETY: reads a setting.
    i64::from(unsafe { pg_sys::DeadlockTimeout })
}

/// Milliseconds after which who waits for a lock gives up, 0 for never.
pub fn lock_timeout() -> i64 {
    // SAFETY: reads a setting.
    i64::from(unsafe { pg_sys::LockTimeout })
}

#[repr(transparent)]
struct EnumOptions([pg_sys::config_enum_entry; 4]);
// SAFETY: constant data that points at string literals.
unsafe impl Sync for EnumOptions {}

const fn option(name: &'static core::ffi::CStr, val: i32) -> pg_sys::config_enum_entry {
    pg_sys::config_enum_entry { name: name.as_ptr(), val, hidden: false }
}

static ERROR_STYLES: EnumOptions = EnumOptions([
    option(c"native", ErrorStyle::Native as i32),
    option(c"integrity", ErrorStyle::Integrity as i32),
    option(c"postgrest", ErrorStyle::Postgrest as i32),
    pg_sys::config_enum_entry { name: core::ptr::null(), val: 0, hidden: false },
]);

static TRACKS: EnumOptions = EnumOptions([
    option(c"none", Track::None as i32),
    option(c"refusals", Track::Refusals as i32),
    option(c"all", Track::All as i32),
    pg_sys::config_enum_entry { name: core::ptr::null(), val: 0, hidden: false },
]);

/// Sets settings, by name and value, in a nesting level of their own and returns the level, for `AtEOXact_GUC`.
///
/// # Safety
/// Plain frames or inside `catch`. The level is closed by the caller or, after an ERROR, by the rollback.
pub unsafe fn set_in_new_level(settings: &[(&CStr, &CStr)]) -> c_int {
    // SAFETY: promised by the caller.
    unsafe {
        let level = ffi::NewGUCNestLevel();
        for (name, value) in settings {
            ffi::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
        level
    }
}

/// What `search_path` is while names must not depend on the session.
pub const PINNED_PATH: &CStr = c"pg_catalog, pg_temp";

/// What decides how Postgres reads and writes an expression, pinned to what every session reads the same: dates
/// in ISO form, numbers with all their digits, names quoted where they have to be. (lc_monetary is not among them: no
/// form of an amount of money is read the same under every locale.)
pub const PINNED_TEXT: [(&CStr, &CStr); 10] = [
    (c"search_path", PINNED_PATH),
    (c"datestyle", c"ISO, MDY"),
    (c"intervalstyle", c"postgres"),
    (c"timezone", c"UTC"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
    (c"quote_all_identifiers", c"off"),
    (c"standard_conforming_strings", c"on"),
    (c"array_nulls", c"on"),
    (c"transform_null_equals", c"off"),
];

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
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
        define_operation();
        pg_sys::MarkGUCPrefixReserved(c"raceguard".as_ptr());
    }
}

/// The settings of counting and logging. Whoever could turn them off could hide what he does, and what they cost
/// everybody pays: a superuser's, and theirs who were granted SET on them.
///
/// # Safety
/// As in [`define`].
unsafe fn define_operation() {
    // SAFETY: promised by the caller.
    unsafe {
        pg_sys::DefineCustomEnumVariable(
            c"raceguard.track".as_ptr(),
            c"What the view raceguard.stats counts.".as_ptr(),
            c"all; refusals: everything but the rows that pass; none.".as_ptr(),
            TRACK.as_ptr() as *mut c_int,
            Track::All as i32,
            TRACKS.0.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
        pg_sys::DefineCustomIntVariable(
            c"raceguard.log_limit".as_ptr(),
            c"Log lines that one guard may write in a minute.".as_ptr(),
            c"One more line says that further ones are left out, and the first of a later minute how many they were."
                .as_ptr(),
            LOG_LIMIT.as_ptr() as *mut c_int,
            DEFAULT_LOG_LIMIT,
            0,
            i32::MAX,
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
    }
    // SAFETY: as above.
    unsafe {
        define_switch(
            c"raceguard.log_conflicts",
            c"Whether a refusal writes a log line of its own besides its error.",
            &LOG_CONFLICTS,
        );
        define_switch(
            c"raceguard.explain_conflicts",
            c"Whether RG409 says in its DETAIL which transaction wrote the row.",
            &EXPLAIN_CONFLICTS,
        );
        if is_preloading() {
            define_max_guards();
            #[cfg(since_pg18)]
            define_stats_kind();
        }
    }
}

/// # Safety
/// As in [`define`].
unsafe fn define_switch(name: &'static CStr, about: &'static CStr, variable: &'static AtomicBool) {
    // SAFETY: promised by the caller.
    unsafe {
        pg_sys::DefineCustomBoolVariable(
            name.as_ptr(),
            about.as_ptr(),
            core::ptr::null(),
            variable.as_ptr(),
            false,
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
    }
}

/// Postgres takes such a setting only while it preloads.
///
/// # Safety
/// As in [`define`].
unsafe fn define_max_guards() {
    MAX_GUARDS_DEFINED.store(true, Ordering::Relaxed);
    // SAFETY: promised by the caller.
    unsafe {
        pg_sys::DefineCustomIntVariable(
            c"raceguard.max_guards".as_ptr(),
            c"For how many guards of all databases counters are kept.".as_ptr(),
            c"Each takes 128 bytes of shared memory.".as_ptr(),
            MAX_GUARDS.as_ptr() as *mut c_int,
            DEFAULT_MAX_GUARDS,
            16,
            1_000_000,
            pg_sys::GucContext::PGC_POSTMASTER,
            0,
            None,
            None,
            None,
        );
    }
}

/// No number belongs to raceguard, and a file with statistics of a kind that is not loaded any more makes Postgres begin
/// without any: so it is the operator's choice.
///
/// # Safety
/// As in [`define`].
#[cfg(since_pg18)]
unsafe fn define_stats_kind() {
    // SAFETY: promised by the caller.
    unsafe {
        pg_sys::DefineCustomIntVariable(
            c"raceguard.stats_kind".as_ptr(),
            c"Under which number the counters are kept as custom statistics, which survive a restart.".as_ptr(),
            c"24 to 32, one that no other extension uses; 0 keeps them in shared memory.".as_ptr(),
            STATS_KIND.as_ptr() as *mut c_int,
            0,
            0,
            32,
            pg_sys::GucContext::PGC_POSTMASTER,
            0,
            None,
            None,
            None,
        );
    }
}
