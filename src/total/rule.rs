//! The rule of a total: what its triggers' arguments mean in the child's table.

use crate::errors;
use crate::guard::attachment::{self, Attachment, Events, ForEach, EVERY_ROW};
use crate::guard::child_key::{self, KeyWords};
use crate::guard::key::after_rename;
use crate::guard::kind::Rename;
use crate::guard::spread;
use crate::pg::distribution;
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key::{is_deferrable, ForeignKey};
use crate::pg::key::{self, Key, Runs};
use crate::pg::memory::{Buffer, Memory};
use crate::pg::relation::{attno_of, name_of, Table};
use crate::pg::rule_cache::{Cached, Last};
use crate::pg::text::PgText;
use crate::pg::trigger::{find_named, Definition, Timing};
use crate::pg::trigger_shape::Fires;
use crate::total::session::{NotedFor, SourceKind};
use pgrx::pg_sys::{self, Oid};

/// The trigger functions' names in SQL: on the child.
pub const FUNCTION: &str = "total_guard";
pub const STATEMENT_FUNCTION: &str = "total_statement";
pub const SETTLE_FUNCTION: &str = "total_settle";

/// The same on the parent.
pub const COLUMN_FUNCTION: &str = "total_column";
pub const PARENT_FUNCTION: &str = "total_parent";

/// The functions in the WHEN conditions of the deferred triggers.
pub const DUE_FUNCTION: &str = "total_due";
pub const PARENT_DUE_FUNCTION: &str = "total_parent_due";

/// The trigger that notes amounts.
pub const ATTACHMENT: Attachment = Attachment::of_rows(FUNCTION, Timing::After, EVERY_ROW);

/// The triggers that know where a statement begins and ends.
pub const STATEMENT_ATTACHMENTS: [Attachment; 2] =
    [of_statement(Timing::Before), of_statement(Timing::After)];

const fn of_statement(timing: Timing) -> Attachment {
    Attachment {
        level: ForEach::Statement,
        ..Attachment::of_rows(STATEMENT_FUNCTION, timing, EVERY_ROW.or(Events::TRUNCATE))
    }
}

/// The deferred trigger.
pub const SETTLE_ATTACHMENT: Attachment = Attachment {
    condition: true,
    ..Attachment::of_rows(SETTLE_FUNCTION, Timing::After, EVERY_ROW)
};

/// The parent's trigger that keeps others from writing the total.
pub const COLUMN_ATTACHMENT: Attachment =
    Attachment::of_rows(COLUMN_FUNCTION, Timing::Before, EVERY_ROW);

/// The parent's trigger that looks at rows that come, and whose key changes.
pub const PARENT_ATTACHMENT: Attachment =
    Attachment::of_rows(PARENT_FUNCTION, Timing::After, Events::INSERT.or(Events::UPDATE));

/// The parent's trigger for TRUNCATE.
pub const PARENT_TRUNCATE_ATTACHMENT: Attachment = Attachment {
    level: ForEach::Statement,
    ..Attachment::of_rows(PARENT_FUNCTION, Timing::After, Events::TRUNCATE)
};

/// What the names of the child's other triggers add to that of the guard's own.
pub const BEGIN: &str = "_begin";
pub const END: &str = "_end";
pub const SETTLE: &str = "_settle";

/// The same of the parent's.
pub const ROWS: &str = "_rows";
pub const TRUNCATED: &str = "_truncated";

/// What errors say of a total.
pub const WORDS: KeyWords = KeyWords {
    call: "add_total",
    purpose: "that could count it",
    one: "could count it",
    second: "",
};

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TotalOptions<'a> {
    /// The parent's column.
    pub column: &'a str,
    pub foreign_key: &'a str,
    pub amount: &'a str,
    pub predicate: Option<&'a str>,
    pub at_commit: bool,
}

/// Reads the options; the error is the argument that is none or is missing.
pub fn parse<'a>(
    mut arguments: impl Iterator<Item = &'a str>,
) -> Result<TotalOptions<'a>, &'a str> {
    let column = arguments.next().unwrap_or_default();
    let mut options =
        TotalOptions { column, foreign_key: "", amount: "1", predicate: None, at_commit: false };
    for argument in arguments {
        match argument.split_once('=') {
            Some(("foreign_key", name)) => options.foreign_key = name,
            Some(("amount", amount)) => options.amount = amount,
            Some(("predicate", predicate)) => options.predicate = Some(predicate),
            Some(("settle", "commit")) => options.at_commit = true,
            _ => return Err(argument),
        }
    }
    match options {
        TotalOptions { column: "", .. } => Err("total_column"),
        TotalOptions { foreign_key: "", .. } => Err("foreign_key"),
        _ => Ok(options),
    }
}

