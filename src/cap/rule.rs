//! The rule of a cap: what its triggers' arguments mean in its table.

use crate::cap::protocol::Fill;
use crate::errors;
use crate::guard::attachment::{self, Attachment, Events};
use crate::guard::outcome::Mode;
use crate::guard::spread;
use crate::pg::column::Column;
use crate::pg::distribution::Location;
use crate::pg::error::Report;
use crate::pg::key::{Key, Runs};
use crate::pg::memory::Memory;
use crate::pg::numbered_index::{self, IndexForm, NumberedIndex};
use crate::pg::rule_cache::{Cached, Last};
use crate::pg::trigger::{Definition, Timing};
use crate::pg::trigger_order::later_writer;
use crate::pg::trigger_shape::Fires;
use pgrx::pg_sys::{self, Oid};

/// The trigger functions' names in SQL.
pub const FUNCTION: &str = "cap_guard";

pub const FULL_FUNCTION: &str = "cap_full_guard";

/// The trigger that chooses the slot.
pub const ATTACHMENT: Attachment =
    Attachment::of_rows(FUNCTION, Timing::Before, Events::INSERT.or(Events::UPDATE));

/// The trigger that refuses slot 0; for UPDATE too where another trigger has the last word there.
pub const FULL_ATTACHMENT: Attachment = Attachment {
    also: Events::UPDATE,
    ..Attachment::of_rows(FULL_FUNCTION, Timing::After, Events::INSERT)
};

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub column: &'a str,
    pub slots: i64,
    pub fill: Fill,
    pub mode: Mode,
}

/// Reads the options; the error is the argument that is none.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let column = arguments.next().unwrap_or_default();
    let mut options = Options { column, slots: 0, fill: Fill::Lowest, mode: Mode::Enforce };
    for argument in arguments {
        if let Some(mode) = Mode::of_argument(argument) {
            options.mode = mode;
            continue;
        }
        match argument.split_once('=') {
            Some(("slots", number)) => match number.parse() {
                Ok(slots @ 1..=2_147_483_647) => options.slots = slots,
                _ => return Err(argument),
            },
            Some(("fill", "lowest")) => options.fill = Fill::Lowest,
            Some(("fill", "append")) => options.fill = Fill::Append,
            _ => return Err(argument),
        }
    }
    if column.is_empty() || options.slots == 0 {
        return Err(column);
    }
    Ok(options)
}

/// The rule of one cap on one (leaf) table.
#[derive(Clone, Copy)]
pub struct Rule<'r> {
    pub options: Options<'r>,
    pub column: Column,
    pub index: NumberedIndex<'r>,
    pub partition: Option<Key<'r>>,
    /// Where its rows lie, if not in it.
    pub place: Option<Location>,
    pub on_insert: Refuser,
    pub on_update: Refuser,
    /// The trigger that refuses slot 0 on INSERT, where rows with another slot need not fire it: nobody else writes
    /// slots after the guard.
    pub refuser: Option<Oid>,
}

/// What stands between slot 0 and the table at one event.
#[derive(Clone, Copy)]
pub struct Refuser {
    /// Where the trigger fires that refuses it.
    pub fires: Fires,
    /// Whether another BEFORE trigger fires after the guard, and may write any slot.
    pub needed: bool,
}

impl Refuser {
    fn of(trigger: Definition, event: Events) -> Refuser {
        Refuser {
            fires: attachment::companion(trigger, &FULL_ATTACHMENT, event),
            needed: later_writer(trigger, event.bits()).is_some(),
        }
    }
}

impl Rule<'_> {
    /// Whether it lets rows in for which there is no slot.
    pub fn observes(&self) -> bool {
        self.options.mode == Mode::Observe
    }

    /// The least number that the slot column holds.
    pub fn least(&self) -> i64 {
        match self.column.type_oid {
            pg_sys::INT2OID => i16::MIN as i64,
            pg_sys::INT4OID => i32::MIN as i64,
            _ => i64::MIN,
        }
    }

    // At least what the index's operators run.
    fn runs(&self) -> Runs {
        let evaluated = self.index.predicate.iter().chain(&self.partition).map(Key::runs);
        evaluated.fold(self.index.key.runs().max(Runs::BuiltIn), Runs::max)
    }
}

