//! Functions that SQL calls: arguments in, one value out, errors with every field kept.
//!
//! A body owns Rust values, so it never lets an ERROR jump over it: it calls Postgres inside
//! [`catch`] and returns `Err`, and the C entry raises the report when all values are dropped.

use super::ffi;
use super::installed;
use crate::pg::base::encoding::utf8_cstr;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::frames;
use crate::pg::base::memory::{here, Memory};
use crate::pg::base::sqlstate;
use crate::pg::data::convert::{text_datum, text_of};
use crate::pg::data::jsonb::Json;
use core::ffi::{c_char, c_int, CStr};
use pgrx::pg_sys::{self, Datum, Oid};

/// The arguments of a call that goes on while `'c` lasts. `Copy`: it points at Postgres's call information.
#[derive(Clone, Copy)]
pub struct Call<'c> {
    fcinfo: pg_sys::FunctionCallInfo,
    memory: Memory<'c>,
}

/// What a call returns.
pub enum Value {
    Null,
    Void,
    Bool(bool),
    Int(i64),
    Text(String),
    /// It lies where the result of the call may: in the memory that the call was made in, or longer.
    Raw(Datum),
}

// SAFETY: a backend has one thread; what may not outlive a block, the caller's memory does.
unsafe impl Send for Value {}

impl<'c> Call<'c> {
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

    /// A `text` argument: a name, a key, an option; 54000 where it is longer than any of them can be.
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
        // More than a table can have columns.
        let names = elements(value, pg_sys::NAMEOID, pg_sys::MaxHeapAttributeNumber as usize)?;
        names
            .into_iter()
            .map(|name| name.map(name_of).transpose())
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A `text` argument byte for byte, whatever the server's encoding, as a C string in the current
    /// memory context.
    pub fn c_text(self, n: usize) -> Result<Option<&'c CStr>, Report> {
        let Some(value) = self.datum(n) else {
            return Ok(None);
        };
        // SAFETY: the datum is a text, which holds no zero byte; the copy is NUL-terminated and
        // lives as long as the memory context, which for a function is longer than the call.
        catch(|| unsafe { CStr::from_ptr(ffi::text_to_cstring(value.cast_mut_ptr())) }).map(Some)
    }

    /// An argument of variable length, in line and in the current memory context: it stays
    /// readable when the transaction it was computed in has ended.
    pub fn plain(self, n: usize) -> Result<Option<Datum>, Report> {
        let Some(value) = self.datum(n) else {
            return Ok(None);
        };
        // SAFETY: the datum is a varlena.
        catch(|| unsafe { Datum::from(ffi::pg_detoast_datum_copy(value.cast_mut_ptr())) }).map(Some)
    }

    /// The memory that the call was made in.
    pub fn memory(self) -> Memory<'c> {
        self.memory
    }

    /// A `jsonb` argument.
    pub fn json(self, n: usize) -> Result<Option<Json<'c>>, Report> {
        self.datum(n).map(|json| Json::of(json, self.memory)).transpose()
    }

    /// The arguments from `n` on of a VARIADIC function, with their types. The last one stands for
    /// its elements if the call writes `VARIADIC array` or the function declares an array there.
    /// 54000 for more than [`MOST_VALUES`].
    pub fn variadic(self, n: usize) -> Result<Vec<(Oid, Option<Datum>)>, Report> {
        let mut given = Vec::new();
        for i in n..self.count() {
            let type_oid = self.argument_type(i)?;
            // SAFETY: a syscache look-up; zero for a type that is no array.
            let element = catch(|| unsafe { ffi::get_element_type(type_oid) })?;
            let as_array = i + 1 == self.count()
                && element != pg_sys::InvalidOid
                && (self.is_variadic()? || self.declared_type(i)? == type_oid);
            match self.datum(i) {
                value if !as_array => given.push((type_oid, value)),
                Some(array) => {
                    let values = elements(array, element, MOST_VALUES)?;
                    given.extend(values.into_iter().map(|v| (element, v)))
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
            ffi::get_func_signature((*(*fcinfo).flinfo).fn_oid, &mut types, &mut count);
            if (n as c_int) < count {
                *types.add(n)
            } else {
                pg_sys::InvalidOid
            }
        })
    }

    /// The type of an argument of a polymorphic or VARIADIC "any" function. A call by the fast-path
    /// protocol has no expression to ask; then it is the declared type, or 42P18 where that says nothing.
    pub fn argument_type(self, n: usize) -> Result<Oid, Report> {
        let fcinfo = self.fcinfo;
        // SAFETY: flinfo is set for every call.
        let known = catch(|| unsafe { ffi::get_fn_expr_argtype((*fcinfo).flinfo, n as c_int) })?;
        if known != pg_sys::InvalidOid {
            return Ok(known);
        }
        let declared = self.declared_type(n)?;
        // SAFETY: a syscache look-up.
        let kind = catch(|| unsafe { ffi::get_typtype(declared) })?;
        if declared != pg_sys::InvalidOid && kind as u8 != pg_sys::TYPTYPE_PSEUDO {
            return Ok(declared);
        }
        Err(Report::error(
            sqlstate::INDETERMINATE_DATATYPE,
            format_args!("could not determine the type of argument {}", n + 1),
        )
        .detail(format_args!("The call does not say which type the value has."))
        .hint(format_args!("Call the function by a SELECT, with the value cast to its type.")))
    }

    /// Whether the caller wrote `VARIADIC array`.
    pub fn is_variadic(self) -> Result<bool, Report> {
        let fcinfo = self.fcinfo;
        // SAFETY: flinfo is set for every call.
        catch(|| unsafe { ffi::get_fn_expr_variadic((*fcinfo).flinfo) })
    }

    /// What called the function: a CallContext under CALL.
    pub(in crate::pg) fn context(self) -> *mut pg_sys::Node {
        // SAFETY: fcinfo is valid for the whole call.
        unsafe { (*self.fcinfo).context }
    }

    /// The call information, for wrappers in this module tree.
    pub(in crate::pg) fn as_raw(self) -> pg_sys::FunctionCallInfo {
        self.fcinfo
    }
}

