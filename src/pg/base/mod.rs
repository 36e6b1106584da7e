//! What everything else stands on: Postgres functions imported bare, errors, text and memory.
//!
//! Nothing here knows of tables or of transactions. See [`ffi`] for the two rules under which Postgres
//! is called.

pub mod alloc;
pub mod custom_statistics;
pub mod encoding;
pub mod error;
pub(in crate::pg) mod ffi;
pub mod frames;
pub mod guc;
pub mod list;
pub mod memory;
pub mod per_backend;
pub mod shared_memory;
pub mod sqlstate;
pub mod stop;
pub mod text;