/// The rules of [`FUNCTION`], which chooses the slot.
pub struct CapRules;

impl Cached for CapRules {
    type Rule<'r> = Rule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
        build(trigger, &ATTACHMENT, memory)
    }

    fn last() -> &'static Last<CapRules> {
        static LAST: Last<CapRules> = Last::new();
        &LAST
    }

    fn runs(rule: &Rule) -> Runs {
        rule.runs()
    }
}

/// The rules of [`FULL_FUNCTION`], which refuses slot 0.
pub struct FullCapRules;

impl Cached for FullCapRules {
    type Rule<'r> = Rule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Rule<'r>, Report> {
        build(trigger, &FULL_ATTACHMENT, memory)
    }

    fn last() -> &'static Last<FullCapRules> {
        static LAST: Last<FullCapRules> = Last::new();
        &LAST
    }

    fn runs(rule: &Rule) -> Runs {
        rule.runs()
    }
}

/// Builds the rule of one of a cap's triggers.
fn build<'r>(
    trigger: Definition,
    attachment: &Attachment,
    memory: Memory<'r>,
) -> Result<Rule<'r>, Report> {
    attachment::check(trigger, attachment)?;
    let table = trigger.table();
    let place = spread::check(table, Some(trigger), spread::CAP)?;
    let arguments = trigger.keep_arguments(memory);
    let options = parse(arguments.iter().copied()).map_err(|bad| {
        errors::wrong_argument(
            trigger.name(),
            table,
            format_args!(
                "\"{bad}\" is not a slot column or an option of a cap; slots=NUMBER is required."
            ),
        )
    })?;
    let column = table.column_named(options.column).ok_or_else(|| {
        errors::guard_column_missing(
            trigger.name(),
            table,
            options.column,
            "Call raceguard.drop_guard and raceguard.add_cap with the column's present name.",
        )
    })?;
    if !matches!(column.type_oid, pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID) {
        return Err(errors::wrong_argument(
            trigger.name(),
            table,
            format_args!("Slot column \"{}\" is not smallint, integer or bigint.", options.column),
        ));
    }
    let index = numbered_index::find(table, column, IndexForm::Slots, memory)?
        .ok_or_else(|| no_index(trigger, options))?;
    let (on_insert, on_update) =
        (Refuser::of(trigger, Events::INSERT), Refuser::of(trigger, Events::UPDATE));
    let unwatched = !on_insert.needed && !on_update.needed && options.mode == Mode::Enforce;
    let refuser = attachment::only_companion(trigger, &FULL_ATTACHMENT, Events::INSERT);
    Ok(Rule {
        options,
        column,
        index,
        partition: numbered_index::partition_constraint(table, memory),
        place,
        on_insert,
        on_update,
        refuser: refuser.filter(|_| unwatched),
    })
}

/// 55000: the rule cannot be judged any more.
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
        "There is no valid unique index that ends with column \"{}\" and has it in its predicate.",
        options.column
    ))
    .hint(format_args!("Call raceguard.drop_guard and raceguard.add_cap again."))
    .table(table.oid())
    .constraint(trigger.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        assert_eq!(
            parse(["slot", "slots=3", "fill=append"].into_iter()),
            Ok(Options { column: "slot", slots: 3, fill: Fill::Append, mode: Mode::Enforce })
        );
        assert_eq!(parse(["slot", "slots=0"].into_iter()), Err("slots=0"));
        assert_eq!(parse(["slot"].into_iter()), Err("slot"));
        assert_eq!(parse(["slot", "slots=3", "fill=best"].into_iter()), Err("fill=best"));
    }
}
