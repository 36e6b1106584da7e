//! The indexes that guards make: their names, and those that were never finished.

use crate::guard::arguments::LONGEST_NAME;
use crate::guard::target::Target;
use crate::pg::error::Report;
use crate::pg::spi::{one, Param};

/// The name of an index: `<table>_<suffix>`, the table's name shortened to fit.
pub fn index_name(target: &Target, suffix: &str) -> String {
    let mut table = target.name.as_str();
    while table.len() + suffix.len() + 1 > LONGEST_NAME {
        let mut end = table.len().saturating_sub(1);
        while !table.is_char_boundary(end) {
            end -= 1;
        }
        table = &table[..end];
    }
    format!("{table}_{suffix}")
}

/// What a CREATE INDEX CONCURRENTLY that failed has left behind: an index of the name that is not valid, and in
/// the way of the next try. One that is just being built is none.
pub fn failed_index(target: &Target, suffix: &str) -> Result<Option<String>, Report> {
    one(
        "SELECT format('%I.%I', n.nspname, c.relname) \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
              JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE i.indrelid = $1 AND NOT i.indisvalid AND c.relkind = 'i' AND c.relname = $2::name \
               AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p \
                               WHERE p.index_relid = i.indexrelid)",
        &[Param::Oid(target.oid), Param::Text(&index_name(target, suffix))],
    )
}
