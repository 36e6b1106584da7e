//! Caps: at most so many rows per key, each in a numbered slot.
//!
//! The unique index (key..., slot) and the CHECK on the slot are the rule and hold at every
//! isolation level; this guard only chooses the slot, so that writers meet neither. A slot is
//! reserved by try-locking it and looking again; one that someone else has reserved is skipped.
//! Only when every remaining slot is uncommitted elsewhere does a writer wait.
//!
//! A full cap writes slot 0 in the BEFORE trigger, and [`fire_full`] raises RG403 once the row has
//! really gone in: an upsert that inserts nothing must not fail. Slot 0 passes the CHECK and is not
//! counted, so the guard writes it only where [`fire_full`] is going to look, and lets nothing else
//! write it behind its back ([`super::rule::Refuser`]).

use crate::cap::decision::{decode_preference, encode_preference, on_insert, on_update, Slot};
use crate::cap::protocol::{Kept, Request};
use crate::cap::reports;
use crate::cap::rule::{CapRules, FullCapRules, Rule, ATTACHMENT, FULL_ATTACHMENT};
use crate::cap::search::{choose, claim};
use crate::cap::session::{self, ShortKey};
use crate::cap::statement;
use crate::errors::Code;
use crate::guard::attachment;
use crate::guard::outcome;
use crate::guard::own_writes;
use crate::guard::partitions::{leaves_partition, wrong_partition};
use crate::pg::column::read_integer;
use crate::pg::error::Report;
use crate::pg::executor;
use crate::pg::key::KeyValues;
use crate::pg::rule_cache;
use crate::pg::snapshot::Standstill;
use crate::pg::stop::stop;
use crate::pg::trigger::{guard_entry, Event, Firing, Timing};
use crate::pg::tuple::Row;
use pgrx::pg_sys::Datum;

guard_entry!(raceguard_cap_guard, "cap_guard", crate::cap::guard::fire);

/// What a writer gets who names a slot that the cap does not have.
const NO_SUCH_SLOT: &str = "23514";

guard_entry!(raceguard_cap_full_guard, "cap_full_guard", crate::cap::guard::fire_full);

/// The trigger function `raceguard.cap_guard`, BEFORE INSERT OR UPDATE row trigger.
///
/// Arguments: the slot column, `slots=NUMBER`, then `fill=lowest|append` and `mode=enforce|observe`; key and predicate
/// are those of the unique index that ends with the slot column. Returns NEW in the next free slot of its key, without
/// one outside the predicate, in slot 0 where an INSERT finds none ([`fire_full`]).
///
/// Raises RG403 for an UPDATE into a full key, 23514 for a slot or partition that the row cannot have, 53200 where the
/// lock table is full, 55000 without index or companion, 39P01 and 42703 for a trigger that is no such
/// guard.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, place(firing))
}

/// NEW as it is written, with its slot.
fn place(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) || firing.event() == Event::Delete {
        return Err(attachment::otherwise(&ATTACHMENT, firing.table()));
    }
    let rule = rule_cache::rule::<CapRules>(firing.definition())?;
    let refuser = match firing.event() {
        Event::Insert => &rule.on_insert,
        _ => &rule.on_update,
    };
    if refuser.needed && !refuser.fires.now() && !rule.observes() {
        return Err(reports::unwatched(firing, rule));
    }
    // Before anything else runs: what is known of the table's triggers is known of this moment.
    let keeps = statement::writes_every_row_as_it_is(firing, rule);
    let spare = session::spares().take(rule.index.oid.to_u32());
    let new = firing.new_row();
    let read = |row: Row| row.get(rule.column.attno).map(|d| read_integer(d, rule.column.type_oid));
    let given = read(new);
    // As in an index, the key of a row outside the predicate is never evaluated.
    if !rule.index.covers(firing.new_in_slot()) {
        if firing.event() == Event::Update {
            session::forget(rule.index.oid);
        }
        return Ok(if given.is_none() { new } else { new.with(rule.column.attno, None) });
    }
    let key = rule.index.key.values(firing.new_in_slot());
    let decision = if firing.event() == Event::Insert {
        if leaves_partition(rule.partition, firing) {
            return Err(wrong_partition(firing));
        }
        let preferred = given.and_then(|g| decode_preference(g, rule.least(), rule.options.slots));
        on_insert(key.has_null(), given, preferred)
    } else {
        let moves = leaves_partition(rule.partition, firing);
        if moves && executor::names_the_partition(firing) {
            return Err(wrong_partition(firing));
        }
        let stays = stays(rule, firing, &key);
        if !stays || given != read(firing.old()) {
            session::forget(rule.index.oid);
        }
        on_update(key.has_null(), stays, moves, read(firing.old()), given)
    };
    let chosen = settle(firing, rule, &key, decision, Kept { spare, keeps })?;
    stop(c"raceguard-cap-placed");
    if chosen != Some(0) && !(chosen.is_none() && rule.observes()) {
        outcome::passed(firing);
    }
    if chosen == given {
        return Ok(new);
    }
    Ok(new.with(rule.column.attno, chosen.map(Datum::from)))
}

