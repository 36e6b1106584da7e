//! SQL that raceguard runs itself, for its functions and never for its guards.

pub mod direct_column;
pub mod direct_plan;
pub(in crate::pg) mod ffi;
pub mod own_transaction;
pub mod prepared;
pub mod result_row;
pub mod spi;
pub mod statement;
