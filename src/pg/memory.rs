//! Memory of the current context for values that outlive a call: rules point into it.

use super::raw;
use super::trigger::Definition;

/// An array under construction in the current memory context.
pub struct Buffer<T: Copy> {
    data: *mut T,
    length: usize,
    capacity: usize,
}

impl<T: Copy> Buffer<T> {
    pub fn new(capacity: usize) -> Buffer<T> {
        // SAFETY: palloc returns maximally aligned memory of the size asked (at least one byte).
        let data = unsafe { raw::palloc((capacity * size_of::<T>()).max(1)) } as *mut T;
        Buffer { data, length: 0, capacity }
    }

    /// Appends a value.
    pub fn push(&mut self, value: T) {
        if self.length == self.capacity {
            let mut larger = Buffer::new((self.capacity * 2).max(8));
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

    /// The finished array. It lives as long as the memory context it was made in.
    pub fn into_slice(self) -> &'static [T] {
        // SAFETY: `length` values were written; the caller keeps the slice no longer than the
        // context, which for rules is the lifetime of the cache entry.
        unsafe { core::slice::from_raw_parts(self.data, self.length) }
    }
}

/// Copies a text into the current memory context.
pub fn keep_text(text: &str) -> &'static str {
    let mut bytes = Buffer::new(text.len());
    for byte in text.bytes() {
        bytes.push(byte);
    }
    // SAFETY: the bytes are those of a `str`.
    unsafe { core::str::from_utf8_unchecked(bytes.into_slice()) }
}

/// Copies a trigger's arguments into the current memory context.
pub fn keep_arguments(trigger: Definition) -> &'static [&'static str] {
    let mut arguments = Buffer::new(trigger.argument_count());
    for i in 0..trigger.argument_count() {
        arguments.push(keep_text(trigger.argument(i)));
    }
    arguments.into_slice()
}