/// The most values that a call may give as an array: far more than a key has parts.
pub const MOST_VALUES: usize = 1000;

/// The elements of an array of at most `most`, or 54000; `None` is NULL.
fn elements(array: Datum, element: Oid, most: usize) -> Result<Vec<Option<Datum>>, Report> {
    // SAFETY: the datum is an array, which says how many elements it has.
    let (array, given) = catch(|| unsafe {
        let array = ffi::pg_detoast_datum(array.cast_mut_ptr()) as *mut pg_sys::ArrayType;
        let dimensions = (array as *const i32).byte_add(size_of::<pg_sys::ArrayType>());
        (array, ffi::ArrayGetNItems((*array).ndim, dimensions))
    })?;
    if given as usize > most {
        return Err(Report::error(
            sqlstate::LIMIT_EXCEEDED,
            format_args!("array has too many elements: {given}"),
        )
        .detail(format_args!("It may have {most} here."))
        .hint(format_args!("Give one element for each column or value.")));
    }
    // SAFETY: the datum is an array whose elements have the given type.
    let (values, nulls, count) = catch(|| unsafe {
        let (mut length, mut by_value, mut align) = (0i16, false, 0 as c_char);
        ffi::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
        let mut values: *mut Datum = core::ptr::null_mut();
        let mut nulls: *mut bool = core::ptr::null_mut();
        let mut count: c_int = 0;
        ffi::deconstruct_array(
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

/// Runs a function body as the body of its C entry.
///
/// # Safety
/// `fcinfo` is the call information Postgres passed.
pub unsafe fn enter(
    fcinfo: pg_sys::FunctionCallInfo,
    body: fn(Call) -> Result<Value, Report>,
) -> Datum {
    frames::enter();
    let outcome = std::panic::catch_unwind(|| {
        if installed::may_warn() {
            catch(installed::warn_of_other_version)?;
        }
        here(|memory| finish(body(Call { fcinfo, memory })))
    });
    frames::leave();
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
            Report::error(sqlstate::INTERNAL, format_args!("raceguard panicked"))
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
            $crate::pg::finfo::finfo!($symbol);

            #[unsafe(no_mangle)]
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
