//! The rule of a cooldown: what its trigger's arguments mean in its table.

use crate::errors;
use crate::guard::attachment::{self, Attachment, Events};
use crate::guard::key::after_rename;
use crate::guard::kind::Rename;
use crate::guard::outcome::Mode;
use crate::guard::spread;
use crate::pg::column::Column;
use crate::pg::distribution::{self, Location};
use crate::pg::error::{catch, Report};
use crate::pg::instant::{Clock, Period};
use crate::pg::key::{self, Key, Runs};
use crate::pg::memory::{Buffer, Memory, Scratch};
use crate::pg::relation::{qualified, Table};
use crate::pg::rule_cache::{self, Cached, Last};
use crate::pg::text::{quote_ident, quote_literal, PgText};
use crate::pg::time_index::{self, TimeIndex};
use crate::pg::trigger::{Definition, Timing};
use pgrx::pg_sys::Oid;

/// The trigger function's name in SQL.
pub const FUNCTION: &str = "cooldown_guard";

/// How the trigger is attached.
pub const ATTACHMENT: Attachment =
    Attachment::of_rows(FUNCTION, Timing::After, Events::INSERT.or(Events::UPDATE));

/// The most rows that a cooldown may allow: for each row it reads all of its key within a period.
pub const MAX_ROWS: usize = 1_000_000;

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub key: &'a str,
    pub at: &'a str,
    pub period: &'a str,
    pub max_rows: usize,
    pub predicate: Option<&'a str>,
    /// An UPDATE is judged against the time its own row had before.
    pub own_past: bool,
    pub mode: Mode,
}

/// Reads the options; the error is the argument that is none or is missing.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let key = arguments.next().unwrap_or_default();
    let mut options = Options {
        key,
        at: "",
        period: "",
        max_rows: 1,
        predicate: None,
        own_past: false,
        mode: Mode::Enforce,
    };
    for argument in arguments {
        if let Some(mode) = Mode::of_argument(argument) {
            options.mode = mode;
            continue;
        }
        match argument.split_once('=') {
            Some(("at", column)) => options.at = column,
            Some(("period", period)) => options.period = period,
            Some(("predicate", predicate)) => options.predicate = Some(predicate),
            Some(("own_past", "true")) => options.own_past = true,
            Some(("max_rows", number)) => match number.parse() {
                Ok(rows @ 1..=MAX_ROWS) => options.max_rows = rows,
                _ => return Err(argument),
            },
            _ => return Err(argument),
        }
    }
    match options {
        Options { key: "", .. } => Err("key"),
        Options { at: "", .. } => Err("at"),
        Options { period: "", .. } => Err("period"),
        _ => Ok(options),
    }
}

/// The rule of one cooldown on one (leaf) table.
#[derive(Clone, Copy)]
pub struct Rule<'r> {
    pub options: Options<'r>,
    pub key: Key<'r>,
    pub predicate: Option<Key<'r>>,
    pub at: Column,
    pub clock: Clock,
    pub period: Period,
    /// No period is longer.
    pub reach: i64,
    /// Every leaf that can hold rows of one key.
    pub leaves: &'r [TimeIndex<'r>],
    pub root: Oid,
    /// Where its rows lie, if not in it.
    pub place: Option<Location>,
    /// Every table of the partition tree.
    pub tree: &'r [Oid],
}

/// The rules of [`FUNCTION`].
pub struct CooldownRules;

impl Cached for CooldownRules {
    type Rule<'r> = Rule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
        build(trigger, memory)
    }

    fn last() -> &'static Last<CooldownRules> {
        static LAST: Last<CooldownRules> = Last::new();
        &LAST
    }

    fn tables<'a>(rule: &'a Rule) -> &'a [Oid] {
        rule.tree
    }

    fn runs(rule: &Rule) -> Runs {
        rule.key.runs().max(rule.predicate.map_or(Runs::Nothing, |predicate| predicate.runs()))
    }
}

/// Builds the rule of a cooldown trigger.
fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
    attachment::check(trigger, &ATTACHMENT)?;
    let table = trigger.table();
    let arguments = trigger.keep_arguments(memory);
    let options = parse(arguments.iter().copied()).map_err(|bad| {
        errors::wrong_argument(
            trigger.name(),
            table,
            format_args!("\"{bad}\" is missing or is not an option of cooldown_guard."),
        )
    })?;
    let (key, at, clock, predicate) = compile(table, trigger.name(), &options, memory, memory)?;
    let place = spread::check_key(table, Some(trigger), spread::COOLDOWN, &key)?;
    let (members, tree) = time_index::family(table, &key, memory);
    let mut leaves = Buffer::new(memory, members.len());
    let scratch = Scratch::new()?;
    for leaf in members {
        leaves.push(scratch.distil(memory, |scratch, memory| {
            time_index::with_table(*leaf, |leaf| {
                // The index is compared with the key and read without it. Each leaf's rule has all leaves.
                let (key, at, clock, predicate) =
                    compile(leaf, trigger.name(), &options, scratch, memory)?;
                time_index::find(leaf, &key, predicate, at, clock, memory)
                    .ok_or_else(|| no_index(trigger, leaf, &options))
            })
        })?);
    }
    scratch.done()?;
    let period = catch(|| Period::parse(options.period)).ok();
    let period = period.filter(|p| p.is_positive() && p.is_finite()).ok_or_else(|| {
        let problem = format_args!("\"{}\" is not a positive period.", options.period);
        errors::wrong_argument(trigger.name(), table, problem)
    })?;
    let (leaves, root, reach) = (leaves.into_slice(), table.root(), clock.reach(period));
    Ok(Rule { options, key, predicate, at, clock, period, reach, leaves, root, place, tree })
}

