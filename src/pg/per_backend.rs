//! Values of which every backend has its own.

use core::ops::Deref;

/// A static without the look-up that a thread-local costs in a loaded library.
pub struct PerBackend<T>(T);

// SAFETY: a backend has one thread.
unsafe impl<T> Sync for PerBackend<T> {}

impl<T> PerBackend<T> {
    pub const fn new(value: T) -> PerBackend<T> {
        PerBackend(value)
    }
}

impl<T> Deref for PerBackend<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
