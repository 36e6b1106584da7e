//! Telling the writes of foreign keys from those of clients.

use super::raw;

/// Whether the write comes from a foreign key's action (ON UPDATE CASCADE, SET NULL, ...).
pub fn is_cascade() -> bool {
    // SAFETY: reads the current user context.
    unsafe { raw::InNoForceRLSOperation() }
}
