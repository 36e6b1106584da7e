//! Keys in the one form in which triggers' arguments hold them: as Postgres writes them, every name outside
//! pg_catalog qualified.

use super::deparse::{deparse_node, is_function_call, is_parenthesized};
use super::parse::{read, with_pinned_text, Element, Former, ParsedKey};
use crate::pg::base::error::Report;
use crate::pg::base::memory::here;
use crate::pg::base::text::{cstr, quote_ident, PgText};
use crate::pg::table::ffi;
use crate::pg::table::relation::Table;
use core::fmt::Write;
use pgrx::pg_sys::Oid;

/// A key that names a column as it was called before, as Postgres writes it now. Evaluates nothing. Inside `catch`.
pub fn with_former_name(
    table: Table,
    key: &str,
    attno: i16,
    former: &str,
) -> Result<PgText, Report> {
    written_now(table, key, Some(Former { attno, name: former }))
}

/// The canonical text of a key that a guard or index has had before, as Postgres writes it now. Evaluates nothing.
/// Inside `catch`.
pub fn recanonical(table: Table, key: &str) -> Result<PgText, Report> {
    written_now(table, key, None)
}

fn written_now(table: Table, key: &str, former: Option<Former>) -> Result<PgText, Report> {
    here(|memory| {
        with_pinned_text(|| Ok(read(table, key, false, former, memory)?.canonical(table)))
    })
}

impl ParsedKey<'_> {
    /// The key as Postgres writes it. With the search_path pinned, every name outside pg_catalog
    /// comes out qualified.
    pub fn canonical(self, table: Table) -> PgText {
        let mut text = PgText::new();
        for (i, element) in self.elements.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            let _ = write!(text, "{separator}{}", element.canonical(table));
        }
        text
    }
}

impl Element {
    /// The collation it has without a COLLATE.
    fn own_collation(self, table: Table) -> Oid {
        match table.column(self.attno) {
            Some(column) => column.collation,
            // SAFETY: an element that is no column has an expression.
            None => unsafe { ffi::exprCollation(self.expression) },
        }
    }

    /// As Postgres writes it in CREATE INDEX.
    fn canonical(self, table: Table) -> PgText {
        let bare = match self.attno {
            // SAFETY: the key was parsed for the table.
            0 => unsafe { deparse_node(table, self.expression) },
            _ => quote_ident(table.column_name(self.attno)),
        };
        if self.collation != Oid::INVALID && self.collation != self.own_collation(table) {
            // SAFETY: the name of a collation that the parser has found.
            let name = unsafe { cstr(ffi::generate_collation_name(self.collation)) };
            return PgText::from_fmt(format_args!("({bare} COLLATE {name})"));
        }
        // SAFETY: an element that is no column has an expression.
        let plain = self.attno != 0
            || unsafe { is_function_call(self.expression) }
            || is_parenthesized(bare.as_str());
        match plain {
            true => bare,
            false => PgText::from_fmt(format_args!("({bare})")),
        }
    }
}
