//! Optimistic locking: the version guard judges the version an UPDATE states and bumps it once.
//!
//! The guard compares with OLD and writes OLD + 1, so a client that bumps the version itself and
//! one that leaves it alone both move it by exactly one.

use super::numbering;
use super::outcome::{self, Mode};
use super::version_reports as reports;
use crate::errors::{self, Code};
use crate::pg::cache;
use crate::pg::clock;
use crate::pg::compare::Watched;
use crate::pg::error::Report;
use crate::pg::executor;
use crate::pg::memory;
use crate::pg::relation::{Column, Table};
use crate::pg::text::{quote_ident, PgText};
use crate::pg::trigger::{guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::Row;
use crate::pg::value::Kind;

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

/// The trigger function's name in SQL.
pub const FUNCTION: &str = "version_guard";

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
pub struct Rule {
    pub options: Options<'static>,
    pub column: Column,
    pub kind: Kind,
    /// Columns whose change needs a version.
    watched: Watched,
    ignores: bool,
    /// Whether sending back the stored version and sending none have different consequences.
    tells_apart: bool,
}

impl Rule {
    pub fn attno(&self) -> i16 {
        self.column.attno
    }
}

/// What the UPDATE says about the version.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stated {
    /// The SET list does not name the column.
    Nothing,
    /// The SET list names it; `None` is NULL.
    Value(Option<i64>),
}

impl Stated {
    /// The version in the SET list, if there is one.
    pub fn version(self) -> Option<i64> {
        match self {
            Stated::Value(version) => version,
            Stated::Nothing => None,
        }
    }
}

/// What becomes of the UPDATE.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// The version moves on.
    Pass,
    /// It states a version that is not the row's.
    Stale,
    /// It states none and should.
    NoneStated,
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
        Stated::Nothing if unstated == Unstated::Allow => Verdict::Pass,
        Stated::Nothing => Verdict::NoneStated,
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

/// Builds the rule of a version guard's trigger.
pub fn build(trigger: Definition) -> Result<Rule, Report> {
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
    if matches!(kind, Kind::Timestamp { .. }) && options.client_sends == ClientSends::Next {
        return Err(errors::wrong_argument(
            name,
            table,
            format_args!(
                "Version column \"{}\" is a timestamptz, which no client can know in advance; it needs 'client_sends=current'.",
                options.column
            ),
        ));
    }
    let ignores = arguments.iter().any(|a| a.starts_with(IGNORE));
    for argument in arguments.iter().filter_map(|a| a.strip_prefix(IGNORE)) {
        self::column(table, name, argument)?;
    }
    let watched = Watched::of(table, |candidate| {
        let name = table.column_name(candidate.attno);
        ignores
            && !candidate.generated
            && candidate.attno != column.attno
            && !arguments.iter().any(|a| a.strip_prefix(IGNORE) == Some(name))
    });
    Ok(Rule {
        options,
        column,
        kind,
        watched,
        ignores,
        tells_apart: ignores
            || options.client_sends == ClientSends::Next
            || options.unstated != Unstated::Allow,
    })
}

fn column(table: Table, trigger: &str, name: &str) -> Result<Column, Report> {
    table.column_named(name).ok_or_else(|| {
        let remedy = PgText::from_fmt(format_args!(
            "Call raceguard.add_version for the table with the columns' present names and replace => true, or drop trigger {}.",
            quote_ident(trigger)
        ));
        errors::guard_column_missing(trigger, table, name, remedy.as_str())
    })
}

/// The trigger function `raceguard.version_guard`, BEFORE UPDATE row trigger.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) || firing.event() == Event::Delete {
        return Err(errors::wrong_timing(FUNCTION, firing.table(), "BEFORE UPDATE FOR EACH ROW"));
    }
    let rule = cache::rule(firing.definition(), build)?;
    let new = firing.new_row();
    if firing.event() == Event::Insert {
        // A given version stays: restores and partition moves must not reset it.
        return Ok(new);
    }
    let old = firing.old();
    let attno = rule.column.attno;
    let stored = old.get(attno).map(|d| rule.kind.read(d));
    let stated = if firing.sets_column(attno) {
        stated_by_statement(firing, rule, new, stored)
    } else {
        Stated::Nothing
    };
    if rule.ignores && stated == Stated::Nothing && !rule.watched.differ(old, new) {
        return Ok(keep_version(rule, old, new));
    }
    if stated == Stated::Nothing && numbering::is_numbering_slots(firing.table().oid()) {
        return Ok(keep_version(rule, old, new));
    }
    let Some(next) = next_version(rule, stored) else {
        return Err(reports::overflow(firing, rule));
    };
    let options = rule.options;
    match judge(options.client_sends, options.unstated, stored, next, stated) {
        Verdict::Pass => {}
        Verdict::Stale
            if numbering::is_numbering(firing.table().oid(), stored, stated.version()) =>
        {
            return Ok(new)
        }
        Verdict::Stale => outcome::refuse(options.mode, Code::Rg409, |style| {
            reports::stale(firing, rule, stored, stated, style)
        })?,
        Verdict::NoneStated => unstated(firing, rule, stored)?,
    }
    if stated == Stated::Value(Some(next)) {
        return Ok(new);
    }
    Ok(new.with(attno, Some(rule.kind.write(next))))
}

/// What the row states where the statement's SET list names the version. An action of MERGE that
/// leaves the version alone looks like one that states the stored version.
#[inline]
fn stated_by_statement(firing: Firing, rule: &Rule, new: Row, stored: Option<i64>) -> Stated {
    let sent = new.get(rule.attno()).map(|d| rule.kind.read(d));
    if sent == stored && rule.tells_apart && executor::action_leaves_out(firing, rule.attno()) {
        return Stated::Nothing;
    }
    Stated::Value(sent)
}

/// NEW with OLD's version, whatever another trigger made of it.
fn keep_version(rule: &Rule, old: Row, new: Row) -> Row {
    let attno = rule.attno();
    let read = |row: Row| row.get(attno).map(|d| rule.kind.read(d));
    if read(new) == read(old) {
        return new;
    }
    new.with(attno, old.get(attno))
}

/// An UPDATE without a version where that is not simply allowed. Foreign keys cannot state one.
#[cold]
fn unstated(firing: Firing, rule: &Rule, stored: Option<i64>) -> Result<(), Report> {
    if executor::is_foreign_key_action(firing) {
        return Ok(());
    }
    if rule.options.unstated == Unstated::Warn {
        reports::warn_unstated(firing, rule);
        return Ok(());
    }
    outcome::refuse(rule.options.mode, Code::Rg428, |style| {
        reports::missing(firing, rule, stored, style)
    })
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

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
