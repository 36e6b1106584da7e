//! Optimistic locking: the version guard judges the version an UPDATE states and bumps it once.
//!
//! The guard compares with OLD and writes OLD + 1, so a client that bumps the version itself and
//! one that leaves it alone both move it by exactly one.

use super::numbering;
use super::outcome::{self, Mode};
use crate::errors::{self, Code};
use crate::pg::cache;
use crate::pg::clock;
use crate::pg::error::Report;
use crate::pg::foreign_key;
use crate::pg::memory;
use crate::pg::relation::{Column, Table};
use crate::pg::text::PgText;
use crate::pg::trigger::{guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::{same_image, Row};
use crate::pg::value::{self, Kind};

guard_entry!(raceguard_version_guard, "version_guard", crate::guards::version::fire);

/// Which version a client puts into the SET list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientSends {
    /// The version it read, plus one (`SET version = version + 1`, as ORMs do).
    Next,
    /// The version it read.
    Current,
}

/// What happens to an UPDATE that states no version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unstated {
    Allow,
    Warn,
    Reject,
}

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub column: &'a str,
    pub client_sends: ClientSends,
    pub unstated: Unstated,
    pub mode: Mode,
}

/// Reads the options; `ignore=` arguments may repeat and are read by the caller. The error says
/// what is wrong with which argument.
pub fn parse<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, BadArgument<'a>> {
    let mut arguments = arguments;
    let column = match arguments.next() {
        Some(column) if !column.is_empty() => column,
        _ => return Err(BadArgument::NoColumn),
    };
    let mut options = Options {
        column,
        client_sends: ClientSends::Next,
        unstated: Unstated::Allow,
        mode: Mode::Enforce,
    };
    for argument in arguments {
        match argument {
            "client_sends=next" => options.client_sends = ClientSends::Next,
            "client_sends=current" => options.client_sends = ClientSends::Current,
            "unstated=allow" => options.unstated = Unstated::Allow,
            "unstated=warn" => options.unstated = Unstated::Warn,
            "unstated=reject" => options.unstated = Unstated::Reject,
            "mode=enforce" => options.mode = Mode::Enforce,
            "mode=observe" => options.mode = Mode::Observe,
            _ if argument.strip_prefix(IGNORE).is_some_and(|name| !name.is_empty()) => {}
            _ => return Err(BadArgument::Unknown(argument)),
        }
    }
    Ok(options)
}

/// The argument that names one ignored column.
pub const IGNORE: &str = "ignore=";

/// Why trigger arguments are no rule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum BadArgument<'a> {
    NoColumn,
    Unknown(&'a str),
}

/// The rule of one trigger: options with the table's columns looked up.
#[derive(Clone, Copy)]
struct Rule {
    options: Options<'static>,
    column: Column,
    kind: Kind,
    /// Columns whose change needs a version; empty without `ignore`.
    watched: &'static [Column],
    ignores: bool,
}

/// What the UPDATE says about the version.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stated {
    /// The SET list does not name the column.
    Nothing,
    /// The SET list names it; `None` is NULL.
    Value(Option<i64>),
}

/// What becomes of the UPDATE.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// The version moves on.
    Pass,
    /// It states a version that is not the row's.
    Stale,
    /// It states none and has to.
    Missing,
}

/// Judges one UPDATE. `next` is the version that follows `old`; a row whose version is NULL (a
/// column that was made nullable) accepts NULL as its version.
pub fn judge(
    sends: ClientSends,
    unstated: Unstated,
    old: Option<i64>,
    next: i64,
    stated: Stated,
) -> Verdict {
    match stated {
        Stated::Nothing if unstated == Unstated::Reject => Verdict::Missing,
        Stated::Nothing => Verdict::Pass,
        Stated::Value(value) => {
            let expected = match sends {
                ClientSends::Current => old,
                ClientSends::Next => old.map(|_| next),
            };
            if value == expected {
                Verdict::Pass
            } else {
                Verdict::Stale
            }
        }
    }
}

fn build(trigger: Definition) -> Result<Rule, Report> {
    let table = trigger.table();
    let name = trigger.name();
    let arguments = memory::keep_arguments(trigger);
    let options = parse(arguments.iter().copied()).map_err(|bad| match bad {
        BadArgument::NoColumn => errors::wrong_argument(
            name,
            table,
            format_args!("The first argument must name the version column."),
        ),
        BadArgument::Unknown(argument) => errors::wrong_argument(
            name,
            table,
            format_args!("\"{argument}\" is not an option of version_guard."),
        ),
    })?;
    let column = column(table, name, options.column)?;
    let kind = Kind::of_version(column).ok_or_else(|| {
        errors::wrong_argument(
            name,
            table,
            format_args!(
                "Version column \"{}\" is not smallint, integer, bigint or timestamptz.",
                options.column
            ),
        )
    })?;
    let ignores = arguments.iter().any(|a| a.starts_with(IGNORE));
    let mut watched = memory::Buffer::new(table.column_count() as usize);
    if ignores {
        for argument in arguments.iter().filter_map(|a| a.strip_prefix(IGNORE)) {
            self::column(table, name, argument)?;
        }
        for attno in 1..=table.column_count() {
            let Some(candidate) = table.column(attno) else {
                continue;
            };
            let ignored =
                arguments.iter().any(|a| a.strip_prefix(IGNORE) == Some(table.column_name(attno)));
            if !ignored && !candidate.generated && attno != column.attno {
                watched.push(candidate);
            }
        }
    }
    Ok(Rule { options, column, kind, watched: watched.into_slice(), ignores })
}

