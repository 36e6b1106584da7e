//! Numbers per key: 1, 2, 3, ..., none given twice and none left out.
//!
//! The unique index (key..., number) is the rule and holds at every isolation level; this guard only
//! finds the next number, so that writers do not meet it. It locks the key's numbers until the transaction
//! ends and then looks for the highest one that stands: a transaction that rolls back has used up none, and
//! the next one waits to see that. A row that is stated with its number takes the same lock, so that nobody is
//! given it meanwhile.
//!
//! An UPDATE holds its row before its trigger fires. An upsert takes the two in that order too: it first
//! finds and locks the row that it is about to change, which needs no number and no lock of the key's.

use crate::guard::attachment;
use crate::guard::child_key::key_values;
use crate::guard::locking;
use crate::guard::outcome;
use crate::guard::own_writes;
use crate::guard::partitions::{leaves_partition, wrong_partition};
use crate::number::counter;
use crate::number::counter_path::LastGiven;
use crate::number::decision::{next, on_insert, on_update, Number, Update};
use crate::number::hints;
use crate::number::reports;
use crate::number::rule::{NumberRules, Rule, ATTACHMENT};
use crate::pg::advisory_lock::Family;
use crate::pg::column::read_integer;
use crate::pg::error::Report;
use crate::pg::executor;
use crate::pg::key::KeyValues;
use crate::pg::numbered_scan::Direction;
use crate::pg::relation::Table;
use crate::pg::rule_cache;
use crate::pg::snapshot::Ended;
use crate::pg::stop::stop;
use crate::pg::trigger::{guard_entry, Event, Firing, Timing};
use crate::pg::tuple::Row;
use crate::pg::upsert::{Found, Upsert};
use pgrx::pg_sys::Datum;

guard_entry!(raceguard_number_guard, "number_guard", crate::number::guard::fire);

/// The trigger function `raceguard.number_guard`, BEFORE INSERT OR UPDATE row trigger.
///
/// Arguments: the number column, then `start=NUMBER`, `counter=COLUMN` and `foreign_key=NAME`, and `rows=pending`; the key is that of the unique index without a predicate that ends
/// with the number column. Returns NEW with the number after the highest of its key, with the number that it states
/// or had, or without one where the key has a NULL.
///
/// Raises 428C9 for an UPDATE of the number alone, 22003 past the last number of the type, 23514 for a row of another
/// partition, 53200 where the lock table is full, 55000 without index, 39P01 and 42703 for a trigger that is no such
/// guard.
pub fn fire(firing: Firing) -> Result<Row, Report> {
    outcome::leave(firing, numbered(firing))
}

/// NEW as it is written, with its number.
fn numbered(firing: Firing) -> Result<Row, Report> {
    if !firing.is_row(Timing::Before) || firing.event() == Event::Delete {
        return Err(attachment::otherwise(&ATTACHMENT, firing.table()));
    }
    let rule = rule_cache::rule::<NumberRules>(firing.definition())?;
    let new = firing.new_row();
    let given = read(rule, new);
    let chosen = match firing.event() {
        Event::Update => updated(firing, rule, given)?,
        _ => inserted(firing, rule, given)?,
    };
    outcome::passed(firing);
    if chosen == given {
        return Ok(new);
    }
    Ok(new.with(rule.column.attno, chosen.map(Datum::from)))
}

fn read(rule: &Rule, row: Row) -> Option<i64> {
    row.get(rule.column.attno).map(|value| read_integer(value, rule.column.type_oid))
}

/// The number of a row to be inserted.
fn inserted(firing: Firing, rule: &Rule, given: Option<i64>) -> Result<Option<i64>, Report> {
    if leaves_partition(rule.partition, firing) {
        return Err(wrong_partition(firing));
    }
    let key = rule.index.key.values(firing.new_in_slot());
    let cascades = given.is_some() && executor::is_foreign_key_action(firing);
    let decision = on_insert(key.has_null(), given, cascades);
    if decision == Number::Null {
        return Ok(None);
    }
    if let Some(upsert) = Upsert::of(firing)
        && let Some(number) = in_the_way(firing, rule, &key, upsert)?
    {
        return Ok(given.or(number));
    }
    settle(firing, rule, &key, decision)
}

/// The number of the row that an upsert is about to change, which is locked then; `None` if it inserts, and
/// holds the key's numbers then. Nobody waits for a row here while holding numbers that were locked for it.
fn in_the_way(
    firing: Firing,
    rule: &Rule,
    key: &KeyValues,
    upsert: Upsert,
) -> Result<Option<Option<i64>>, Report> {
    let (guard, hash) = (firing.definition(), lock_hash(rule, key));
    let table = guard.table().oid();
    let held = locking::holds(Family::Numbers, table, hash);
    loop {
        let ended = Ended::now();
        if let Some(row) = upsert.find() {
            match upsert.lock(row) {
                Found::Gone => continue,
                Found::Own => {}
                Found::Locked(row, _) => {
                    let number = read(rule, row);
                    upsert.forget();
                    return Ok(Some(number));
                }
            }
        }
        if held {
            return Ok(None);
        }
        stop(c"raceguard-number-looked");
        lock_counter(firing, rule)?;
        let trial = locking::lock_on_trial(Family::Numbers, table, hash, guard)?;
        if ended == Ended::now() || upsert.find().is_none() {
            return Ok(None);
        }
        trial.give_back();
    }
}

