//! Being told of the end of transactions and subtransactions.

use super::ffi;
use crate::pg::base::error::Report;
use core::ffi::c_void;
use pgrx::pg_sys;

/// What is called. No function may call Postgres but to make a report; `before_commit` may read, and write nothing:
/// deferred triggers have fired.
pub struct Listener {
    /// Before COMMIT and PREPARE TRANSACTION, which an error refuses.
    pub before_commit: fn() -> Result<(), Report>,
    /// The transaction has ended or is prepared.
    pub ended: fn(),
    /// A subtransaction of this number was rolled back.
    pub rolled_back: fn(u32),
    /// A subtransaction of this number has become part of the one around it.
    pub released: fn(u32),
}

/// Calls a listener from now on, until the session ends.
pub fn listen(listener: &'static Listener) {
    let listener = (&raw const *listener).cast_mut().cast::<c_void>();
    // SAFETY: the listener is static, and the library is never unloaded.
    unsafe {
        ffi::RegisterXactCallback(Some(transaction_ended), listener);
        ffi::RegisterSubXactCallback(Some(subtransaction_ended), listener);
    }
}

/// Calls a function from now on whenever a transaction or subtransaction has been rolled back. It calls nothing of
/// Postgres.
pub fn listen_for_rollbacks(listener: &'static fn()) {
    let listener = (&raw const *listener).cast_mut().cast::<c_void>();
    // SAFETY: as in `listen`.
    unsafe {
        ffi::RegisterXactCallback(Some(transaction_undone), listener);
        ffi::RegisterSubXactCallback(Some(subtransaction_undone), listener);
    }
}

unsafe extern "C-unwind" fn transaction_undone(event: pg_sys::XactEvent::Type, arg: *mut c_void) {
    if event == pg_sys::XactEvent::XACT_EVENT_ABORT {
        // SAFETY: the argument is what `listen_for_rollbacks` registered.
        unsafe { (*arg.cast::<fn()>())() }
    }
}

unsafe extern "C-unwind" fn subtransaction_undone(
    event: pg_sys::SubXactEvent::Type,
    _sub: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // SAFETY: as in `transaction_undone`.
        unsafe { (*arg.cast::<fn()>())() }
    }
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, arg: *mut c_void) {
    use pg_sys::XactEvent::*;
    // SAFETY: the argument is what `listen` registered.
    let listener = unsafe { &*arg.cast::<Listener>() };
    match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => {
            if let Err(report) = (listener.before_commit)() {
                report.throw()
            }
        }
        XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE => (listener.ended)(),
        _ => {}
    }
}

unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    sub: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    arg: *mut c_void,
) {
    use pg_sys::SubXactEvent::*;
    // SAFETY: the argument is what `listen` registered.
    let listener = unsafe { &*arg.cast::<Listener>() };
    match event {
        SUBXACT_EVENT_ABORT_SUB => (listener.rolled_back)(sub),
        SUBXACT_EVENT_COMMIT_SUB => (listener.released)(sub),
        _ => {}
    }
}
