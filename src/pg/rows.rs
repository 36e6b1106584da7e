//! Functions that return a set of values.

use super::call::{Call, Value};
use super::error::{catch, Report};
use pgrx::pg_sys::{self, Datum};

extern "C-unwind" {
    fn InitMaterializedSRF(fcinfo: pg_sys::FunctionCallInfo, flags: u32);
    fn tuplestore_putvalues(
        store: *mut pg_sys::Tuplestorestate,
        desc: pg_sys::TupleDesc,
        values: *const Datum,
        nulls: *const bool,
    );
}

/// Returns `values` as the rows of a function declared `RETURNS SETOF` their type.
pub fn return_set(call: Call, values: &[Datum]) -> Result<Value, Report> {
    let fcinfo = call.as_raw();
    let (first, count) = (values.as_ptr(), values.len());
    // SAFETY: InitMaterializedSRF checks that the caller accepts a set and makes the store; every
    // row has the one column that the caller expects. The frame is plain.
    catch(|| unsafe {
        InitMaterializedSRF(fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
        let result = &*((*fcinfo).resultinfo as *mut pg_sys::ReturnSetInfo);
        for i in 0..count {
            tuplestore_putvalues(result.setResult, result.setDesc, first.add(i), &false);
        }
    })?;
    Ok(Value::Null)
}

extern "C-unwind" {
    fn get_call_result_type(
        fcinfo: pg_sys::FunctionCallInfo,
        type_oid: *mut pg_sys::Oid,
        desc: *mut pg_sys::TupleDesc,
    ) -> pg_sys::TypeFuncClass::Type;
    fn BlessTupleDesc(desc: pg_sys::TupleDesc) -> pg_sys::TupleDesc;
    fn heap_form_tuple(
        desc: pg_sys::TupleDesc,
        values: *const Datum,
        nulls: *const bool,
    ) -> pg_sys::HeapTuple;
    fn HeapTupleHeaderGetDatum(header: pg_sys::HeapTupleHeader) -> Datum;
}

/// Returns the one output argument of a procedure.
pub fn return_output(call: Call, value: Datum) -> Result<Value, Report> {
    let fcinfo = call.as_raw();
    // SAFETY: the result of a procedure with an output argument is a row of that one column. The
    // frame is plain.
    catch(|| unsafe {
        let mut desc = core::ptr::null_mut();
        get_call_result_type(fcinfo, core::ptr::null_mut(), &mut desc);
        let tuple = heap_form_tuple(BlessTupleDesc(desc), &value, &false);
        HeapTupleHeaderGetDatum((*tuple).t_data)
    })
    .map(Value::Raw)
}

/// Returns `rows` as those of a function declared `RETURNS TABLE` with columns of these types.
pub fn return_rows<const N: usize>(call: Call, rows: &[[Datum; N]]) -> Result<Value, Report> {
    let fcinfo = call.as_raw();
    let (first, count) = (rows.as_ptr(), rows.len());
    let nulls = [false; N];
    // SAFETY: as in `return_set`; every row has as many values as the function has columns.
    catch(|| unsafe {
        InitMaterializedSRF(fcinfo, 0);
        let result = &*((*fcinfo).resultinfo as *mut pg_sys::ReturnSetInfo);
        for i in 0..count {
            let values = (*first.add(i)).as_ptr();
            tuplestore_putvalues(result.setResult, result.setDesc, values, nulls.as_ptr());
        }
    })?;
    Ok(Value::Null)
}

/// Returns one row of a function with these output arguments.
pub fn return_record<const N: usize>(call: Call, values: [Datum; N]) -> Result<Value, Report> {
    let fcinfo = call.as_raw();
    let nulls = [false; N];
    // SAFETY: as in `return_output`, with `N` columns.
    catch(|| unsafe {
        let mut desc = core::ptr::null_mut();
        get_call_result_type(fcinfo, core::ptr::null_mut(), &mut desc);
        let tuple = heap_form_tuple(BlessTupleDesc(desc), values.as_ptr(), nulls.as_ptr());
        HeapTupleHeaderGetDatum((*tuple).t_data)
    })
    .map(Value::Raw)
}
