//! Rows in the executor's hands: Postgres's TupleTableSlot, never a slot of a cap.

use super::column::{read_integer, Column};
use super::ffi;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, Datum};

/// A place that holds a row while `'a` lasts: a firing, or a scan.
#[derive(Clone, Copy)]
pub struct RowSlot<'a> {
    slot: *mut pg_sys::TupleTableSlot,
    held: PhantomData<&'a ()>,
}

impl<'a> RowSlot<'a> {
    /// # Safety
    /// The slot holds a row as long as `'a`.
    #[inline]
    pub unsafe fn from_raw(slot: *mut pg_sys::TupleTableSlot) -> RowSlot<'a> {
        RowSlot { slot, held: PhantomData }
    }

    #[inline]
    pub(in crate::pg) fn as_raw(self) -> *mut pg_sys::TupleTableSlot {
        self.slot
    }

    /// The value of a user column, `None` for NULL: `slot_getattr`. A number past the row's last column
    /// is an ERROR.
    #[inline]
    pub fn get(self, attno: i16) -> Option<Datum> {
        let i = usize::try_from(attno).ok()?.checked_sub(1)?;
        // SAFETY: slot_getsomeattrs_int fills the arrays up to `attno`, or refuses it.
        unsafe {
            let slot = self.slot;
            if (*slot).tts_nvalid < attno {
                ffi::slot_getsomeattrs_int(slot, attno.into());
            }
            (!*(*slot).tts_isnull.add(i)).then(|| *(*slot).tts_values.add(i))
        }
    }

    /// An integer column of any width.
    pub fn integer(self, column: Column) -> Option<i64> {
        self.get(column.attno).map(|value| read_integer(value, column.type_oid))
    }
}
