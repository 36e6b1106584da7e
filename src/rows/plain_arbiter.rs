//! The index that answers for `insert_or_get`, told from the table's descriptor alone.
//!
//! That is enough where only one of the table's unique indexes can answer and it is over plain columns, as
//! with an identity and an e-mail. One that has an expression or a predicate is out of the question where a
//! plain column beside it is NULL, as the slot of a cap is. Everything else takes the catalog.

use crate::guard::arguments::identifier;
use crate::pg::column_default::{default_of, ColumnDefault};
use crate::pg::error::{catch, Report};
use crate::pg::jsonb::{Json, JsonKind};
use crate::pg::key::{unique_indexes_of, PlainIndex};
use crate::pg::memory::here;
use crate::pg::open_table::open_table;
use crate::pg::relation::Table;
use crate::pg::spi::pinned_search_path;
use pgrx::pg_sys::Oid;

/// What is known of the arbiter.
pub enum Arbiter {
    /// No unique index can have the new row in its way.
    None,
    /// This one, and the clause that says so.
    Index(Oid, String),
    /// More has to be known.
    Unknown,
}

/// The value that the new row has in a column.
#[derive(PartialEq)]
enum Known {
    Value,
    Null,
    /// The INSERT alone makes it.
    Not,
    /// An expression has to be evaluated.
    Unclear,
}

/// The arbiter of a row, or of the columns that `wanted` names (ascending).
pub fn plain_arbiter(target: Oid, row: &Json, wanted: Option<&[i16]>) -> Result<Arbiter, Report> {
    let open = open_table(target)?;
    let table = open.table();
    let mut found = Arbiter::None;
    here(|memory| {
        for index in catch(|| unique_indexes_of(table, memory))? {
            let answers = match wanted {
                Some(wanted) => index.has_columns(wanted),
                None => can_answer(table, row, index)?,
            };
            match (answers, &found) {
                (Some(false), _) => {}
                (Some(true), Arbiter::None) => {
                    let names = index.columns.iter().map(|c| identifier(table.column_name(*c)));
                    let names: Vec<String> = names.collect();
                    let clause = format!("ON CONFLICT ({}) DO NOTHING", names.join(", "));
                    found = Arbiter::Index(index.oid, clause);
                }
                _ => return Ok(Arbiter::Unknown),
            }
        }
        Ok(match (found, wanted) {
            // That there is none is an error, which names those that there are.
            (Arbiter::None, Some(_)) => Arbiter::Unknown,
            (found, _) => found,
        })
    })
}

/// Whether the new row can be in somebody's way in an index; `None` where that is not clear.
fn can_answer(table: Table, row: &Json, index: &PlainIndex) -> Result<Option<bool>, Report> {
    let mut answer = index.plain.then_some(true);
    for column in index.columns.iter().filter(|column| **column > 0) {
        match known(table, row, *column)? {
            Known::Not => return Ok(Some(false)),
            Known::Null if !index.nulls_equal => return Ok(Some(false)),
            Known::Value | Known::Null => {}
            Known::Unclear => answer = None,
        }
    }
    Ok(answer)
}

fn known(table: Table, row: &Json, column: i16) -> Result<Known, Report> {
    if table.column(column).is_some_and(|c| c.generated) {
        return Ok(Known::Unclear);
    }
    if let Some(value) = row.member(table.column_name(column))? {
        return Ok(if value.kind() == JsonKind::Null { Known::Null } else { Known::Value });
    }
    Ok(match pinned_search_path(|| catch(|| default_of(table, column)))? {
        ColumnDefault::None => Known::Null,
        ColumnDefault::Volatile => Known::Not,
        _ => Known::Unclear,
    })
}
