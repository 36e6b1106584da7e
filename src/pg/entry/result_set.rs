//! Functions that return a set of values.

use super::call::{Call, Value};
use super::ffi;
use crate::pg::base::error::{catch, Report};
use pgrx::pg_sys::{self, Datum};

/// Returns `values` as the rows of a function declared `RETURNS SETOF` their type.
pub fn return_set(call: Call, values: &[Datum]) -> Result<Value, Report> {
    let fcinfo = call.as_raw();
    let (first, count) = (values.as_ptr(), values.len());
    // SAFETY: InitMaterializedSRF checks that the caller accepts a set and makes the store; every
    // row has the one column that the caller expects. The frame is plain.
    catch(|| unsafe {
        ffi::InitMaterializedSRF(fcinfo, pg_sys::MAT_SRF_USE_EXPECTED_DESC);
        let result = &*((*fcinfo).resultinfo as *mut pg_sys::ReturnSetInfo);
        for i in 0..count {
            ffi::tuplestore_putvalues(
                result.setResult,
                result.setDesc,
                first.add(i).cast_mut(),
                &mut false,
            );
        }
    })?;
    Ok(Value::Null)
}

/// The row that a call returns: a function's output arguments. To be asked for before the call runs
/// anything that may drop or replace the function, whose catalog entry says it.
#[derive(Clone, Copy)]
pub struct Output<const N: usize>(pg_sys::TupleDesc);

impl<const N: usize> Output<N> {
    /// The output of a function with `N` output arguments.
    pub fn of(call: Call) -> Result<Output<N>, Report> {
        let fcinfo = call.as_raw();
        // SAFETY: the description lies in the memory context of the call.
        catch(|| unsafe {
            let mut desc = core::ptr::null_mut();
            ffi::get_call_result_type(fcinfo, core::ptr::null_mut(), &mut desc);
            Output(ffi::BlessTupleDesc(desc))
        })
    }

    /// Returns the row.
    pub fn row(self, mut values: [Datum; N]) -> Result<Value, Report> {
        let mut nulls = [false; N];
        // SAFETY: the description has as many columns as there are values. The frame is plain.
        catch(|| unsafe {
            let tuple = ffi::heap_form_tuple(self.0, values.as_mut_ptr(), nulls.as_mut_ptr());
            ffi::HeapTupleHeaderGetDatum((*tuple).t_data)
        })
        .map(Value::Raw)
    }
}

/// Returns `rows` as those of a function declared `RETURNS TABLE` with columns of these types.
pub fn return_rows<const N: usize>(call: Call, rows: &[[Datum; N]]) -> Result<Value, Report> {
    return_each(call, rows.len(), |i| (rows[i], [false; N]))
}

/// The same with NULLs among the values.
pub fn return_nullable_rows<const N: usize>(
    call: Call,
    rows: &[[Option<Datum>; N]],
) -> Result<Value, Report> {
    return_each(call, rows.len(), |i| {
        (rows[i].map(|value| value.unwrap_or(Datum::null())), rows[i].map(|value| value.is_none()))
    })
}

/// `row` gives the values and which of them are NULL; it is a plain frame.
fn return_each<const N: usize>(
    call: Call,
    count: usize,
    row: impl Fn(usize) -> ([Datum; N], [bool; N]),
) -> Result<Value, Report> {
    let fcinfo = call.as_raw();
    // SAFETY: as in `return_set`; every row has as many values as the function has columns.
    catch(|| unsafe {
        ffi::InitMaterializedSRF(fcinfo, 0);
        let result = &*((*fcinfo).resultinfo as *mut pg_sys::ReturnSetInfo);
        for i in 0..count {
            let (mut values, mut nulls) = row(i);
            ffi::tuplestore_putvalues(
                result.setResult,
                result.setDesc,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
    })?;
    Ok(Value::Null)
}
