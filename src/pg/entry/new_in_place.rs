//! A column of NEW written where it lies, instead of into a copy of the row; and of a copy that is made anyway.
//!
//! A BEFORE UPDATE trigger that returns another tuple has it formed from all columns, and Postgres copies it once more
//! into its slot. The tuple that it was passed is already the slot's own, made for this row: where the column has
//! room in it, it is written there, and the same tuple is returned.

#[cfg(not(since_pg19))]
use super::trigger::Event;
use super::trigger::Firing;
#[cfg(not(since_pg19))]
use pgrx::pg_sys;
use pgrx::pg_sys::Datum;

/// Writes a column of a fixed length into NEW of an UPDATE; whether that could be done. A column that is NULL has no
/// room in the tuple, and a tuple that is not the slot's own may be somebody else's.
#[cfg(not(since_pg19))]
#[inline]
pub fn write_in_place(firing: Firing, attno: i16, value: Datum) -> bool {
    if firing.event() != Event::Update {
        return false;
    }
    // SAFETY: the slot holds NEW for the whole call; its kind says what it is.
    unsafe {
        let data = &*firing.as_raw();
        let slot = data.tg_newslot;
        if slot.is_null()
            || !core::ptr::eq((*slot).tts_ops, &raw const pg_sys::TTSOpsBufferHeapTuple)
            || (*slot).tts_flags & pg_sys::TTS_FLAG_SHOULDFREE as u16 == 0
        {
            return false;
        }
        let heap = slot as *mut pg_sys::HeapTupleTableSlot;
        let own = core::ptr::eq((*heap).tuple, data.tg_newtuple);
        own && write_into(heap, attno, value)
    }
}

/// Postgres 19 takes rows apart in another way.
///
/// # Safety
/// None is asked for.
#[cfg(since_pg19)]
#[inline]
pub(in crate::pg) unsafe fn write_into(
    _: *mut pgrx::pg_sys::HeapTupleTableSlot,
    _: i16,
    _: Datum,
) -> bool {
    false
}

/// As [`write_into`].
#[cfg(since_pg19)]
#[inline]
pub fn write_in_place(_: Firing, _: i16, _: Datum) -> bool {
    false
}

/// Writes a column of a fixed length into the tuple in a slot; whether that could be done.
///
/// # Safety
/// The tuple is nobody else's, and the slot's descriptor has the column.
#[cfg(not(since_pg19))]
#[inline]
pub(in crate::pg) unsafe fn write_into(
    heap: *mut pg_sys::HeapTupleTableSlot,
    attno: i16,
    value: Datum,
) -> bool {
    use super::ffi;
    let i = (attno - 1) as usize;
    // SAFETY: promised by the caller. Taken apart up to the column and no further, the slot notes where the column ends.
    unsafe {
        let slot = &raw mut (*heap).base;
        if (*slot).tts_nvalid < attno {
            ffi::slot_getsomeattrs_int(slot, attno.into());
        }
        if (*slot).tts_nvalid != attno || *(*slot).tts_isnull.add(i) {
            return false;
        }
        let tuple = &*(*heap).tuple;
        let columns = (*tuple.t_data).t_infomask2 as u32 & pg_sys::HEAP_NATTS_MASK;
        #[cfg(not(since_pg18))]
        let column = &*(*(*slot).tts_tupleDescriptor).attrs.as_ptr().add(i);
        #[cfg(since_pg18)]
        let column = &*(*(*slot).tts_tupleDescriptor).compact_attrs.as_ptr().add(i);
        if u32::from(attno as u16) > columns || !column.attbyval {
            return false;
        }
        let end = (*tuple.t_data).t_hoff as usize + (*heap).off as usize;
        let length = column.attlen as usize;
        if end > tuple.t_len as usize || end < length || !(end - length).is_multiple_of(length) {
            return false;
        }
        let place = (tuple.t_data as *mut u8).add(end - length);
        let known = &mut *(*slot).tts_values.add(i);
        // What lies there has to be what the slot has read.
        let replaced = match length {
            8 => replace(place.cast::<i64>(), known.value() as i64, value.value() as i64),
            4 => replace(place.cast::<i32>(), known.value() as i32, value.value() as i32),
            2 => replace(place.cast::<i16>(), known.value() as i16, value.value() as i16),
            _ => false,
        };
        if replaced {
            *known = value;
        }
        replaced
    }
}

/// # Safety
/// An aligned value of that type lies there.
#[cfg(not(since_pg19))]
#[inline]
unsafe fn replace<T: Copy + PartialEq>(place: *mut T, old: T, new: T) -> bool {
    // SAFETY: promised by the caller.
    unsafe {
        let found = *place == old;
        if found {
            *place = new;
        }
        found
    }
}
