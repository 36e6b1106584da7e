//! Text in Postgres's memory: formatting without Rust allocations, for plain frames.

use super::error::Report;
use super::raw;
use crate::errors;
use core::ffi::{c_char, c_int, CStr};
use core::fmt::{self, Arguments, Write};
use pgrx::pg_sys;

extern "C-unwind" {
    fn GetDatabaseEncodingName() -> *const c_char;
}

/// A growing NUL-terminated text in the current memory context. `Copy`: it has no destructor, the
/// memory context frees it.
#[derive(Clone, Copy)]
pub struct PgText(pg_sys::StringInfo);

impl PgText {
    pub fn new() -> PgText {
        // SAFETY: makeStringInfo allocates an empty, NUL-terminated buffer.
        PgText(unsafe { raw::makeStringInfo() })
    }

    pub fn from_fmt(args: Arguments) -> PgText {
        let mut text = PgText::new();
        // Writing to a StringInfo reports no error of its own: running out of memory is an ERROR.
        let _ = text.write_fmt(args);
        text
    }

    pub fn as_str(&self) -> &str {
        // SAFETY: the buffer holds `len` bytes that were written from `str`s.
        unsafe {
            let info = &*self.0;
            core::str::from_utf8_unchecked(core::slice::from_raw_parts(
                info.data as *const u8,
                info.len as usize,
            ))
        }
    }

    pub fn into_raw(self) -> *mut c_char {
        // SAFETY: `self.0` is the StringInfo made in `new`.
        unsafe { (*self.0).data }
    }
}

impl PgText {
    /// The buffer, for Postgres functions that append to one.
    pub fn as_raw(self) -> pg_sys::StringInfo {
        self.0
    }
}

impl Write for PgText {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // SAFETY: appends `s.len()` bytes, enlarging the buffer as needed.
        unsafe {
            raw::appendBinaryStringInfo(self.0, s.as_ptr() as *const c_char, s.len() as c_int)
        };
        Ok(())
    }
}

impl fmt::Display for PgText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The bytes of a Postgres C string as `str`. Of text that is not UTF-8 (another server encoding)
/// it is a copy in the current memory context with a question mark for each byte that is not: no
/// name so changed can be that of another object, which a name cut short can.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that outlives `'a`.
pub unsafe fn cstr<'a>(text: *const c_char) -> &'a str {
    if text.is_null() {
        return "";
    }
    // SAFETY: promised by the caller.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    match core::str::from_utf8(bytes) {
        Ok(s) => s,
        Err(_) => marked(bytes),
    }
}

#[cold]
fn marked<'a>(bytes: &[u8]) -> &'a str {
    let mut text = PgText::new();
    for chunk in bytes.utf8_chunks() {
        // Writing to a PgText cannot fail (see there).
        let _ = text.write_str(chunk.valid());
        for _ in chunk.invalid() {
            let _ = text.write_char('?');
        }
    }
    // SAFETY: the text is UTF-8, and its memory context outlives the call that asked for it.
    unsafe { cstr(text.into_raw()) }
}

/// The bytes of a text whose value counts, or 0A000 where they are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Report> {
    core::str::from_utf8(bytes).map_err(|_| {
        // SAFETY: the name of the database's encoding is a static text.
        let encoding = unsafe { cstr(GetDatabaseEncodingName()) };
        Report::error(
            errors::UNSUPPORTED,
            format_args!("text in encoding \"{encoding}\" can only be used if it is ASCII"),
        )
        .detail(format_args!("It reads \"{}\" without its other characters.", marked(bytes)))
        .hint(format_args!(
            "Use a database with encoding UTF8, or keep to ASCII in names and values that raceguard is given."
        ))
    })
}

/// The same for a C string.
///
/// # Safety
/// As for [`cstr`].
pub unsafe fn utf8_cstr<'a>(text: *const c_char) -> Result<&'a str, Report> {
    if text.is_null() {
        return Ok("");
    }
    // SAFETY: promised by the caller.
    utf8(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// An identifier quoted as SQL needs it.
pub fn quote_ident(name: &str) -> PgText {
    let plain = PgText::from_fmt(format_args!("{name}"));
    // SAFETY: quote_identifier returns its argument or a palloc'd copy, both NUL-terminated.
    let quoted = unsafe { cstr(raw::quote_identifier(plain.into_raw())) };
    PgText::from_fmt(format_args!("{quoted}"))
}

/// A text as a SQL literal.
pub fn quote_literal(text: &str) -> PgText {
    let plain = PgText::from_fmt(format_args!("{text}"));
    // SAFETY: quote_literal_cstr returns a palloc'd copy, NUL-terminated.
    let quoted = unsafe { cstr(raw::quote_literal_cstr(plain.into_raw())) };
    PgText::from_fmt(format_args!("{quoted}"))
}

/// The text form of a value, by its type's output function, for people to read.
pub fn display(value: pg_sys::Datum, type_oid: pg_sys::Oid) -> PgText {
    // SAFETY: the output function of `type_oid` is called with a value of that type.
    PgText::from_fmt(format_args!("{}", unsafe { cstr(output_text(value, type_oid)) }))
}

/// The text form of a value as its type's output function returns it.
///
/// # Safety
/// The value is one of the type.
pub unsafe fn output_text(value: pg_sys::Datum, type_oid: pg_sys::Oid) -> *mut c_char {
    let mut output = pg_sys::InvalidOid;
    let mut is_varlena = false;
    // SAFETY: promised by the caller.
    unsafe {
        raw::getTypeOutputInfo(type_oid, &mut output, &mut is_varlena);
        raw::OidOutputFunctionCall(output, value)
    }
}

/// A type's name as SQL writes it.
pub fn type_name(type_oid: pg_sys::Oid) -> PgText {
    // SAFETY: format_type_be returns palloc'd text for any Oid ("???" for an unknown one).
    unsafe { PgText::from_fmt(format_args!("{}", cstr(raw::format_type_be(type_oid)))) }
}
