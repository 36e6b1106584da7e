//! From a JSON object to typed values, by Postgres's own jsonb_populate_record: arrays, ranges,
//! enums, domains and composite types read as they do in SQL. What is plain to see is read here ([`read`]).

use super::composite::header_of;
use super::ffi;
use super::jsonb::Json;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::Memory;
use core::ffi::c_int;
use core::marker::PhantomData;
use pgrx::pg_sys::{self, Datum, Oid};

/// The columns of one row, by column number.
#[derive(Clone, Copy)]
pub struct Fields<'m> {
    values: *const Datum,
    nulls: *const bool,
    count: usize,
    lasts: PhantomData<&'m ()>,
}

impl Fields<'_> {
    /// A column's value, `None` for NULL.
    pub fn get(self, attno: i16) -> Option<Datum> {
        let i = (attno as usize).checked_sub(1)?;
        if i >= self.count {
            return None;
        }
        // SAFETY: both arrays have `count` entries.
        unsafe { (!*self.nulls.add(i)).then(|| *self.values.add(i)) }
    }
}

/// A field of an object, and the column that it is for.
#[derive(Clone, Copy)]
pub struct NamedValue<'j> {
    pub attno: i16,
    pub type_oid: Oid,
    pub typmod: i32,
    pub value: Json<'j>,
}

/// Reads fields as [`populate`] does, several times as fast, where all of them are values of types that take them [as they
/// are written](Json::as_written); `None` where one is not.
pub fn read<'m>(
    fields: impl Iterator<Item = NamedValue<'m>> + Clone,
    memory: Memory<'m>,
) -> Result<Option<Fields<'m>>, Report> {
    let count = fields.clone().map(|field| field.attno).max().unwrap_or(0).max(0) as usize;
    // SAFETY: the arrays have an entry for each column up to the last that a field is for.
    let read = || unsafe {
        let values = ffi::palloc0((count * size_of::<Datum>()).max(1)) as *mut Datum;
        let nulls = ffi::palloc(count.max(1)) as *mut bool;
        for i in 0..count {
            nulls.add(i).write(true);
        }
        for field in fields {
            let i = (field.attno as usize).checked_sub(1)?;
            if let Some(value) = field.value.as_written(field.type_oid, field.typmod)? {
                values.add(i).write(value);
                nulls.add(i).write(false);
            }
        }
        Some(Fields { values, nulls, count, lasts: PhantomData })
    };
    catch(|| memory.within(read))
}

/// Reads the fields of a JSON object as columns of a row type; columns without a field are NULL.
///
/// The base is a row of NULLs and not NULL itself: with NULL, Postgres would check the domains of
/// columns that the object does not name.
///
/// `None` where the row type is no longer `as_expected`: that is asked for each column, with its type,
/// or nothing for one that was dropped.
pub fn populate<'m>(
    row_type: Oid,
    json: Datum,
    memory: Memory<'m>,
    as_expected: &dyn Fn(i16, Option<Oid>) -> bool,
) -> Result<Option<Fields<'m>>, Report> {
    // SAFETY: the arrays have one entry per column of the row type; jsonb_populate_record learns
    // the row type from the call expression, whose first argument is of that type.
    let read = || unsafe {
        let desc = ffi::lookup_rowtype_tupdesc(row_type, -1);
        let count = (*desc).natts as usize;
        let expected = (1..=count as i16).all(|attno| {
            let attribute = &*crate::pg::data::column::attribute(desc, attno);
            as_expected(attno, (!attribute.attisdropped).then_some(attribute.atttypid))
        });
        if !expected {
            if (*desc).tdrefcount >= 0 as c_int {
                ffi::DecrTupleDescRefCount(desc);
            }
            return None;
        }
        let values = ffi::palloc0((count * size_of::<Datum>()).max(1)) as *mut Datum;
        let nulls = ffi::palloc(count.max(1)) as *mut bool;
        for i in 0..count {
            nulls.add(i).write(true);
        }
        let base =
            ffi::HeapTupleHeaderGetDatum((*ffi::heap_form_tuple(desc, values, nulls)).t_data);

        let function = Oid::from(pg_sys::F_JSONB_POPULATE_RECORD);
        let info = ffi::palloc0(size_of::<pg_sys::FmgrInfo>()) as *mut pg_sys::FmgrInfo;
        ffi::fmgr_info(function, info);
        let none = pg_sys::InvalidOid;
        let args =
            ffi::lappend(core::ptr::null_mut(), ffi::makeNullConst(row_type, -1, none).cast());
        let args = ffi::lappend(args, ffi::makeNullConst(pg_sys::JSONBOID, -1, none).cast());
        let call = ffi::makeFuncExpr(
            function,
            row_type,
            args,
            none,
            none,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        (*info).fn_expr = call.cast();

        let row = ffi::FunctionCall2Coll(info, none, base, json);
        let header = header_of(row);
        let mut tuple: pg_sys::HeapTupleData = core::mem::zeroed();
        tuple.t_len = pgrx::varsize_any(header as *const pg_sys::varlena) as u32;
        tuple.t_data = header;
        ffi::heap_deform_tuple(&mut tuple, desc, values, nulls);
        if (*desc).tdrefcount >= 0 as c_int {
            ffi::DecrTupleDescRefCount(desc);
        }
        Some(Fields { values, nulls, count, lasts: PhantomData })
    };
    catch(|| memory.within(read))
}
