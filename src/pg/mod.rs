//! Safe wrappers over Postgres; the only place where `unsafe` may stand.
//!
//! See [`raw`] for the two rules under which Postgres is called.

pub mod backoff;
pub mod cache;
pub mod call;
pub mod cap_index;
pub mod clock;
pub mod column_default;
pub mod entry;
pub mod error;
pub mod foreign_key;
pub mod guc;
pub mod image;
pub mod instant;
pub mod jsonb;
pub mod key;
pub mod lock;
pub mod memory;
pub mod numeric;
pub mod open;
pub mod plan;
pub mod primary_key;
pub mod privilege;
pub mod raw;
pub mod record;
pub mod relation;
pub mod rows;
pub mod snapshot;
pub mod spi;
pub mod text;
pub mod time_index;
pub mod transaction;
pub mod trigger;
pub mod tuple;
pub mod value;
pub mod watch;
pub mod xid;
