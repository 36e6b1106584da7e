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
