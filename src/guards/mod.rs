//! What runs when a row is written.

pub mod cap;
pub mod cap_search;
pub mod cooldown;
mod cooldown_reports;
pub mod key_lock;
pub mod locking;
pub mod numbering;
pub mod outcome;
pub mod parent;
mod parent_bump;
pub mod parent_notes;
mod parent_table;
pub mod version;
mod version_reports;
