//! In which order the triggers of a table fire, and what the running statement makes of it.

use super::executor;
use super::trigger::{triggers, Definition, Firing};
use super::trigger_shape::Fires;
use core::ptr::{eq, without_provenance_mut};
use pgrx::pg_sys::{self, Oid};

/// The first BEFORE row trigger for an event (a bit of `tgtype`) that fires after `guard` and is none of
/// raceguard's: it has the last word about the row. Plain frames.
pub fn later_writer(guard: Definition<'_>, event: u16) -> Option<Definition<'_>> {
    let before = (pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_BEFORE) as u16;
    triggers(guard.table()).find(|other| {
        let kind = other.shape().kind;
        kind & before == before
            && kind & event != 0
            && other.fires() != Fires::NEVER
            && other.name() > guard.name()
            && other.namespace() != "raceguard"
    })
}

/// Whether, for rows of one event (a bit of `tgtype`), a guard's BEFORE trigger meets them just as an
/// earlier one with the same arguments has left them: both fire for every such row in the same sessions,
/// and no other BEFORE trigger stands between. Plain frames.
pub fn follows_directly(guard: Definition, first: Definition, event: u16) -> bool {
    let wanted = (pg_sys::TRIGGER_TYPE_ROW | pg_sys::TRIGGER_TYPE_BEFORE) as u16 | event;
    let meets = |trigger: Definition| trigger.shape().kind & wanted == wanted;
    let meets_all = |trigger: Definition| {
        let shape = trigger.shape();
        meets(trigger) && !shape.columns && !shape.condition
    };
    let count = guard.argument_count();
    let same = first.argument_count() == count
        && (0..count).all(|i| first.argument(i) == guard.argument(i));
    if !same || !meets_all(first) || !meets_all(guard) || first.fires() != guard.fires() {
        return false;
    }
    triggers(guard.table())
        .skip_while(|other| other.id() != first.id())
        .skip(1)
        .find(|other| other.id() == guard.id() || meets(*other) && other.fires() != Fires::NEVER)
        .is_some_and(|next| next.id() == guard.id())
}

/// What a trigger has noted for the running statement and the table it fires on.
#[inline]
pub fn note(firing: Firing) -> Option<u8> {
    // SAFETY: Postgres calls a trigger through a FmgrInfo of the statement's, one for each trigger of each
    // table it writes. Their `fn_extra` is NULL at first, the function's to use, and gone with the statement.
    let extra = unsafe { firing.function().as_ref()?.fn_extra };
    (extra.addr() as u8).checked_sub(1)
}

/// Notes something until the statement ends. At most 254.
pub fn set_note(firing: Firing, note: u8) {
    // SAFETY: as in `note`. Nobody follows the pointer.
    if let Some(function) = unsafe { firing.function().as_mut() } {
        function.fn_extra = without_provenance_mut(usize::from(note) + 1);
    }
}

/// Tells the running statement from all others that run, for the trigger and the table that fire. A statement that has
/// [noted](note) nothing yet may have the number of one that has ended.
#[inline]
pub fn statement(firing: Firing) -> usize {
    firing.function().addr()
}

/// Whether the running statement fires the triggers that the table has now. It goes on with those that there
/// were when it began, so what is known of the order of the table's triggers may not hold for it. Plain frames.
pub fn statement_is_current(firing: Firing) -> bool {
    current_copy(firing).is_some()
}

/// Turns a trigger of the table that fires off for the rest of the running statement, unless the statement
/// goes on with former triggers; whether it is off. Plain frames.
///
/// Postgres decides for each row which triggers fire, by the copy of the table's triggers that the statement
/// made for itself and that is freed with it. A trigger that is off there costs nothing.
pub fn turn_off(firing: Firing, trigger: Oid) -> bool {
    let Some(copy) = current_copy(firing) else { return false };
    // SAFETY: the copy belongs to the running statement; nothing else reads it while a trigger of it runs.
    unsafe {
        let found = (0..(*copy).numtriggers as usize)
            .map(|i| (*copy).triggers.add(i))
            .find(|copied| (**copied).tgoid == trigger);
        found.is_some_and(|copied| {
            (*copied).tgenabled = pg_sys::TRIGGER_DISABLED as _;
            true
        })
    }
}

/// Turns a trigger on again that [`turn_off`] has turned off, and that fires as the one that is firing does; whether
/// it is on. Plain frames.
pub fn turn_on(firing: Firing, trigger: Oid) -> bool {
    let Some(copy) = executor::triggers(firing) else { return false };
    // SAFETY: as in `turn_off`.
    unsafe {
        let all = || (0..(*copy).numtriggers as usize).map(|i| (*copy).triggers.add(i));
        let own = all().find(|copied| (**copied).tgoid == firing.definition().id());
        let found = all().find(|copied| (**copied).tgoid == trigger);
        own.zip(found).is_some_and(|(own, found)| {
            (*found).tgenabled = (*own).tgenabled;
            true
        })
    }
}

/// Whether a statement's copy of a trigger is off: mostly by [`turn_off`]. Nobody enables a trigger of a table that is in use.
unsafe fn is_off(copied: *const pg_sys::Trigger) -> bool {
    // SAFETY: a trigger of the copy.
    unsafe { (*copied).tgenabled as u8 == pg_sys::TRIGGER_DISABLED }
}

/// The running statement's copy of the triggers of the table that fires, where it is a copy of what the table
/// has now.
fn current_copy(firing: Firing) -> Option<*mut pg_sys::TriggerDesc> {
    let (copy, table) = (executor::triggers(firing)?, firing.table());
    // SAFETY: both lists have as many triggers as they say, the copy those of the same table.
    unsafe {
        let present = (*table.as_raw()).trigdesc;
        if present.is_null() || eq(present, copy) || (*present).numtriggers != (*copy).numtriggers {
            return None;
        }
        let is_same = |i: usize| {
            let (then, now) = ((*copy).triggers.add(i), (*present).triggers.add(i));
            (*then).tgoid == (*now).tgoid
                && ((*then).tgenabled == (*now).tgenabled || is_off(then))
                && Definition::of_raw(then, table).is_same(now)
        };
        (0..(*present).numtriggers as usize).all(is_same).then_some(copy)
    }
}
