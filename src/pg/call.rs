//! Functions that SQL calls: arguments in, one value out, errors with every field kept.
//!
//! A body owns Rust values, so it never lets an ERROR jump over it: it calls Postgres inside
//! [`catch`] and returns `Err`, and the C entry raises the report when all values are dropped.

use super::error::{catch, Report};
use super::raw;
use super::text::{output_text, utf8, utf8_cstr};
use core::ffi::c_char;
use core::ffi::{c_int, CStr};
use pgrx::pg_sys::{self, Datum, Oid};

/// The arguments of one call. `Copy`: it points at Postgres's call information.
#[derive(Clone, Copy)]
pub struct Call {
    fcinfo: pg_sys::FunctionCallInfo,
}

/// What a call returns.
pub enum Value {
    Null,
    Void,
    Bool(bool),
    Int(i64),
    Text(String),
    Raw(Datum),
}

impl Call {
    /// How many arguments there are.
    pub fn count(self) -> usize {
        // SAFETY: fcinfo is valid for the whole call.
        unsafe { (*self.fcinfo).nargs as usize }
    }

    /// An argument as Postgres passed it; `None` for NULL or a missing one.
    pub fn datum(self, n: usize) -> Option<Datum> {
        // SAFETY: `n` is checked against the number of arguments.
        unsafe {
            if n >= (*self.fcinfo).nargs as usize {
                return None;
            }
            let argument = &*(*self.fcinfo).args.as_ptr().add(n);
            (!argument.isnull).then_some(argument.value)
        }
    }

    pub fn oid(self, n: usize) -> Option<Oid> {
        self.datum(n).map(|d| Oid::from(d.value() as u32))
    }

    pub fn int(self, n: usize) -> Option<i32> {
        self.datum(n).map(|d| d.value() as i32)
    }

    pub fn bigint(self, n: usize) -> Option<i64> {
        self.datum(n).map(|d| d.value() as i64)
    }

    pub fn bool(self, n: usize) -> Option<bool> {
        self.datum(n).map(|d| d.value() as u8 != 0)
    }

    /// A `name` argument.
    pub fn name(self, n: usize) -> Result<Option<String>, Report> {
        self.datum(n).map(name_of).transpose()
    }

    /// A `text` argument (any varlena of UTF-8 bytes).
    pub fn text(self, n: usize) -> Result<Option<String>, Report> {
        match self.datum(n) {
            None => Ok(None),
            Some(value) => text_of(value).map(Some),
        }
    }

    /// A `name[]` argument.
    pub fn names(self, n: usize) -> Result<Option<Vec<Option<String>>>, Report> {
        let Some(value) = self.datum(n) else {
            return Ok(None);
        };
        let names = elements(value, pg_sys::NAMEOID)?;
        names
            .into_iter()
            .map(|name| name.map(name_of).transpose())
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A `text` argument byte for byte, whatever the server's encoding, as a C string in the current
    /// memory context.
    pub fn c_text(self, n: usize) -> Result<Option<&'static CStr>, Report> {
        let Some(value) = self.datum(n) else {
            return Ok(None);
        };
        // SAFETY: the datum is a text, which holds no zero byte; the copy is NUL-terminated and
        // lives as long as the memory context, which for a function is longer than the call.
        catch(|| unsafe { CStr::from_ptr(text_to_cstring(value.cast_mut_ptr())) }).map(Some)
    }

    /// An argument of variable length, in line and in the current memory context: it stays
    /// readable when the transaction it was computed in has ended.
    pub fn plain(self, n: usize) -> Result<Option<Datum>, Report> {
        let Some(value) = self.datum(n) else {
            return Ok(None);
        };
        // SAFETY: the datum is a varlena.
        catch(|| unsafe { Datum::from(pg_detoast_datum_copy(value.cast_mut_ptr())) }).map(Some)
    }

    /// A `jsonb` argument as serde_json reads it.
    pub fn json(self, n: usize) -> Result<Option<serde_json::Value>, Report> {
        self.datum(n).map(json).transpose()
    }

    /// The arguments from `n` on of a VARIADIC function, with their types. The last one stands for
    /// its elements if the call writes `VARIADIC array` or the function declares an array there.
    pub fn variadic(self, n: usize) -> Result<Vec<(Oid, Option<Datum>)>, Report> {
        let mut given = Vec::new();
        for i in n..self.count() {
            let type_oid = self.argument_type(i)?;
            // SAFETY: a syscache look-up; zero for a type that is no array.
            let element = catch(|| unsafe { get_element_type(type_oid) })?;
            let as_array = i + 1 == self.count()
                && element != pg_sys::InvalidOid
                && (self.is_variadic()? || self.declared_type(i)? == type_oid);
            match self.datum(i) {
                value if !as_array => given.push((type_oid, value)),
                Some(array) => {
                    given.extend(elements(array, element)?.into_iter().map(|v| (element, v)))
                }
                None => {}
            }
        }
        Ok(given)
    }

