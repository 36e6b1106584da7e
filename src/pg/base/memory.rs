//! Memory of Postgres's contexts, and memory of Rust's own that may run out.
//!
//! What lies in a memory context is handed out with the lifetime of a [`Memory`]: a rule's, a step's
//! ([`Scratch`]), or that of a block ([`here`]). So the compiler refuses to use it when the context is gone.
//!
//! Where a caller decides the size, running out is 53200 and the transaction is rolled back: Postgres's
//! memory raises that by itself, and Rust's collections grow through [`reserve`]. [`super::alloc`] is
//! the net below everything else.

use super::alloc::fallibly;
use super::error::{catch, Report};
use super::ffi;
use core::ffi::c_void;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, MemoryContext};
use std::collections::TryReserveError;

/// Memory of the current context, of any size, aligned for any type. Plain frames or inside `catch`.
pub fn allocate(bytes: usize) -> *mut c_void {
    // SAFETY: a variable of the backend.
    allocate_in(unsafe { pg_sys::CurrentMemoryContext }, bytes)
}

fn allocate_in(context: MemoryContext, bytes: usize) -> *mut c_void {
    let flags = (pg_sys::MCXT_ALLOC_HUGE | pg_sys::MCXT_ALLOC_NO_OOM) as i32;
    // What no machine has, Postgres would not even try.
    let memory = match bytes <= isize::MAX as usize / 2 {
        // SAFETY: the caller's context is one that there is.
        true => unsafe { ffi::MemoryContextAllocExtended(context, bytes.max(1), flags) },
        false => core::ptr::null_mut(),
    };
    if memory.is_null() {
        exhausted(bytes).throw()
    }
    memory
}

/// 53200: no memory for something whose size the caller decides.
#[cold]
#[cfg(not(test))]
pub fn exhausted(bytes: usize) -> Report {
    Report::error(super::sqlstate::OUT_OF_MEMORY, format_args!("out of memory"))
        .detail(format_args!("Failed on a request of {bytes} bytes in raceguard."))
        .hint(format_args!(
            "Pass fewer or smaller values at a time, or write fewer rows in one transaction."
        ))
}

/// Unit tests are linked without Postgres, which makes reports; they find the memory they ask for.
#[cfg(test)]
pub fn exhausted(_bytes: usize) -> Report {
    std::process::abort()
}

/// A memory context that lasts as long as `'m`, as does what is allocated in it. `Copy`: it points there.
#[derive(Clone, Copy)]
pub struct Memory<'m>(MemoryContext, PhantomData<&'m ()>);

impl<'m> Memory<'m> {
    /// # Safety
    /// The context lasts as long as `'m`, and is not reset before.
    pub(in crate::pg) unsafe fn from_raw(context: MemoryContext) -> Memory<'m> {
        Memory(context, PhantomData)
    }

    /// Runs `body` with this as the current context: what Postgres's own functions allocate lies there.
    /// Plain frames or inside `catch`.
    pub(in crate::pg) fn within<T>(self, body: impl FnOnce() -> T) -> T {
        // SAFETY: the context lasts longer than the call, and the caller's is the current one again
        // when it returns; an ERROR sets the one of whoever catches it.
        unsafe {
            let caller = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = self.0;
            let value = body();
            pg_sys::CurrentMemoryContext = caller;
            value
        }
    }

    /// A copy of a list.
    pub fn keep<T: Copy>(self, list: &[T]) -> &'m [T] {
        let mut copy = Buffer::new(self, list.len());
        for value in list {
            copy.push(*value);
        }
        copy.into_slice()
    }

    /// A copy of a text.
    pub fn keep_text(self, text: &str) -> &'m str {
        let bytes = self.keep(text.as_bytes());
        // SAFETY: the bytes are those of a `str`.
        unsafe { core::str::from_utf8_unchecked(bytes) }
    }
}

/// Runs `body` with the current memory context, which lasts as long as it runs. `body` ends no transaction.
pub fn here<T>(body: impl for<'m> FnOnce(Memory<'m>) -> T) -> T {
    // SAFETY: no lifetime of the caller's choice: nothing that lies there can be handed out.
    body(unsafe { Memory::from_raw(pg_sys::CurrentMemoryContext) })
}

/// Memory for one step of many, given back after each.
#[derive(Clone, Copy)]
pub struct Scratch(MemoryContext);

