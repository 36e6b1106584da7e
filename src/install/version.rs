//! `add_version`: a version column and the guard that judges and bumps it.

use super::arguments::{identifier, literal, one_of, required};
use super::partitions::{refuse_guarded_partitions, refuse_inherited_guard};
use super::target::{ColumnInfo, Target};
use super::trigger::{self, Plan, Wanted};
use crate::errors;
use crate::guards::version::{FUNCTION, IGNORE};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, one, pinned_search_path, run, Param};

function_entry!(raceguard_add_version, crate::install::version::add_version);

const GUARD: &str = "version";
const DEFAULT_COLUMN: &str = "version";

/// The arguments after `target`, checked for themselves.
struct Request {
    column: String,
    unstated: String,
    sends: String,
    ignore: Vec<String>,
    mode: String,
    replace: bool,
}

/// `add_version(target, version_column, unstated, client_sends, ignore, mode, replace)`.
fn add_version(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let request = Request::read(call)?;
            request.check_ignored(&target)?;
            let name = install(&target, &request)?;
            Ok(Value::Text(name))
        })
    })
}

impl Request {
    fn read(call: Call) -> Result<Request, Report> {
        let column = required(call.name(1)?, "version_column")?;
        if column.is_empty() {
            return Err(Report::error(
                errors::INVALID_PARAMETER,
                format_args!("argument \"version_column\" must not be empty"),
            )
            .detail(format_args!("A column needs a name."))
            .hint(format_args!("Leave it out to use the column \"{DEFAULT_COLUMN}\".")));
        }
        let choice = |n: usize, name: &str, allowed: &[&str]| {
            let value = required(call.text(n)?, name)?;
            one_of(&value, name, allowed).map(str::to_owned)
        };
        let mut ignore = Vec::new();
        for name in required(call.names(4)?, "ignore")? {
            let name = name.ok_or_else(|| {
                Report::error(
                    errors::NULL_NOT_ALLOWED,
                    format_args!("array \"ignore\" must not contain NULL"),
                )
                .detail(format_args!("Each element names a column."))
                .hint(format_args!("Leave the NULL out."))
            })?;
            if !ignore.contains(&name) {
                ignore.push(name);
            }
        }
        Ok(Request {
            column,
            unstated: choice(2, "unstated", &["allow", "warn", "reject"])?,
            sends: choice(3, "client_sends", &["next", "current"])?,
            ignore,
            mode: choice(5, "mode", &["enforce", "observe"])?,
            replace: required(call.bool(6), "replace")?,
        })
    }

    fn check_ignored(&self, target: &Target) -> Result<(), Report> {
        for name in &self.ignore {
            if *name == self.column {
                return Err(Report::error(
                    errors::INVALID_PARAMETER,
                    format_args!("version column \"{name}\" cannot be among the ignored columns"),
                )
                .detail(format_args!("A change of the version is always judged."))
                .hint(format_args!("Leave it out of ignore."))
                .table(target.oid)
                .column(name));
            }
            target.existing_column(name)?;
        }
        Ok(())
    }

    /// The trigger's arguments; defaults are left out.
    fn trigger_arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.column.clone()];
        if self.sends != "next" {
            arguments.push(format!("client_sends={}", self.sends));
        }
        if self.unstated != "allow" {
            arguments.push(format!("unstated={}", self.unstated));
        }
        arguments.extend(self.ignore.iter().map(|name| format!("{IGNORE}{name}")));
        if self.mode != "enforce" {
            arguments.push(format!("mode={}", self.mode));
        }
        arguments
    }

    /// The call that makes the same guard, but refuses updates that state no version.
    fn call_to_reject(&self, target: &Target) -> Result<String, Report> {
        let mut call = format!("raceguard.add_version({}", literal(&shown(target.oid)?));
        if self.column != DEFAULT_COLUMN {
            call += &format!(", {}", literal(&self.column));
        }
        call += ", unstated => 'reject'";
        if self.sends != "next" {
            call += &format!(", client_sends => '{}'", self.sends);
        }
        if !self.ignore.is_empty() {
            let names: Vec<String> = self.ignore.iter().map(|n| literal(n)).collect();
            call += &format!(", ignore => ARRAY[{}]", names.join(", "));
        }
        if self.mode != "enforce" {
            call += &format!(", mode => '{}'", self.mode);
        }
        Ok(call + ", replace => true)")
    }
}

/// A table's name with its schema, quoted where it has to be.
fn shown(table: pgrx::pg_sys::Oid) -> Result<String, Report> {
    Ok(one("SELECT $1::pg_catalog.regclass::text", &[Param::Oid(table)])?.unwrap_or_default())
}

fn install(target: &Target, request: &Request) -> Result<String, Report> {
    let wanted =
        Wanted { guard: GUARD, function: FUNCTION, arguments: request.trigger_arguments() };
    let plan = || {
        let standing = trigger::existing(target, FUNCTION)?.into_iter().next();
        trigger::plan(target, standing, &wanted, request.replace)
    };
    // A migration that runs again takes no lock.
    let before = plan()?;
    if let Plan::Keep(name) = before {
        return Ok(name);
    }
    refuse_inherited_guard(target, FUNCTION)?;
    let column = usable_column(target, request)?;
    let ready = column.is_some_and(|c| c.not_null && c.has_default);
    if ready && before == Plan::Create {
        target.lock("SHARE ROW EXCLUSIVE")?;
    } else {
        target.lock("ACCESS EXCLUSIVE")?;
    }
    // Someone else may have added the guard meanwhile.
    match plan()? {
        Plan::Keep(name) => return Ok(name),
        // Before the column is filled: the old guard would judge that too.
        Plan::Replace(standing) => trigger::drop(target, &standing.trigger)?,
        Plan::Create => {}
    }
    refuse_guarded_partitions(target, FUNCTION)?;
    prepare_column(target, request)?;
    let name = trigger::trigger_name(GUARD, "")?;
    trigger::create(target, &name, "BEFORE UPDATE", None, FUNCTION, &wanted.arguments)?;
    tell_of_guard(target, request, &name)?;
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(name)
}

