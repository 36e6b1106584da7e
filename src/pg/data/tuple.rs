//! Reading and replacing columns of a row, without a detour through pgrx's owned tuples.

use super::ffi;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, Datum};

/// A heap tuple with its descriptor, which last as long as `'a`: a firing. `Copy`: both belong to Postgres.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
    lasts: PhantomData<&'a ()>,
}

impl<'a> Row<'a> {
    /// # Safety
    /// `tuple` matches `desc`; both last as long as `'a`, and so does the current memory context.
    #[inline]
    pub unsafe fn from_raw(tuple: pg_sys::HeapTuple, desc: pg_sys::TupleDesc) -> Row<'a> {
        Row { tuple, desc, lasts: PhantomData }
    }

    /// The tuple, for wrappers in this module tree.
    #[inline]
    pub(in crate::pg) fn as_raw(self) -> pg_sys::HeapTuple {
        self.tuple
    }

    #[inline]
    pub fn into_datum(self) -> Datum {
        Datum::from(self.tuple)
    }

    /// The value of a user column, or `None` for NULL. What most keys and versions are, a number before any
    /// text in a row without NULLs, is read in line; everything else costs a call.
    #[inline]
    pub fn get(self, attno: i16) -> Option<Datum> {
        // SAFETY: `attno` was looked up in this descriptor, and the row has the column.
        unsafe {
            let header = &*(*self.tuple).t_data;
            let plain = header.t_infomask as u32 & pg_sys::HEAP_HASNULL == 0;
            match plain && attno <= columns(header) {
                true => cached_word(self.tuple, self.desc, attno).or_else(|| self.read(attno)),
                false => self.read(attno),
            }
        }
    }

    /// heap_getattr: columns past the tuple's own count take their missing value.
    #[inline(never)]
    fn read(self, attno: i16) -> Option<Datum> {
        // SAFETY: as in `get`.
        unsafe {
            let header = &*(*self.tuple).t_data;
            if attno > columns(header) {
                return missing_value(self.desc, attno);
            }
            if header.t_infomask as u32 & pg_sys::HEAP_HASNULL != 0 {
                let bit = (attno - 1) as usize;
                let bits = header.t_bits.as_ptr();
                if *bits.add(bit >> 3) & (1 << (bit & 7)) == 0 {
                    return None;
                }
            } else if let Some(value) = cached_short(self.tuple, self.desc, attno) {
                return Some(value);
            }
            Some(ffi::nocachegetattr(self.tuple, attno as i32, self.desc))
        }
    }

    /// Whether the row has NULLs.
    #[inline]
    pub fn has_nulls(self) -> bool {
        // SAFETY: the tuple has a header.
        unsafe { (*(*self.tuple).t_data).t_infomask as u32 & pg_sys::HEAP_HASNULL != 0 }
    }

    /// Where a stored row lies in its table: block and number.
    pub fn place(self) -> (u32, u16) {
        // SAFETY: a tuple says where it lies, be it nowhere.
        let place = unsafe { (*self.tuple).t_self };
        let block = (place.ip_blkid.bi_hi as u32) << 16 | place.ip_blkid.bi_lo as u32;
        (block, place.ip_posid)
    }

    /// The transaction that wrote a stored row, or the subtransaction; `None` for one so old that all have seen it.
    pub fn writer(self) -> Option<u32> {
        // SAFETY: a stored row's header has the numbers of its writers.
        unsafe {
            let header = &*(*self.tuple).t_data;
            let frozen =
                header.t_infomask as u32 & pg_sys::HEAP_XMIN_FROZEN == pg_sys::HEAP_XMIN_FROZEN;
            let xid = header.t_choice.t_heap.t_xmin.into_inner();
            (!frozen && xid >= u32::from(pg_sys::FirstNormalTransactionId)).then_some(xid)
        }
    }

    /// A copy of the row with one column replaced (`None` writes NULL).
    #[inline]
    pub fn with(self, attno: i16, value: Option<Datum>) -> Row<'a> {
        let mut column = attno as i32;
        let mut null = value.is_none();
        let mut value = value.unwrap_or(Datum::null());
        // SAFETY: one column, one value, one flag; the result is a new tuple of the same shape.
        let tuple = unsafe {
            ffi::heap_modify_tuple_by_cols(
                self.tuple,
                self.desc,
                1,
                &mut column,
                &mut value,
                &mut null,
            )
        };
        Row { tuple, ..self }
    }
}

/// What a descriptor tells first of a column: where it lies, how long it is, how it is passed.
#[cfg(not(since_pg18))]
type Layout = pg_sys::FormData_pg_attribute;
#[cfg(since_pg18)]
type Layout = pg_sys::CompactAttribute;

/// # Safety
/// `attno` lies within the descriptor.
#[inline]
unsafe fn layout(desc: pg_sys::TupleDesc, attno: i16) -> *const Layout {
    let i = (attno - 1) as usize;
    // SAFETY: promised by the caller.
    unsafe {
        #[cfg(not(since_pg18))]
        return (*desc).attrs.as_ptr().add(i);
        #[cfg(since_pg18)]
        return (*desc).compact_attrs.as_ptr().add(i);
    }
}

/// How many columns a tuple has.
#[inline]
fn columns(header: &pg_sys::HeapTupleHeaderData) -> i16 {
    (header.t_infomask2 as u32 & pg_sys::HEAP_NATTS_MASK) as i16
}

/// Where a column lies that is passed by value and has a fixed, already known offset, and how long it is.
#[inline]
unsafe fn place(
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> Option<(*const u8, i16)> {
    // SAFETY: the caller passes a tuple without NULLs that matches `desc` and holds column `attno`.
    unsafe {
        let attr = layout(desc, attno);
        let offset = (*attr).attcacheoff;
        if offset < 0 || !(*attr).attbyval {
            return None;
        }
        let data = ((*tuple).t_data as *const u8).add((*(*tuple).t_data).t_hoff as usize);
        Some((data.add(offset as usize), (*attr).attlen))
    }
}

/// `fetch_att` for such a column of four or eight bytes: two comparisons, and no jump through a table.
#[inline]
unsafe fn cached_word(
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> Option<Datum> {
    // SAFETY: as in `place`, which points at an aligned value of that length.
    unsafe {
        match place(tuple, desc, attno)? {
            (data, 8) => Some(Datum::from(*(data as *const i64))),
            (data, 4) => Some(Datum::from(*(data as *const i32))),
            _ => None,
        }
    }
}

/// The same for shorter ones.
unsafe fn cached_short(
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> Option<Datum> {
    // SAFETY: as in `cached_word`.
    unsafe {
        match place(tuple, desc, attno)? {
            (data, 2) => Some(Datum::from(*(data as *const i16))),
            (data, 1) => Some(Datum::from(*(data as *const i8))),
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
// tupdesc_details.h has the same from Postgres 15 to 19: a flag, and a value at the next Datum.
const _: () = assert!(core::mem::offset_of!(AttrMissing, value) == align_of::<Datum>());

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
