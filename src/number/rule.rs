//! The rule of a number guard: what its trigger's arguments mean in its table.

use crate::errors;
use crate::guard::attachment::{self, Attachment, Events};
use crate::guard::kind::Rename;
use crate::guard::spread;
use crate::number::counter_rule::{counted, Counted};
use crate::pg::column::Column;
use crate::pg::error::Report;
use crate::pg::key::{Key, Runs};
use crate::pg::memory::Memory;
use crate::pg::numbered_index::{self, IndexForm, NumberedIndex};
use crate::pg::rule_cache::{Cached, Last};
use crate::pg::trigger::{Definition, Timing};
use crate::pg::version_value::VersionKind;
use pgrx::pg_sys::{self, Oid};

/// The trigger function's name in SQL.
pub const FUNCTION: &str = "number_guard";

/// The trigger that numbers the rows.
pub const ATTACHMENT: Attachment =
    Attachment::of_rows(FUNCTION, Timing::Before, Events::INSERT.or(Events::UPDATE));

/// The number of a key's first row where nothing else is said.
pub const START: i64 = 1;

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub column: &'a str,
    pub start: i64,
    /// The column of the parent's row that keeps the number given last, and the foreign key that leads there.
    pub counter: Option<(&'a str, &'a str)>,
    /// Whether rows get no number yet: those that stand come first, in the order of their primary key.
    pub pending: bool,
}

/// The argument of a trigger under which rows get no number yet.
pub const PENDING: &str = "rows=pending";

/// Reads the options; the error is the argument that is none.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let column = arguments.next().unwrap_or_default();
    let mut options = Options { column, start: START, counter: None, pending: false };
    let (mut counter, mut foreign_key) = (None, None);
    for argument in arguments {
        match argument.split_once('=') {
            Some(("start", number)) => match number.parse::<i32>() {
                Ok(start) => options.start = start.into(),
                Err(_) => return Err(argument),
            },
            Some(("counter", name)) if !name.is_empty() => counter = Some(name),
            Some(("foreign_key", name)) if !name.is_empty() => foreign_key = Some(name),
            _ if argument == PENDING => options.pending = true,
            _ => return Err(argument),
        }
    }
    if column.is_empty() {
        return Err(column);
    }
    match (counter, foreign_key) {
        (Some(_), None) => Err("foreign_key"),
        (None, Some(_)) => Err("counter"),
        _ => Ok(Options { counter: counter.zip(foreign_key), ..options }),
    }
}

/// The rule of one number guard on one (leaf) table.
#[derive(Clone, Copy)]
pub struct Rule<'r> {
    pub options: Options<'r>,
    pub column: Column,
    /// The largest number that the column holds.
    pub last: i64,
    pub index: NumberedIndex<'r>,
    pub partition: Option<Key<'r>>,
    pub counter: Option<Counted<'r>>,
}

/// The rules of [`FUNCTION`].
pub struct NumberRules;

impl Cached for NumberRules {
    type Rule<'r> = Rule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
        build(trigger, memory)
    }

    fn last() -> &'static Last<NumberRules> {
        static LAST: Last<NumberRules> = Last::new();
        &LAST
    }

    fn tables<'a>(rule: &'a Rule) -> &'a [Oid] {
        rule.counter.as_ref().map_or(&[], |counter| counter.tables)
    }

    // At least what the index's operators run.
    fn runs(rule: &Rule) -> Runs {
        let key = rule.index.key.runs().max(Runs::BuiltIn);
        rule.partition.iter().map(Key::runs).fold(key, Runs::max)
    }
}

/// The column of a type that holds numbers.
pub fn integer(column: Column) -> Option<VersionKind> {
    match column.type_oid {
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => VersionKind::of_version(column),
        _ => None,
    }
}

/// The largest number that a type holds; `None` for one that holds none.
pub fn largest(type_name: &str) -> Option<i64> {
    match type_name {
        "smallint" => Some(i16::MAX.into()),
        "integer" => Some(i32::MAX.into()),
        "bigint" => Some(i64::MAX),
        _ => None,
    }
}