fn column(table: Table, trigger: &str, name: &str) -> Result<Column, Report> {
    table.column_named(name).ok_or_else(|| {
        errors::guard_column_missing(
            trigger,
            table,
            name,
            "Call raceguard.drop_guard and raceguard.add_version with the column's present name.",
        )
    })
}

/// The trigger function `raceguard.version_guard`, BEFORE UPDATE row trigger.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) || firing.event() == Event::Delete {
        return Err(errors::wrong_timing(
            "version_guard",
            firing.table(),
            "BEFORE UPDATE FOR EACH ROW",
        ));
    }
    let rule = cache::rule(firing.definition(), build)?;
    let new = firing.new_row();
    if firing.event() == Event::Insert {
        // A given version stays: restores and partition moves must not reset it.
        return Ok(new);
    }
    let old = firing.old();
    let attno = rule.column.attno;
    let old_version = old.get(attno).map(|d| rule.kind.read(d));
    let new_version = new.get(attno).map(|d| rule.kind.read(d));
    let stated = firing.sets_column(attno);
    if rule.ignores && !stated && !rule.watched.iter().any(|c| !same_image(old, new, *c)) {
        return Ok(if new_version == old_version { new } else { new.with(attno, old.get(attno)) });
    }
    if !stated && numbering::is_numbering_slots(firing.table().oid()) {
        return Ok(new);
    }
    let Some(next) = next_version(rule, old_version) else {
        return Err(overflow(firing, rule));
    };
    let said = if stated { Stated::Value(new_version) } else { Stated::Nothing };
    match judge(rule.options.client_sends, rule.options.unstated, old_version, next, said) {
        Verdict::Pass if !stated && rule.options.unstated == Unstated::Warn => {
            warn_unstated(firing, rule)
        }
        Verdict::Pass => {}
        Verdict::Missing if foreign_key::is_cascade() => {}
        Verdict::Missing => outcome::refuse(rule.options.mode, missing(firing, rule))?,
        Verdict::Stale
            if numbering::is_numbering(firing.table().oid(), old_version, new_version) =>
        {
            return Ok(new)
        }
        Verdict::Stale => {
            outcome::refuse(rule.options.mode, stale(firing, rule, old, old_version, new_version))?
        }
    }
    if new_version == Some(next) {
        return Ok(new);
    }
    Ok(new.with(attno, Some(rule.kind.write(next))))
}

/// The version after `old`; `None` when the column's type cannot hold it.
#[inline]
fn next_version(rule: &Rule, old: Option<i64>) -> Option<i64> {
    match rule.kind {
        Kind::Timestamp { unit } => clock::strictly_after(old, unit),
        _ => {
            let next = old.unwrap_or(0).checked_add(1)?;
            (next <= rule.kind.max()).then_some(next)
        }
    }
}

/// The version a client had read when it sent `sent`.
fn base_version(rule: &Rule, sent: Option<i64>) -> Option<i64> {
    match rule.options.client_sends {
        ClientSends::Current => sent,
        ClientSends::Next => sent.map(|v| v.wrapping_sub(1)),
    }
}

fn show(rule: &Rule, version: Option<i64>) -> PgText {
    match version {
        None => PgText::from_fmt(format_args!("NULL")),
        Some(v) => value::show(rule.kind, v),
    }
}

#[cold]
fn stale(firing: Firing, rule: &Rule, old: Row, stored: Option<i64>, sent: Option<i64>) -> Report {
    let table = firing.table();
    let stated = show(rule, base_version(rule, sent));
    let stored = show(rule, stored);
    let detail = match table.describe_key(old) {
        Some(key) => PgText::from_fmt(format_args!(
            "Key {key}: stated version {stated}, stored version {stored}."
        )),
        None => PgText::from_fmt(format_args!("Stated version {stated}, stored version {stored}.")),
    };
    errors::own(
        Code::Rg409,
        table.oid(),
        format_args!("row of \"{}\" has changed since it was read", table.name()),
        Some(format_args!("{detail}")),
        format_args!(
            "Read the row again, apply the change to what it says now, and repeat the update."
        ),
        None,
    )
    .column(rule.options.column)
    .constraint(firing.trigger_name())
}

#[cold]
fn missing(firing: Firing, rule: &Rule) -> Report {
    let table = firing.table();
    let column = rule.options.column;
    let must = match rule.options.client_sends {
        ClientSends::Next => "the version it read plus one",
        ClientSends::Current => "the version it read",
    };
    errors::own(
        Code::Rg428,
        table.oid(),
        format_args!("update of \"{}\" must state the version it is based on", table.name()),
        Some(format_args!(
            "Column \"{column}\" is not in the SET list; the client must send {must}."
        )),
        format_args!("Set \"{column}\" in the UPDATE, or use raceguard.compare_and_swap."),
        None,
    )
    .column(column)
    .constraint(firing.trigger_name())
}

#[cold]
fn warn_unstated(firing: Firing, rule: &Rule) {
    outcome::warn(
        format_args!(
            "update of \"{}\" does not state the version it is based on",
            firing.table().name()
        ),
        format_args!(
            "Set \"{}\" in the UPDATE; the guard only warns because it was added with unstated => 'warn'.",
            rule.options.column
        ),
    );
}

#[cold]
fn overflow(firing: Firing, rule: &Rule) -> Report {
    Report::error(
        errors::OUT_OF_RANGE,
        format_args!(
            "version of a row of \"{}\" is the largest that column \"{}\" can hold",
            firing.table().name(),
            rule.options.column
        ),
    )
    .detail(format_args!("The version would have to go past the range of the column's type."))
    .hint(format_args!(
        "Change the column to a wider type, for example with ALTER COLUMN ... TYPE bigint."
    ))
    .table(firing.table().oid())
    .column(rule.options.column)
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
