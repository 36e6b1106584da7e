//! Values of any type from and to text, by their types' own functions.

use super::ffi;
use crate::pg::base::encoding::{utf8, utf8_cstr};
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::{self, Memory};
use crate::pg::base::sqlstate;
use crate::pg::base::text::output_text;
use core::ffi::{c_char, c_int};
use pgrx::pg_sys::{self, Datum, Oid};

/// The longest text argument: keys and predicates are stored in a trigger's arguments.
const LONGEST_TEXT: usize = 1 << 20;

/// The bytes of a text value.
pub fn text_of(value: Datum) -> Result<String, Report> {
    // SAFETY: the datum is a varlena, which knows how long it is without being detoasted; the detoasted copy outlives the
    // read below.
    let (length, detoasted) = catch(|| unsafe {
        let length = ffi::toast_raw_datum_size(value);
        let detoasted =
            (length <= LONGEST_TEXT).then(|| ffi::pg_detoast_datum(value.cast_mut_ptr()));
        (length, detoasted)
    })?;
    let Some(detoasted) = detoasted else {
        return Err(Report::error(
            sqlstate::LIMIT_EXCEEDED,
            format_args!("text argument is too long: {length} bytes"),
        )
        .detail(format_args!("It may have {LONGEST_TEXT} bytes."))
        .hint(format_args!("Names, keys, conditions and versions are shorter.")));
    };
    // SAFETY: a detoasted varlena has a 4-byte header with its length in the upper 30 bits
    // (pg_detoast_datum also expands short headers).
    let bytes = unsafe {
        core::slice::from_raw_parts(
            pgrx::vardata_any(detoasted) as *const u8,
            pgrx::varsize_any_exhdr(detoasted),
        )
    };
    memory::own(utf8(bytes)?)
}

/// A value as its type's output function writes it.
pub fn output<'m>(value: Datum, type_oid: Oid, memory: Memory<'m>) -> Result<&'m str, Report> {
    // SAFETY: the output function of `type_oid` is called with a value of that type.
    let text = catch(|| memory.within(|| unsafe { output_text(value, type_oid) }))?;
    // SAFETY: output functions return NUL-terminated text, made in the memory or a constant.
    unsafe { utf8_cstr(text) }
}

/// A text datum in the current memory context.
pub fn text_datum(text: &str) -> Result<Datum, Report> {
    let (data, length) = (text.as_ptr() as *const c_char, text.len() as c_int);
    // SAFETY: copies `length` bytes.
    catch(|| Datum::from(unsafe { ffi::cstring_to_text_with_len(data, length) }))
}

/// A datum of any type from its text form.
pub fn input(text: &str, type_oid: Oid, typmod: i32) -> Result<Datum, Report> {
    if text.bytes().any(|byte| byte == 0) {
        return Err(Report::error(
            sqlstate::INVALID_PARAMETER,
            format_args!("text must not contain a zero byte"),
        ));
    }
    // SAFETY: the input function of the type reads a NUL-terminated text, whose copy may lie in its
    // result.
    catch(|| unsafe {
        let copy = memory::allocate(text.len() + 1) as *mut c_char;
        core::ptr::copy_nonoverlapping(text.as_ptr() as *const c_char, copy, text.len());
        copy.add(text.len()).write(0);
        let text = copy;
        let mut function = pg_sys::InvalidOid;
        let mut io_param = pg_sys::InvalidOid;
        ffi::getTypeInputInfo(type_oid, &mut function, &mut io_param);
        ffi::OidInputFunctionCall(function, text, io_param, typmod)
    })
}

/// A copy of a value. Plain frames or inside `catch`.
pub fn keep_value(type_oid: Oid, value: Datum, memory: Memory) -> Datum {
    let (mut length, mut by_value) = (0i16, false);
    // SAFETY: the value is one of its type, whose form the catalog tells.
    memory.within(|| unsafe {
        ffi::get_typlenbyval(type_oid, &mut length, &mut by_value);
        ffi::datumCopy(value, by_value, length.into())
    })
}
