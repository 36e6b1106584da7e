//! The binary image of a row, free of how it happens to be stored.
//!
//! Values are handed out detoasted and decompressed, without their length headers, and composite
//! values column by column, so that a value reads the same whether it is stored in line, compressed
//! or out of line. Text forms, and with them TimeZone, DateStyle, IntervalStyle, bytea_output and
//! extra_float_digits, play no part, nor do the types' own notions of equality.

use super::column::{attribute, VIRTUAL};
use super::composite::header_of;
use super::ffi;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::{here, Buffer, Memory};
use core::ffi::{c_int, CStr};
use pgrx::pg_sys::{self, Datum, Oid};

/// Composite types nest only as deep as someone nested CREATE TYPE; the limit keeps a recursion
/// that no type can ask for from overrunning the stack.
const DEEPEST: usize = 64;

/// One piece of a row's image.
pub enum Piece<'a> {
    Null,
    /// The bytes of one value.
    Bytes(&'a [u8]),
    /// A composite value of so many columns follows, column by column.
    Row(usize),
}

#[derive(Clone, Copy)]
struct RecordColumn {
    value: Datum,
    is_null: bool,
    length: i16,
    by_value: bool,
    composite: bool,
}

/// Hands the pieces of a record to `sink`, in column order, dropped columns left out.
pub fn walk(record: Datum, sink: &mut impl FnMut(Piece)) -> Result<(), Report> {
    descend(record, sink, 0)
}

fn descend(record: Datum, sink: &mut impl FnMut(Piece), depth: usize) -> Result<(), Report> {
    here(|memory| {
        let columns = columns(record, memory)?;
        sink(Piece::Row(columns.len()));
        for column in columns {
            if column.is_null {
                sink(Piece::Null);
            } else if column.composite && depth < DEEPEST {
                descend(column.value, sink, depth + 1)?;
            } else {
                bytes(*column, sink)?;
            }
        }
        Ok(())
    })
}

/// The columns of a record.
fn columns(record: Datum, memory: Memory<'_>) -> Result<&[RecordColumn], Report> {
    // SAFETY: a record datum carries its row type; the arrays have an entry for each of its
    // columns.
    catch(|| unsafe {
        let header = header_of(record);
        let datum = (*header).t_choice.t_datum;
        let desc = ffi::lookup_rowtype_tupdesc(datum.datum_typeid, datum.datum_typmod);
        let count = (*desc).natts as usize;
        let values = ffi::palloc((count * size_of::<Datum>()).max(1)) as *mut Datum;
        let nulls = ffi::palloc(count.max(1)) as *mut bool;
        let mut tuple: pg_sys::HeapTupleData = core::mem::zeroed();
        tuple.t_len = pgrx::varsize_any(header as *const pg_sys::varlena) as u32;
        tuple.t_data = header;
        ffi::heap_deform_tuple(&mut tuple, desc, values, nulls);
        let mut columns = Buffer::new(memory, count);
        for i in 0..count {
            let attribute = &*attribute(desc, (i + 1) as i16);
            // A virtual column follows from the others, and is NULL in the row that a trigger sees.
            if attribute.attisdropped || attribute.attgenerated as u8 == VIRTUAL {
                continue;
            }
            columns.push(RecordColumn {
                value: *values.add(i),
                is_null: *nulls.add(i),
                length: attribute.attlen,
                by_value: attribute.attbyval,
                composite: attribute.attlen == -1 && is_composite(attribute.atttypid),
            });
        }
        if (*desc).tdrefcount >= 0 as c_int {
            ffi::DecrTupleDescRefCount(desc);
        }
        columns.into_slice()
    })
}

/// Whether a type is composite, or a domain over one.
unsafe fn is_composite(type_id: Oid) -> bool {
    if type_id == pg_sys::RECORDOID {
        return true;
    }
    // The types of initdb are not composite where a column can have them; this spares their look-up.
    if type_id.to_u32() < pg_sys::FirstNormalObjectId {
        return false;
    }
    // SAFETY: plain catalog look-ups, inside `catch`.
    unsafe { ffi::get_typtype(ffi::getBaseType(type_id)) as u8 == pg_sys::TYPTYPE_COMPOSITE }
}

/// Hands one value that is not composite to `sink`.
fn bytes(field: RecordColumn, sink: &mut impl FnMut(Piece)) -> Result<(), Report> {
    let value = field.value;
    if field.by_value {
        let number = (value.value() as u64).to_le_bytes();
        sink(Piece::Bytes(&number[..(field.length as usize).min(8)]));
        return Ok(());
    }
    match field.length {
        -1 => {
            let stored: *mut pg_sys::varlena = value.cast_mut_ptr();
            // SAFETY: a varlena that is no longer toasted tells its own length; a copy made for
            // reading it is freed again.
            unsafe {
                let plain = catch(|| ffi::pg_detoast_datum_packed(stored))?;
                sink(Piece::Bytes(core::slice::from_raw_parts(
                    pgrx::vardata_any(plain) as *const u8,
                    pgrx::varsize_any_exhdr(plain),
                )));
                if plain != stored {
                    catch(|| ffi::pfree(plain.cast()))?;
                }
            }
        }
        -2 => {
            // SAFETY: a cstring ends in a zero byte.
            let text = unsafe { CStr::from_ptr(value.cast_mut_ptr()) };
            sink(Piece::Bytes(text.to_bytes()));
        }
        length => {
            // SAFETY: a value of a fixed-length type has that many bytes.
            let fixed = unsafe {
                core::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), length.max(0) as usize)
            };
            sink(Piece::Bytes(fixed));
        }
    }
    Ok(())
}
