//! The session and its transaction: locks, snapshots, transaction numbers, the acting role, waiting.
//!
//! Nothing here knows of tables beyond their OIDs, nor of rows.

pub mod advisory_lock;
pub mod backoff;
pub mod client;
pub(in crate::pg) mod ffi;
pub mod lock_setting;
pub mod owner;
pub mod snapshot;
pub mod transaction_end;
pub mod xid;
