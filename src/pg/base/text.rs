//! Text in Postgres's memory: formatting without Rust allocations, for plain frames.

use super::ffi;
use core::ffi::{c_char, c_int, CStr};
use core::fmt::{self, Arguments, Write};
use pgrx::pg_sys;

/// A growing NUL-terminated text in the current memory context. `Copy`: it has no destructor, the
/// memory context frees it.
#[derive(Clone, Copy)]
pub struct PgText(pg_sys::StringInfo);

impl PgText {
    pub fn new() -> PgText {
        // SAFETY: makeStringInfo allocates an empty, NUL-terminated buffer.
        PgText(unsafe { ffi::makeStringInfo() })
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

    pub(in crate::pg) fn into_raw(self) -> *mut c_char {
        // SAFETY: `self.0` is the StringInfo made in `new`.
        unsafe { (*self.0).data }
    }
}

impl PgText {
    /// The buffer, for Postgres functions that append to one.
    pub(in crate::pg) fn as_raw(self) -> pg_sys::StringInfo {
        self.0
    }
}

impl Write for PgText {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // SAFETY: appends `s.len()` bytes, enlarging the buffer as needed.
        unsafe { ffi::appendBinaryStringInfo(self.0, s.as_ptr().cast(), s.len() as c_int) };
        Ok(())
    }
}

impl fmt::Display for PgText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text for people, cut after a kilobyte: what it comes from may be as long as somebody likes.
pub struct Abridged<'a>(pub &'a str);

impl fmt::Display for Abridged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 1024;
        if self.0.len() <= LONGEST {
            return f.write_str(self.0);
        }
        let end = (0..=LONGEST).rev().find(|end| self.0.is_char_boundary(*end)).unwrap_or(0);
        f.write_str(&self.0[..end])?;
        f.write_str("...")
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
        // SAFETY: the copy is UTF-8, and its memory context outlives the call that asked for it.
        Err(_) => unsafe { cstr(marked(bytes).into_raw()) },
    }
}

/// The text before the first zero byte, in the same way.
pub fn cstr_of(bytes: &[u8]) -> &str {
    // SAFETY: it is looked for a zero byte first.
    CStr::from_bytes_until_nul(bytes).map_or("", |text| unsafe { cstr(text.as_ptr()) })
}

#[cold]
pub(super) fn marked(bytes: &[u8]) -> PgText {
    let mut text = PgText::new();
    for chunk in bytes.utf8_chunks() {
        // Writing to a PgText cannot fail (see there).
        let _ = text.write_str(chunk.valid());
        for _ in chunk.invalid() {
            let _ = text.write_char('?');
        }
    }
    text
}

/// An identifier quoted as SQL needs it.
pub fn quote_ident(name: &str) -> PgText {
    let plain = PgText::from_fmt(format_args!("{name}"));
    // SAFETY: quote_identifier returns its argument or a palloc'd copy, both NUL-terminated.
    let quoted = unsafe { cstr(ffi::quote_identifier(plain.into_raw())) };
    PgText::from_fmt(format_args!("{quoted}"))
}

/// A text as a SQL literal.
pub fn quote_literal(text: &str) -> PgText {
    let plain = PgText::from_fmt(format_args!("{text}"));
    // SAFETY: quote_literal_cstr returns a palloc'd copy, NUL-terminated.
    let quoted = unsafe { cstr(ffi::quote_literal_cstr(plain.into_raw())) };
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
        ffi::getTypeOutputInfo(type_oid, &mut output, &mut is_varlena);
        ffi::OidOutputFunctionCall(output, value)
    }
}

/// A type's name as SQL writes it.
pub fn type_name(type_oid: pg_sys::Oid) -> PgText {
    // SAFETY: format_type_be returns palloc'd text for any Oid ("???" for an unknown one).
    unsafe { PgText::from_fmt(format_args!("{}", cstr(ffi::format_type_be(type_oid)))) }
}
