//! What totals say.

use crate::errors::{self, Code};
use crate::guard::outcome;
use crate::pg::error::{catch, Report};
use crate::pg::guc::{self, ErrorStyle};
use crate::pg::memory::here;
use crate::pg::open_table::try_open_table;
use crate::pg::spi::{pinned_search_path, Param};
use crate::pg::statement::run_kept;
use crate::pg::trigger::{find_all, logical_name, Definition};
use crate::total::parent::{RefusedTotal, TotalParent};
use crate::total::rule::FUNCTION;
use pgrx::pg_sys::Oid;

/// RG403 or RG422: a bound has refused a total, in the name of a guard of the child. `asked` is what was to be added;
/// empty where nothing was.
pub fn refused(
    parent: &TotalParent,
    child: Option<Oid>,
    refused: &RefusedTotal,
    asked: &str,
) -> Result<Report, Report> {
    let code = if refused.above { Code::Rg403 } else { Code::Rg422 };
    let Some(open) = try_open_table(parent.oid)? else { return Err(gone(parent)) };
    let table = open.table();
    let RefusedTotal { total, bound, key, .. } = refused;
    let shown = here(|memory| {
        let key = catch(|| table.primary_key(memory))?;
        let Some(mut attnos) = bound_columns(parent)? else { return Ok(false) };
        attnos.extend(key.iter().map(|column| column.attno));
        attnos.push(parent.attno);
        catch(|| table.shows(&attnos))
    })?;
    let told = match (shown, asked.is_empty()) {
        (false, true) => String::new(),
        (false, false) => format!("Asked for was {asked}."),
        (true, true) => format!("Key {key}: total {total}, bound {bound}."),
        (true, false) => format!("Key {key}: total {total}, bound {bound}, asked for {asked}."),
    };
    let column = &parent.column;
    let (name, check) = catch(|| (errors::known_as(table), logical_name(table, &parent.check)))?;
    let which = if refused.above { "rise above its upper" } else { "fall below its lower" };
    let report = |style| {
        errors::own_in(
            style,
            code,
            parent.oid,
            format_args!("total \"{column}\" of \"{name}\" would {which} bound"),
            (!told.is_empty()).then_some(format_args!("{told}")),
            format_args!("{}", hint(refused.above)),
            None,
        )
        .column(column)
        .constraint(check.as_str())
    };
    match child {
        Some(child) => count(child, column, code, report),
        None => Ok(report(guc::error_style())),
    }
}

/// The columns that the bounds are made of, as the CHECK says; `None` without a CHECK.
fn bound_columns(parent: &TotalParent) -> Result<Option<Vec<i16>>, Report> {
    let rows = pinned_search_path(|| {
        run_kept(
            "SELECT k::int FROM pg_constraint LEFT JOIN unnest(conkey) AS k ON true \
             WHERE conrelid = $1 AND contype = 'c' AND conname = $2::name",
            &[Param::Oid(parent.oid), Param::Text(&parent.check)],
        )
    })?;
    let mut columns = Vec::with_capacity(rows.len());
    for row in &rows {
        columns.extend(row.get::<Option<i64>>(0)?.and_then(|attno| i16::try_from(attno).ok()));
    }
    Ok((!rows.is_empty()).then_some(columns))
}

fn hint(above: bool) -> &'static str {
    match above {
        true => "Take rows away first, or raise the bound in the parent's row.",
        false => "Leave rows that the bound asks for, or lower the bound in the parent's row; with the parent's row all may go.",
    }
}

/// Counts a refusal for the guard of the child that keeps the column.
fn count(
    child: Oid,
    column: &str,
    code: Code,
    report: impl Fn(ErrorStyle) -> Report,
) -> Result<Report, Report> {
    let Some(open) = try_open_table(child)? else { return Ok(report(guc::error_style())) };
    let table = open.table();
    catch(|| {
        let is_of = |guard: &Definition| guard.argument(0) == column;
        match find_all(table, FUNCTION).find(is_of) {
            Some(guard) => outcome::refused(guard, code, None, report).counted(),
            None => report(guc::error_style()),
        }
    })
}

fn gone(parent: &TotalParent) -> Report {
    Report::error(
        errors::UNDEFINED_TABLE,
        format_args!("the parent of total \"{}\" does not exist any more", parent.column),
    )
    .detail(format_args!("It was dropped while its totals were written."))
    .hint(format_args!("Repeat the statement."))
}