    /// The type of an argument as CREATE FUNCTION declares it.
    fn declared_type(self, n: usize) -> Result<Oid, Report> {
        let fcinfo = self.fcinfo;
        // SAFETY: flinfo is set for every call; the look-up frees what it allocates with the
        // current memory context.
        catch(|| unsafe {
            let mut count: c_int = 0;
            let mut types: *mut Oid = core::ptr::null_mut();
            get_func_signature((*(*fcinfo).flinfo).fn_oid, &mut types, &mut count);
            if (n as c_int) < count {
                *types.add(n)
            } else {
                pg_sys::InvalidOid
            }
        })
    }

    /// The type of an argument of a polymorphic or VARIADIC "any" function.
    pub fn argument_type(self, n: usize) -> Result<Oid, Report> {
        let fcinfo = self.fcinfo;
        // SAFETY: flinfo is set for every call.
        catch(|| unsafe { get_fn_expr_argtype((*fcinfo).flinfo, n as c_int) })
    }

    /// Whether the caller wrote `VARIADIC array`.
    pub fn is_variadic(self) -> Result<bool, Report> {
        let fcinfo = self.fcinfo;
        // SAFETY: flinfo is set for every call.
        catch(|| unsafe { get_fn_expr_variadic((*fcinfo).flinfo) })
    }

    /// What called the function: a CallContext under CALL.
    pub fn context(self) -> *mut pg_sys::Node {
        // SAFETY: fcinfo is valid for the whole call.
        unsafe { (*self.fcinfo).context }
    }

    /// The call information, for wrappers in this module tree.
    pub fn as_raw(self) -> pg_sys::FunctionCallInfo {
        self.fcinfo
    }
}

extern "C-unwind" {
    #[allow(clippy::too_many_arguments)]
    fn deconstruct_array(
        array: *mut pg_sys::ArrayType,
        element_type: Oid,
        length: c_int,
        by_value: bool,
        align: c_char,
        elements: *mut *mut Datum,
        nulls: *mut *mut bool,
        count: *mut c_int,
    );
    fn get_typlenbyvalalign(
        type_oid: Oid,
        length: *mut i16,
        by_value: *mut bool,
        align: *mut c_char,
    );
    fn get_element_type(type_oid: Oid) -> Oid;
    fn get_func_signature(function: Oid, types: *mut *mut Oid, count: *mut c_int) -> Oid;
    fn text_to_cstring(text: *const pg_sys::text) -> *mut c_char;
    fn pg_detoast_datum_copy(datum: *mut pg_sys::varlena) -> *mut pg_sys::varlena;
    fn get_fn_expr_argtype(flinfo: *mut pg_sys::FmgrInfo, argnum: c_int) -> Oid;
    fn get_fn_expr_variadic(flinfo: *mut pg_sys::FmgrInfo) -> bool;
}

/// The elements of an array; `None` is NULL.
fn elements(array: Datum, element: Oid) -> Result<Vec<Option<Datum>>, Report> {
    // SAFETY: the datum is an array whose elements have the given type.
    let (values, nulls, count) = catch(|| unsafe {
        let array = raw::pg_detoast_datum(array.cast_mut_ptr()) as *mut pg_sys::ArrayType;
        let (mut length, mut by_value, mut align) = (0i16, false, 0 as c_char);
        get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
        let mut values: *mut Datum = core::ptr::null_mut();
        let mut nulls: *mut bool = core::ptr::null_mut();
        let mut count: c_int = 0;
        deconstruct_array(
            array,
            element,
            length as c_int,
            by_value,
            align,
            &mut values,
            &mut nulls,
            &mut count,
        );
        (values, nulls, count as usize)
    })?;
    // SAFETY: deconstruct_array filled `count` values and flags.
    Ok(unsafe { (0..count).map(|i| (!*nulls.add(i)).then(|| *values.add(i))).collect() })
}

/// A value of type name.
fn name_of(value: Datum) -> Result<String, Report> {
    // SAFETY: a name is a NUL-terminated array.
    unsafe { utf8_cstr(value.cast_mut_ptr::<c_char>()) }.map(str::to_owned)
}

