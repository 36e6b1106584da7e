//! How CREATE TRIGGER has to attach a trigger function, and which triggers a guard needs beside its own.
//!
//! Anyone may write the CREATE TRIGGER of a guard by hand, leave out an event, add UPDATE OF or WHEN, and
//! disable one trigger of several. Such a guard must not pass writes unseen: each kind says here how its
//! triggers stand, its rule is not built otherwise (39P01), and where it leaves something to another
//! trigger it asks whether that one would fire (55000).

use crate::errors;
use crate::pg::error::Report;
use crate::pg::relation::Table;
use crate::pg::text::PgText;
use crate::pg::trigger::{find_all, Definition, Timing};
use crate::pg::trigger_shape::{Fires, Shape};
use core::fmt::{self, Display, Formatter};
use pgrx::pg_sys::{self, Oid};

/// Events, as bits of `pg_trigger.tgtype`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Events(u16);

impl Events {
    pub const NONE: Events = Events(0);
    pub const INSERT: Events = Events(pg_sys::TRIGGER_TYPE_INSERT as u16);
    pub const UPDATE: Events = Events(pg_sys::TRIGGER_TYPE_UPDATE as u16);
    pub const DELETE: Events = Events(pg_sys::TRIGGER_TYPE_DELETE as u16);
    pub const TRUNCATE: Events = Events(pg_sys::TRIGGER_TYPE_TRUNCATE as u16);

    pub const fn or(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }

    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// INSERT, UPDATE and DELETE.
pub const EVERY_ROW: Events = Events::INSERT.or(Events::UPDATE).or(Events::DELETE);

/// Whether a trigger fires for each row or for each statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForEach {
    Row,
    Statement,
}

/// How CREATE TRIGGER has to attach a trigger function for it to do its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attachment {
    pub function: &'static str,
    pub timing: Timing,
    pub level: ForEach,
    pub events: Events,
    /// Events that do no harm besides.
    pub also: Events,
    /// Whether a WHEN clause belongs to it.
    pub condition: bool,
}

impl Attachment {
    /// What a guard's own trigger mostly is: for each row, without further events or a condition.
    pub const fn of_rows(function: &'static str, timing: Timing, events: Events) -> Attachment {
        let (level, also) = (ForEach::Row, Events::NONE);
        Attachment { function, timing, level, events, also, condition: false }
    }

    /// How a trigger of this shape is attached.
    pub fn of_shape(function: &'static str, shape: Shape) -> Attachment {
        let has = |bit: u32| shape.kind & bit as u16 != 0;
        Attachment {
            function,
            timing: match has(pg_sys::TRIGGER_TYPE_BEFORE) {
                true => Timing::Before,
                false => Timing::After,
            },
            level: match has(pg_sys::TRIGGER_TYPE_ROW) {
                true => ForEach::Row,
                false => ForEach::Statement,
            },
            events: Events(shape.kind & EVERY_ROW.or(Events::TRUNCATE).0),
            also: Events::NONE,
            condition: shape.condition,
        }
    }

    /// Whether a trigger of this shape sees every write that it has to see.
    pub fn fits(&self, shape: Shape) -> bool {
        shape.kind & !self.also.0 == self.kind() & !self.also.0
            && !shape.columns
            && shape.condition == self.condition
    }

    /// The same with the events of a trigger that [fits](Attachment::fits).
    pub fn with_events_of(self, shape: Shape) -> Attachment {
        let events = Events::TRUNCATE.or(EVERY_ROW);
        Attachment { events: Events(shape.kind & events.0), ..self }
    }

    /// Timing and events as CREATE TRIGGER spells them: `BEFORE INSERT OR UPDATE`.
    pub fn when(&self) -> impl Display + '_ {
        When(self)
    }

    /// `pg_trigger.tgtype`.
    pub fn kind(&self) -> u16 {
        let timing = match self.timing {
            Timing::Before => pg_sys::TRIGGER_TYPE_BEFORE,
            Timing::After => pg_sys::TRIGGER_TYPE_AFTER,
        };
        let level = match self.level {
            ForEach::Row => pg_sys::TRIGGER_TYPE_ROW,
            ForEach::Statement => pg_sys::TRIGGER_TYPE_STATEMENT,
        };
        (timing | level) as u16 | self.events.0
    }
}

struct When<'a>(&'a Attachment);

impl Display for When<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let When(attachment) = self;
        f.write_str(match attachment.timing {
            Timing::Before => "BEFORE",
            Timing::After => "AFTER",
        })?;
        let names = [
            (Events::INSERT, "INSERT"),
            (Events::UPDATE, "UPDATE"),
            (Events::DELETE, "DELETE"),
            (Events::TRUNCATE, "TRUNCATE"),
        ];
        let wanted = names.iter().filter(|(event, _)| attachment.events.0 & event.0 != 0);
        for (i, (_, name)) in wanted.enumerate() {
            write!(f, "{}{name}", if i == 0 { " " } else { " OR " })?;
        }
        Ok(())
    }
}