/// How much a row counts.
#[derive(Clone, Copy)]
pub enum RowAmount<'r> {
    Constant(i64),
    Integer(Key<'r>),
    Numeric(Key<'r>),
}

/// The rule of one total on one (leaf) table.
#[derive(Clone, Copy)]
pub struct TotalRule<'r> {
    pub foreign_key: ForeignKey<'r>,
    /// The number of the parent's column.
    pub column: i16,
    pub amount: RowAmount<'r>,
    pub predicate: Option<Key<'r>>,
    pub kind: SourceKind,
    tables: &'r [Oid],
}

impl TotalRule<'_> {
    pub fn noted(&self) -> NotedFor<'_> {
        NotedFor { foreign_key: &self.foreign_key, column: self.column, kind: self.kind }
    }
}

/// The rules of [`FUNCTION`].
pub struct TotalRules;

impl Cached for TotalRules {
    type Rule<'r> = TotalRule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<TotalRule<'r>, Report> {
        attachment::check(trigger, &ATTACHMENT)?;
        check_companions(trigger)?;
        build(trigger, memory)
    }

    fn last() -> &'static Last<TotalRules> {
        static LAST: Last<TotalRules> = Last::new();
        &LAST
    }

    fn tables<'a>(rule: &'a TotalRule) -> &'a [Oid] {
        rule.tables
    }

    fn runs(rule: &TotalRule) -> Runs {
        let amount = match rule.amount {
            RowAmount::Constant(_) => Runs::Nothing,
            RowAmount::Integer(key) | RowAmount::Numeric(key) => key.runs(),
        };
        amount.max(rule.predicate.map_or(Runs::Nothing, |predicate| predicate.runs()))
    }
}

/// The rule as the trigger for TRUNCATE needs it.
#[derive(Clone, Copy)]
pub struct TruncatedTotal<'r> {
    pub rule: TotalRule<'r>,
    pub options: TotalOptions<'r>,
}

/// The rules of [`STATEMENT_FUNCTION`]: what the guard's own trigger says; none where that is gone or off.
pub struct TruncatedTotals;

impl Cached for TruncatedTotals {
    type Rule<'r> = Option<TruncatedTotal<'r>>;

    fn build<'r>(
        trigger: Definition,
        memory: Memory<'r>,
    ) -> Result<Option<TruncatedTotal<'r>>, Report> {
        let name = trigger.logical_name();
        let guard = name.as_str().strip_suffix(BEGIN).unwrap_or_default();
        let own = find_named(trigger.table(), FUNCTION, guard);
        let Some(own) = own.filter(|own| own.is_live_row_trigger()) else { return Ok(None) };
        let options = options_of(own, own.keep_arguments(memory))?;
        Ok(Some(TruncatedTotal { rule: build(own, memory)?, options }))
    }

    fn last() -> &'static Last<TruncatedTotals> {
        static LAST: Last<TruncatedTotals> = Last::new();
        &LAST
    }

    fn tables<'a>(rule: &'a Option<TruncatedTotal>) -> &'a [Oid] {
        rule.as_ref().map_or(&[], |truncated| truncated.rule.tables)
    }

    fn runs(rule: &Option<TruncatedTotal>) -> Runs {
        rule.as_ref().map_or(Runs::Nothing, |truncated| TotalRules::runs(&truncated.rule))
    }
}

/// What the guard whose [`STATEMENT_FUNCTION`] fires does for a statement. What is wrong with the guard its row trigger
/// tells.
#[derive(Clone, Copy)]
pub struct OfStatement {
    /// Whether its rows may wait for their parents.
    pub late: bool,
    /// The deferred trigger that has nothing to do as long as the statement's end is to come, if that is so.
    pub idle: Option<Oid>,
}

/// The rules of [`OfStatement`].
pub struct StatementRules;

impl Cached for StatementRules {
    type Rule<'r> = OfStatement;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<OfStatement, Report> {
        let nothing = OfStatement { late: false, idle: None };
        let name = trigger.logical_name();
        let guard = name.as_str().strip_suffix(BEGIN).unwrap_or_default();
        let Some(own) = find_named(trigger.table(), FUNCTION, guard) else { return Ok(nothing) };
        let Ok(options) = parse(own.keep_arguments(memory).iter().copied()) else {
            return Ok(nothing);
        };
        let remembered = remembered_parent(own);
        let found = child_key::find(own, options.foreign_key, remembered, &WORDS, memory);
        let late = found.is_ok_and(|key| is_deferrable(key.constraint));
        let settle = other(own, SETTLE_FUNCTION, SETTLE).filter(|_| !late && !options.at_commit);
        Ok(OfStatement { late, idle: settle.map(|settle| settle.id()) })
    }

    fn last() -> &'static Last<StatementRules> {
        static LAST: Last<StatementRules> = Last::new();
        &LAST
    }

    fn runs(_: &OfStatement) -> Runs {
        Runs::Nothing
    }
}