impl Scratch {
    pub fn new() -> Result<Scratch, Report> {
        // SAFETY: hangs under the current context, and goes with it after an error.
        catch(|| unsafe {
            Scratch(ffi::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"raceguard step".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            ))
        })
    }

    /// Runs one step in the memory, and gives it back unless the step failed: an error lies there. What
    /// the step returns does not.
    pub fn use_for<T: Send + 'static>(
        self,
        step: impl for<'s> FnOnce(Memory<'s>) -> Result<T, Report>,
    ) -> Result<T, Report> {
        let outcome = self.run(step);
        self.give_back(outcome?)
    }

    /// The same for a step whose result is to outlive it: `step` copies that into the caller's memory.
    pub fn distil<'m, T>(
        self,
        caller: Memory<'m>,
        step: impl for<'s> FnOnce(Memory<'s>, Memory<'m>) -> Result<T, Report>,
    ) -> Result<T, Report> {
        let outcome = self.run(|scratch| step(scratch, caller));
        self.give_back(outcome?)
    }

    fn run<T>(self, step: impl for<'s> FnOnce(Memory<'s>) -> T) -> T {
        // SAFETY: the context is there until `done`, and reset only after the step.
        let memory: Memory = unsafe { Memory::from_raw(self.0) };
        memory.within(|| step(memory))
    }

    fn give_back<T>(self, value: T) -> Result<T, Report> {
        // SAFETY: the context is there until `done`.
        catch(|| unsafe { ffi::MemoryContextReset(self.0) })?;
        Ok(value)
    }

    /// Frees the memory.
    pub fn done(self) -> Result<(), Report> {
        // SAFETY: made by `new`, and not used any more.
        catch(|| unsafe { ffi::MemoryContextDelete(self.0) })
    }
}

/// A collection of Rust's own that can be asked whether it may grow.
pub trait Grow {
    /// Makes room for so many more, or fails.
    fn grow(&mut self, more: usize) -> Result<(), TryReserveError>;
    /// The size of one of them, for the message.
    const ONE: usize;
}

impl<T> Grow for Vec<T> {
    fn grow(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.try_reserve(more)
    }
    const ONE: usize = size_of::<T>();
}

impl Grow for String {
    fn grow(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.try_reserve(more)
    }
    const ONE: usize = 1;
}

impl<T: Eq + std::hash::Hash> Grow for std::collections::HashSet<T> {
    fn grow(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.try_reserve(more)
    }
    const ONE: usize = size_of::<T>();
}

/// Makes room for so many more elements, or fails with 53200.
#[inline]
pub fn reserve(collection: &mut impl Grow, more: usize) -> Result<(), Report> {
    fn failed<C: Grow>(_: &C, more: usize) -> Report {
        exhausted(more.saturating_mul(C::ONE))
    }
    fallibly(|| collection.grow(more)).map_err(|_| failed(collection, more))
}

/// Appends an element, or fails with 53200.
#[inline]
pub fn push<T>(list: &mut Vec<T>, value: T) -> Result<(), Report> {
    reserve(list, 1)?;
    list.push(value);
    Ok(())
}

/// A copy of a text, or 53200.
pub fn own(text: &str) -> Result<String, Report> {
    let mut copy = String::new();
    reserve(&mut copy, text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// A copy of a list, or 53200.
pub fn own_list<T: Copy>(list: &[T]) -> Result<Vec<T>, Report> {
    let mut copy = Vec::new();
    reserve(&mut copy, list.len())?;
    copy.extend_from_slice(list);
    Ok(copy)
}

/// An array under construction in a memory context.
pub struct Buffer<'m, T: Copy> {
    memory: Memory<'m>,
    data: *mut T,
    length: usize,
    capacity: usize,
}

impl<'m, T: Copy> Buffer<'m, T> {
    pub fn new(memory: Memory<'m>, capacity: usize) -> Buffer<'m, T> {
        let data = allocate_in(memory.0, capacity.saturating_mul(size_of::<T>())) as *mut T;
        Buffer { memory, data, length: 0, capacity }
    }

    /// Appends a value.
    pub fn push(&mut self, value: T) {
        if self.length == self.capacity {
            let mut larger = Buffer::new(self.memory, (self.capacity * 2).max(8));
            // SAFETY: the new array has room for the old one's values; the old one is freed with
            // its memory context.
            unsafe { core::ptr::copy_nonoverlapping(self.data, larger.data, self.length) };
            larger.length = self.length;
            *self = larger;
        }
        // SAFETY: `length` is below the capacity.
        unsafe { self.data.add(self.length).write(value) };
        self.length += 1;
    }

    /// Forgets the values, keeping the room.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// The values, to be put in order.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: `length` values were written.
        unsafe { core::slice::from_raw_parts_mut(self.data, self.length) }
    }

    /// The finished array.
    pub fn into_slice(self) -> &'m [T] {
        // SAFETY: `length` values were written, and lie in the memory, which lasts as long.
        unsafe { core::slice::from_raw_parts(self.data, self.length) }
    }
}
