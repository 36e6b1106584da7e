//! What a column gets when an INSERT does not name it.

use super::ffi;
use super::key::deparse_node;
use super::relation::Table;
use crate::pg::base::text::PgText;
use core::ffi::c_int;

/// A column's default.
#[derive(Clone, Copy)]
pub enum ColumnDefault {
    None,
    /// Gives the same value all through a statement.
    Constant(PgText),
    /// Gives another value each time: a sequence, a random number.
    Volatile,
    /// Computed from the row's other columns.
    Generated(PgText),
}

/// A column's default as SQL. Inside `catch`, with the search_path pinned.
pub fn default_of(table: Table, attno: i16) -> ColumnDefault {
    // SAFETY: the relation is open and has the column; the expression's only relation is the table.
    unsafe {
        let node = ffi::build_column_default(table.as_raw(), attno as c_int);
        if node.is_null() {
            ColumnDefault::None
        } else if table.column(attno).is_some_and(|c| c.generated) {
            ColumnDefault::Generated(deparse_node(table, node))
        } else if ffi::contain_volatile_functions(node) {
            ColumnDefault::Volatile
        } else {
            ColumnDefault::Constant(deparse_node(table, node))
        }
    }
}
