//! The times of a key that a statement has read around one of its rows, for its next rows of the same key.
//!
//! AFTER triggers fire when all rows of their statement are written, so what is read for the first row of a key holds for
//! the others too, as long as a new look would see the same ([`Standstill`]): no transaction has ended, and this session
//! runs the same command in the same subtransaction. It belongs to one statement, is taken out by every firing of a
//! cooldown, and put back only by one of the same statement: a statement within it may write rows of the key, and a firing
//! that judges nothing may belong to one. The command number is spent before anything is kept
//! ([`Standstill::spend_command`]), so whatever writes from then on runs under another. An outdated rule judges by nothing
//! that was read for it. It is kept for keys of a few machine words, which are compared whole.
//!
//! Reading on beyond a row's own period costs a look at each row that is found there, a descent into the index several
//! times as much. A statement does so as long as it pays ([`Credit`]).

use crate::cooldown::decision::Span;
use crate::pg::key::FEW;
use crate::pg::per_backend::PerBackend;
use crate::pg::rule_cache::invalidations;
use crate::pg::snapshot::Standstill;
use crate::pg::trigger::Firing;
use crate::pg::trigger_order::{note, set_note, statement};
use core::cell::Cell;

/// The most rows of a key that are kept.
const MOST: usize = 32;

/// How many rows beyond a row's own period are read.
pub const BEYOND: usize = 8;

/// A stretch of a key's rows, all of which are known.
#[derive(Clone, Copy)]
pub struct Stretch {
    statement: usize,
    key: [usize; FEW],
    moment: Standstill,
    invalidations: u64,
    /// Every row from here, and up to here, is among the spans.
    low: i64,
    high: i64,
    count: usize,
}

static STRETCH: PerBackend<Cell<Option<Stretch>>> = PerBackend::new(Cell::new(None));

static SPANS: PerBackend<[Cell<Span>; MOST]> =
    PerBackend::new([const { Cell::new(Span { at: 0, end: 0 }) }; MOST]);

/// How often a statement still reads on: what it was found worth so far, noted for the statement. `None` for its first row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credit(Option<u8>);

impl Credit {
    const FIRST: u8 = 16;
    const MOST: u8 = 64;
    /// What a row is worth that need not look.
    const WORTH: u8 = 2;

    /// The statement's present one. Its first row is judged by itself: most statements have no other.
    #[inline]
    pub fn of(firing: Firing) -> Credit {
        Credit(note(firing))
    }

    pub fn reads_on(self) -> bool {
        self.0.is_some_and(|left| left > 0)
    }

    fn after_a_look(self) -> u8 {
        self.0.map_or(Credit::FIRST, |left| left.saturating_sub(1))
    }

    fn after_a_hit(self) -> u8 {
        self.0.map_or(Credit::FIRST, |left| (left + Credit::WORTH).min(Credit::MOST))
    }

    /// The row has been looked up.
    #[inline]
    pub fn looked(self, firing: Firing) {
        let left = self.after_a_look();
        if self.0 != Some(left) {
            set_note(firing, left);
        }
    }

    /// The row was judged by what was kept.
    #[inline]
    pub fn was_worth_it(self, firing: Firing) {
        set_note(firing, self.after_a_hit());
    }
}

/// Takes out what is kept, whosever it is; it is the caller's if its statement has kept it.
#[inline]
pub fn take(firing: Firing) -> Option<Stretch> {
    let kept = STRETCH.take()?;
    // A statement that has noted nothing may have the place in memory of a former one.
    (kept.statement == statement(firing) && note(firing).is_some()).then_some(kept)
}

impl Stretch {
    /// The spans, if all rows of the key from `low` to `high` are among them, as of now.
    #[inline]
    pub fn covering<'a>(
        &self,
        key: [usize; FEW],
        (low, high): (i64, i64),
        place: &'a mut [Span; MOST],
    ) -> Option<&'a [Span]> {
        let covers = self.key == key && self.low <= low && high <= self.high;
        if !covers || self.invalidations != invalidations() || self.moment != Standstill::now() {
            return None;
        }
        for (to, from) in place.iter_mut().zip(SPANS.iter()).take(self.count) {
            *to = from.get();
        }
        place.get(..self.count)
    }

    /// Keeps it for the next firing.
    #[inline]
    pub fn keep(self) {
        STRETCH.set(Some(self));
    }
}

/// Room for what [`Stretch::covering`] finds.
pub fn room() -> [Span; MOST] {
    [Span { at: 0, end: 0 }; MOST]
}

/// Keeps the rows of a key from `low` to `high`, as they were read at a moment.
pub fn keep(
    firing: Firing,
    key: [usize; FEW],
    moment: Standstill,
    (low, high): (i64, i64),
    spans: &[Span],
) {
    if spans.len() > MOST {
        return;
    }
    Standstill::spend_command();
    for (to, from) in SPANS.iter().zip(spans) {
        to.set(*from);
    }
    let (statement, invalidations, count) = (statement(firing), invalidations(), spans.len());
    Stretch { statement, key, moment, invalidations, low, high, count }.keep();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_on_is_given_up_where_it_never_pays() {
        let mut credit = Credit(None);
        assert!(!credit.reads_on());
        let mut looks = 0;
        loop {
            credit = Credit(Some(credit.after_a_look()));
            if !credit.reads_on() {
                break;
            }
            looks += 1;
        }
        assert_eq!(looks, Credit::FIRST);
        assert_eq!(credit.after_a_look(), 0);
    }

    #[test]
    fn one_hit_makes_up_for_a_look() {
        let mut credit = Credit(Some(1));
        for _ in 0..1000 {
            credit = Credit(Some(Credit(Some(credit.after_a_look())).after_a_hit()));
        }
        assert_eq!(credit, Credit(Some(Credit::MOST)));
    }
}
