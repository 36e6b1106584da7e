//! Caps: at most so many rows per key, each in a numbered slot.
//!
//! The unique index (key..., slot) and the CHECK on the slot are the rule and hold at every
//! isolation level; this guard only chooses the slot, so that writers meet neither. A slot is
//! reserved by try-locking it and looking again; one that someone else has reserved is skipped.
//! Only when every remaining slot is uncommitted elsewhere does a writer wait.
//!
//! A full cap writes slot 0 in the BEFORE trigger, and [`fire_full`] raises RG403 once the row has
//! really gone in: an upsert that inserts nothing must not fail.

use super::cap_search::{choose, claim};
use super::numbering;
use crate::errors::{self, Code};
use crate::pg::cache;
use crate::pg::cap_index::{self, read_integer, CapIndex};
use crate::pg::error::Report;
use crate::pg::key::{slot_integer, Key, KeyValues};
use crate::pg::memory;
use crate::pg::relation::{Column, Table};
use crate::pg::text::PgText;
use crate::pg::trigger::{guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::Row;
use pgrx::pg_sys::{self, Datum};

guard_entry!(raceguard_cap_guard, "cap_guard", crate::guards::cap::fire);
guard_entry!(raceguard_cap_full_guard, "cap_full_guard", crate::guards::cap::fire_full);

/// The trigger functions' names in SQL.
pub const FUNCTION: &str = "cap_guard";
pub const FULL_FUNCTION: &str = "cap_full_guard";

/// Where the next slot is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// The lowest free slot: gaps first.
    Lowest,
    /// Past the highest slot while there is room, gaps only at the end.
    Append,
}

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub column: &'a str,
    pub slots: i64,
    pub fill: Fill,
}

/// Reads the options; the error is the argument that is none.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let column = arguments.next().unwrap_or_default();
    let mut options = Options { column, slots: 0, fill: Fill::Lowest };
    for argument in arguments {
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
pub struct Rule {
    pub options: Options<'static>,
    pub column: Column,
    pub index: CapIndex,
    partition: Option<Key>,
}

/// Builds the rule of a cap's trigger.
pub fn build(trigger: Definition) -> Result<Rule, Report> {
    let table = trigger.table();
    let arguments = memory::keep_arguments(trigger);
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
    let index = cap_index::find(table, column)?.ok_or_else(|| no_index(trigger, options))?;
    Ok(Rule { options, column, index, partition: cap_index::partition_constraint(table) })
}

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
        "There is no valid unique index that ends with column \"{}\" and has it in its predicate.",
        options.column
    ))
    .hint(format_args!("Call raceguard.drop_guard and raceguard.add_cap again."))
    .table(table.oid())
    .constraint(trigger.name())
}

/// What becomes of the slot of a written row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// The row keeps what it has.
    Keep(i64),
    /// The writer gave it; the index judges.
    Given(i64),
    /// The guard chooses, this one if it is free.
    Prefer(i64),
    /// The guard chooses.
    Choose,
    /// The row stood here before the cap and has no slot yet: it gets one if one is free.
    Number,
    /// The row moves to another partition, whose guard chooses; the slot it had.
    Moves(Option<i64>),
}

/// A slot that asks the destination partition for the same one: far below any number a client
/// would write, and refused by the CHECK if it ever came to be stored.
fn encode_preference(slot: i64, type_oid: pg_sys::Oid) -> i64 {
    least(type_oid) + slot
}

fn decode_preference(value: i64, type_oid: pg_sys::Oid, slots: i64) -> Option<i64> {
    let slot = value.checked_sub(least(type_oid))?;
    (1..=slots).contains(&slot).then_some(slot)
}

fn least(type_oid: pg_sys::Oid) -> i64 {
    match type_oid {
        pg_sys::INT2OID => i16::MIN as i64,
        pg_sys::INT4OID => i32::MIN as i64,
        _ => i64::MIN,
    }
}

/// What the slot of an INSERTed row inside the cap comes to. `given` is what the row carries.
pub fn on_insert(null_key: bool, given: Option<i64>, preferred: Option<i64>) -> Slot {
    match given {
        _ if null_key => Slot::Keep(1),
        None | Some(0) => Slot::Choose,
        Some(_) if preferred.is_some() => Slot::Prefer(preferred.unwrap_or_default()),
        Some(slot) => Slot::Given(slot),
    }
}

/// What the slot of an UPDATEd row inside the cap comes to. A slot counts as given only if it is
/// neither NULL nor 0 and differs from OLD's, so that an ORM that writes back a slot it read does no
/// harm.
pub fn on_update(
    null_key: bool,
    stays: bool,
    moves: bool,
    old: Option<i64>,
    new: Option<i64>,
) -> Slot {
    let given = new.filter(|slot| new != old && *slot != 0);
    match given {
        _ if moves => Slot::Moves(given.or(old)),
        _ if null_key => Slot::Keep(1),
        Some(slot) => Slot::Given(slot),
        None if stays => match old {
            Some(slot) => Slot::Keep(slot),
            None => Slot::Number,
        },
        None => Slot::Choose,
    }
}