/// The number of a row that is updated.
fn updated(firing: Firing, rule: &Rule, new: Option<i64>) -> Result<Option<i64>, Report> {
    let old = read(rule, firing.old());
    let unchanged = rule.index.key.is_unchanged(firing.old(), firing.new_row());
    if unchanged && new.is_some() && new == old {
        return Ok(new);
    }
    let moves = leaves_partition(rule.partition, firing);
    if moves && executor::names_the_partition(firing) {
        return Err(wrong_partition(firing));
    }
    let key = rule.index.key.values(firing.new_in_slot());
    let decision = on_update(Update {
        null_key: key.has_null(),
        stays: stays(rule, firing, &key),
        moves,
        cascades: executor::is_foreign_key_action(firing),
        old,
        new,
    });
    settle(firing, rule, &key, decision)
}

/// Whether OLD stood under the same key.
fn stays(rule: &Rule, firing: Firing, key: &KeyValues) -> bool {
    let old = rule.index.key.more_values(firing.old_in_slot());
    !old.has_null() && !key.has_null() && rule.index.same_key(&old, key)
}

/// Carries the decision out: the value the number column gets.
fn settle(
    firing: Firing,
    rule: &Rule,
    key: &KeyValues,
    decision: Number,
) -> Result<Option<i64>, Report> {
    match decision {
        Number::Null => return Ok(None),
        Number::Keep(number) => return Ok(Some(number)),
        Number::Moves(number) => return Ok(number),
        Number::Changed => return Err(reports::changed(firing, rule, key)),
        Number::Stated(_) | Number::Prefer(_) | Number::Next => {}
    }
    let table = firing.table();
    if rule.options.pending && waits_its_turn(table, decision) {
        return Ok(None);
    }
    let counter = lock_counter(firing, rule)?;
    locking::lock(Family::Numbers, table.oid(), lock_hash(rule, key), firing.definition())?;
    match decision {
        Number::Stated(number) => Ok(Some(number)),
        Number::Prefer(number) if is_free(table, rule, key, number) => Ok(Some(number)),
        _ => next_number(firing, rule, key, counter).map(Some),
    }
}

/// Whether a row is left without a number as long as those that stood before it have none: it gets one in its
/// turn, from `CALL number_rows`.
fn waits_its_turn(table: Table, decision: Number) -> bool {
    !matches!(decision, Number::Stated(_)) && !own_writes::is_numbering_rows(table.oid())
}

/// Tells the keys of a table's number guards apart in its locks.
fn lock_hash(rule: &Rule, key: &KeyValues) -> u32 {
    let column = (rule.column.attno as u32).wrapping_mul(0x9E37_79B1);
    rule.index.key.hash(key.as_slice()) ^ column
}

fn is_free(table: Table, rule: &Rule, key: &KeyValues, number: i64) -> bool {
    let scan = rule.index.open(table, key);
    let found = scan.first(Direction::Lowest, number);
    scan.close();
    found != Some(number)
}

/// Locks the row with the key's counter, before the key's numbers, and reads it. `None` without a counter, and where a row
/// comes before its parent.
#[inline]
fn lock_counter(firing: Firing, rule: &Rule) -> Result<Option<LastGiven>, Report> {
    let Some(counted) = &rule.counter else { return Ok(None) };
    match key_values(&counted.foreign_key, firing.new_row()) {
        Some(values) => {
            let waits = !own_writes::must_not_wait(firing.table().oid());
            counter::lock(counted, &values, waits)
        }
        None => Ok(None),
    }
}

/// The number after the key's highest, or after its counter where that is higher.
fn next_number(
    firing: Firing,
    rule: &Rule,
    key: &KeyValues,
    counter: Option<LastGiven>,
) -> Result<i64, Report> {
    let (start, hash) = (rule.options.start, lock_hash(rule, key));
    let given = counter.map(|counter| counter.number).filter(|given| *given >= start);
    let scan = rule.index.open(firing.table(), key);
    let highest = match given {
        Some(given) => scan.first(Direction::Highest, given).or(Some(given)),
        None => {
            let near = hints::last_given(rule.index.oid, hash).filter(|near| *near > start);
            near.and_then(|near| scan.first(Direction::Highest, near))
                .or_else(|| scan.first(Direction::Highest, start))
        }
    };
    scan.close();
    let last = counter.map_or(rule.last, |counter| rule.last.min(counter.largest));
    let number =
        next(highest, start, last).ok_or_else(|| reports::exhausted(firing, rule, key, last))?;
    hints::given(rule.index.oid, hash, number);
    Ok(number)
}
