//! `add_version`: a version column and the guard that judges and bumps it.

use crate::errors;
use crate::guard::arguments::{identifier, literal, one_of, required};
use crate::guard::kind::put_mode;
use crate::guard::outcome::Mode;
use crate::guard::partitions::{
    refuse_guarded_partitions, refuse_inherited_guard, tell_of_children,
};
use crate::guard::spread;
use crate::guard::steps::{of_trigger, return_steps, Step};
use crate::guard::target::{ColumnInfo, Target};
use crate::guard::trigger::{self, Existing, Put};
use crate::guard::wanted::{self, Plan, Wanted};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, one, pinned_search_path, Param};
use crate::pg::text::Abridged;
use crate::version::column;
use crate::version::rule::{ATTACHMENT, FUNCTION, IGNORE};
use pgrx::pg_sys::Oid;

function_entry!(raceguard_add_version, crate::version::install::add_version);
function_entry!(raceguard_plan_version, crate::version::install::plan_version);

const GUARD: &str = "version";
const DEFAULT_COLUMN: &str = "version";

/// The arguments after `target`, checked for themselves.
struct VersionArguments {
    column: String,
    unstated: String,
    sends: String,
    ignore: Vec<String>,
    mode: String,
    replace: bool,
}

/// `raceguard.add_version(target, version_column, unstated, client_sends, ignore, mode, replace) -> text`: guards
/// a table against lost updates by a version, in a column that is added where it is missing. `unstated` is what
/// happens to an UPDATE that states none (`allow`, `warn`, `reject`), `client_sends` what clients state (`next`,
/// the version they read plus one, or `current`), `ignore` the columns whose change needs none, `mode` whether
/// the guard refuses (`enforce`) or logs (`observe`). Returns the trigger's name. Serves two people who edit one
/// order: the second is told instead of erasing the first.
///
/// Raises 42501 unless the caller owns the table, 42703 and 42804 for the columns, 42809 and 0A000 for a table
/// that cannot be guarded, 42710 for another definition without `replace`, 22023, 22004, 40001 at REPEATABLE
/// READ and above where the table has changed since the snapshot.
fn add_version(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let (target, request) = asked_for(call)?;
            install(&target, &request).map(Value::Text)
        })
    })
}

/// `raceguard.plan_version(same arguments as add_version) -> table(step, ddl, lock_mode, own_transaction)`: what is
/// left to do of `add_version`, in order, for a table that is in use. Changes nothing.
///
/// Raises what `add_version` raises for the same arguments.
fn plan_version(call: Call) -> Result<Value, Report> {
    let steps = connected(|| {
        pinned_search_path(|| {
            let (target, request) = asked_for(call)?;
            steps(&target, &request)
        })
    })?;
    return_steps(call, &steps)
}

fn asked_for(call: Call) -> Result<(Target, VersionArguments), Report> {
    let target = Target::owned(call, 0)?;
    let request = VersionArguments::read(call)?;
    let of_time = |column: ColumnInfo| column.type_name.starts_with("timestamp");
    spread::refuse(
        target.oid,
        match target.column(&request.column)?.is_some_and(of_time) {
            true => spread::VERSION_OF_TIME,
            false => spread::VERSION,
        },
    )?;
    request.check_ignored(&target)?;
    Ok((target, request))
}

