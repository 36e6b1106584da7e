//! Safe wrappers over Postgres; the only place where `unsafe` may stand.
//!
//! See [`raw`] for the two rules under which Postgres is called.

pub mod backoff;
pub mod cache;
pub mod call;
pub mod cap_index;
pub mod cap_scan;
pub mod clock;
pub mod column_default;
pub mod compare;
pub mod entry;
pub mod error;
pub mod executor;
pub mod foreign_key;
pub mod guc;
pub mod image;
pub mod instant;
pub mod jsonb;
pub mod key;
pub mod key_bytes;
pub mod list;
pub mod lock;
pub mod memory;
pub mod numeric;
pub mod open;
pub mod owner;
pub mod parent_set;
pub mod plan;
pub mod primary_key;
pub mod privilege;
pub mod raw;
pub mod record;
pub mod relation;
pub mod rows;
pub mod setting;
pub mod snapshot;
pub mod spi;
pub mod statement;
pub mod text;
pub mod time_index;
pub mod transaction;
pub mod trigger;
pub mod tuple;
pub mod value;
pub mod watch;
pub mod xid;