/// The trigger function `raceguard.cap_guard`, BEFORE INSERT OR UPDATE row trigger.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) || firing.event() == Event::Delete {
        let timing = "BEFORE INSERT OR UPDATE FOR EACH ROW";
        return Err(errors::wrong_timing(FUNCTION, firing.table(), timing));
    }
    let rule = cache::rule(firing.definition(), build)?;
    let new = firing.new_row();
    let read = |row: Row| row.get(rule.column.attno).map(|d| read_integer(d, rule.column.type_oid));
    let given = read(new);
    // As in an index, the key of a row outside the predicate is never evaluated.
    if !rule.index.covers(firing.new_slot()) {
        return Ok(if given.is_none() { new } else { new.with(rule.column.attno, None) });
    }
    let key = rule.index.key.values(firing.new_slot());
    let decision = if firing.event() == Event::Insert {
        let preferred =
            given.and_then(|g| decode_preference(g, rule.column.type_oid, rule.options.slots));
        on_insert(key.has_null(), given, preferred)
    } else {
        let moves = rule.partition.is_some_and(|p| !p.is_not_false(firing.new_slot()));
        on_update(key.has_null(), stays(rule, firing, &key), moves, read(firing.old()), given)
    };
    let chosen = settle(firing, rule, &key, decision)?;
    if chosen == given {
        return Ok(new);
    }
    Ok(new.with(rule.column.attno, chosen.map(Datum::from)))
}

/// Whether OLD stood under the same key, inside the cap.
fn stays(rule: &Rule, firing: Firing, key: &KeyValues) -> bool {
    if !rule.index.covers(firing.old_slot()) {
        return false;
    }
    let old = rule.index.key.more_values(firing.old_slot());
    !old.has_null() && !key.has_null() && rule.index.same_key(&old, key)
}

/// Carries the decision out: the value the slot column gets.
fn settle(
    firing: Firing,
    rule: &Rule,
    key: &KeyValues,
    decision: Slot,
) -> Result<Option<i64>, Report> {
    let preferred = match decision {
        Slot::Keep(slot) => return Ok(Some(slot)),
        Slot::Moves(slot) => {
            return Ok(slot.map(|s| encode_preference(s, rule.column.type_oid)));
        }
        Slot::Given(slot) => {
            claim(firing.table(), rule, key, slot)?;
            return Ok(Some(slot));
        }
        Slot::Prefer(slot) => Some(slot),
        Slot::Choose | Slot::Number => None,
    };
    let table = firing.table();
    let waits = decision != Slot::Number || numbering::waits_for_slots(table.oid());
    match choose(table, rule, key, preferred, waits)? {
        Some(slot) => Ok(Some(slot)),
        None if firing.event() == Event::Insert => Ok(Some(0)),
        // While a cap is being added online; once its CHECK stands, it judges.
        None if decision == Slot::Number => Ok(None),
        None => Err(full(firing.table(), firing.trigger_name(), rule, key)),
    }
}

/// The trigger function `raceguard.cap_full_guard`, AFTER INSERT row trigger.
pub fn fire_full(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) || firing.event() == Event::Delete {
        let timing = "AFTER INSERT FOR EACH ROW";
        return Err(errors::wrong_timing(FULL_FUNCTION, firing.table(), timing));
    }
    let rule = cache::rule(firing.definition(), build)?;
    if slot_integer(firing.new_slot(), rule.column) != Some(0) {
        return Ok(firing.pass());
    }
    let key = rule.index.key.values(firing.new_slot());
    Err(full(firing.table(), firing.trigger_name(), rule, &key))
}

#[cold]
fn full(table: Table, trigger: &str, rule: &Rule, key: &KeyValues) -> Report {
    let slots = rule.options.slots;
    let detail = match (rule.index.describe(key), slots) {
        (Some(key), 1) => PgText::from_fmt(format_args!("Key {key}: the only slot is taken.")),
        (Some(key), _) => PgText::from_fmt(format_args!("Key {key}: all {slots} slots are taken.")),
        (None, 1) => PgText::from_fmt(format_args!("The only slot of the key is taken.")),
        (None, _) => PgText::from_fmt(format_args!("All {slots} slots of the key are taken.")),
    };
    errors::own(
        Code::Rg403,
        table.oid(),
        format_args!("cap of {slots} rows in \"{}\" is full", table.name()),
        Some(format_args!("{detail}")),
        format_args!(
            "Delete a row of this key or move it away first, or raise the cap with raceguard.set_cap."
        ),
        None,
    )
    .column(rule.options.column)
    .constraint(trigger)
}

#[cfg(test)]
#[path = "cap_tests.rs"]
mod tests;