impl VersionArguments {
    fn read(call: Call) -> Result<VersionArguments, Report> {
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
        Ok(VersionArguments {
            column,
            unstated: choice(2, "unstated", &["allow", "warn", "reject"])?,
            sends: choice(3, "client_sends", &["next", "current"])?,
            ignore,
            mode: choice(5, "mode", &Mode::NAMES)?,
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
        arguments.extend(Mode::named(&self.mode).and_then(Mode::argument));
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
fn shown(table: Oid) -> Result<String, Report> {
    let name: Option<String> = one("SELECT $1::pg_catalog.regclass::text", &[Param::Oid(table)])?;
    Ok(name.unwrap_or_default())
}

/// What to do about the guard that stands, if any.
fn plan(target: &Target, request: &VersionArguments) -> Result<Plan, Report> {
    let wanted = Wanted {
        guard: GUARD,
        attachment: &ATTACHMENT,
        arguments: request.trigger_arguments(),
        keyed: false,
        fault: None,
    };
    let standing = trigger::existing(target, FUNCTION)?;
    if standing.len() > 1 {
        return Err(several(target, &standing));
    }
    wanted::plan(target, standing.into_iter().next(), &wanted, request.replace)
}

fn create(put: Put, target: &Target, name: &str, request: &VersionArguments) -> String {
    let arguments = request.trigger_arguments();
    trigger::statement(put, target, name, "BEFORE UPDATE", FUNCTION, &arguments)
}

fn install(target: &Target, request: &VersionArguments) -> Result<String, Report> {
    let name = trigger::trigger_name(GUARD, "")?;
    // A migration that runs again takes no lock.
    target.refuse_old_view()?;
    let before = plan(target, request)?;
    if let Some(name) = before.done(target)? {
        return Ok(name);
    }
    refuse_inherited_guard(target, FUNCTION)?;
    let ready = column::is_ready(target, &request.column, &request.sends)?;
    target.lock(if ready { "SHARE ROW EXCLUSIVE" } else { "ACCESS EXCLUSIVE" })?;
    // Someone else may have added the guard meanwhile.
    let now = plan(target, request)?;
    if let Some(name) = now.done(target)? {
        return Ok(name);
    }
    let replaced = now.replaced(target);
    refuse_guarded_partitions(target, FUNCTION)?;
    if let (false, Some(standing)) = (ready, &replaced) {
        // It would judge how the column is filled.
        trigger::drop(target, &standing.trigger)?;
    }
    column::prepare(target, &request.column, &request.sends)?;
    let create = |put| create(put, target, &name, request);
    let standing = replaced.filter(|standing| ready || standing.trigger == name);
    target.run_all(&trigger::put_up(target, standing.as_ref(), &name, create)?)?;
    tell_of_guard(target, request, &name)?;
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(name)
}

fn steps(target: &Target, request: &VersionArguments) -> Result<Vec<Step>, Report> {
    let name = trigger::trigger_name(GUARD, "")?;
    let plan = plan(target, request)?;
    if matches!(plan, Plan::Create | Plan::Mend(..) | Plan::Replace(_)) {
        refuse_inherited_guard(target, FUNCTION)?;
        refuse_guarded_partitions(target, FUNCTION)?;
    }
    let mut steps = match plan {
        Plan::Keep(_) | Plan::Enable(_) => Vec::new(),
        _ => column::steps(target, &request.column, &request.sends)?,
    };
    steps.extend(of_trigger(&plan, target, &name, |put| create(put, target, &name, request))?);
    Ok(steps)
}

/// 42710: a call that puts up one guard cannot say which of several it means.
fn several(target: &Target, standing: &[Existing]) -> Report {
    let listed = |t: &Existing| {
        let column = t.arguments.first().map_or("", String::as_str);
        format!("\"{}\" on column \"{}\"", t.trigger, Abridged(column))
    };
    let listed = standing.iter().map(listed).collect::<Vec<_>>().join(", ");
    let report = Report::error(
        errors::DUPLICATE_OBJECT,
        format_args!("table \"{}\" has several version guards", target.name),
    )
    .detail(format_args!("They are the triggers {listed}, and each judges every update."))
    .table(target.oid);
    match standing.first() {
        Some(first) => report
            .hint(format_args!(
                "Drop all but one, then call again; for example: DROP TRIGGER {} ON {};",
                identifier(&first.trigger),
                target.qualified
            ))
            .constraint(&first.trigger),
        None => report,
    }
}

fn tell_of_guard(target: &Target, request: &VersionArguments, name: &str) -> Result<(), Report> {
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
    tell_of_children(target, "add_version")?;
    let indexes: Option<String> = one(
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

/// Takes a version guard off a table; the column stays unless `drop_column`.
pub fn remove(target: &Target, guard: &Existing, drop_column: bool) -> Result<(), Report> {
    trigger::drop(target, &guard.trigger)?;
    match guard.arguments.first() {
        Some(column) if drop_column => target.drop_column(column),
        _ => Ok(()),
    }
}

/// Lets a guard that stands enforce or observe.
pub fn set_mode(target: &Target, guard: &Existing, mode: Mode) -> Result<(), Report> {
    put_mode(target, guard, &ATTACHMENT, mode)
}
