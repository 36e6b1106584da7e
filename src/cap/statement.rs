//! What holds for all rows of the running statement: found out for its second row, so that an INSERT of one does
//! not pay for it, and noted until it ends.

use crate::cap::rule::Rule;
use crate::pg::executor::inserts_every_row;
use crate::pg::trigger::{Event, Firing};
use crate::pg::trigger_order::{note, set_note, turn_off, turn_on};

/// A row was inserted before.
const BEGUN: u8 = 1;
/// More was looked for.
const KNOWN: u8 = 2;
/// Each row that the guard lets through is inserted as it is.
const INSERTS: u8 = 4;
/// The trigger that refuses slot 0 does not fire.
const UNWATCHED: u8 = 8;

/// Whether each row for which the guard chooses a slot comes to stand in it, or the statement fails. An UPDATE
/// has locked its row before any trigger fires.
///
/// For an INSERT, also turns off the trigger that refuses slot 0: Postgres would remember every row for it, and fetch it again. It
/// is on again before the guard writes that slot ([`watch`]).
#[inline]
pub fn writes_every_row_as_it_is(firing: Firing, rule: &Rule) -> bool {
    if firing.event() != Event::Insert || rule.refuser.is_none() {
        return rule.refuser.is_some();
    }
    let known = match note(firing) {
        None => BEGUN,
        Some(BEGUN) => look(firing, rule),
        Some(known) => return known & INSERTS != 0,
    };
    set_note(firing, known);
    known & INSERTS != 0
}

/// Called before anything else runs for the row: what the rule says of the table's triggers is true at this moment.
#[inline(never)]
fn look(firing: Firing, rule: &Rule) -> u8 {
    let mut known = BEGUN | KNOWN;
    // Off only where the statement fires the very triggers that the rule knows.
    if rule.refuser.is_some_and(|refuser| turn_off(firing, refuser)) {
        known |= UNWATCHED;
        if inserts_every_row(firing) {
            known |= INSERTS;
        }
    }
    known
}

/// Whether a row that the guard leaves in slot 0 will be refused, if it is inserted.
pub fn watch(firing: Firing, rule: &Rule) -> bool {
    let Some(known) = note(firing).filter(|known| known & UNWATCHED != 0) else {
        return rule.on_insert.fires.now();
    };
    // From now on: it stays on for the rest of the statement.
    set_note(firing, known & !UNWATCHED);
    rule.refuser.is_some_and(|refuser| turn_on(firing, refuser)) && rule.on_insert.fires.now()
}
