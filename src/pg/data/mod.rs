//! Values, columns and tuples: reading, writing, comparing and converting them.
//!
//! Nothing here opens a table; a descriptor or a row is handed in.

pub mod column;
pub(in crate::pg) mod composite;
pub mod convert;
pub(in crate::pg) mod ffi;
pub mod instant;
pub mod json_record;
pub mod jsonb;
pub mod key_bytes;
pub mod numeric;
pub mod row_image;
pub mod row_slot;
pub mod tuple;
pub mod version_clock;
pub mod version_value;
