//! Arguments that several calls take.

use crate::errors;
use crate::pg::error::Report;

/// A required argument, or 22004.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T, Report> {
    value.ok_or_else(|| {
        Report::error(
            errors::NULL_NOT_ALLOWED,
            format_args!("argument \"{name}\" must not be NULL"),
        )
        .detail(format_args!("The call needs a value for it."))
        .hint(format_args!("Pass a value for \"{name}\"."))
    })
}
