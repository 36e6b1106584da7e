//! Text whose value counts: it has to be UTF-8, whatever the server's encoding.

use super::error::Report;
use super::ffi;
use super::sqlstate;
use super::text::{cstr, marked};
use core::ffi::{c_char, CStr};

/// The bytes of a text whose value counts, or 0A000 where they are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Report> {
    core::str::from_utf8(bytes).map_err(|_| {
        // SAFETY: the name of the database's encoding is a static text.
        let encoding = unsafe { cstr(ffi::GetDatabaseEncodingName()) };
        Report::error(
            sqlstate::UNSUPPORTED,
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
