//! The triggers that write a counter when rows are in, and keep others from writing it.

use crate::errors;
use crate::guard::attachment;
use crate::guard::child_key::key_values;
use crate::guard::outcome;
use crate::guard::settling;
use crate::number::counter;
use crate::number::counter_rule::{Counted, COUNTER, COUNTER_ATTACHMENT, KEEPER_ATTACHMENT};
use crate::number::rule::{integer, NumberRules, Rule, FUNCTION, START};
use crate::pg::column::{read_integer, Column};
use crate::pg::error::Report;
use crate::pg::key::Runs;
use crate::pg::memory::Memory;
use crate::pg::numbered_scan::Direction;
use crate::pg::row_slot::RowSlot;
use crate::pg::rule_cache::{self, Cached, Last};
use crate::pg::trigger::{find_named, guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::Row;
use pgrx::pg_sys::{Datum, Oid};

guard_entry!(raceguard_number_counter, "number_counter", crate::number::counter_guard::follow);

guard_entry!(raceguard_number_keeper, "number_keeper", crate::number::counter_guard::keep);

/// The rules of [`COUNTER_FUNCTION`](crate::number::counter_rule::COUNTER_FUNCTION): what the guard's own trigger says, fire it
/// or not; none as long as that is not there, as between two steps of a plan.
struct CounterRules;

impl Cached for CounterRules {
    type Rule<'r> = Option<Rule<'r>>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Option<Rule<'r>>, Report> {
        attachment::check(trigger, &COUNTER_ATTACHMENT)?;
        let name = trigger.logical_name();
        let guard = name.as_str().strip_suffix(COUNTER).unwrap_or_default();
        match find_named(trigger.table(), FUNCTION, guard) {
            Some(own) => NumberRules::build(own, memory).map(Some),
            None => Ok(None),
        }
    }

    fn last() -> &'static Last<CounterRules> {
        static LAST: Last<CounterRules> = Last::new();
        &LAST
    }

    fn tables<'a>(rule: &'a Option<Rule>) -> &'a [Oid] {
        rule.as_ref().map_or(&[], NumberRules::tables)
    }

    fn runs(rule: &Option<Rule>) -> Runs {
        rule.as_ref().map_or(Runs::Nothing, NumberRules::runs)
    }
}

/// The trigger function `raceguard.number_counter`, AFTER INSERT OR UPDATE OR DELETE row trigger of the numbered table.
///
/// Raises 22003 for a number that the counter cannot hold, 55000 where the guard is not whole, 42501 where the owner of the table
/// may not update the counter.
pub fn follow<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    outcome::leave(firing, followed(firing))
}

fn followed<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    if !firing.is_row(Timing::After) {
        return Err(attachment::otherwise(&COUNTER_ATTACHMENT, firing.table()));
    }
    let Some(rule) = rule_cache::rule::<CounterRules>(firing.definition())? else {
        return Ok(firing.pass());
    };
    let Some(counted) = rule.counter else { return Ok(firing.pass()) };
    let number = |row: Row| {
        row.get(rule.column.attno).map(|value| read_integer(value, rule.column.type_oid))
    };
    match firing.event() {
        Event::Insert => came(firing, rule, counted, number(firing.new_row()))?,
        Event::Delete => left(firing, counted, number(firing.old()))?,
        Event::Update => {
            let (old, new) = (number(firing.old()), number(firing.new_row()));
            if old != new || !rule.index.key.is_unchanged(firing.old(), firing.new_row()) {
                left(firing, counted, old)?;
                came(firing, rule, counted, new)?;
            }
        }
    }
    Ok(firing.pass())
}

/// A row is in, with a number.
fn came(firing: Firing, rule: &Rule, counted: Counted, number: Option<i64>) -> Result<(), Report> {
    let Some(number) = number else { return Ok(()) };
    let Some(values) = key_values(&counted.foreign_key, firing.new_row()) else { return Ok(()) };
    counter::follow(&counted, &values, number, || {
        highest(firing, rule, firing.new_in_slot(), number)
    })
}

