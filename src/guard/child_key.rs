//! The foreign key by which a guard of a child finds its parents.
//!
//! A name says little about a foreign key: it may be renamed, and another one may take the name. So a
//! deferred trigger of the guard remembers the parent (CREATE CONSTRAINT TRIGGER ... FROM), and a foreign key to
//! another table is not the one: then the only one that leads to that parent is. Where no trigger remembers
//! a parent the name decides.

use crate::errors;
use crate::pg::distribution;
use crate::pg::error::Report;
use crate::pg::foreign_key::{self, ForeignKey, ForeignKeyColumn};
use crate::pg::key_bytes::{self, Rebuilt};
use crate::pg::memory::Memory;
use crate::pg::relation::{self, Table};
use crate::pg::text::{quote_literal, PgText};
use crate::pg::trigger::Definition;
use crate::pg::tuple::Row;
use pgrx::pg_sys::{self, Datum, Oid};
use std::collections::TryReserveError;

/// What the errors of one kind of guard say.
pub struct KeyWords {
    /// The call that adds such a guard.
    pub call: &'static str,
    /// What the parent is for: "a parent whose version could move".
    pub purpose: &'static str,
    /// What only one of several parents could have: "only one version could be moved".
    pub one: &'static str,
    /// What the call takes after the table; the parent where this is empty.
    pub second: &'static str,
}

/// The foreign key of that name, or to the parent that the guard remembers. Plain frames.
pub fn find<'r>(
    trigger: Definition,
    name: &str,
    remembered: Option<Oid>,
    words: &KeyWords,
    memory: Memory<'r>,
) -> Result<ForeignKey<'r>, Report> {
    let table = trigger.table();
    let named = foreign_key::find(table, name, memory).or_else(|| in_shard(table, name, memory));
    let leads_to = |key: Oid, parent: Oid| key == parent || distribution::logical(key) == parent;
    let key = match remembered {
        None => named.ok_or_else(|| no_such_key(trigger, name, words))?,
        Some(parent) => match named.filter(|key| leads_to(key.parent, parent)) {
            Some(key) => key,
            None => foreign_key::find_only_of(table, memory, |_, _, key| leads_to(key, parent))
                .map_err(|count| led_astray(trigger, name, parent, count, words))?,
        },
    };
    if key.over_periods {
        return Err(over_periods(name, errors::known_as(table).as_str(), table.oid(), words).hint(
            format_args!(
                "Take the guard off: SELECT raceguard.drop_guard({}, {});",
                errors::literal_for_calls(table),
                quote_literal(trigger.logical_name().as_str())
            ),
        ));
    }
    Ok(key)
}

/// What Citus has made of the foreign key of that name in a shard, where the parent is one too.
fn in_shard<'r>(table: Table, name: &str, memory: Memory<'r>) -> Option<ForeignKey<'r>> {
    distribution::of(table.oid()).filter(|place| place.is_piece)?;
    let is_it = |holder: Table, own: &str, _| {
        distribution::of(holder.oid()).is_some_and(|place| place.is_same(own, name))
    };
    foreign_key::find_only_of(table, memory, is_it).ok()
}

/// 42704: no foreign key has the name, and no parent is remembered.
fn no_such_key(trigger: Definition, name: &str, words: &KeyWords) -> Report {
    let table = trigger.table();
    Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!(
            "guard \"{}\" on table \"{}\" names foreign key \"{name}\", which does not exist",
            trigger.logical_name(),
            errors::known_as(table)
        ),
    )
    .detail(format_args!(
        "Without an enforced foreign key a row has no parent {}; writes are refused rather than left unguarded.",
        words.purpose
    ))
    .hint(format_args!(
        "Call raceguard.drop_guard, and raceguard.{} if the table still has a parent.",
        words.call
    ))
    .table(table.oid())
    .constraint(name)
}

