//! The counter of a number guard as its rule has it: the foreign key that leads to the row with the counter, and the
//! triggers that keep it.

use crate::errors;
use crate::guard::attachment::{Attachment, EVERY_ROW};
use crate::guard::child_key::{self, KeyWords};
use crate::guard::spread;
use crate::pg::distribution;
use crate::pg::error::Report;
use crate::pg::foreign_key::ForeignKey;
use crate::pg::memory::{Buffer, Memory};
use crate::pg::relation::{attno_of, name_of};
use crate::pg::text::PgText;
use crate::pg::trigger::{find_named, Definition, Timing};
use crate::pg::trigger_shape::Fires;
use pgrx::pg_sys::Oid;

/// The trigger functions' names in SQL: on the numbered table, and on the parent.
pub const COUNTER_FUNCTION: &str = "number_counter";
pub const KEEPER_FUNCTION: &str = "number_keeper";

/// What the name of the trigger that writes the counter adds to that of the guard's own.
pub const COUNTER: &str = "_counter";

/// The trigger that writes the counter.
pub const COUNTER_ATTACHMENT: Attachment =
    Attachment::of_rows(COUNTER_FUNCTION, Timing::After, EVERY_ROW);

/// The parent's trigger that keeps others from writing it.
pub const KEEPER_ATTACHMENT: Attachment =
    Attachment::of_rows(KEEPER_FUNCTION, Timing::Before, EVERY_ROW);

/// What errors say of a counter.
pub const WORDS: KeyWords = KeyWords {
    call: "add_number",
    purpose: "that could count",
    one: "could count",
    second: "NULL, counter => '...'",
};

/// The counter of one number guard on one (leaf) table.
#[derive(Clone, Copy)]
pub struct Counted<'r> {
    pub foreign_key: ForeignKey<'r>,
    /// The number of the parent's column.
    pub attno: i16,
    /// Where the guard fires, and the trigger that keeps the counter has to.
    pub fires: Fires,
    /// The tables on which all this depends.
    pub tables: &'r [Oid],
}

/// Reads the counter that a guard's arguments name, with the foreign key. Plain frames.
pub fn counted<'r>(
    trigger: Definition,
    (column, foreign_key): (&str, &str),
    memory: Memory<'r>,
) -> Result<Counted<'r>, Report> {
    let name = PgText::from_fmt(format_args!("{}{COUNTER}", trigger.logical_name()));
    let found = find_named(trigger.table(), COUNTER_FUNCTION, name.as_str())
        .filter(|other| COUNTER_ATTACHMENT.fits(other.shape()));
    if !covers(found.map_or(Fires::NEVER, |found| found.fires()), trigger.fires()) {
        return Err(no_companion(trigger));
    }
    let remembered = found.and_then(|found| found.referenced());
    let key = child_key::find(trigger, foreign_key, remembered, &WORDS, memory)?;
    spread::check_parent(trigger.table(), Some(trigger), spread::NUMBER, key.parent)?;
    let attno =
        attno_of(key.parent, column).ok_or_else(|| no_column(trigger, key.parent, column))?;
    let mut tables = Buffer::new(memory, key.tables.len() + 1);
    tables.push(key.parent);
    for above in key.tables {
        tables.push(*above);
    }
    Ok(Counted { foreign_key: key, attno, fires: trigger.fires(), tables: tables.into_slice() })
}

/// Whether a trigger fires wherever another one does.
pub fn covers(trigger: Fires, other: Fires) -> bool {
    (trigger.origin || !other.origin) && (trigger.replica || !other.replica)
}

/// 55000: nothing would write the counter.
fn no_companion(trigger: Definition) -> Report {
    let (name, table) = (trigger.logical_name(), trigger.table());
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "guard \"{name}\" on table \"{}\" would not write its counter",
            errors::known_as(table)
        ),
    )
    .detail(format_args!(
        "No trigger \"{name}{COUNTER}\" that executes raceguard.{COUNTER_FUNCTION} {COUNTER_ATTACHMENT} is enabled."
    ))
    .hint(format_args!("Call raceguard.add_number again: it puts up what is missing."))
    .table(table.oid())
    .constraint(name.as_str())
}

/// 42703: the counter is no longer there.
fn no_column(trigger: Definition, parent: Oid, column: &str) -> Report {
    let table = trigger.table();
    Report::error(
        errors::UNDEFINED_COLUMN,
        format_args!(
            "guard \"{}\" on table \"{}\" counts in column \"{column}\" of \"{}\", which does not exist",
            trigger.logical_name(),
            errors::known_as(table),
            name_of(distribution::logical(parent))
        ),
    )
    .detail(format_args!(
        "The column was renamed or dropped after the guard was added; rows are refused rather than left without a number."
    ))
    .hint(format_args!(
        "Call raceguard.add_number with the column's present name and replace => true."
    ))
    .table(parent)
    .column(column)
}
