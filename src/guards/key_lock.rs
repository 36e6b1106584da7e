//! Key locks: every writer of a key waits its turn, whoever writes.
//!
//! OLD's and NEW's key are locked, the smaller hash first, until the transaction ends. A NULL key
//! locks nothing. DELETE deletes.

use super::locking;
use super::numbering;
use crate::errors;
use crate::pg::cache;
use crate::pg::error::{catch, Report};
use crate::pg::key::{self, Key};
use crate::pg::lock::{Family, Tag};
use crate::pg::memory;
use crate::pg::setting;
use crate::pg::trigger::{guard_entry, Definition, Event, Firing, Timing};
use crate::pg::tuple::Row;
use pgrx::pg_sys::{self, Oid, TupleTableSlot};

guard_entry!(raceguard_key_lock_guard, "key_lock_guard", crate::guards::key_lock::fire);

/// The trigger function's name in SQL.
pub const FUNCTION: &str = "key_lock_guard";
const NAMESPACE: &str = "namespace=";

/// The options as they stand in the trigger's arguments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options<'a> {
    pub key: &'a str,
    pub namespace: Option<i32>,
}

/// Reads the options; the error is the argument that is none.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Options<'a>, &'a str> {
    let key = arguments.next().unwrap_or_default();
    let mut options = Options { key, namespace: None };
    for argument in arguments {
        match argument.strip_prefix(NAMESPACE).map(str::parse) {
            Some(Ok(number)) => options.namespace = Some(number),
            _ => return Err(argument),
        }
    }
    if key.is_empty() {
        return Err(key);
    }
    Ok(options)
}

/// The rule of one key lock.
#[derive(Clone, Copy)]
pub struct Rule {
    pub options: Options<'static>,
    pub key: Key,
    /// The topmost partitioned table, or the table itself: all partitions share its locks.
    pub root: Oid,
}

/// What a key is locked by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Locked(u32);

/// The order in which OLD's and NEW's locks are taken.
pub fn in_order(old: Option<Locked>, new: Option<Locked>) -> [Option<Locked>; 2] {
    match (old, new) {
        (Some(a), Some(b)) if a == b => [Some(a), None],
        (Some(a), Some(b)) if b < a => [Some(b), Some(a)],
        pair => [pair.0, pair.1],
    }
}

/// Builds the rule of a key lock trigger.
pub fn build(trigger: Definition) -> Result<Rule, Report> {
    let table = trigger.table();
    let arguments = memory::keep_arguments(trigger);
    let options = parse(arguments.iter().copied()).map_err(|bad| {
        errors::wrong_argument(
            trigger.name(),
            table,
            format_args!("\"{bad}\" is not a key or an option of key_lock_guard."),
        )
    })?;
    setting::refuse_missed()?;
    // Postgres's parser raises its errors, a renamed column for one, by itself.
    let key = catch(|| {
        let key = key::with_pinned_path(|| key::parse(table, options.key))?.compile(table);
        check(&key, options.namespace)?;
        Ok(key)
    })
    .and_then(|outcome| outcome)
    .map_err(|cause| errors::guard_text_broken(trigger.name(), table, "key", options.key, cause))?;
    Ok(Rule { options, key, root: table.root() })
}

/// Whether a key can be locked the way the options say.
pub fn check(key: &Key, namespace: Option<i32>) -> Result<(), Report> {
    if namespace.is_some() {
        if !matches!(key.parts, [part] if part.is_integer()) {
            return Err(Report::error(
                errors::DATATYPE_MISMATCH,
                format_args!("a key lock with a namespace needs one integer key"),
            )
            .detail(format_args!(
                "It takes the lock of pg_advisory_xact_lock(namespace, key), which has room for one integer."
            ))
            .hint(format_args!("Leave namespace out: raceguard's own locks take any key.")));
        }
        return Ok(());
    }
    match key.unhashable() {
        Some(part) => Err(key::no_hash_function(part)),
        None => Ok(()),
    }
}

/// The trigger function `raceguard.key_lock_guard`, BEFORE INSERT OR UPDATE OR DELETE row trigger.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) {
        return Err(errors::wrong_timing(
            FUNCTION,
            firing.table(),
            "BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW",
        ));
    }
    let rule = cache::rule(firing.definition(), build)?;
    match firing.event() {
        Event::Insert => lock(rule, locked(rule, firing.new_row(), firing.new_slot())?)?,
        Event::Delete => lock(rule, locked(rule, firing.old(), firing.old_slot())?)?,
        Event::Update if numbering::is_backfill(firing) => {}
        Event::Update => {
            let new = locked(rule, firing.new_row(), firing.new_slot())?;
            if rule.key.is_unchanged(firing.old(), firing.new_row()) {
                return lock(rule, new).map(|()| firing.pass());
            }
            let old = locked(rule, firing.old(), firing.old_slot())?;
            let [first, second] = in_order(old, new);
            lock(rule, first)?;
            lock(rule, second)?;
        }
    }
    Ok(firing.pass())
}

/// What a row, given as a tuple and in a slot, is locked by; `None` for a NULL key.
#[inline]
fn locked(rule: &Rule, row: Row, slot: *mut TupleTableSlot) -> Result<Option<Locked>, Report> {
    if rule.options.namespace.is_none() {
        return Ok(rule.key.hash_row(row, slot).map(Locked));
    }
    rule.key.integer(row, slot).map(in_namespace).transpose()
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
pub fn lock(rule: &Rule, what: Option<Locked>) -> Result<(), Report> {
    match (what, rule.options.namespace) {
        (None, _) => Ok(()),
        (Some(Locked(hash)), None) => locking::lock_key(rule.root, hash),
        (Some(Locked(key)), Some(namespace)) => {
            Tag::integers(namespace, key as i32).acquire(false, TOO_MANY_IN_NAMESPACE).map(drop)
        }
    }
}

/// Takes many locks, in the order in which every writer takes two.
pub fn lock_all(rule: &Rule, keys: &[Locked]) -> Result<(), Report> {
    if rule.options.namespace.is_none() && locking::would_escalate(keys.len()) {
        return locking::lock_whole(rule.root, Family::Keys);
    }
    keys.iter().try_for_each(|key| lock(rule, Some(*key)))
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
            Ok(Options { key: "a, b", namespace: Some(-5) })
        );
        assert_eq!(parse(["a", "namespace=x"].into_iter()), Err("namespace=x"));
        assert_eq!(parse([].into_iter()), Err(""));
    }
}
