//! Columns as tuple descriptors tell of them.

use pgrx::pg_sys::{self, Datum, Oid};

/// One column of a table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Column {
    pub attno: i16,
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub length: i16,
    pub by_value: bool,
    pub generated: bool,
    /// Generated, and computed when it is read: no row holds it.
    pub is_virtual: bool,
}

/// ATTRIBUTE_GENERATED_VIRTUAL, of Postgres 18.
pub const VIRTUAL: u8 = b'v';

/// How a type's values lie in memory.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Storage {
    pub length: i16,
    pub by_value: bool,
}

impl Storage {
    pub fn of(column: Column) -> Storage {
        Storage { length: column.length, by_value: column.by_value }
    }
}

/// How the values of a column lie in memory.
///
/// # Safety
/// `attno` lies within the descriptor.
pub unsafe fn storage(desc: pg_sys::TupleDesc, attno: i16) -> Storage {
    // SAFETY: promised by the caller.
    let attr = unsafe { &*attribute(desc, attno) };
    Storage { length: attr.attlen, by_value: attr.attbyval }
}

#[cfg(not(since_pg18))]
pub unsafe fn attribute(
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: the caller checked the range.
    unsafe { (*desc).attrs.as_ptr().add((attno - 1) as usize) }
}

#[cfg(since_pg18)]
pub unsafe fn attribute(
    desc: pg_sys::TupleDesc,
    attno: i16,
) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: the full attributes follow the `natts` compact ones.
    unsafe {
        let compact = (*desc).compact_attrs.as_ptr().add((*desc).natts as usize);
        (compact as *const pg_sys::FormData_pg_attribute).add((attno - 1) as usize)
    }
}

/// An integer of any width.
#[inline]
pub fn read_integer(value: Datum, type_oid: Oid) -> i64 {
    match type_oid {
        pg_sys::INT2OID => value.value() as i16 as i64,
        pg_sys::INT4OID => value.value() as i32 as i64,
        _ => value.value() as i64,
    }
}
