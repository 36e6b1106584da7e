//! What can be wrong with a version guard beyond its trigger.

use crate::guard::arguments::identifier;
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::guard::target::{column_of, ColumnInfo, Target};
use crate::pg::error::Report;
use crate::pg::spi::one;
use crate::version::column::first_version;
use crate::version::rule::{parse, BadArgument, ClientSends, IGNORE};

/// The version column, the columns that are ignored, and the options.
pub fn check(inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let options = match parse(guard.arguments.iter().map(String::as_str)) {
        Ok(options) => options,
        Err(bad) => return Ok(vec![no_rule(bad)]),
    };
    let mut findings = Vec::new();
    match column_of(guard.table, options.column)? {
        None => findings.push(missing(inspected, options.column, options.client_sends)),
        Some(column) => findings.extend(unfit(inspected, &column, options.client_sends)),
    }
    for name in guard.arguments.iter().filter_map(|argument| argument.strip_prefix(IGNORE)) {
        if column_of(guard.table, name)?.is_none() {
            findings.push(ignored_missing(inspected, name));
        }
    }
    Ok(findings)
}

fn no_rule(bad: BadArgument) -> Finding {
    let what = match bad {
        BadArgument::NoColumn => "It names no version column".to_owned(),
        BadArgument::Unknown(argument) => format!("\"{argument}\" is no option of it"),
    };
    Finding::error(
        "arguments_invalid",
        format!("{what}, so every UPDATE is refused. Put the trigger up anew with raceguard.drop_guard and raceguard.add_version."),
    )
}

fn missing(inspected: &Inspected, column: &str, sends: ClientSends) -> Finding {
    let detail = format!(
        "Version column \"{column}\" was dropped or renamed, so every UPDATE is refused. If it was renamed, call raceguard.add_version with its present name and replace => true instead of adding it again."
    );
    let (table, column) = (&inspected.guard.qualified, identifier(column));
    let definition = match sends {
        ClientSends::Next => "bigint NOT NULL DEFAULT 1",
        ClientSends::Current if is_timely(inspected) => {
            "timestamp with time zone NOT NULL DEFAULT clock_timestamp()"
        }
        ClientSends::Current => "bigint NOT NULL DEFAULT 1",
    };
    Finding::error("column_missing", detail)
        .remedy(format!("ALTER TABLE {table} ADD COLUMN {column} {definition}"))
}

/// Nothing says of which type a column was that is gone; a name may.
fn is_timely(inspected: &Inspected) -> bool {
    let name = inspected.guard.arguments.first().map_or("", String::as_str);
    ["_at", "At", "time", "date"].iter().any(|end| name.ends_with(end))
}

/// What is wrong with a version column that is there.
fn unfit(inspected: &Inspected, column: &ColumnInfo, sends: ClientSends) -> Vec<Finding> {
    let (table, quoted) = (&inspected.guard.qualified, identifier(&column.name));
    let fits = match column.type_name.as_str() {
        "smallint" | "integer" | "bigint" => true,
        "timestamp with time zone" | "timestamp without time zone" => sends == ClientSends::Current,
        _ => false,
    };
    if !fits {
        let detail = format!(
            "Version column \"{}\" is now {}, which is no version here, so every UPDATE is refused.",
            column.name, column.type_name
        );
        let mut actions =
            vec![format!("ALTER COLUMN {quoted} TYPE bigint USING ({quoted}::text)::bigint")];
        if column.has_default {
            actions.insert(0, format!("ALTER COLUMN {quoted} DROP DEFAULT"));
            actions.push(format!("ALTER COLUMN {quoted} SET DEFAULT 1"));
        }
        return vec![Finding::error("column_retyped", detail)
            .remedy(format!("ALTER TABLE {table} {}", actions.join(", ")))];
    }
    let mut findings = Vec::new();
    if !column.not_null {
        let detail = format!(
            "Version column \"{}\" accepts NULL; a row without a version has none that could be compared.",
            column.name
        );
        findings.push(
            Finding::warning("column_nullable", detail)
                .remedy(format!("ALTER TABLE {table} ALTER COLUMN {quoted} SET NOT NULL")),
        );
    }
    if !column.has_default {
        let detail = format!(
            "Version column \"{}\" has no default; an INSERT that names no version gives the row none.",
            column.name
        );
        let default = first_version(column);
        findings
            .push(Finding::warning("column_without_default", detail).remedy(format!(
                "ALTER TABLE {table} ALTER COLUMN {quoted} SET DEFAULT {default}"
            )));
    }
    findings
}

fn ignored_missing(inspected: &Inspected, name: &str) -> Finding {
    let gone = format!("{IGNORE}{name}");
    let kept: Vec<String> =
        inspected.guard.arguments.iter().filter(|a| **a != gone).cloned().collect();
    let detail = format!(
        "Column \"{name}\", whose changes need no version, was dropped or renamed, so every UPDATE is refused."
    );
    Finding::error("ignored_column_missing", detail).remedy(inspected.trigger_with(&kept))
}

/// Rows without a version.
pub fn check_rows(target: &Target, inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let name = inspected.guard.arguments.first().map_or("", String::as_str);
    if column_of(target.oid, name)?.is_none_or(|column| column.not_null) {
        return Ok(Vec::new());
    }
    let quoted = identifier(name);
    let sql = format!(
        "SELECT count(*) FROM {} WHERE {quoted} IS NULL HAVING count(*) > 0",
        target.rows()
    );
    let count: Option<i64> = target.in_owners_name(|| one(&sql, &[]))?;
    let Some(count) = count else { return Ok(Vec::new()) };
    let detail = format!("Rows without a version: {count}. Their column \"{name}\" is NULL.");
    // A row without a version has NULL for one, and the guard gives it the next.
    let fill = format!("UPDATE {} SET {quoted} = NULL WHERE {quoted} IS NULL", target.rows());
    Ok(vec![Finding::error("null_versions", detail).remedy(fill)])
}