/// The rule of a cooldown's trigger, with every leaf it reads locked: an index cannot be dropped
/// or replaced any more once the leaf is locked, and what was committed before is known by then.
pub fn rule<'t>(trigger: Definition<'t>) -> Result<&'t Rule<'t>, Report> {
    loop {
        let rule = rule_cache::rule::<CooldownRules>(trigger)?;
        let seen = rule_cache::invalidations();
        let others = time_index::lock(rule.leaves, trigger.table());
        if !others || rule_cache::invalidations() == seen {
            return Ok(rule);
        }
    }
}

type Compiled<'k, 'm> = (Key<'k>, Column, Clock, Option<Key<'m>>);

/// Key, in memory of its own, time column and predicate as they are in one table of the tree.
fn compile<'k, 'm>(
    table: Table,
    trigger: &str,
    options: &Options,
    key_memory: Memory<'k>,
    memory: Memory<'m>,
) -> Result<Compiled<'k, 'm>, Report> {
    let at = table.column_named(options.at).ok_or_else(|| {
        errors::guard_column_missing(
            trigger,
            table,
            options.at,
            "Call raceguard.drop_guard and raceguard.add_cooldown with the column's present name.",
        )
    })?;
    let clock = Clock::of(at).ok_or_else(|| {
        errors::wrong_argument(
            trigger,
            table,
            format_args!("Column \"{}\" is not date, timestamp or timestamptz.", options.at),
        )
    })?;
    let broken = |what: &str, shown: &str, cause| {
        errors::guard_text_broken(trigger, table, what, shown, cause)
    };
    let key =
        read(table, options.key, key_memory).map_err(|cause| broken("key", options.key, cause))?;
    let predicate = match options.predicate {
        Some(predicate) => {
            let condition = PgText::from_fmt(format_args!("({predicate})"));
            let read = read(table, condition.as_str(), memory);
            Some(read.map_err(|cause| broken("predicate", predicate, cause))?)
        }
        None => None,
    };
    if predicate.is_some_and(|p| !p.is_condition()) {
        let problem = format_args!("The predicate is not a boolean expression.");
        return Err(errors::wrong_argument(trigger, table, problem));
    }
    if let Some(part) = key.unhashable() {
        return Err(key::no_hash_function(part).table(table.oid()));
    }
    Ok((key, at, clock, predicate))
}

/// A key as it is in the table. Postgres's parser raises its errors, a renamed column for one, by itself.
fn read<'m>(table: Table, text: &str, memory: Memory<'m>) -> Result<Key<'m>, Report> {
    catch(|| key::with_pinned_text(|| Ok(key::parse(table, text, memory)?.compile(table))))
        .and_then(|outcome| outcome)
}

/// 55000: without its index the guard would have to read the whole table for every row.
fn no_index(trigger: Definition, leaf: Table, options: &Options) -> Report {
    let root = errors::literal_for_calls(trigger.table());
    let name = trigger.logical_name();
    let predicate = match options.predicate {
        Some(predicate) => PgText::from_fmt(format_args!(" WHERE {predicate}")),
        None => PgText::new(),
    };
    let report = Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("guard \"{name}\" has no index on table \"{}\"", errors::known_as(leaf)),
    )
    .detail(format_args!(
        "It needs a valid btree index on ({}, {}), ascending, without a predicate or with its own; writes are refused rather than left unguarded.",
        options.key,
        quote_ident(options.at)
    ));
    let take_off = PgText::from_fmt(format_args!(
        "SELECT raceguard.drop_guard({root}, {});",
        quote_literal(name.as_str())
    ));
    let report = if leaf.is_foreign() {
        report.hint(format_args!(
            "A foreign table can have none: detach it, or take the guard off: {take_off}"
        ))
    } else {
        report.hint(format_args!(
            "CREATE INDEX ON {} ({}, {}){predicate}; or take the guard off: {take_off}",
            qualified(distribution::logical(leaf.oid())),
            options.key,
            quote_ident(options.at)
        ))
    };
    report.table(leaf.oid()).constraint(name.as_str())
}

/// The arguments after a rename. The index follows by itself. Call it inside `pinned_search_path`.
pub fn renamed(table: Oid, arguments: &[String], rename: &Rename) -> Result<Vec<String>, Report> {
    let Rename::Column { attno, old, new } = rename else { return Ok(arguments.to_vec()) };
    let mut renamed = Vec::with_capacity(arguments.len());
    for (n, argument) in arguments.iter().enumerate() {
        renamed.push(match argument.split_once('=') {
            _ if n == 0 => after_rename(table, argument, *attno, old)?,
            Some(("at", column)) if column == *old => format!("at={new}"),
            Some(("predicate", predicate)) => {
                let renamed = after_rename(table, &format!("({predicate})"), *attno, old)?;
                format!("predicate={}", key::bare(&renamed))
            }
            _ => argument.clone(),
        });
    }
    Ok(renamed)
}
