//! A cap as it stands: its triggers and its index, compared with the cap that is asked for.

use crate::cap::definition::{check_name, shown, slot_column_type, Cap};
use crate::cap::protocol::Fill;
use crate::cap::rule::{parse, Options, FULL_ATTACHMENT, FULL_FUNCTION, FUNCTION};
use crate::errors;
use crate::guard::attachment::Attachment;
use crate::guard::numbered_index::{indexes, StandingIndex};
use crate::guard::outcome::Mode;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::guard::wanted::Compared;
use crate::pg::error::Report;
use crate::pg::numbered_index::IndexForm;
use crate::pg::spi::{one, Param};
use pgrx::pg_sys::Oid;

/// A cap whose trigger stands.
pub struct StandingCap {
    pub trigger: Existing,
    /// The index that ends with the slot column.
    pub index: Option<StandingIndex>,
}

impl StandingCap {
    /// The cap of that name.
    pub fn find(target: &Target, guard: &str) -> Result<Option<StandingCap>, Report> {
        let name = trigger::trigger_name(guard, "")?;
        let mut found = None;
        for standing in trigger::existing(target, FUNCTION)? {
            if trigger::has_name(target, &standing.trigger, &name)? {
                found = Some(standing);
                break;
            }
        }
        let Some(trigger) = found else { return Ok(None) };
        let index = match trigger.arguments.first() {
            Some(column) => indexes(target.oid, column, IndexForm::Slots)?.into_iter().next(),
            None => None,
        };
        Ok(Some(StandingCap { trigger, index }))
    }

    /// The cap of that name, or 42704.
    pub fn required(target: &Target, guard: &str) -> Result<StandingCap, Report> {
        StandingCap::find(target, guard)?
            .ok_or_else(|| no_cap(&target.name, target.oid, Some(guard)))
    }

    /// What its trigger's arguments say, if they are a rule.
    fn options(&self) -> Option<Options<'_>> {
        parse(self.trigger.arguments.iter().map(String::as_str)).ok()
    }

    /// Where it looks for the next slot; the default where its arguments are no rule.
    pub fn fill(&self) -> Fill {
        self.options().map_or(Fill::Lowest, |options| options.fill)
    }

    /// What it is by its trigger and its index, or 55000 where one says nothing.
    pub fn definition(&self, target: &Target) -> Result<(Options<'_>, &StandingIndex), Report> {
        self.options().zip(self.index.as_ref()).ok_or_else(|| broken(target, self.trigger.guard()))
    }

    /// The same cap with another number of slots or in another mode.
    pub fn with(&self, target: &Target, slots: i32, mode: Mode) -> Result<Cap, Report> {
        let (options, index) = self.definition(target)?;
        Ok(Cap {
            parts: index.parts,
            key: index.key.clone(),
            slots,
            column_type: slot_column_type(target, options.column, slots)?,
            column: options.column.to_owned(),
            predicate: index.predicate.clone(),
            fill: options.fill,
            mode,
            guard: self.trigger.guard().to_owned(),
        })
    }

    /// Compares it with a cap that is asked for. Call it inside `pinned_search_path`.
    pub fn compared(self, target: &Target, cap: &Cap) -> Result<Compared, Report> {
        let indexed = self.index.as_ref().map(|index| index.canonical(target.oid)).transpose()?;
        let same = match (self.options(), &indexed) {
            (Some(options), Some((key, predicate))) => {
                options == cap.options() && *key == cap.key && *predicate == cap.predicate
            }
            _ => false,
        };
        let mut definition = self.trigger.arguments.clone();
        if let Some((key, predicate)) = &indexed {
            definition.extend(shown(key, predicate.as_deref()));
        }
        Ok(Compared { standing: self.trigger, definition, same })
    }
}

/// The lowest slot that a row may stand in before it is numbered: 0 is a slot that an application counts
/// from, unless a cap stands, which counts from 1.
pub fn lowest_slot(standing: Option<&StandingCap>) -> i64 {
    match standing {
        Some(_) => 0,
        None => 1,
    }
}

/// The triggers of a table that refuse slot 0 of a column.
pub fn full_triggers(table: Oid, column: &str) -> Result<Vec<Existing>, Report> {
    let mut triggers = trigger::existing_on(table, FULL_FUNCTION)?;
    triggers.retain(|t| t.arguments.first().is_some_and(|argument| argument == column));
    Ok(triggers)
}

/// Whether a trigger of a table refuses rows in slot 0.
pub fn refuses_slot_zero(table: Oid, column: &str, full: &Attachment) -> Result<bool, Report> {
    Ok(full_triggers(table, column)?
        .iter()
        .any(|t| t.is_sound(&FULL_ATTACHMENT) && t.shape.kind & full.kind() == full.kind()))
}

/// 55000: a cap of which only the trigger is left.
fn broken(target: &Target, guard: &str) -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("cap \"{guard}\" on table \"{}\" has lost its index", target.name),
    )
    .detail(format_args!(
        "There is no unique index that ends with its slot column, or its trigger's arguments are no rule."
    ))
    .hint(format_args!("Call raceguard.drop_guard and raceguard.add_cap again."))
    .table(target.oid)
}

/// 0A000 if the CHECK that has, or would have, the guard's name comes from a table that this one inherits
/// from: Postgres lets it be changed there alone.
pub fn refuse_inherited_check(target: &Target, guard: &str) -> Result<(), Report> {
    let name = check_name(guard);
    let above = one::<String>(
        "SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) FROM pg_constraint c \
         JOIN pg_inherits i ON i.inhrelid = c.conrelid \
         WHERE c.conrelid = $1 AND c.contype = 'c' AND c.conname = $2::name AND c.coninhcount > 0 \
           AND EXISTS (SELECT FROM pg_constraint p WHERE p.conrelid = i.inhparent AND p.contype = 'c' \
                         AND p.conname = c.conname)",
        &[Param::Oid(target.oid), Param::Text(&name)],
    )?;
    let Some(above) = above else { return Ok(()) };
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("table \"{}\" inherits the CHECK of cap \"{guard}\"", target.name),
    )
    .detail(format_args!(
        "Constraint \"{name}\" comes from {above} and can be changed or dropped there only."
    ))
    .hint(format_args!(
        "Change or drop the cap of {above} first, or end the inheritance: ALTER TABLE {} NO INHERIT ...;",
        target.qualified
    ))
    .table(target.oid)
    .constraint(&name))
}

/// 42704: a call that works on a cap, without one.
pub fn no_cap(table: &str, oid: Oid, guard: Option<&str>) -> Report {
    let named = guard.map(|guard| format!(" named \"{guard}\"")).unwrap_or_default();
    Report::error(errors::UNDEFINED_OBJECT, format_args!("table \"{table}\" has no cap{named}"))
        .detail(format_args!(
            "A cap is a trigger of raceguard.{FUNCTION} and an index of its form."
        ))
        .hint(format_args!(
            "Add one first with raceguard.add_cap; raceguard.guards lists what there is."
        ))
        .table(oid)
}
