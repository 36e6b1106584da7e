//! From a JSON object to typed values, by Postgres's own jsonb_populate_record: arrays, ranges,
//! enums, domains and composite types read as they do in SQL.

use super::error::{catch, Report};
use super::raw;
use core::ffi::c_int;
use pgrx::pg_sys::{self, Datum, Oid};

extern "C-unwind" {
    fn lookup_rowtype_tupdesc(type_id: Oid, typmod: i32) -> pg_sys::TupleDesc;
    fn DecrTupleDescRefCount(desc: pg_sys::TupleDesc);
    fn heap_form_tuple(
        desc: pg_sys::TupleDesc,
        values: *const Datum,
        nulls: *const bool,
    ) -> pg_sys::HeapTuple;
    fn heap_deform_tuple(
        tuple: pg_sys::HeapTuple,
        desc: pg_sys::TupleDesc,
        values: *mut Datum,
        nulls: *mut bool,
    );
    fn HeapTupleHeaderGetDatum(header: pg_sys::HeapTupleHeader) -> Datum;
    fn fmgr_info(function: Oid, info: *mut pg_sys::FmgrInfo);
    fn FunctionCall2Coll(
        info: *mut pg_sys::FmgrInfo,
        collation: Oid,
        first: Datum,
        second: Datum,
    ) -> Datum;
    fn makeFuncExpr(
        function: Oid,
        result: Oid,
        args: *mut pg_sys::List,
        function_collation: Oid,
        input_collation: Oid,
        form: pg_sys::CoercionForm::Type,
    ) -> *mut pg_sys::FuncExpr;
    fn makeNullConst(type_id: Oid, typmod: i32, collation: Oid) -> *mut pg_sys::Const;
    fn lappend(list: *mut pg_sys::List, value: *mut core::ffi::c_void) -> *mut pg_sys::List;
}

/// The columns of one row, by column number. `Copy`: they lie in the memory context they were made
/// in.
#[derive(Clone, Copy)]
pub struct Fields {
    values: *const Datum,
    nulls: *const bool,
    count: usize,
}

impl Fields {
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

/// Reads the fields of a JSON object as columns of a row type; columns without a field are NULL.
///
/// The base is a row of NULLs and not NULL itself: with NULL, Postgres would check the domains of
/// columns that the object does not name.
pub fn populate(row_type: Oid, json: Datum) -> Result<Fields, Report> {
    // SAFETY: the arrays have one entry per column of the row type; jsonb_populate_record learns
    // the row type from the call expression, whose first argument is of that type.
    catch(|| unsafe {
        let desc = lookup_rowtype_tupdesc(row_type, -1);
        let count = (*desc).natts as usize;
        let values = raw::palloc0((count * size_of::<Datum>()).max(1)) as *mut Datum;
        let nulls = raw::palloc(count.max(1)) as *mut bool;
        for i in 0..count {
            nulls.add(i).write(true);
        }
        let base = HeapTupleHeaderGetDatum((*heap_form_tuple(desc, values, nulls)).t_data);

        let function = Oid::from(pg_sys::F_JSONB_POPULATE_RECORD);
        let info = raw::palloc0(size_of::<pg_sys::FmgrInfo>()) as *mut pg_sys::FmgrInfo;
        fmgr_info(function, info);
        let none = pg_sys::InvalidOid;
        let args = lappend(core::ptr::null_mut(), makeNullConst(row_type, -1, none).cast());
        let args = lappend(args, makeNullConst(pg_sys::JSONBOID, -1, none).cast());
        let call = makeFuncExpr(
            function,
            row_type,
            args,
            none,
            none,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        (*info).fn_expr = call.cast();

        let row = FunctionCall2Coll(info, none, base, json);
        let header = raw::pg_detoast_datum(row.cast_mut_ptr()) as *mut pg_sys::HeapTupleHeaderData;
        let mut tuple: pg_sys::HeapTupleData = core::mem::zeroed();
        tuple.t_len = pgrx::varsize_any(header as *const pg_sys::varlena) as u32;
        tuple.t_data = header;
        heap_deform_tuple(&mut tuple, desc, values, nulls);
        if (*desc).tdrefcount >= 0 as c_int {
            DecrTupleDescRefCount(desc);
        }
        Fields { values, nulls, count }
    })
}
