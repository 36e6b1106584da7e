//! Blocks of shared memory that every backend of the server finds by name, as 64-bit words.
//!
//! Up to Postgres 16 a block comes from the shared memory that Postgres leaves spare, which a preloaded library
//! can have enlarged; later it is a segment of dynamic shared memory, made when it is first asked for. Either is
//! gone when the server restarts, after a crash too. Where there is no room a caller goes on without.

use super::error::catch;
use super::ffi;
use super::per_backend::PerBackend;
use core::cell::Cell;
use core::ffi::{c_void, CStr};
use core::sync::atomic::AtomicU64;
use pgrx::pg_sys;

/// Where blocks come from, for people to read.
#[cfg(not(since_pg17))]
pub const KIND: &str = "shared memory";
#[cfg(since_pg17)]
pub const KIND: &str = "dynamic shared memory";

/// Whether blocks take what is spare of the server's shared memory, and nobody gets it once it is used up.
pub const COMES_FROM_THE_SPARE: bool = cfg!(not(since_pg17));

/// The size of a block, and how many of them, that a library may make which is not preloaded. The spare shared memory
/// of Postgres 15 and 16 serves everybody: 1.7 MB with stock settings.
#[cfg(not(since_pg17))]
pub const MODEST_BYTES: usize = 16 << 10;
#[cfg(not(since_pg17))]
pub const MODEST_BLOCKS: usize = 3;
#[cfg(since_pg17)]
pub const MODEST_BYTES: usize = 128 << 10;
#[cfg(since_pg17)]
pub const MODEST_BLOCKS: usize = 1;

/// Finds a block, or makes it: its first word then is the present moment in Postgres's microseconds, the rest zero.
/// `None` where there is no room. Every backend asks for the same size under the same name.
///
/// In a transaction that may be written to; plain frames or inside `catch`.
pub fn attach(name: &'static CStr, words: usize) -> Option<&'static [AtomicU64]> {
    // SAFETY: the name is static.
    match catch(|| unsafe { find_or_make(name, words * size_of::<u64>()) }) {
        // SAFETY: the block has so many bytes, aligned for any type, lives as long as the server, and is reached
        // by atomics alone.
        Ok(start) => Some(unsafe { core::slice::from_raw_parts(start.cast(), words) }),
        Err(_) => {
            // SAFETY: what raised the error may have left a lock of Postgres's to the rollback, which there is
            // none of here. A guard holds no such lock, nor does anything that calls one.
            unsafe { ffi::LWLockReleaseAll() };
            None
        }
    }
}

/// AddinShmemInitLock, from lwlocknames.h.
#[cfg(not(since_pg17))]
const ADDIN_SHMEM_INIT: usize = 21;

/// # Safety
/// Inside `catch`, after which an error's locks are released.
#[cfg(not(since_pg17))]
unsafe fn find_or_make(name: &'static CStr, bytes: usize) -> *mut c_void {
    // SAFETY: promised by the caller; the lock is one of those that every server has.
    unsafe {
        let lock = &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT)).lock;
        ffi::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let mut found = false;
        let start = ffi::ShmemInitStruct(name.as_ptr(), bytes, &mut found);
        if !found {
            begin(start, bytes);
        }
        ffi::LWLockRelease(lock);
        start
    }
}

/// The size of the segment being made, which Postgres does not tell its initializer.
#[cfg(since_pg17)]
static MAKING: PerBackend<Cell<usize>> = PerBackend::new(Cell::new(0));

/// # Safety
/// Inside `catch`, after which an error's locks are released.
#[cfg(since_pg17)]
unsafe fn find_or_make(name: &'static CStr, bytes: usize) -> *mut c_void {
    unsafe extern "C-unwind" fn initialize(start: *mut c_void, #[cfg(since_pg19)] _: *mut c_void) {
        // SAFETY: the segment is of the size that was asked for.
        unsafe { begin(start, MAKING.get()) }
    }
    MAKING.set(bytes);
    let mut found = false;
    // SAFETY: promised by the caller; the initializer runs while nobody else can find the segment.
    unsafe {
        ffi::GetNamedDSMSegment(
            name.as_ptr(),
            bytes,
            Some(initialize),
            &mut found,
            #[cfg(since_pg19)]
            core::ptr::null_mut(),
        )
    }
}

/// # Safety
/// The block has so many bytes, and nobody else has it yet.
unsafe fn begin(start: *mut c_void, bytes: usize) {
    // SAFETY: promised by the caller.
    unsafe {
        start.write_bytes(0, bytes);
        start.cast::<i64>().write(ffi::GetCurrentTimestamp());
    }
}

/// Whether the library is being loaded by `shared_preload_libraries`.
pub fn is_preloading() -> bool {
    // SAFETY: a variable of the process.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// The bytes to ask for, and whoever asked before.
#[cfg(not(since_pg17))]
static ASKED: PerBackend<(Cell<usize>, Cell<pg_sys::shmem_request_hook_type>)> =
    PerBackend::new((Cell::new(0), Cell::new(None)));

/// Has the server keep so much more spare, if it is preloading the library.
#[cfg(not(since_pg17))]
pub fn ask_for(bytes: usize) {
    unsafe extern "C-unwind" fn request() {
        let (bytes, before) = &*ASKED;
        // SAFETY: Postgres calls the hook where space may be requested, and so does this with the one before.
        unsafe {
            if let Some(before) = before.get() {
                before();
            }
            ffi::RequestAddinShmemSpace(bytes.get());
        }
    }
    if !is_preloading() {
        return;
    }
    ASKED.0.set(bytes);
    // SAFETY: hooks are chained while libraries are preloaded, by one process.
    unsafe {
        ASKED.1.set(pg_sys::shmem_request_hook);
        pg_sys::shmem_request_hook = Some(request);
    }
}

/// Dynamic shared memory is there when it is asked for.
#[cfg(since_pg17)]
pub fn ask_for(_bytes: usize) {}
