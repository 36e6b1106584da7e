//! What `insert_or_get` says when it cannot tell whether the row is there already.

use crate::errors;
use crate::guard::arguments::literal;
use crate::pg::error::Report;
use crate::pg::open_table::open_table;
use crate::pg::relation::Table;
use crate::pg::spi::{one, Param};
use crate::rows::attempt::kept_from_being_written;
use crate::rows::unique_index::{as_argument, UniqueIndex};
use pgrx::pg_sys::Oid;

/// 42809: a view has no unique index that could say whether the row is there.
pub fn is_a_view(view: Table) -> Result<Report, Report> {
    let below = one::<String>(
        "SELECT string_agg(DISTINCT d.refobjid::regclass::text, ', ') FROM pg_depend d \
         JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = d.refobjid \
         WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass \
           AND r.ev_class = $1 AND d.refobjid <> $1 AND c.relkind IN ('r', 'p')",
        &[Param::Oid(view.oid())],
    )?;
    let report = Report::error(
        errors::WRONG_OBJECT_TYPE,
        format_args!("\"{}\" is a view, not a table", view.name()),
    )
    .detail(format_args!(
        "A view has no unique index, which alone says whether a row is there already."
    ))
    .table(view.oid());
    Ok(match below {
        Some(tables) => report.hint(format_args!("Name the table underneath: {tables}.")),
        None => report.hint(format_args!("Name the table underneath.")),
    })
}

/// 27000: no row was in the way, and none was inserted.
pub fn swallowed(target: Oid) -> Result<Report, Report> {
    let open = open_table(target)?;
    let table = open.table();
    Ok(kept_from_being_written(table.name(), target)
        .detail(format_args!("No row is in its way in a unique index, and nothing was inserted.")))
}

/// 42P10: more than one unique index could say that the row is there already.
pub fn ambiguous(target: Oid, indexes: &[UniqueIndex]) -> Result<Report, Report> {
    let (mut names, mut ways) = (Vec::new(), Vec::new());
    for index in indexes {
        names.push(format!("\"{}\"", index.name));
        let way = format!("key => {}", literal(&as_argument(target, &index.key_columns)?));
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    let open = open_table(target)?;
    Ok(Report::error(
        errors::INVALID_COLUMN_REFERENCE,
        format_args!(
            "more than one unique index of \"{}\" could say that the row is there already",
            open.table().name()
        ),
    )
    .detail(format_args!("They are {}; each could answer with another row.", names.join(", ")))
    .hint(format_args!("Say by which columns it would be the same row: {}.", ways.join(" or ")))
    .table(target))
}

/// 42P10: no unique index has the columns in `key`.
pub fn no_such_index(
    target: Oid,
    columns: &[i16],
    indexes: &[UniqueIndex],
) -> Result<Report, Report> {
    let mut ways = Vec::new();
    for index in indexes {
        ways.push(as_argument(target, &index.key_columns)?);
    }
    let key = as_argument(target, columns)?;
    let open = open_table(target)?;
    let report = Report::error(
        errors::INVALID_COLUMN_REFERENCE,
        format_args!("no unique index of \"{}\" has the key {key}", open.table().name()),
    )
    .hint(format_args!(
        "Name all columns of one unique index, or create one over these; a deferrable constraint does not count."
    ))
    .table(target);
    Ok(match ways.is_empty() {
        true => report.detail(format_args!("The table has no unique index at all.")),
        false => {
            report.detail(format_args!("The keys of its unique indexes are {}.", ways.join(", ")))
        }
    })
}

/// 55000: an INSERT did nothing so many times, and yet no row is to be seen.
pub fn not_found(target: Oid, attempts: usize) -> Result<Report, Report> {
    let open = open_table(target)?;
    Ok(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("the row of \"{}\" that is in the way cannot be found", open.table().name()),
    )
    .detail(format_args!(
        "An INSERT did nothing {attempts} times because of a row that is there already, but no row with the new row's unique keys is visible."
    ))
    .hint(format_args!(
        "Row security may hide it, an exclusion constraint may rule, or a BEFORE trigger may change the columns of the key: pass the values that it makes."
    ))
    .table(target))
}