fn options_of<'r>(
    trigger: Definition,
    arguments: &'r [&'r str],
) -> Result<TotalOptions<'r>, Report> {
    parse(arguments.iter().copied()).map_err(|bad| {
        errors::wrong_argument(
            trigger.name(),
            trigger.table(),
            format_args!("\"{bad}\" is missing or is not an option of total_guard."),
        )
    })
}

/// Builds the rule that a trigger's arguments say. Plain frames.
fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<TotalRule<'r>, Report> {
    let table = trigger.table();
    let options = options_of(trigger, trigger.keep_arguments(memory))?;
    let remembered = remembered_parent(trigger);
    let foreign_key = child_key::find(trigger, options.foreign_key, remembered, &WORDS, memory)?;
    spread::check_parent(table, Some(trigger), spread::TOTAL, foreign_key.parent)?;
    let column = attno_of(foreign_key.parent, options.column)
        .ok_or_else(|| no_column(trigger, foreign_key.parent, options.column))?;
    let mut tables = Buffer::new(memory, foreign_key.tables.len() + 1);
    tables.push(foreign_key.parent);
    for above in foreign_key.tables {
        tables.push(*above);
    }
    let predicate = match options.predicate {
        Some(predicate) => Some(compile(trigger, "predicate", predicate, memory)?),
        None => None,
    };
    if predicate.is_some_and(|p| !p.is_condition()) {
        let problem = format_args!("The predicate is not a boolean expression.");
        return Err(errors::wrong_argument(trigger.name(), table, problem));
    }
    Ok(TotalRule {
        foreign_key,
        column,
        amount: amount_of(trigger, options.amount, memory)?,
        predicate,
        kind: if options.at_commit { SourceKind::Commit } else { SourceKind::Statement },
        tables: tables.into_slice(),
    })
}

fn amount_of<'r>(
    trigger: Definition,
    amount: &str,
    memory: Memory<'r>,
) -> Result<RowAmount<'r>, Report> {
    if let Ok(constant) = amount.parse() {
        return Ok(RowAmount::Constant(constant));
    }
    let key = compile(trigger, "amount", amount, memory)?;
    match kind_of_amount(&key) {
        Some(true) => Ok(RowAmount::Integer(key)),
        Some(false) => Ok(RowAmount::Numeric(key)),
        None => Err(errors::wrong_argument(
            trigger.name(),
            trigger.table(),
            format_args!("The amount is not smallint, integer, bigint or numeric."),
        )),
    }
}

/// Whether an amount is an integer, or numeric; `None` if it is neither.
pub fn kind_of_amount(key: &Key) -> Option<bool> {
    match key.parts {
        [part] => kind_of_type(part.type_oid),
        _ => None,
    }
}

/// The same of a type.
pub fn kind_of_type(type_oid: Oid) -> Option<bool> {
    match type_oid {
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Some(true),
        pg_sys::NUMERICOID => Some(false),
        _ => None,
    }
}

/// Postgres's parser raises its errors, a renamed column for one, by itself.
fn compile<'r>(
    trigger: Definition,
    what: &str,
    text: &str,
    memory: Memory<'r>,
) -> Result<Key<'r>, Report> {
    let table = trigger.table();
    let expression = PgText::from_fmt(format_args!("({text})"));
    let read = |table: Table| Ok(key::parse(table, expression.as_str(), memory)?.compile(table));
    catch(|| key::with_pinned_text(|| read(table)))
        .and_then(|outcome| outcome)
        .map_err(|cause| errors::guard_text_broken(trigger.name(), table, what, text, cause))
}

/// The parent of a guard: its deferred trigger was made FROM it.
fn remembered_parent(trigger: Definition) -> Option<Oid> {
    other(trigger, SETTLE_FUNCTION, SETTLE).and_then(|settle| settle.referenced())
}

/// Another trigger of a guard: it has the guard's name with an end.
fn other<'t>(trigger: Definition<'t>, function: &str, end: &str) -> Option<Definition<'t>> {
    let name = PgText::from_fmt(format_args!("{}{end}", trigger.logical_name()));
    find_named(trigger.table(), function, name.as_str())
}

