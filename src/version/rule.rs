//! The rule of a version guard: what its trigger's arguments mean in its table.

use crate::errors;
use crate::guard::attachment::{self, Attachment, Events};
use crate::guard::kind::Rename;
use crate::guard::outcome::Mode;
use crate::guard::spread;
use crate::pg::changed_columns::Watched;
use crate::pg::column::Column;
use crate::pg::error::Report;
use crate::pg::key::Runs;
use crate::pg::memory::Memory;
use crate::pg::relation::Table;
use crate::pg::rule_cache::{Cached, Last};
use crate::pg::text::{quote_ident, PgText};
use crate::pg::trigger::{Definition, Timing};
use crate::pg::version_value::VersionKind;
use core::fmt::Arguments;
use pgrx::pg_sys::Oid;

/// Which version a client puts into the SET list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientSends {
    /// The version it read, plus one (`SET version = version + 1`, as ORMs do).
    Next,
    /// The version it read.
    Current,
}

impl ClientSends {
    /// The version that raceguard's own UPDATE states of a row: the stored one is the right one, since the
    /// UPDATE decides by the row as it is stored. `column` as SQL names it.
    pub fn stated(self, column: &str) -> String {
        match self {
            ClientSends::Current => column.to_owned(),
            ClientSends::Next => format!("{column} OPERATOR(pg_catalog.+) 1"),
        }
    }
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

/// How the trigger is attached. An INSERT keeps the version it brings.
pub const ATTACHMENT: Attachment = Attachment {
    also: Events::INSERT,
    ..Attachment::of_rows(FUNCTION, Timing::Before, Events::UPDATE)
};

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
        if let Some(mode) = Mode::of_argument(argument) {
            options.mode = mode;
            continue;
        }
        match argument {
            "client_sends=next" => options.client_sends = ClientSends::Next,
            "client_sends=current" => options.client_sends = ClientSends::Current,
            "unstated=allow" => options.unstated = Unstated::Allow,
            "unstated=warn" => options.unstated = Unstated::Warn,
            "unstated=reject" => options.unstated = Unstated::Reject,
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
pub struct Rule<'r> {
    pub options: Options<'r>,
    pub column: Column,
    pub kind: VersionKind,
    /// Columns whose change needs a version.
    pub watched: Watched<'r>,
    pub ignores: bool,
    /// Whether sending back the stored version and sending none have different consequences.
    pub tells_apart: bool,
}

impl Rule<'_> {
    pub fn attno(&self) -> i16 {
        self.column.attno
    }
}

/// The rules of [`FUNCTION`].
pub struct VersionRules;

impl Cached for VersionRules {
    type Rule<'r> = Rule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
        build(trigger, memory)
    }

    fn last() -> &'static Last<VersionRules> {
        static LAST: Last<VersionRules> = Last::new();
        &LAST
    }

    fn runs(_: &Rule) -> Runs {
        Runs::Nothing
    }
}

/// Builds the rule of a version guard's trigger.
pub fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
    attachment::check(trigger, &ATTACHMENT)?;
    let (table, arguments) = (trigger.table(), trigger.keep_arguments(memory));
    let options = parse(arguments.iter().copied()).map_err(|bad| no_option(trigger, bad))?;
    let column = column(table, trigger.name(), options.column)?;
    let kind = kind(trigger, &options, column)?;
    spread::check(table, Some(trigger), needs(kind))?;
    let ignored = || arguments.iter().filter_map(|argument| argument.strip_prefix(IGNORE));
    for name in ignored() {
        self::column(table, trigger.name(), name)?;
    }
    let ignores = ignored().next().is_some();
    let watched = Watched::of(table, memory, |candidate| {
        let name = table.column_name(candidate.attno);
        ignores
            && !candidate.generated
            && candidate.attno != column.attno
            && !ignored().any(|ignored| ignored == name)
    });
    let tells_apart =
        ignores || options.client_sends == ClientSends::Next || options.unstated != Unstated::Allow;
    Ok(Rule { options, column, kind, watched, ignores, tells_apart })
}

/// What a version guard needs of the place of its rows.
pub fn needs(kind: VersionKind) -> spread::Needs {
    match kind {
        VersionKind::Timestamp { .. } => spread::VERSION_OF_TIME,
        _ => spread::VERSION,
    }
}

/// The kind of the version column, or 39P01 where it cannot be one.
fn kind(trigger: Definition, options: &Options, column: Column) -> Result<VersionKind, Report> {
    let refuse =
        |problem: Arguments| Err(errors::wrong_argument(trigger.name(), trigger.table(), problem));
    match VersionKind::of_version(column) {
        None => refuse(format_args!(
            "Version column \"{}\" is not smallint, integer, bigint or a timestamp.",
            options.column
        )),
        Some(VersionKind::Timestamp { .. }) if options.client_sends == ClientSends::Next => {
            refuse(format_args!(
                "Version column \"{}\" is a timestamp, which no client can know in advance; it needs 'client_sends=current'.",
                options.column
            ))
        }
        Some(kind) => Ok(kind),
    }
}

fn no_option(trigger: Definition, bad: BadArgument) -> Report {
    let problem = match bad {
        BadArgument::NoColumn => {
            PgText::from_fmt(format_args!("The first argument must name the version column."))
        }
        BadArgument::Unknown(argument) => {
            PgText::from_fmt(format_args!("\"{argument}\" is not an option of version_guard."))
        }
    };
    errors::wrong_argument(trigger.name(), trigger.table(), format_args!("{problem}"))
}

pub fn column(table: Table, trigger: &str, name: &str) -> Result<Column, Report> {
    table.column_named(name).ok_or_else(|| {
        let remedy = PgText::from_fmt(format_args!(
            "Call raceguard.add_version for the table with the columns' present names and replace => true, or drop trigger {}.",
            quote_ident(trigger)
        ));
        errors::guard_column_missing(trigger, table, name, remedy.as_str())
    })
}

/// The arguments after a rename.
pub fn renamed(_table: Oid, arguments: &[String], rename: &Rename) -> Result<Vec<String>, Report> {
    let Rename::Column { old, new, .. } = rename else { return Ok(arguments.to_vec()) };
    let follow = |(n, argument): (usize, &String)| match argument.strip_prefix(IGNORE) {
        Some(name) if n > 0 && name == *old => format!("{IGNORE}{new}"),
        _ if n == 0 && argument == old => (*new).to_owned(),
        _ => argument.clone(),
    };
    Ok(arguments.iter().enumerate().map(follow).collect())
}