/// Whether OLD stood under the same key, inside the cap.
fn stays(rule: &Rule, firing: Firing, key: &KeyValues) -> bool {
    if !rule.index.covers(firing.old_in_slot()) {
        return false;
    }
    let old = rule.index.key.more_values(firing.old_in_slot());
    !old.has_null() && !key.has_null() && rule.index.same_key(&old, key)
}

/// Carries the decision out: the value the slot column gets.
fn settle(
    firing: Firing,
    rule: &Rule,
    key: &KeyValues,
    decision: Slot,
    kept: Kept<ShortKey, Standstill>,
) -> Result<Option<i64>, Report> {
    let preferred = match decision {
        Slot::Keep(slot) => return Ok(Some(slot)),
        Slot::Moves(slot) => {
            return Ok(slot.map(|s| encode_preference(s, rule.least())));
        }
        Slot::Given(slot) if !(1..=rule.options.slots).contains(&slot) => {
            let report = reports::no_such_slot(firing, rule, slot);
            if !rule.observes() {
                return Err(report);
            }
            outcome::observed(firing, NO_SUCH_SLOT, report.detail_text());
            None
        }
        Slot::Given(slot) => {
            claim(firing.definition(), rule, key, slot)?;
            return Ok(Some(slot));
        }
        Slot::Prefer(slot) => Some(slot),
        Slot::Choose | Slot::Number(_) => None,
    };
    let numbered = matches!(decision, Slot::Number(_));
    let waits = match numbered {
        true => own_writes::waits_for_slots(firing.table().oid()),
        false => !rule.observes(),
    };
    let request = Request { preferred, waits, kept };
    match (choose(firing.definition(), rule, key, request)?, decision) {
        (Some(slot), _) => Ok(Some(slot)),
        (None, Slot::Number(old)) => Ok(old),
        (None, _) if firing.event() == Event::Update => {
            refuse_full(firing, rule, key).map(|()| None)
        }
        // The row stays without one, and the AFTER trigger tells of it.
        (None, _) if rule.observes() => Ok(None),
        (None, _) if statement::watch(firing, rule) => Ok(Some(0)),
        (None, _) => Err(reports::unrefused(firing, rule)),
    }
}

/// The trigger function `raceguard.cap_full_guard`, AFTER INSERT row trigger, or AFTER INSERT OR UPDATE where another
/// BEFORE UPDATE trigger fires after the guard.
///
/// Arguments: those of [`fire`]. Returns the row as it is. Raises RG403 for a row that has gone in although no slot
/// was free, 23514 for an UPDATE that leaves one in slot 0.
pub fn fire_full(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, look_again(firing))
}

/// Refuses a row that has found no slot.
fn look_again(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::After) || firing.event() == Event::Delete {
        return Err(attachment::otherwise(&FULL_ATTACHMENT, firing.table()));
    }
    let rule = rule_cache::rule::<FullCapRules>(firing.definition())?;
    let slot = firing.new_in_slot().integer(rule.column);
    if rule.observes() {
        let open = slot.is_none_or(|slot| slot == 0) && firing.event() == Event::Insert;
        if open && rule.index.covers(firing.new_in_slot()) {
            refuse_full(firing, rule, &rule.index.key.values(firing.new_in_slot()))?;
        }
        return Ok(firing.pass());
    }
    if slot != Some(0) {
        return Ok(firing.pass());
    }
    // The guard itself writes 0 on INSERT only.
    if firing.event() == Event::Update {
        return match rule.index.covers(firing.new_in_slot()) {
            true => Err(reports::written_behind(firing, rule)),
            false => Ok(firing.pass()),
        };
    }
    let key = rule.index.key.values(firing.new_in_slot());
    refuse_full(firing, rule, &key)?;
    Ok(firing.pass())
}

#[cold]
fn refuse_full(firing: Firing, rule: &Rule, key: &KeyValues) -> Result<(), Report> {
    outcome::refuse(firing, rule.options.mode, Code::Rg403, |style| {
        reports::full(style, firing.table(), rule, key)
    })
}