/// The bytes of a text value.
pub fn text_of(value: Datum) -> Result<String, Report> {
    // SAFETY: the datum is a varlena; the detoasted copy outlives the read below.
    let detoasted = catch(|| unsafe { raw::pg_detoast_datum(value.cast_mut_ptr()) })?;
    // SAFETY: a detoasted varlena has a 4-byte header with its length in the upper 30 bits
    // (pg_detoast_datum also expands short headers).
    let bytes = unsafe {
        core::slice::from_raw_parts(
            pgrx::vardata_any(detoasted) as *const u8,
            pgrx::varsize_any_exhdr(detoasted),
        )
    };
    utf8(bytes).map(str::to_owned)
}

/// A value as its type's output function writes it.
pub fn output(value: Datum, type_oid: Oid) -> Result<String, Report> {
    // SAFETY: the output function of `type_oid` is called with a value of that type.
    let text = catch(|| unsafe { output_text(value, type_oid) })?;
    // SAFETY: output functions return NUL-terminated text.
    unsafe { utf8_cstr(text) }.map(str::to_owned)
}

/// A jsonb value as serde_json reads it.
pub fn json(value: Datum) -> Result<serde_json::Value, Report> {
    let text = output(value, pg_sys::JSONBOID)?;
    // Postgres writes no other JSON that serde_json refuses.
    serde_json::from_str(&text).map_err(|_| {
        Report::error(crate::errors::LIMIT_EXCEEDED, format_args!("jsonb is nested too deeply"))
            .detail(format_args!("raceguard reads up to 127 levels."))
            .hint(format_args!("Keys and rows need one or two: [1, \"a\"], [{{\"id\": 1}}]."))
    })
}

/// A text datum in the current memory context.
pub fn text_datum(text: &str) -> Result<Datum, Report> {
    let (data, length) = (text.as_ptr() as *const c_char, text.len() as c_int);
    // SAFETY: copies `length` bytes.
    catch(|| Datum::from(unsafe { raw::cstring_to_text_with_len(data, length) }))
}

/// A datum of any type from its text form.
pub fn input(text: &str, type_oid: Oid, typmod: i32) -> Result<Datum, Report> {
    let text = std::ffi::CString::new(text).map_err(|_| {
        Report::error(
            crate::errors::INVALID_PARAMETER,
            format_args!("text must not contain a zero byte"),
        )
    })?;
    let text = text.as_ptr();
    // SAFETY: the input function of the type reads a NUL-terminated text.
    catch(|| unsafe {
        let mut function = pg_sys::InvalidOid;
        let mut io_param = pg_sys::InvalidOid;
        raw::getTypeInputInfo(type_oid, &mut function, &mut io_param);
        raw::OidInputFunctionCall(function, text as *mut c_char, io_param, typmod)
    })
}

/// Runs a function body as the body of its C entry.
///
/// # Safety
/// `fcinfo` is the call information Postgres passed.
pub unsafe fn enter(
    fcinfo: pg_sys::FunctionCallInfo,
    body: fn(Call) -> Result<Value, Report>,
) -> Datum {
    let outcome = std::panic::catch_unwind(|| finish(body(Call { fcinfo })));
    let report = match outcome {
        Ok(Ok(Some(datum))) => return datum,
        Ok(Ok(None)) => {
            // SAFETY: promised by the caller.
            unsafe { (*fcinfo).isnull = true };
            return Datum::null();
        }
        Ok(Err(report)) => report,
        Err(panic) => {
            core::mem::forget(panic);
            Report::error(crate::errors::INTERNAL, format_args!("raceguard panicked"))
                .hint(format_args!("This is a bug in raceguard; the server log has the place."))
        }
    };
    report.throw()
}

fn finish(outcome: Result<Value, Report>) -> Result<Option<Datum>, Report> {
    Ok(match outcome? {
        Value::Null => None,
        Value::Void => Some(Datum::null()),
        Value::Bool(b) => Some(Datum::from(b)),
        Value::Int(i) => Some(Datum::from(i)),
        Value::Text(text) => Some(text_datum(&text)?),
        Value::Raw(datum) => Some(datum),
    })
}

/// Declares the C entry of a SQL function: `function_entry!(raceguard_version, body)`.
macro_rules! function_entry {
    ($symbol:ident, $body:path) => {
        #[allow(unsafe_code)]
        const _: () = {
            $crate::pg::entry::finfo!($symbol);

            #[no_mangle]
            pub unsafe extern "C-unwind" fn $symbol(
                fcinfo: ::pgrx::pg_sys::FunctionCallInfo,
            ) -> ::pgrx::pg_sys::Datum {
                // SAFETY: Postgres calls the symbol with its call information.
                unsafe { $crate::pg::call::enter(fcinfo, $body) }
            }
        };
    };
}
pub(crate) use function_entry;
