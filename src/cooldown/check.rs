//! What can be wrong with a cooldown beyond its trigger.

use crate::cooldown::definition::Cooldown;
use crate::cooldown::install::refuse_violations;
use crate::cooldown::rule::{parse, Options};
use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::finding::Finding;
use crate::guard::key::unreadable;
use crate::guard::kind::Inspected;
use crate::guard::target::{column_of, Target};
use crate::pg::error::Report;
use crate::pg::spi::{pinned_text, Param};
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;

/// The time column, key and predicate, and the index.
pub fn check(inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let options = match parse(guard.arguments.iter().map(String::as_str)) {
        Ok(options) => options,
        Err(bad) => {
            return Ok(vec![Finding::error(
                "arguments_invalid",
                format!("\"{bad}\" is missing or no option of a cooldown, so every row is refused. Put the trigger up anew with raceguard.drop_guard and raceguard.add_cooldown."),
            )])
        }
    };
    let mut findings = texts(inspected, &options)?;
    if findings.is_empty() {
        findings.extend(index(inspected, &options)?);
    }
    Ok(findings)
}

/// What the arguments name, as the table has it now.
fn texts(inspected: &Inspected, options: &Options) -> Result<Vec<Finding>, Report> {
    let table = inspected.guard.table;
    let mut findings = Vec::new();
    match column_of(table, options.at)? {
        None => findings.push(Finding::error(
            "column_missing",
            format!("Column \"{}\", which times the rows, was dropped or renamed, so every row is refused.", options.at),
        )),
        Some(column) if !is_time(&column.type_name) || column.generated => {
            findings.push(Finding::error(
                "column_retyped",
                format!(
                    "Column \"{}\" is now {}, which times no rows, so every row is refused. Give it back its type with ALTER TABLE ... ALTER COLUMN ... TYPE.",
                    column.name, column.type_name
                ),
            ));
        }
        Some(_) => {}
    }
    if let Some(cause) = unreadable(table, options.key)? {
        let detail = format!(
            "The key ({}) cannot be read any more: {cause}. Every row is refused.",
            options.key
        );
        findings.push(Finding::error("key_unreadable", detail));
    }
    if let Some(predicate) = options.predicate
        && let Some(cause) = unreadable(table, &format!("({predicate})"))?
    {
        let detail = format!(
            "The predicate ({predicate}) cannot be read any more: {cause}. Every row is refused."
        );
        findings.push(Finding::error("predicate_unreadable", detail));
    }
    if findings.is_empty() {
        return Ok(findings);
    }
    let remedy = as_the_index_reads(inspected, options)?;
    let again = "Call raceguard.add_cooldown with what it is now and replace => true.";
    let told = |finding: Finding| {
        let mut finding = finding.remedy(remedy.clone());
        if remedy.is_none() && finding.problem != "column_retyped" {
            finding.detail = format!("{} {again}", finding.detail);
        }
        finding
    };
    Ok(findings.into_iter().map(told).collect())
}

fn is_time(type_name: &str) -> bool {
    matches!(type_name, "date" | "timestamp without time zone" | "timestamp with time zone")
}

/// The trigger with what the index that `add_cooldown` made says today: an index follows renames.
fn as_the_index_reads(inspected: &Inspected, options: &Options) -> Result<Option<String>, Report> {
    let guard = &inspected.guard;
    let rows = pinned_text(|| {
        run_kept(
        "SELECT (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, false), ', ' ORDER BY k) \
                 FROM generate_series(1, i.indnkeyatts - 1) k), \
                a.attname, pg_get_expr(i.indpred, i.indrelid, false), \
                a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid \
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND i.indisvalid AND i.indnkeyatts > 1 AND c.relname = t.relname || '_' || $2 || '_idx'",
        &[Param::Oid(guard.table), Param::Text(guard.guard())],
    )
    })?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (key, at): (&str, &str) = (row.get(0)?, row.get(1)?);
    let (predicate, timely): (Option<&str>, bool) = (row.get(2)?, row.get(3)?);
    let fits = timely && predicate.is_some() == options.predicate.is_some();
    if !fits || unreadable(guard.table, key)?.is_some() {
        return Ok(None);
    }
    let mut arguments = vec![key.to_owned()];
    for argument in guard.arguments.iter().skip(1) {
        arguments.push(match (argument.split_once('='), predicate) {
            (Some(("at", _)), _) => format!("at={at}"),
            (Some(("predicate", _)), Some(predicate)) => {
                format!("predicate={}", crate::pg::key::bare(predicate))
            }
            _ => argument.clone(),
        });
    }
    Ok(Some(inspected.trigger_with(&arguments)))
}

/// A valid index that ends with the time. Whether it begins with the key only the guard can tell, which
/// compiles it.
pub fn has_index(table: Oid, at: &str) -> Result<bool, Report> {
    let rows = run_kept(
        "SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
         WHERE i.indrelid = $1 AND a.attname = $2::name AND i.indisvalid AND i.indnkeyatts > 1 \
           AND i.indkey[i.indnkeyatts - 1] = a.attnum",
        &[Param::Oid(table), Param::Text(at)],
    )?;
    Ok(!rows.is_empty())
}

fn index(inspected: &Inspected, options: &Options) -> Result<Option<Finding>, Report> {
    let guard = &inspected.guard;
    if has_index(guard.table, options.at)? {
        return Ok(None);
    }
    let partial = options.predicate.map(|p| format!(" WHERE {p}")).unwrap_or_default();
    let create = format!(
        "CREATE INDEX ON {} ({}, {}){partial}",
        guard.qualified,
        options.key,
        identifier(options.at)
    );
    let detail = format!(
        "No valid index on ({}, {}) stands, so every row is refused.",
        options.key,
        identifier(options.at)
    );
    Ok(Some(Finding::error("index_missing", detail).remedy(create)))
}

/// Rows that stand closer than the cooldown allows.
pub fn check_rows(target: &Target, inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let Ok(options) = parse(inspected.guard.arguments.iter().map(String::as_str)) else {
        return Ok(Vec::new());
    };
    if options.own_past || !texts(inspected, &options)?.is_empty() {
        return Ok(Vec::new());
    }
    let cooldown = Cooldown {
        key: options.key.to_owned(),
        at: options.at.to_owned(),
        period: options.period.to_owned(),
        max_rows: i32::try_from(options.max_rows).unwrap_or(i32::MAX),
        predicate: options.predicate.map(str::to_owned),
        own_past: false,
        guard: inspected.guard.guard().to_owned(),
    };
    match refuse_violations(target, &cooldown) {
        Ok(()) => Ok(Vec::new()),
        Err(report) if report.is(errors::CHECK_VIOLATION) => {
            let detail = format!("{} {}", report.detail_text(), report.hint_text());
            Ok(vec![Finding::error("rows_too_close", detail)])
        }
        Err(report) => Err(report),
    }
}
