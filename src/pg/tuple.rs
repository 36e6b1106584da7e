//! Reading and replacing columns of a row, without a detour through pgrx's owned tuples.

use super::raw;
use pgrx::pg_sys::{self, Datum};

/// A heap tuple with its descriptor. `Copy`: both belong to Postgres.
#[derive(Clone, Copy)]
pub struct Row {
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
}

impl Row {
    /// # Safety
    /// `tuple` matches `desc`; both outlive the trigger call.
    #[inline]
    pub unsafe fn from_raw(tuple: pg_sys::HeapTuple, desc: pg_sys::TupleDesc) -> Row {
        Row { tuple, desc }
    }

    /// The tuple, for wrappers in this module tree.
    #[inline]
    pub fn as_raw(self) -> pg_sys::HeapTuple {
        self.tuple
    }

    #[inline]
    pub fn into_datum(self) -> Datum {
        Datum::from(self.tuple)
    }

    /// The value of a user column, or `None` for NULL.
    #[inline]
    pub fn get(self, attno: i16) -> Option<Datum> {
        // SAFETY: `attno` was looked up in this descriptor. The tests are those of
        // heap_getattr: columns past the tuple's own count take their missing value.
        unsafe {
            let header = &*(*self.tuple).t_data;
            let count = (header.t_infomask2 as u32 & pg_sys::HEAP_NATTS_MASK) as i16;
            if attno > count {
                return missing_value(self.desc, attno);
            }
            if header.t_infomask as u32 & pg_sys::HEAP_HASNULL != 0 {
                let bit = (attno - 1) as usize;
                let bits = header.t_bits.as_ptr();
                if *bits.add(bit >> 3) & (1 << (bit & 7)) == 0 {
                    return None;
                }
            } else if let Some(value) = cached_offset_value(self.tuple, self.desc, attno) {
                return Some(value);
            }
            Some(raw::nocachegetattr(self.tuple, attno as i32, self.desc))
        }
    }

    /// A copy of the row with one column replaced (`None` writes NULL).
    #[inline]
    pub fn with(self, attno: i16, value: Option<Datum>) -> Row {
        let column = attno as i32;
        let null = value.is_none();
        let value = value.unwrap_or(Datum::null());
        // SAFETY: one column, one value, one flag; the result is a new tuple of the same shape.
        let tuple = unsafe {
            raw::heap_modify_tuple_by_cols(self.tuple, self.desc, 1, &column, &value, &null)
        };
        Row { tuple, desc: self.desc }
    }
}

/// `fetch_att` for a column at a fixed, already known offset of a tuple without NULLs.
#[cfg(not(feature = "pg18"))]
#[inline]
unsafe fn cached_offset_value(
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> Option<Datum> {
    // SAFETY: the caller passes a tuple that matches `desc` and holds column `attno`, not NULL.
    unsafe {
        let attr = (*desc).attrs.as_ptr().add((attno - 1) as usize);
        let offset = (*attr).attcacheoff;
        if offset < 0 || !(*attr).attbyval {
            return None;
        }
        let data = ((*tuple).t_data as *const u8)
            .add((*(*tuple).t_data).t_hoff as usize)
            .add(offset as usize);
        fetch_by_value(data, (*attr).attlen)
    }
}

/// Postgres 18 keeps the offset in a compact attribute of its own; `nocachegetattr` knows it.
#[cfg(feature = "pg18")]
#[inline]
unsafe fn cached_offset_value(
    _tuple: pg_sys::HeapTuple,
    _desc: pg_sys::TupleDesc,
    _attno: i16,
) -> Option<Datum> {
    None
}

#[cfg(not(feature = "pg18"))]
#[inline]
unsafe fn fetch_by_value(data: *const u8, length: i16) -> Option<Datum> {
    // SAFETY: `data` points at an aligned value of `length` bytes inside the tuple.
    unsafe {
        match length {
            8 => Some(Datum::from(*(data as *const i64))),
            4 => Some(Datum::from(*(data as *const i32))),
            2 => Some(Datum::from(*(data as *const i16))),
            1 => Some(Datum::from(*(data as *const i8))),
            _ => None,
        }
    }
}

/// Postgres's AttrMissing, which the bindings leave opaque.
#[repr(C)]
struct AttrMissing {
    present: bool,
    value: Datum,
}

/// The value that ALTER TABLE ... ADD COLUMN gave rows which are older than the column.
#[cold]
unsafe fn missing_value(desc: pg_sys::TupleDesc, attno: i16) -> Option<Datum> {
    // SAFETY: the constr and its missing array, where present, have an entry for each column.
    unsafe {
        let constr = (*desc).constr;
        if constr.is_null() || (*constr).missing.is_null() {
            return None;
        }
        let missing = &*((*constr).missing as *const AttrMissing).add((attno - 1) as usize);
        missing.present.then_some(missing.value)
    }
}