fn tell_of_guard(target: &Target, request: &Request, name: &str) -> Result<(), Report> {
    let column = &request.column;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\" on column \"{column}\"",
            target.name
        ),
        None,
    );
    if request.unstated == "allow" {
        tell(
            Level::Notice,
            format_args!("updates that state no version are still accepted"),
            Some(format_args!("To refuse them: SELECT {};", request.call_to_reject(target)?)),
        );
    }
    let children = one(
        "SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid::regclass::text) \
         FROM pg_inherits WHERE inhparent = $1",
        &[Param::Oid(target.oid)],
    )?;
    if let (Some(children), false) = (children, target.partitioned) {
        tell(
            Level::Notice,
            format_args!(
                "rows of the tables that inherit from \"{}\" are not guarded: {children}",
                target.name
            ),
            Some(format_args!(
                "Postgres inherits no triggers; call raceguard.add_version for each of them."
            )),
        );
    }
    let indexes = one(
        "SELECT string_agg(i.indexrelid::regclass::text, ', ' ORDER BY i.indexrelid::regclass::text) \
         FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
         WHERE i.indrelid = $1 AND a.attname = $2::name",
        &[Param::Oid(target.oid), Param::Text(column)],
    )?;
    if let Some(indexes) = indexes {
        tell(
            Level::Notice,
            format_args!("version column \"{column}\" is indexed by {indexes}"),
            Some(format_args!(
                "Each bump then has to write to every index of the table; without an index on the version, updates can be HOT."
            )),
        );
    }
    Ok(())
}

/// The version column, if it is there and can be one; an error if it is there and cannot.
fn usable_column(target: &Target, request: &Request) -> Result<Option<ColumnInfo>, Report> {
    let Some(column) = target.column(&request.column)? else {
        if target.is_partition {
            return Err(Report::error(
                errors::WRONG_OBJECT_TYPE,
                format_args!(
                    "cannot add column \"{}\" to partition \"{}\"",
                    request.column, target.name
                ),
            )
            .detail(format_args!("Partitions have the columns of their root."))
            .hint(format_args!("Guard the partitioned table; its guard covers all partitions."))
            .table(target.oid));
        }
        return Ok(None);
    };
    let identity = one(
        "SELECT attidentity <> '' FROM pg_attribute WHERE attrelid = $1 AND attnum = $2",
        &[Param::Oid(target.oid), Param::Int(column.attno.into())],
    )?;
    let right_type = match column.type_name.as_str() {
        "smallint" | "integer" | "bigint" => true,
        "timestamp with time zone" => request.sends == "current",
        _ => false,
    };
    if right_type && !column.generated && identity.as_deref() == Some("f") {
        return Ok(Some(column));
    }
    Err(Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!(
            "column \"{}\" of table \"{}\" cannot be a version",
            column.name, target.name
        ),
    )
    .detail(format_args!(
        "Its type is {}{}; a version is smallint, integer, bigint, or timestamp with time zone with client_sends => 'current', and neither generated nor an identity.",
        column.type_name,
        if column.generated {
            ", generated"
        } else if identity.as_deref() == Some("t") {
            ", an identity"
        } else {
            ""
        }
    ))
    .hint(format_args!("Name another column with version_column => '...'; one that does not exist is added as bigint."))
    .table(target.oid)
    .column(&column.name))
}

/// Adds the column, or adopts the one that is there.
fn prepare_column(target: &Target, request: &Request) -> Result<(), Report> {
    // Looked up again: the lock is held only now.
    match usable_column(target, request)? {
        Some(column) => adopt(target, &column),
        // Rewrites nothing: a constant default is kept in the catalog for the rows that exist.
        None => alter(
            target,
            &format!("ADD COLUMN {} bigint NOT NULL DEFAULT 1", identifier(&request.column)),
        ),
    }
}

fn adopt(target: &Target, column: &ColumnInfo) -> Result<(), Report> {
    let quoted = identifier(&column.name);
    let default = match column.type_name.as_str() {
        "timestamp with time zone" => "clock_timestamp()",
        _ => "1",
    };
    let mut done = Vec::new();
    if !column.not_null {
        let filled = one(
            &format!(
                "WITH filled AS (UPDATE {} SET {quoted} = {default} WHERE {quoted} IS NULL RETURNING 1) \
                 SELECT count(*) FROM filled",
                target.qualified
            ),
            &[],
        )?;
        done.push(format!("{} NULLs filled", filled.unwrap_or_default()));
        alter(target, &format!("ALTER COLUMN {quoted} SET NOT NULL"))?;
        done.push("NOT NULL set".to_owned());
    }
    if !column.has_default {
        alter(target, &format!("ALTER COLUMN {quoted} SET DEFAULT {default}"))?;
        done.push(format!("DEFAULT {default} set"));
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

fn alter(target: &Target, action: &str) -> Result<(), Report> {
    run(&format!("ALTER TABLE {} {action}", target.qualified), &[])?;
    Ok(())
}
