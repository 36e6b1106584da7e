//! `SET LOCAL raceguard.lock_keys = target, keys`: a setting that acts when it is set.
//!
//! Postgres takes the snapshot of a transaction before it runs a SELECT or a CALL, so whatever
//! these lock, a REPEATABLE READ transaction may go on to read rows older than the lock. SET takes
//! no snapshot. The check hook of the setting therefore locks the keys and leaves the setting
//! empty: nothing is left to restore, to show or to hand to a parallel worker.
//!
//! The value is a list of two, which is also what makes a SET before the library is loaded fail:
//! Postgres takes no list for a setting that it doesn't know.
//!
//! What outlives the call is the number of the transaction in which the setting was missed. It names that
//! transaction of this session alone, so no other is refused.

use super::advisory_lock::transaction_number;
use super::ffi;
use crate::pg::base::encoding::utf8_cstr;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::frames;
use crate::pg::base::sqlstate;
use crate::pg::base::text::PgText;
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use pgrx::pg_sys;

/// What locks the keys named by the setting's text.
type Handler = fn(&str) -> Result<(), Report>;

static HANDLER: std::sync::OnceLock<Handler> = std::sync::OnceLock::new();
static VALUE: AtomicPtr<c_char> = AtomicPtr::new(core::ptr::null_mut());
static DEFINING: AtomicBool = AtomicBool::new(false);
/// The transaction in which the setting was set too early: 0 is no transaction.
static MISSED: AtomicU32 = AtomicU32::new(0);

/// Defines the setting; called once from `_PG_init`, before the prefix is reserved, so that
/// Postgres hands over a value that was set before.
pub fn define(handler: Handler) {
    let _ = HANDLER.set(handler);
    DEFINING.store(true, Ordering::Relaxed);
    // SAFETY: `_PG_init` runs once per backend; names and texts are static.
    unsafe {
        pg_sys::DefineCustomStringVariable(
            c"raceguard.lock_keys".as_ptr(),
            c"Locks keys of a table when it is set, before the transaction takes its snapshot."
                .as_ptr(),
            c"SET LOCAL raceguard.lock_keys = posts, '[42]'; always shown as empty.".as_ptr(),
            VALUE.as_ptr(),
            c"".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            (pg_sys::GUC_LIST_INPUT | pg_sys::GUC_NOT_IN_SAMPLE | pg_sys::GUC_DISALLOW_IN_FILE)
                as c_int,
            Some(check),
            None,
            None,
        );
    }
    DEFINING.store(false, Ordering::Relaxed);
}

/// Postgres's check hook: `false` refuses the value, an ERROR may be raised for a SET.
unsafe extern "C-unwind" fn check(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: Postgres passes an allocated NUL-terminated value or NULL.
    unsafe {
        if (*value).is_null() || **value == 0 {
            return true;
        }
        if DEFINING.load(Ordering::Relaxed) {
            MISSED.store(transaction_number(), Ordering::Relaxed);
            explain("It was set before the raceguard library was loaded, and no key was locked.");
            return false;
        }
        if source != pg_sys::GucSource::PGC_S_SESSION || !ffi::IsTransactionState() {
            explain("It locks keys at the moment it is set, so it can only be set by SET LOCAL in a transaction.");
            return false;
        }
        if let Err(report) = utf8_cstr(*value).and_then(lock) {
            report.throw();
        }
        **value = 0;
    }
    true
}

/// The DETAIL under Postgres's "invalid value for parameter".
fn explain(detail: &str) {
    let text = PgText::from_fmt(format_args!("{detail}"));
    // SAFETY: Postgres reads the text when the hook has returned.
    unsafe { pg_sys::GUC_check_errdetail_string = text.into_raw() };
}

/// Runs the handler, which owns Rust values: neither a panic nor an ERROR jumps over it.
fn lock(text: &str) -> Result<(), Report> {
    refuse_late()?;
    let Some(handler) = HANDLER.get() else {
        return Ok(());
    };
    frames::enter();
    let outcome = std::panic::catch_unwind(|| under_a_snapshot(|| handler(text)));
    frames::leave();
    match outcome {
        // The input functions of the key's types may have taken the snapshot.
        Ok(outcome) => outcome.and_then(|()| refuse_late()),
        Err(panic) => {
            core::mem::forget(panic);
            Err(Report::error(sqlstate::INTERNAL, format_args!("raceguard panicked")))
        }
    }
}

/// Runs `body` under an active snapshot. SET has none, and a function that a key or the domain of
/// its type calls would read through a null pointer. The catalog's snapshot shows what is committed
/// by now and is not kept as the transaction's.
fn under_a_snapshot(body: impl FnOnce() -> Result<(), Report>) -> Result<(), Report> {
    // SAFETY: PushActiveSnapshot copies the snapshot; after an ERROR the rollback pops it.
    let pushed = catch(|| unsafe {
        let none = !ffi::ActiveSnapshotSet();
        if none {
            ffi::PushActiveSnapshot(ffi::GetCatalogSnapshot(pg_sys::InvalidOid));
        }
        none
    })?;
    body()?;
    if pushed {
        // SAFETY: pushed above; what `body` pushed it has popped.
        catch(|| unsafe { ffi::PopActiveSnapshot() })?;
    }
    Ok(())
}

/// 25001 where the transaction has a snapshot already that it will keep to its end.
fn refuse_late() -> Result<(), Report> {
    // SAFETY: both are variables of the backend.
    let late = unsafe {
        pg_sys::FirstSnapshotSet && pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as c_int
    };
    if !late {
        return Ok(());
    }
    Err(Report::error(
        sqlstate::ACTIVE_TRANSACTION,
        format_args!("raceguard.lock_keys must be set before any query"),
    )
    .detail(format_args!(
        "The transaction's snapshot has been taken; it would not show what was committed until the key was locked."
    ))
    .hint(format_args!(
        "Make SET LOCAL raceguard.lock_keys the first statement after BEGIN."
    )))
}

/// 25001 in a transaction that set the setting while the library was not loaded.
pub fn refuse_missed() -> Result<(), Report> {
    if MISSED.load(Ordering::Relaxed) != transaction_number() {
        return Ok(());
    }
    Err(Report::error(
        sqlstate::ACTIVE_TRANSACTION,
        format_args!("raceguard.lock_keys was set before the raceguard library was loaded"),
    )
    .detail(format_args!("No key was locked by it."))
    .hint(format_args!(
        "Write it as a list, which fails at once where the library is missing: SET LOCAL raceguard.lock_keys = posts, '[42]'. Load the library with session_preload_libraries."
    )))
}

/// Splits the setting's text, `target, keys`, at the first comma outside double quotes.
pub fn split_list(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let comma = text.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    })?;
    Some((text[..comma].trim(), text[comma + 1..].trim()))
}

#[cfg(test)]
mod tests {
    use super::split_list;

    #[test]
    fn the_target_ends_at_the_first_comma_outside_quotes() {
        assert_eq!(split_list("posts, [1, 2]"), Some(("posts", "[1, 2]")));
        assert_eq!(split_list("\"a,\"\"b\".c, [\"x\"]"), Some(("\"a,\"\"b\".c", "[\"x\"]")));
        assert_eq!(split_list("posts"), None);
    }
}