/// 55000 unless the triggers that settle what this one notes fire where it does. Statement triggers stand on the
/// topmost table alone.
fn check_companions(trigger: Definition) -> Result<(), Report> {
    let fires = trigger.fires();
    let covers =
        |others: Fires| (others.origin || !fires.origin) && (others.replica || !fires.replica);
    let [before, after] = &STATEMENT_ATTACHMENTS;
    let settle = (&SETTLE_ATTACHMENT, SETTLE);
    let wanted: &[(&Attachment, &str)] = match trigger.is_clone() {
        true => &[settle],
        false => &[(before, BEGIN), (after, END), settle],
    };
    for (attachment, end) in wanted {
        let found = other(trigger, attachment.function, end)
            .filter(|found| attachment.fits(found.shape()))
            .map_or(Fires::NEVER, |found| found.fires());
        if !covers(found) {
            return Err(companion_off(trigger, attachment, end));
        }
    }
    Ok(())
}

fn companion_off(trigger: Definition, attachment: &Attachment, end: &str) -> Report {
    let (name, table) = (trigger.logical_name(), trigger.table());
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "guard \"{name}\" on table \"{}\" would not settle what it counts",
            errors::known_as(table)
        ),
    )
    .detail(format_args!(
        "No trigger \"{name}{end}\" that executes raceguard.{} {attachment} is enabled.",
        attachment.function
    ))
    .hint(format_args!("Call raceguard.add_total again: it puts up what is missing."))
    .table(table.oid())
    .constraint(name.as_str())
}

/// 42703: the parent's column is no longer there.
fn no_column(trigger: Definition, parent: Oid, column: &str) -> Report {
    let table = trigger.table();
    Report::error(
        errors::UNDEFINED_COLUMN,
        format_args!(
            "guard \"{}\" on table \"{}\" keeps column \"{column}\" of \"{}\", which does not exist",
            trigger.logical_name(),
            errors::known_as(table),
            name_of(distribution::logical(parent))
        ),
    )
    .detail(format_args!(
        "The column was renamed or dropped after the guard was added; writes are refused rather than left uncounted."
    ))
    .hint(format_args!(
        "Call raceguard.drop_guard, and raceguard.add_total with the column's present name."
    ))
    .table(parent)
    .column(column)
}

/// The arguments of one of its triggers after a rename. Call it inside `pinned_search_path`.
pub fn renamed(table: Oid, arguments: &[String], rename: &Rename) -> Result<Vec<String>, Report> {
    // A child's first argument names a column of the parent.
    let is_child = arguments.iter().any(|argument| argument.starts_with("foreign_key="));
    let mut renamed = Vec::with_capacity(arguments.len());
    for (n, argument) in arguments.iter().enumerate() {
        renamed.push(match (rename, argument.split_once('=')) {
            (Rename::ParentColumn { old, new }, _) if n == 0 && is_child && argument == old => {
                (*new).to_owned()
            }
            (Rename::Column { old, new, .. }, _) if n == 0 && !is_child && argument == old => {
                (*new).to_owned()
            }
            (Rename::Constraint { old, new }, Some(("foreign_key", name))) if name == *old => {
                format!("foreign_key={new}")
            }
            (
                Rename::Column { attno, old, .. },
                Some((option @ ("amount" | "predicate" | "at_most" | "at_least"), expression)),
            ) if n > 0 => {
                let renamed = after_rename(table, &format!("({expression})"), *attno, old)?;
                format!("{option}={}", key::bare(&renamed))
            }
            _ => argument.clone(),
        });
    }
    Ok(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_what_is_none_is_named() {
        let read = |list: &[&'static str]| parse(list.iter().copied());
        let plain = read(&["seats", "foreign_key=fk"]);
        assert_eq!(
            plain,
            Ok(TotalOptions {
                column: "seats",
                foreign_key: "fk",
                amount: "1",
                predicate: None,
                at_commit: false
            })
        );
        let full = read(&["s", "foreign_key=f", "amount=a = b", "predicate=c=d", "settle=commit"]);
        assert_eq!(
            full.map(|o| (o.amount, o.predicate, o.at_commit)),
            Ok(("a = b", Some("c=d"), true))
        );
        assert_eq!(read(&["s"]), Err("foreign_key"));
        assert_eq!(read(&[]), Err("total_column"));
        assert_eq!(read(&["s", "foreign_key=f", "settle=late"]), Err("settle=late"));
    }
}
