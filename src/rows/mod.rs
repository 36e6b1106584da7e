//! Calls on rows of any table.

pub mod amounts;
pub mod attempt;
pub mod form;
pub mod insert_or_get;
pub mod insert_or_get_reports;
pub mod keys;
pub mod lock_rows;
mod plain_arbiter;
mod refusal;
mod statement;
pub mod swap;
pub mod swap_columns;
pub mod table;
pub mod take;
pub mod tokens;
mod unique_index;
