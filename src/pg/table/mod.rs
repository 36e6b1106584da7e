//! Tables, their indexes, keys and constraints, found in the catalogs and read.
//!
//! Nothing here knows why a row is looked at: neither triggers nor calls.

pub mod changed_columns;
pub mod column_default;
pub(in crate::pg) mod ffi;
pub mod foreign_key;
pub(in crate::pg) mod index_list;
pub mod key;
pub mod numbered_index;
pub mod numbered_scan;
pub mod open_table;
pub mod partitions;
pub mod primary_key;
pub mod privilege;
pub mod relation;
pub(in crate::pg) mod scan_row;
pub mod table_watch;
pub mod time_index;
