//! Values of which every backend has its own.

use core::ops::Deref;

/// A static without the look-up that a thread-local costs in a loaded library.
///
/// It outlives every call, so it takes only what is `Send`: nothing that points into a memory context is.
pub struct PerBackend<T>(T);

// SAFETY: a backend has one thread.
unsafe impl<T> Sync for PerBackend<T> {}

impl<T: Send> PerBackend<T> {
    pub const fn new(value: T) -> PerBackend<T> {
        PerBackend(value)
    }
}

impl<T> PerBackend<T> {
    /// One that may hold pointers.
    ///
    /// # Safety
    /// What is put there is taken out before what it points at goes.
    pub(in crate::pg) const unsafe fn of_pointers(value: T) -> PerBackend<T> {
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
