//! The allocator behind Rust's own memory: where it fails, this backend ends, and not the cluster.
//!
//! Rust answers a failed allocation with `abort`, and Postgres answers a backend that was aborted by
//! ending all others. What a caller may make large is asked for fallibly ([`super::memory`]), and its
//! failure is an ERROR. The rest is small, but the last bytes may be missing for it as well: then the
//! client gets `FATAL: out of memory` (53200), and nobody else notices.
//!
//! That is sound. FATAL runs `proc_exit`, which rolls the transaction back, releases the locks and
//! calls `exit`: it never returns to the frames that were waiting for the memory. No destructor runs,
//! and none has to, since the process ends. raceguard's own callbacks, which `proc_exit` calls, might
//! meet a collection in the middle of a change; they do nothing once [`is_exiting`]. The message needs
//! no memory beyond what Postgres keeps in reserve for it (ErrorContext).

use super::ffi;
use super::per_backend::PerBackend;
use core::cell::Cell;
use core::fmt::Write;
use pgrx::pg_sys;
use std::alloc::{GlobalAlloc, Layout, System};

struct OrFatal;

// Unit tests run without Postgres, which could not be linked.
#[cfg_attr(not(test), global_allocator)]
#[cfg_attr(test, allow(dead_code))]
static ALLOCATOR: OrFatal = OrFatal;

/// Whether the allocation under way has somebody who deals with its failure.
static FALLIBLE: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));
static EXITING: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));

/// Runs an allocation whose failure the caller deals with.
#[inline]
pub fn fallibly<T>(allocation: impl FnOnce() -> T) -> T {
    let before = FALLIBLE.replace(true);
    let outcome = allocation();
    FALLIBLE.set(before);
    outcome
}

/// Whether this backend is about to end in the middle of something.
#[inline]
pub fn is_exiting() -> bool {
    EXITING.get()
}

// SAFETY: everything is the system allocator's; what is added never returns.
unsafe impl GlobalAlloc for OrFatal {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: promised by the caller.
        or_fatal(unsafe { System.alloc(layout) }, layout.size())
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_fatal(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        or_fatal(unsafe { System.realloc(memory, layout, size) }, size)
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[inline]
fn or_fatal(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() && !FALLIBLE.get() {
        end_backend(bytes);
    }
    memory
}

/// A text on the stack; what does not fit is left out.
struct Short {
    bytes: [u8; 96],
    length: usize,
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // The last byte stays zero.
            if self.length + 1 < self.bytes.len() {
                self.bytes[self.length] = byte;
                self.length += 1;
            }
        }
        Ok(())
    }
}

#[cold]
fn end_backend(bytes: usize) {
    const FATAL: i32 = 22;
    EXITING.set(true);
    let mut detail = Short { bytes: [0; 96], length: 0 };
    let _ = write!(detail, "Failed on a request of {bytes} bytes in raceguard.");
    // SAFETY: all-zero is a valid ErrorData; Postgres copies the texts, and exits.
    unsafe {
        let mut data: pg_sys::ErrorData = core::mem::zeroed();
        data.elevel = FATAL;
        data.sqlerrcode = super::sqlstate::OUT_OF_MEMORY.packed();
        data.message = c"out of memory".as_ptr().cast_mut();
        data.detail = detail.bytes.as_mut_ptr().cast();
        data.filename = c"raceguard".as_ptr();
        data.funcname = c"raceguard".as_ptr();
        data.assoc_context = pg_sys::ErrorContext;
        ffi::ThrowErrorData(&mut data);
    }
}
