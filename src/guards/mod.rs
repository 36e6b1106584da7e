//! What runs when a row is written.

pub mod cap;
pub mod cooldown;
pub mod key_lock;
pub mod locking;
pub mod numbering;
pub mod outcome;
pub mod version;
mod version_reports;