/// As CREATE TRIGGER spells it, without the table: `BEFORE UPDATE FOR EACH ROW`.
impl Display for Attachment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            ForEach::Row => "ROW",
            ForEach::Statement => "STATEMENT",
        };
        write!(f, "{} FOR EACH {level}", self.when())
    }
}

/// 39P01 for a firing at another timing, level or event. Plain frames.
#[cold]
pub fn otherwise(attachment: &Attachment, table: Table) -> Report {
    let needed = PgText::from_fmt(format_args!("{attachment}"));
    errors::wrong_timing(attachment.function, table, needed.as_str())
}

/// 39P01 unless a trigger is attached so that no write passes it unseen. Plain frames.
pub fn check(trigger: Definition, attachment: &Attachment) -> Result<(), Report> {
    let shape = trigger.shape();
    if attachment.fits(shape) {
        return Ok(());
    }
    let cause = match shape {
        Shape { columns: true, .. } => "fires for UPDATE OF some columns only",
        Shape { condition: true, .. } if !attachment.condition => "has a WHEN clause",
        _ => "fires for other events",
    };
    let (name, table) = (trigger.logical_name(), trigger.table());
    Err(otherwise(attachment, table)
        .detail(format_args!(
            "Trigger \"{name}\" on table \"{}\" {cause}; writes would pass it unseen.",
            errors::known_as(table)
        ))
        .constraint(name.as_str()))
}

/// Where a guard's companion fires for an event. Plain frames.
pub fn companion(guard: Definition, companion: &Attachment, event: Events) -> Fires {
    companions(guard, companion, event).fold(Fires::NEVER, |fires, found| fires.or(found.fires()))
}

/// The companion of a guard for an event where it has one alone that fires in the same sessions as the guard. Plain
/// frames.
pub fn only_companion(guard: Definition, companion: &Attachment, event: Events) -> Option<Oid> {
    let mut found = companions(guard, companion, event);
    let first = found.next().filter(|first| first.fires() == guard.fires())?;
    found.next().is_none().then(|| first.id())
}

/// A guard's companions for an event: triggers on the same table that execute the companion's function with the same
/// first argument. They are found by what they do, whatever their names.
fn companions<'t>(
    guard: Definition<'t>,
    companion: &'t Attachment,
    event: Events,
) -> impl Iterator<Item = Definition<'t>> {
    find_all(guard.table(), companion.function).filter(move |found| {
        let shape = found.shape();
        companion.fits(shape) && shape.kind & event.0 != 0 && found.argument(0) == guard.argument(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Attachment = Attachment {
        also: Events::UPDATE,
        ..Attachment::of_rows("cap_full_guard", Timing::After, Events::INSERT)
    };

    fn shape(kind: u16) -> Shape {
        Shape { kind, columns: false, condition: false }
    }

    #[test]
    fn an_attachment_reads_as_create_trigger_spells_it() {
        let guard = Attachment::of_rows("key_lock_guard", Timing::Before, EVERY_ROW);
        assert_eq!(guard.to_string(), "BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW");
        assert_eq!(FULL.to_string(), "AFTER INSERT FOR EACH ROW");
    }

    #[test]
    fn every_event_has_to_be_there_and_none_may_be_narrowed() {
        let guard = Attachment::of_rows("key_lock_guard", Timing::Before, EVERY_ROW);
        let right = guard.kind();
        assert!(guard.fits(shape(right)));
        for event in [Events::INSERT, Events::UPDATE, Events::DELETE] {
            assert!(!guard.fits(shape(right & !event.bits())));
        }
        assert!(!guard.fits(Shape { columns: true, ..shape(right) }));
        assert!(!guard.fits(Shape { condition: true, ..shape(right) }));
        assert!(!guard.fits(shape(right ^ pg_sys::TRIGGER_TYPE_BEFORE as u16)));
        assert!(!guard.fits(shape(right ^ pg_sys::TRIGGER_TYPE_ROW as u16)));
    }

    #[test]
    fn a_harmless_event_may_be_there_or_not() {
        assert!(FULL.fits(shape(FULL.kind())));
        assert!(FULL.fits(shape(FULL.kind() | Events::UPDATE.bits())));
        assert!(!FULL.fits(shape(FULL.kind() | Events::DELETE.bits())));
        let update_alone = FULL.kind() & !Events::INSERT.bits() | Events::UPDATE.bits();
        assert!(!FULL.fits(shape(update_alone)));
    }
}
