//! How an outcome leaves a guard: the one place that knows the observe mode.

use crate::errors::Code;
use crate::pg::error::{tell, Level, Report};
use crate::pg::guc::{error_style, ErrorStyle};
use core::fmt::Arguments;

/// Whether a guard refuses, or only logs what it would have refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Enforce,
    Observe,
}

/// Refuses a write with one of raceguard's own errors, or logs what it would have said: the log
/// line is always in the native style, whatever the client is shown.
#[cold]
pub fn refuse(
    mode: Mode,
    code: Code,
    report: impl FnOnce(ErrorStyle) -> Report,
) -> Result<(), Report> {
    match mode {
        Mode::Enforce => Err(report(error_style())),
        Mode::Observe => {
            let report = report(ErrorStyle::Native);
            tell(
                Level::Log,
                format_args!(
                    "raceguard observed {}: {}: {}",
                    code.name(),
                    report.message_text(),
                    report.detail_text()
                ),
                None,
            );
            Ok(())
        }
    }
}

/// Lets a write pass with a WARNING.
#[cold]
pub fn warn(message: Arguments, hint: Arguments) {
    tell(Level::Warning, message, Some(hint));
}
