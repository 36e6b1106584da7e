//! Points at which a test stops a session, between two steps of a guard: injection points of Postgres.
//!
//! They are there with the feature `injection_points` alone, for a Postgres that was configured with
//! `--enable-injection-points`, which no release is; `make test-debug` builds both. Otherwise nothing of them is left.

#[cfg(all(feature = "injection_points", not(since_pg18)))]
compile_error!("injection points are called as Postgres has them since 18");

/// Stops here, or does what else a test has attached to a point of this name: the session may wait, or raise an ERROR.
#[cfg(feature = "injection_points")]
pub fn stop(point: &core::ffi::CStr) {
    use core::ffi::{c_char, c_void};
    // pgrx reads no declaration of it.
    unsafe extern "C-unwind" {
        fn InjectionPointRun(name: *const c_char, arg: *mut c_void);
    }
    // SAFETY: a name, and no argument; where it is called an ERROR may be raised.
    unsafe { InjectionPointRun(point.as_ptr(), core::ptr::null_mut()) }
}

#[cfg(not(feature = "injection_points"))]
#[inline(always)]
pub fn stop(_: &core::ffi::CStr) {}
