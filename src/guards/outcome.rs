//! How an outcome leaves a guard: the one place that knows the observe mode.

use crate::pg::error::{tell, Level, Report};
use core::fmt::Arguments;

/// Whether a guard refuses, or only logs what it would have refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Enforce,
    Observe,
}

/// Refuses a write, or logs that it would have been refused.
#[cold]
pub fn refuse(mode: Mode, report: Report) -> Result<(), Report> {
    match mode {
        Mode::Enforce => Err(report),
        Mode::Observe => {
            tell(
                Level::Log,
                format_args!(
                    "raceguard observed: {} {}",
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