/// 55000: the foreign key that the guard was added for is gone, and none, or not only one, is left to the
/// parent.
fn led_astray(
    trigger: Definition,
    name: &str,
    parent: Oid,
    count: usize,
    words: &KeyWords,
) -> Report {
    let table = trigger.table();
    let parent_name = relation::name_of(distribution::logical(parent));
    let report = Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "guard \"{}\" on table \"{}\" has lost the foreign key to its parent \"{parent_name}\"",
            trigger.logical_name(),
            errors::known_as(table)
        ),
    )
    .table(table.oid())
    .constraint(name);
    if count == 0 {
        return report
            .detail(format_args!(
                "Foreign key \"{name}\" was dropped, or leads elsewhere, and no other enforced one leads there; writes are refused rather than left unguarded."
            ))
            .hint(format_args!(
                "Add the foreign key again, or take the guard off: SELECT raceguard.drop_guard({}, {});",
                errors::literal_for_calls(table),
                quote_literal(trigger.logical_name().as_str())
            ));
    }
    report
        .detail(format_args!(
            "Foreign key \"{name}\" was renamed or dropped, and {count} others lead there; writes are refused rather than left to chance."
        ))
        .hint(format_args!(
            "Choose one: SELECT raceguard.{}({}, {}{}, foreign_key => '...', replace => true);",
            words.call,
            errors::literal_for_calls(table),
            if words.second.is_empty() { relation::literal_of(parent) } else { PgText::new() },
            words.second
        ))
}

/// 0A000: the rows of a child may each have several parents.
pub fn over_periods(key: &str, child: &str, oid: Oid, words: &KeyWords) -> Report {
    Report::error(
        errors::UNSUPPORTED,
        format_args!("foreign key \"{key}\" of table \"{child}\" is over periods"),
    )
    .detail(format_args!(
        "A row refers to as many parents as it takes to cover its period; only one {}.",
        words.one
    ))
    .table(oid)
    .constraint(key)
}

/// A copy of a foreign key.
pub struct Followed {
    pub constraint: Oid,
    pub child: Oid,
    pub parent: Oid,
    pub columns: Vec<ForeignKeyColumn>,
}

impl Followed {
    pub fn of(key: &ForeignKey) -> Result<Followed, TryReserveError> {
        let mut columns = Vec::new();
        columns.try_reserve_exact(key.columns.len())?;
        columns.extend_from_slice(key.columns);
        let ForeignKey { constraint, child, parent, .. } = *key;
        Ok(Followed { constraint, child, parent, columns })
    }

    pub fn is(&self, key: &ForeignKey) -> bool {
        self.constraint == key.constraint && self.columns == key.columns
    }

    /// The foreign key itself.
    pub fn key(&self) -> ForeignKey<'_> {
        ForeignKey {
            constraint: self.constraint,
            child: self.child,
            parent: self.parent,
            // One that is has been refused before it could note anything.
            over_periods: false,
            columns: &self.columns,
            tables: &[],
        }
    }
}

/// The values by which a row refers to its parent; as many as the foreign key has columns count.
pub type KeyDatums = [Datum; pg_sys::INDEX_MAX_KEYS as usize];

/// The values by which a row refers to its parent; `None` if one is NULL: it has none. Plain frames.
#[inline]
pub fn key_values(foreign_key: &ForeignKey, row: Row) -> Option<KeyDatums> {
    let mut values = [Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
    for (value, column) in values.iter_mut().zip(foreign_key.columns) {
        *value = key_bytes::flat(row.get(column.attno)?, column.storage);
    }
    Some(values)
}

/// Appends them as bytes that outlive the row.
#[inline]
pub fn append_key(
    bytes: &mut Vec<u8>,
    foreign_key: &ForeignKey,
    values: &KeyDatums,
) -> Result<(), TryReserveError> {
    for (value, column) in values.iter().zip(foreign_key.columns) {
        key_bytes::append(bytes, *value, column.storage)?;
    }
    Ok(())
}

/// The values that such bytes hold; `None` if they are too short, or there is no memory.
pub fn rebuilt(columns: &[ForeignKeyColumn], bytes: &[u8]) -> Option<Vec<Rebuilt>> {
    let mut rest = bytes;
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let (value, after) = key_bytes::split(rest, column.storage)?;
        values.push(value);
        rest = after;
    }
    Some(values)
}
