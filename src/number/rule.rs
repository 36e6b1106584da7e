//! The rule of a number guard: what its trigger's arguments mean in its table.

use crate::errors;
use crate::guard::attachment::{self, Attachment, Events};
use crate::guard::spread;
use crate::pg::column::Column;
use crate::pg::error::Report;
use crate::pg::key::{Key, Runs};
use crate::pg::memory::Memory;
use crate::pg::numbered_index::{self, IndexForm, NumberedIndex};
use crate::pg::rule_cache::{Cached, Last};
use crate::pg::trigger::{Definition, Timing};
use crate::pg::version_value::VersionKind;
use pgrx::pg_sys;

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
    /// Whether rows get no number yet: those that stand come first, in the order of their primary key.
    pub pending: bool,
}

/// The argument of a trigger under which rows get no number yet.
pub const PENDING: &str = "rows=pending";

/// Reads the options; the error is the argument that is none.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let column = arguments.next().unwrap_or_default();
    let mut options = Options { column, start: START, pending: false };
    for argument in arguments {
        match argument.split_once('=') {
            Some(("start", number)) => match number.parse::<i32>() {
                Ok(start) => options.start = start.into(),
                Err(_) => return Err(argument),
            },
            _ if argument == PENDING => options.pending = true,
            _ => return Err(argument),
        }
    }
    if column.is_empty() {
        return Err(column);
    }
    Ok(options)
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
    Ok(Rule {
        options,
        column,
        last: kind.max(),
        index,
        partition: numbered_index::partition_constraint(table, memory),
    })
}

/// 55000: nothing keeps numbers apart any more.
fn no_index(trigger: Definition, options: Options) -> Report {
    let table = trigger.table();
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "guard \"{}\" on table \"{}\" has lost its index",
            trigger.name(),
            table.name()
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
        assert_eq!(of(&["number"]), Ok(Options { column: "number", start: 1, pending: false }));
        assert_eq!(of(&["n", "start=-5"]), Ok(Options { column: "n", start: -5, pending: false }));
        assert_eq!(
            of(&["n", "rows=pending"]),
            Ok(Options { column: "n", start: 1, pending: true })
        );
        for bad in ["rows=", "start=x", "start=2147483648", "start=", "begin=1", "mode=observe"] {
            assert_eq!(of(&["n", bad]), Err(bad));
        }
        assert_eq!(of(&[""]), Err(""));
        assert_eq!(of(&[]), Err(""));
    }
}
