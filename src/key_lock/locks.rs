//! The locks of keys: what a key is locked by, and how one is taken.

use crate::errors;
use crate::guard::locking::{self, Trial};
use crate::key_lock::protocol::{Locked, Locker};
use crate::key_lock::rule::Rule;
use crate::pg::advisory_lock::{Family, Tag};
use crate::pg::error::Report;
use crate::pg::row_slot::RowSlot;
use crate::pg::trigger::Definition;
use crate::pg::tuple::Row;
use pgrx::pg_sys;

/// A guard that locks where `whose` counters count.
#[derive(Clone, Copy)]
pub struct Locking<'a, 'r> {
    pub rule: &'a Rule<'r>,
    pub whose: Definition<'a>,
}

impl Locker for Locking<'_, '_> {
    type Failure = Report;

    #[inline]
    fn lock(&self, key: Locked) -> Result<(), Report> {
        lock(self.rule, Some(key), self.whose)
    }

    fn lock_whole(&self) -> Result<(), Report> {
        locking::lock_whole(self.rule.root, Family::Keys, self.whose)
    }

    fn would_escalate(&self, more: usize) -> bool {
        self.rule.options.namespace.is_none() && locking::would_escalate(more)
    }

    #[inline]
    fn is_last(&self, Locked(key): Locked) -> bool {
        match self.rule.options.namespace {
            None => locking::is_last_key(self.rule.root, key),
            Some(namespace) => locking::is_last_in_namespace(namespace, key as i32),
        }
    }

    fn holds(&self, Locked(key): Locked) -> bool {
        match self.rule.options.namespace {
            None => locking::holds(Family::Keys, self.rule.root, key),
            Some(namespace) => Tag::integers(namespace, key as i32).is_held(false),
        }
    }
}

/// What a row, given as a tuple and in a slot, is locked by; `None` for a NULL key.
#[inline]
pub fn locked(rule: &Rule, row: Row, in_slot: RowSlot) -> Result<Option<Locked>, Report> {
    if rule.options.namespace.is_none() {
        return Ok(rule.key.hash_row(row, in_slot).map(Locked));
    }
    rule.key.integer(row, in_slot).map(in_namespace).transpose()
}

/// What a key given by its values is locked by.
pub fn identify(rule: &Rule, values: &[pg_sys::Datum]) -> Result<Locked, Report> {
    if rule.options.namespace.is_none() {
        return Ok(Locked(rule.key.hash(values)));
    }
    let given = rule.key.parts.first().zip(values.first());
    // `check` lets a namespace stand only with one integer part.
    in_namespace(given.and_then(|(part, v)| part.integer(*v)).unwrap_or(0))
}

/// A key with a namespace is locked by its own number.
fn in_namespace(number: i64) -> Result<Locked, Report> {
    i32::try_from(number).map(|n| Locked(n as u32)).map_err(|_| {
        Report::error(
            errors::OUT_OF_RANGE,
            format_args!("key {number} is out of range for a key lock with a namespace"),
        )
        .detail(format_args!("pg_advisory_xact_lock(namespace, key) takes 32-bit integers."))
        .hint(format_args!("Add the guard without namespace: raceguard's own locks take any key."))
    })
}

const TOO_MANY_IN_NAMESPACE: &str = "A key lock with a namespace does not change over to one lock for the whole table, because code that takes pg_advisory_xact_lock by hand would not see it. Raise max_locks_per_transaction, or write fewer keys per transaction.";

/// Takes one lock.
#[inline]
pub fn lock(rule: &Rule, what: Option<Locked>, whose: Definition) -> Result<(), Report> {
    match (what, rule.options.namespace) {
        (None, _) => Ok(()),
        (Some(Locked(hash)), None) => locking::lock(Family::Keys, rule.root, hash, whose),
        (Some(Locked(key)), Some(namespace)) => {
            locking::lock_in_namespace(namespace, key as i32, TOO_MANY_IN_NAMESPACE, whose)
        }
    }
}

/// Locks a key that is not held and that may have to be given back.
pub fn lock_on_trial(rule: &Rule, key: Locked, whose: Definition) -> Result<Trial, Report> {
    match rule.options.namespace {
        None => locking::lock_on_trial(Family::Keys, rule.root, key.0, whose),
        Some(namespace) => {
            locking::lock_in_namespace(namespace, key.0 as i32, TOO_MANY_IN_NAMESPACE, whose)?;
            Ok(Trial::alone(Tag::integers(namespace, key.0 as i32)))
        }
    }
}

/// Takes one lock if nobody else has it.
pub fn try_lock(rule: &Rule, what: Locked) -> bool {
    match rule.options.namespace {
        None => locking::try_lock_key(rule.root, what.0),
        Some(namespace) => Tag::integers(namespace, what.0 as i32).try_acquire(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::outcome::Mode;
    use crate::key_lock::protocol::in_order;
    use crate::key_lock::rule::{parse, Options};
    use proptest::prelude::*;

    proptest! {
        /// Two writers that move a row between two keys lock in the same order.
        #[test]
        fn opposite_moves_lock_in_the_same_order(a in any::<u32>(), b in any::<u32>()) {
            let (a, b) = (Some(Locked(a)), Some(Locked(b)));
            prop_assert_eq!(in_order(a, b), in_order(b, a));
        }

        #[test]
        fn every_key_is_locked_once(old in any::<Option<u32>>(), new in any::<Option<u32>>()) {
            let order = in_order(old.map(Locked), new.map(Locked));
            let mut expected: Vec<u32> = old.into_iter().chain(new).collect();
            expected.sort();
            expected.dedup();
            let locked: Vec<u32> = order.into_iter().flatten().map(|l| l.0).collect();
            prop_assert_eq!(locked, expected);
        }
    }

    #[test]
    fn options_are_read() {
        assert_eq!(
            parse(["a, b", "namespace=-5"].into_iter()),
            Ok(Options { key: "a, b", namespace: Some(-5), mode: Mode::Enforce })
        );
        assert_eq!(
            parse(["a", "mode=observe"].into_iter()),
            Ok(Options { key: "a", namespace: None, mode: Mode::Observe })
        );
        assert_eq!(parse(["a", "namespace=x"].into_iter()), Err("namespace=x"));
        assert_eq!(parse([].into_iter()), Err(""));
    }
}
