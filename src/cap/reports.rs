//! What a cap says when it refuses a row, or cannot do its work.

use crate::cap::rule::{Rule, FULL_ATTACHMENT};
use crate::errors::{self, Code};
use crate::guard::attachment::Events;
use crate::pg::error::Report;
use crate::pg::guc::ErrorStyle;
use crate::pg::key::KeyValues;
use crate::pg::memory::here;
use crate::pg::relation::Table;
use crate::pg::text::PgText;
use crate::pg::trigger::{Event, Firing};
use crate::pg::trigger_order::later_writer;

/// RG403.
#[cold]
pub fn full(style: ErrorStyle, table: Table, rule: &Rule, key: &KeyValues) -> Report {
    let slots = rule.options.slots;
    let (of_the_key, of_this_key) = match here(|memory| rule.index.key.constant(memory).is_some()) {
        true => ("", ""),
        false => (" of the key", " of this key"),
    };
    let detail = match (rule.index.describe(key), slots) {
        (Some(key), 1) => PgText::from_fmt(format_args!("Key {key}: the only slot is taken.")),
        (Some(key), _) => PgText::from_fmt(format_args!("Key {key}: all {slots} slots are taken.")),
        (None, 1) => PgText::from_fmt(format_args!("The only slot{of_the_key} is taken.")),
        (None, _) => PgText::from_fmt(format_args!("All {slots} slots{of_the_key} are taken.")),
    };
    errors::own_in(
        style,
        Code::Rg403,
        table.oid(),
        format_args!("cap of {slots} rows in \"{}\" is full", errors::written_to(table)),
        Some(format_args!("{detail}")),
        format_args!(
            "Delete a row{of_this_key} or move it away first, or raise the cap with raceguard.set_cap."
        ),
        None,
    )
    .column(rule.options.column)
}

/// 55000: the cap is full, and slot 0 would stay in the row.
#[cold]
pub fn unrefused(firing: Firing, rule: &Rule) -> Report {
    let detail = PgText::from_fmt(format_args!("The cap is full. {}", nobody_refuses(rule)));
    not_whole(firing, rule, "lacks the trigger that would refuse the row").detail(format_args!("{detail}")).hint(
        format_args!(
            "Call raceguard.add_cap with the guard's own definition again: it puts up what is missing and looks at the rows that stand."
        ),
    )
}

/// 55000: whatever slot the guard chooses, another trigger may put 0 in its place.
#[cold]
pub fn unwatched(firing: Firing, rule: &Rule) -> Report {
    let event = match firing.event() {
        Event::Insert => Events::INSERT,
        _ => Events::UPDATE,
    };
    let later = later_writer(firing.definition(), event.bits());
    let later = later.as_ref().map_or("", |trigger| trigger.name());
    not_whole(firing, rule, "does not have the last word about the slot")
        .detail(format_args!(
            "Trigger \"{later}\" fires after it and may write slot 0, which is not counted. {}",
            nobody_refuses(rule)
        ))
        .hint(format_args!(
            "Rename trigger \"{later}\" so that it sorts before the guard, or call raceguard.add_cap with the guard's own definition again: it then has each row looked at once more."
        ))
}

fn nobody_refuses(rule: &Rule) -> PgText {
    PgText::from_fmt(format_args!(
        "No trigger that executes raceguard.{} for column \"{}\" would fire for the row in this session.",
        FULL_ATTACHMENT.function, rule.options.column
    ))
}

fn not_whole(firing: Firing, rule: &Rule, problem: &str) -> Report {
    let table = firing.table();
    let name = firing.definition().logical_name();
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("guard \"{name}\" on table \"{}\" {problem}", errors::known_as(table)),
    )
    .table(table.oid())
    .column(rule.options.column)
    .constraint(name.as_str())
}

/// 23514: an UPDATE that leaves a row in slot 0, where the guard never puts it.
#[cold]
pub fn written_behind(firing: Firing, rule: &Rule) -> Report {
    slot_refused(
        firing,
        rule,
        format_args!("row of \"{}\" would stand in slot 0", errors::known_as(firing.table())),
    )
    .detail(format_args!("Slot 0 is not counted. A trigger that fires after the cap's wrote it."))
    .hint(format_args!("Let that trigger leave column \"{}\" alone.", rule.options.column))
}

/// 23514: a slot that the cap does not have. The CHECK says so too, unless somebody dropped it.
#[cold]
pub fn no_such_slot(firing: Firing, rule: &Rule, slot: i64) -> Report {
    let (table, slots) = (firing.table(), rule.options.slots);
    slot_refused(
        firing,
        rule,
        format_args!(
            "slot {slot} does not exist in cap of {slots} rows in \"{}\"",
            errors::known_as(table)
        ),
    )
    .detail(format_args!("Slots are numbered from 1 to {slots}."))
    .hint(format_args!(
        "Leave column \"{}\" out to get a free slot, or raise the cap with raceguard.set_cap.",
        rule.options.column
    ))
}

fn slot_refused(firing: Firing, rule: &Rule, message: core::fmt::Arguments) -> Report {
    Report::error(errors::CHECK_VIOLATION, message)
        .table(firing.table().oid())
        .column(rule.options.column)
        .constraint(firing.trigger_name())
}
