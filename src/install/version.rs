//! `add_version`: a version column and the guard that judges and bumps it.

use super::arguments::{identifier, literal, one_of, required};
use super::target::{ColumnInfo, Target};
use super::trigger::{self, Plan, Wanted};
use crate::errors;
use crate::guards::version::IGNORE;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run};

function_entry!(raceguard_add_version, crate::install::version::add_version);

const FUNCTION: &str = "version_guard";
const GUARD: &str = "version";

/// `add_version(target, version_column, unstated, client_sends, ignore, mode, replace)`.
fn add_version(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let column = required(call.name(1), "version_column")?;
            let unstated = required(call.text(2)?, "unstated")?;
            let unstated = one_of(&unstated, "unstated", &["allow", "warn", "reject"])?;
            let sends = required(call.text(3)?, "client_sends")?;
            let sends = one_of(&sends, "client_sends", &["next", "current"])?;
            let ignore = required(call.names(4)?, "ignore")?;
            let mode = required(call.text(5)?, "mode")?;
            let mode = one_of(&mode, "mode", &["enforce", "observe"])?;
            let replace = required(call.bool(6), "replace")?;
            let arguments = arguments(&target, &column, unstated, sends, &ignore, mode)?;
            let wanted = Wanted { guard: GUARD, function: FUNCTION, arguments };
            install(&target, &column, sends, wanted, replace, unstated)
        })
    })
}

/// The trigger's arguments; defaults are left out.
fn arguments(
    target: &Target,
    column: &str,
    unstated: &str,
    sends: &str,
    ignore: &[String],
    mode: &str,
) -> Result<Vec<String>, Report> {
    let mut arguments = vec![column.to_owned()];
    if sends != "next" {
        arguments.push(format!("client_sends={sends}"));
    }
    if unstated != "allow" {
        arguments.push(format!("unstated={unstated}"));
    }
    for name in ignore {
        target.existing_column(name)?;
        if name == column {
            return Err(Report::error(
                errors::INVALID_PARAMETER,
                format_args!("version column \"{column}\" cannot be among the ignored columns"),
            )
            .detail(format_args!("A change of the version is always judged."))
            .hint(format_args!("Leave it out of ignore.")));
        }
        arguments.push(format!("{IGNORE}{name}"));
    }
    if mode != "enforce" {
        arguments.push(format!("mode={mode}"));
    }
    Ok(arguments)
}

fn install(
    target: &Target,
    column: &str,
    sends: &str,
    wanted: Wanted,
    replace: bool,
    unstated: &str,
) -> Result<Value, Report> {
    let standing = trigger::existing(target, FUNCTION)?.into_iter().next();
    let plan = trigger::plan(target, standing, &wanted, replace)?;
    if let Plan::Keep(name) = plan {
        return Ok(Value::Text(name));
    }
    target.lock("ACCESS EXCLUSIVE")?;
    prepare_column(target, column, sends)?;
    if let Plan::Replace(standing) = plan {
        trigger::drop(target, &standing.trigger)?;
    }
    let name = trigger::trigger_name(GUARD, "")?;
    trigger::create(target, &name, "BEFORE UPDATE", None, FUNCTION, &wanted.arguments)?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\" on column \"{column}\"",
            target.name
        ),
        None,
    );
    if unstated == "allow" {
        tell(
            Level::Notice,
            format_args!("updates that state no version are still accepted"),
            Some(format_args!(
                "To refuse them: SELECT raceguard.add_version({}, {}, unstated => 'reject', replace => true);",
                literal(&target.qualified),
                literal(column)
            )),
        );
    }
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(Value::Text(name))
}

/// Adds the column, or adopts the one that is there.
fn prepare_column(target: &Target, name: &str, sends: &str) -> Result<(), Report> {
    let quoted = identifier(name);
    let Some(column) = target.column(name)? else {
        if sends == "current" || sends == "next" {
            run(
                &format!(
                    "ALTER TABLE {} ADD COLUMN {quoted} bigint NOT NULL DEFAULT 1",
                    target.qualified
                ),
                &[],
            )?;
        }
        return Ok(());
    };
    let default = match column.type_name.as_str() {
        "smallint" | "integer" | "bigint" => "1",
        "timestamp with time zone" if sends == "current" => "clock_timestamp()",
        _ => return Err(wrong_type(target, &column)),
    };
    if column.generated {
        return Err(wrong_type(target, &column));
    }
    adopt(target, &column, default)
}

fn adopt(target: &Target, column: &ColumnInfo, default: &str) -> Result<(), Report> {
    let quoted = identifier(&column.name);
    let mut done = Vec::new();
    if !column.has_default {
        run(
            &format!(
                "ALTER TABLE {} ALTER COLUMN {quoted} SET DEFAULT {default}",
                target.qualified
            ),
            &[],
        )?;
        done.push(format!("default {default} set"));
    }
    if !column.not_null {
        let filled = run(
            &format!(
                "WITH filled AS (UPDATE {} SET {quoted} = {default} WHERE {quoted} IS NULL RETURNING 1) \
                 SELECT count(*) FROM filled",
                target.qualified
            ),
            &[],
        )?;
        let count = filled.first().and_then(|r| r[0].clone()).unwrap_or_default();
        done.push(format!("{count} NULLs filled"));
        run(&format!("ALTER TABLE {} ALTER COLUMN {quoted} SET NOT NULL", target.qualified), &[])?;
        done.push("NOT NULL set".to_owned());
    }
    if !done.is_empty() {
        tell(
            Level::Notice,
            format_args!(
                "column \"{}\" of table \"{}\" adopted as its version: {}",
                column.name,
                target.name,
                done.join(", ")
            ),
            None,
        );
    }
    Ok(())
}

fn wrong_type(target: &Target, column: &ColumnInfo) -> Report {
    Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!(
            "column \"{}\" of table \"{}\" cannot be a version: its type is {}",
            column.name, target.name, column.type_name
        ),
    )
    .detail(format_args!(
        "A version is smallint, integer, bigint, or timestamp with time zone with client_sends => 'current', and not generated."
    ))
    .hint(format_args!("Name another column with version_column => '...'; one that does not exist is added as bigint."))
    .table(target.oid)
    .column(&column.name)
}