/// The arguments of one of its triggers after a rename.
pub fn renamed(_table: Oid, arguments: &[String], rename: &Rename) -> Result<Vec<String>, Report> {
    let mut arguments = arguments.to_vec();
    for (n, argument) in arguments.iter_mut().enumerate() {
        match (rename, argument.split_once('=')) {
            (Rename::Column { old, new, .. }, _) if n == 0 && argument == old => {
                *argument = (*new).to_owned();
            }
            (Rename::ParentColumn { old, new }, Some(("counter", name)))
                if n > 0 && name == *old =>
            {
                *argument = format!("counter={new}");
            }
            (Rename::Constraint { old, new }, Some(("foreign_key", name)))
                if n > 0 && name == *old =>
            {
                *argument = format!("foreign_key={new}");
            }
            _ => {}
        }
    }
    Ok(arguments)
}

/// Builds the rule of a number guard's trigger.
fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
    attachment::check(trigger, &ATTACHMENT)?;
    let table = trigger.table();
    spread::check(table, Some(trigger), spread::NUMBER)?;
    let arguments = trigger.keep_arguments(memory);
    let options = parse(arguments.iter().copied()).map_err(|bad| {
        errors::wrong_argument(
            trigger.name(),
            table,
            format_args!("\"{bad}\" is not a number column or an option of a number guard."),
        )
    })?;
    let column = table.column_named(options.column).ok_or_else(|| {
        errors::guard_column_missing(
            trigger.name(),
            table,
            options.column,
            "Call raceguard.drop_guard and raceguard.add_number with the column's present name.",
        )
    })?;
    let kind = integer(column).ok_or_else(|| {
        errors::wrong_argument(
            trigger.name(),
            table,
            format_args!(
                "Number column \"{}\" is not smallint, integer or bigint.",
                options.column
            ),
        )
    })?;
    let index = numbered_index::find(table, column, IndexForm::Numbers, memory)?
        .ok_or_else(|| no_index(trigger, options))?;
    let counter = match options.counter {
        Some(counter) => Some(counted(trigger, counter, memory)?),
        None => None,
    };
    Ok(Rule {
        options,
        column,
        last: kind.max(),
        index,
        partition: numbered_index::partition_constraint(table, memory),
        counter,
    })
}

/// 55000: nothing keeps numbers apart any more.
fn no_index(trigger: Definition, options: Options) -> Report {
    let table = trigger.table();
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "guard \"{}\" on table \"{}\" has lost its index",
            trigger.logical_name(),
            errors::known_as(table)
        ),
    )
    .detail(format_args!(
        "There is no valid unique index without a predicate that ends with column \"{}\".",
        options.column
    ))
    .hint(format_args!("Call raceguard.drop_guard and raceguard.add_number again."))
    .table(table.oid())
    .constraint(trigger.name())
}

#[cfg(test)]
mod tests {
    use super::{parse, Options};

    #[test]
    fn options_are_read_or_named() {
        let of = |list: &[&'static str]| parse(list.iter().copied());
        assert_eq!(
            of(&["number"]),
            Ok(Options { column: "number", start: 1, counter: None, pending: false })
        );
        assert_eq!(
            of(&["n", "start=-5"]),
            Ok(Options { column: "n", start: -5, counter: None, pending: false })
        );
        assert_eq!(
            of(&["n", "rows=pending"]),
            Ok(Options { column: "n", start: 1, counter: None, pending: true })
        );
        for bad in ["rows=", "start=x", "start=2147483648", "start=", "begin=1", "mode=observe"] {
            assert_eq!(of(&["n", bad]), Err(bad));
        }
        let counted = of(&["n", "counter=last", "foreign_key=f=k"]);
        assert_eq!(counted.map(|options| options.counter), Ok(Some(("last", "f=k"))));
        assert_eq!(of(&["n", "counter=last"]), Err("foreign_key"));
        assert_eq!(of(&["n", "foreign_key=fk"]), Err("counter"));
        assert_eq!(of(&["n", "counter="]), Err("counter="));
        assert_eq!(of(&[""]), Err(""));
        assert_eq!(of(&[]), Err(""));
    }
}