/// The highest number that stands under the key of a row, from one that does.
fn highest(firing: Firing, rule: &Rule, row: RowSlot, from: i64) -> i64 {
    let key = rule.index.key.values(row);
    let scan = rule.index.open(firing.table(), &key);
    let found = scan.first(Direction::Highest, from);
    scan.close();
    found.unwrap_or(from)
}

/// A row goes, or gets another key or number.
fn left(firing: Firing, counted: Counted, number: Option<i64>) -> Result<(), Report> {
    let Some(number) = number else { return Ok(()) };
    match key_values(&counted.foreign_key, firing.old()) {
        Some(values) => counter::give_up(&counted, &values, number),
        None => Ok(()),
    }
}

/// What the arguments of the parent's trigger mean in one (leaf) table.
#[derive(Clone, Copy)]
struct KeeperRule<'r> {
    name: &'r str,
    column: Column,
    /// What the counter of a new parent says where it states none.
    before: i64,
}

struct KeeperRules;

impl Cached for KeeperRules {
    type Rule<'r> = KeeperRule<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<KeeperRule<'r>, Report> {
        attachment::check(trigger, &KEEPER_ATTACHMENT)?;
        let table = trigger.table();
        let name = memory.keep_text(trigger.argument(0));
        let remedy =
            "Call raceguard.add_number with the column's present name and replace => true.";
        let column = table
            .column_named(name)
            .ok_or_else(|| errors::guard_column_missing(trigger.name(), table, name, remedy))?;
        let start = match (trigger.argument_count(), trigger.argument(1).strip_prefix("start=")) {
            (1, _) => Some(START),
            (2, Some(start)) => start.parse::<i32>().ok().map(i64::from),
            _ => None,
        };
        match (integer(column), start) {
            (Some(_), Some(start)) => Ok(KeeperRule { name, column, before: start - 1 }),
            _ => Err(errors::wrong_argument(
                trigger.name(),
                table,
                format_args!(
                    "\"{name}\" is no smallint, integer or bigint column, or what follows is not start=NUMBER."
                ),
            )),
        }
    }

    fn last() -> &'static Last<KeeperRules> {
        static LAST: Last<KeeperRules> = Last::new();
        &LAST
    }

    fn runs(_: &KeeperRule) -> Runs {
        Runs::Nothing
    }
}

/// The trigger function `raceguard.number_keeper`, BEFORE INSERT OR UPDATE OR DELETE row trigger of the parent. A new parent keeps
/// the counter that it states, as a restore does.
///
/// Raises 428C9 for a change of the counter by anybody but the guard.
pub fn keep<'f>(firing: Firing<'f>) -> Result<Row<'f>, Report> {
    if !firing.is_row(Timing::Before) {
        return Err(attachment::otherwise(&KEEPER_ATTACHMENT, firing.table()));
    }
    if firing.event() == Event::Delete {
        counter::forget();
        return Ok(firing.old());
    }
    let rule = rule_cache::rule::<KeeperRules>(firing.definition())?;
    let new = firing.new_row();
    let read = |row: Row| row.get(rule.column.attno).map(|n| read_integer(n, rule.column.type_oid));
    if firing.event() == Event::Insert {
        counter::forget();
        return Ok(match read(new) {
            None => new.with(rule.column.attno, Some(Datum::from(rule.before))),
            Some(_) => new,
        });
    }
    let now = read(new);
    if read(firing.old()) == now {
        counter::forget();
        settling::see_unchanged(firing, rule.name);
    } else if !settling::claim(firing, rule.name, now.unwrap_or_default() as u64) {
        return Err(settling::not_yours(
            firing,
            rule.name,
            format_args!("It keeps the number that a guard of raceguard's gave last."),
            format_args!(
                "Leave the column out of the UPDATE, or write back the value that it has."
            ),
        ));
    }
    Ok(new)
}
