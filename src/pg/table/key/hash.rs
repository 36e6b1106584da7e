//! How the values of a key's parts are hashed: by the types' own hash functions, so that equal values have
//! the same hash on every server.

use crate::pg::base::text::display;
use crate::pg::table::ffi;
use crate::pg::table::key::runs::Runs;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Datum, Oid};

/// The hash function of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    /// hashint4, without a detour through its FmgrInfo.
    Int4,
    /// hashint8, likewise.
    Int8,
    /// The type's own.
    Function(*mut pg_sys::FmgrInfo),
    /// An enum, by its label: its own hash function hashes the label's OID, which is another in
    /// every database.
    Label,
    /// The type has none.
    None,
}

impl Hash {
    /// Looks it up, once for a rule: the type cache keeps it for the session.
    pub(super) fn of_type(type_oid: Oid) -> Hash {
        // SAFETY: type cache entries live as long as the session.
        unsafe {
            if ffi::type_is_enum(ffi::getBaseType(type_oid)) {
                return Hash::Label;
            }
            let flags = pg_sys::TYPECACHE_HASH_PROC_FINFO as c_int;
            let function = &raw mut (*ffi::lookup_type_cache(type_oid, flags)).hash_proc_finfo;
            match (*function).fn_oid.to_u32() {
                0 => Hash::None,
                pg_sys::F_HASHINT4 => Hash::Int4,
                pg_sys::F_HASHINT8 => Hash::Int8,
                _ => Hash::Function(function),
            }
        }
    }

    /// What hashing runs.
    pub(super) fn runs(self) -> Runs {
        match self {
            // SAFETY: the type cache keeps the function for the session.
            Hash::Function(function) => Runs::of_function(unsafe { (*function).fn_oid }),
            _ => Runs::Nothing,
        }
    }

    /// The hash of a value; 0 where the type has no hash function.
    ///
    /// # Safety
    /// The value is one of the type, and not NULL.
    #[inline]
    pub(super) unsafe fn value(self, value: Datum, type_oid: Oid, collation: Oid) -> u32 {
        // SAFETY: promised by the caller; hashing a word reads nothing else.
        unsafe {
            match self {
                Hash::Int4 => ffi::hash_bytes_uint32(value.value() as u32),
                Hash::Int8 => ffi::hash_bytes_uint32(halves(value.value() as i64)),
                _ => self.by_call(value, type_oid, collation),
            }
        }
    }

    #[inline(never)]
    unsafe fn by_call(self, value: Datum, type_oid: Oid, collation: Oid) -> u32 {
        match self {
            // SAFETY: promised by the caller.
            Hash::Function(function) => unsafe {
                ffi::FunctionCall1Coll(function, collation, value).value() as u32
            },
            Hash::Label => {
                let label = display(value, type_oid);
                let bytes = label.as_str().as_bytes();
                // SAFETY: reads the bytes of the label.
                unsafe { ffi::hash_bytes(bytes.as_ptr(), bytes.len() as c_int) }
            }
            Hash::Int4 | Hash::Int8 | Hash::None => 0,
        }
    }
}

/// The word that hashint8 hashes: for a number that an integer can hold it is the one that hashint4 hashes.
#[inline]
fn halves(number: i64) -> u32 {
    let (low, high) = (number as u32, (number >> 32) as u32);
    low ^ if number >= 0 { high } else { !high }
}

/// Joins the hash of one more part to that of the parts before it.
#[inline]
pub(super) fn combine(hash: u32, part: u32) -> u32 {
    hash.wrapping_mul(31).wrapping_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_word_in_either_width() {
        for number in [0, 1, -1, 42, -42, i32::MAX, i32::MIN] {
            assert_eq!(halves(number.into()), number as u32);
        }
        assert_eq!(halves(1 << 32), 1);
        assert_eq!(halves(i64::MIN), !(1 << 31));
    }
}
