//! What can be wrong with a number guard beyond its trigger.

use crate::guard::arguments::{identifier, literal};
use crate::guard::finding::Finding;
use crate::guard::index::index_name;
use crate::guard::kind::Inspected;
use crate::guard::numbered_index::{index_fault, indexes};
use crate::guard::target::{column_of, ColumnInfo, Target};
use crate::number::counter_check::{behind, counter};
use crate::number::definition::{is_identity, StandingNumbers};
use crate::number::rows;
use crate::number::rule::{largest, parse};
use crate::pg::error::Report;
use crate::pg::numbered_index::IndexForm;
use crate::pg::spi::{one, Param};

/// The number column and the index.
pub fn check(inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let options = match parse(guard.arguments.iter().map(String::as_str)) {
        Ok(options) => options,
        Err(bad) => {
            return Ok(vec![Finding::error(
                "arguments_invalid",
                format!("\"{bad}\" is no number column or option of a number guard, so every row is refused. Put the trigger up anew with raceguard.drop_guard and raceguard.add_number."),
            )])
        }
    };
    let Some(column) = column_of(guard.table, options.column)? else {
        return Ok(vec![column_missing(inspected, options.column)?]);
    };
    let mut findings = Vec::new();
    findings.extend(options.pending.then(|| pending(inspected)));
    findings.extend(column_retyped(inspected, &column));
    findings.extend(column_default(inspected, &column)?);
    findings.extend(index_fault(guard.table, options.column, IndexForm::Numbers)?);
    findings.extend(counter(inspected, &options)?);
    Ok(findings)
}

/// A plan that was not carried out to its end.
fn pending(inspected: &Inspected) -> Finding {
    let guard = &inspected.guard;
    let detail = "The guard gives rows no number yet: those that stand come first. CALL raceguard.number_rows numbers them, and all others from then on.".to_owned();
    let (table, name) = (literal(&guard.qualified), literal(guard.guard()));
    Finding::error("rows_pending", detail)
        .remedy(format!("CALL raceguard.number_rows({table}, {name})"))
}

/// The index follows a rename; the trigger's arguments do not.
fn column_missing(inspected: &Inspected, column: &str) -> Result<Finding, Report> {
    let finding = |rest: &str| {
        let detail = format!(
            "Number column \"{column}\" was dropped or renamed, so every row is refused. {rest}"
        );
        Finding::error("column_missing", detail)
    };
    let Some(present) = present_column(inspected)? else {
        return Ok(finding("Call raceguard.drop_guard and raceguard.add_number with the key."));
    };
    let guard = &inspected.guard;
    let arguments: Vec<String> =
        core::iter::once(present.clone()).chain(guard.arguments.iter().skip(1).cloned()).collect();
    Ok(finding(&format!("The guard's index ends with column \"{present}\" now."))
        .remedy(inspected.trigger_with(&arguments)))
}

/// The column with which the index ends that `add_number` made, by its name.
fn present_column(inspected: &Inspected) -> Result<Option<String>, Report> {
    let table = inspected.guard.table;
    let name = index_name(&Target::of(table)?, inspected.guard.guard());
    let column: Option<String> = one(
        "SELECT a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND c.relname = $2::name",
        &[Param::Oid(table), Param::Text(&name)],
    )?;
    let Some(column) = column else { return Ok(None) };
    let formed = !indexes(table, &column, IndexForm::Numbers)?.is_empty();
    Ok(formed.then_some(column))
}

fn column_retyped(inspected: &Inspected, column: &ColumnInfo) -> Option<Finding> {
    if largest(&column.type_name).is_some() {
        return None;
    }
    let (table, quoted) = (&inspected.guard.qualified, identifier(&column.name));
    let detail = format!(
        "Number column \"{}\" is now {}, which holds no numbers, so every row is refused.",
        column.name, column.type_name
    );
    Some(Finding::error("column_retyped", detail).remedy(format!(
        "ALTER TABLE {table} ALTER COLUMN {quoted} TYPE bigint USING ({quoted}::text)::bigint"
    )))
}

/// A default states the number of each row that states none.
fn column_default(inspected: &Inspected, column: &ColumnInfo) -> Result<Option<Finding>, Report> {
    let guard = &inspected.guard;
    let what = match is_identity(guard.table, &column.name)? {
        true => "IDENTITY",
        false if column.has_default => "DEFAULT",
        false => return Ok(None),
    };
    let detail = format!(
        "Number column \"{}\" has a default, which states the number of every row in the guard's place.",
        column.name
    );
    let (table, quoted) = (&guard.qualified, identifier(&column.name));
    let drop = format!("ALTER TABLE {table} ALTER COLUMN {quoted} DROP {what}");
    Ok(Some(Finding::error("column_default", detail).remedy(drop)))
}

/// Rows that have no number although their key has no NULL, and counters that are below a number.
pub fn check_rows(target: &Target, inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let standing = StandingNumbers::of(inspected.guard.clone())?;
    let Some(numbers) = standing.definition(target)? else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    let count = rows::unnumbered(target, &numbers)?;
    if count > 0 {
        let detail = format!("Rows whose key has no NULL and that have no number: {count}.");
        findings.push(Finding::error("rows_without_number", detail).remedy(inspected.call()));
    }
    let count = numbers.counters_behind(target)?;
    if count > 0 {
        findings.push(behind(inspected, count));
    }
    Ok(findings)
}
