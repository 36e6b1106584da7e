//! Values as bytes that outlive the row they came from, equal for equal binary values.

use super::column::Storage;
use super::ffi;
use crate::pg::base::alloc::fallibly;
use pgrx::pg_sys::{self, Datum};
use std::collections::TryReserveError;

/// The value outside TOAST storage. Calls Postgres; [`append`] does not.
#[inline]
pub fn flat(value: Datum, storage: Storage) -> Datum {
    if storage.length != -1 {
        return value;
    }
    // SAFETY: length -1 marks a varlena.
    unsafe {
        let pointer = value.cast_mut_ptr::<pg_sys::varlena>();
        if pgrx::varatt_is_4b_u(pointer)
            || (pgrx::varatt_is_1b(pointer) && !pgrx::varatt_is_1b_e(pointer))
        {
            return value;
        }
        Datum::from(ffi::pg_detoast_datum(pointer))
    }
}

/// Appends a [`flat`] value of the given storage.
#[inline]
pub fn append(bytes: &mut Vec<u8>, value: Datum, storage: Storage) -> Result<(), TryReserveError> {
    if storage.by_value {
        let word = (value.value() as u64).to_le_bytes();
        bytes.try_reserve(8)?;
        bytes.extend_from_slice(&word[..(storage.length as usize).min(8)]);
        return Ok(());
    }
    // SAFETY: a value passed by reference has `length` bytes; a flat varlena says its own length.
    let content = unsafe {
        if storage.length == -1 {
            let pointer = value.cast_mut_ptr::<pg_sys::varlena>();
            let length = pgrx::varsize_any_exhdr(pointer);
            bytes.try_reserve(length + 4)?;
            bytes.extend_from_slice(&(length as u32).to_le_bytes());
            core::slice::from_raw_parts(pgrx::vardata_any(pointer) as *const u8, length)
        } else {
            core::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), storage.length as usize)
        }
    };
    bytes.try_reserve(content.len())?;
    bytes.extend_from_slice(content);
    Ok(())
}

/// A value rebuilt from its bytes; a datum made of it points into it.
pub enum Rebuilt {
    Word(u64),
    /// In eight-byte words, so that any type is aligned.
    Memory(Vec<u64>),
}

impl Rebuilt {
    pub fn datum(&self) -> Datum {
        match self {
            Rebuilt::Word(word) => Datum::from(*word),
            Rebuilt::Memory(words) => Datum::from(words.as_ptr()),
        }
    }
}

/// Reads one value from the front of `bytes` and returns it with the rest; `None` if they are too
/// short, or there is no memory for it.
pub fn split(bytes: &[u8], storage: Storage) -> Option<(Rebuilt, &[u8])> {
    if storage.by_value {
        let (value, rest) = bytes.split_at_checked(storage.length as usize)?;
        return Some((Rebuilt::Word(sign_extended(value)), rest));
    }
    if storage.length != -1 {
        let (value, rest) = bytes.split_at_checked(storage.length as usize)?;
        return Some((Rebuilt::Memory(words(&[], value)?), rest));
    }
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let mut memory = words(&[0; 4], value)?;
    // SAFETY: the memory holds a four-byte header and the value.
    unsafe { pgrx::set_varsize_4b(memory.as_mut_ptr().cast(), (value.len() + 4) as i32) };
    Some((Rebuilt::Memory(memory), rest))
}

/// Postgres keeps narrow integers sign-extended in a datum.
fn sign_extended(value: &[u8]) -> u64 {
    let mut word = match value.last() {
        Some(top) if top & 0x80 != 0 => [0xFF; 8],
        _ => [0; 8],
    };
    for (to, from) in word.iter_mut().zip(value) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

fn words(head: &[u8], value: &[u8]) -> Option<Vec<u64>> {
    let mut words = Vec::new();
    let length = (head.len() + value.len()).div_ceil(8);
    fallibly(|| words.try_reserve_exact(length)).ok()?;
    let mut bytes = head.iter().chain(value).copied();
    for _ in 0..length {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(&mut bytes) {
            *to = from;
        }
        words.push(u64::from_ne_bytes(word));
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INT4: Storage = Storage { length: 4, by_value: true };
    const UUID: Storage = Storage { length: 16, by_value: false };

    proptest! {
        #[test]
        fn integers_survive(a in any::<i32>(), b in any::<i32>()) {
            let mut bytes = Vec::new();
            append(&mut bytes, Datum::from(a), INT4).unwrap();
            append(&mut bytes, Datum::from(b), INT4).unwrap();
            let (first, rest) = split(&bytes, INT4).unwrap();
            let (second, rest) = split(rest, INT4).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(first.datum().value() as i32, a);
            prop_assert_eq!(second.datum().value() as i32, b);
        }

        #[test]
        fn fixed_lengths_survive(value in any::<[u8; 16]>()) {
            let mut bytes = Vec::new();
            append(&mut bytes, Datum::from(value.as_ptr()), UUID).unwrap();
            let (back, _) = split(&bytes, UUID).unwrap();
            // SAFETY: the rebuilt value has 16 bytes.
            let back = unsafe { *back.datum().cast_mut_ptr::<[u8; 16]>() };
            prop_assert_eq!(back, value);
        }

        #[test]
        fn texts_survive(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let storage = Storage { length: -1, by_value: false };
            let mut bytes = (value.len() as u32).to_le_bytes().to_vec();
            bytes.extend_from_slice(&value);
            let (back, rest) = split(&bytes, storage).unwrap();
            prop_assert!(rest.is_empty());
            let mut again = Vec::new();
            append(&mut again, back.datum(), storage).unwrap();
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn too_few_bytes_are_no_value() {
        assert!(split(&[1, 2], INT4).is_none());
        assert!(split(&[9, 0, 0, 0, 1], Storage { length: -1, by_value: false }).is_none());
    }
}
