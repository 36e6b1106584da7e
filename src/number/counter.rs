//! The counter of a key: a column of the parent's row that keeps the number given last.
//!
//! The row is locked before the key's numbers are (FOR NO KEY UPDATE, which foreign keys share), as whoever updates it and then
//! writes a row under it has it locked first. It is written when the rows are in, by the AFTER trigger: a row that an
//! upsert leaves out uses up no number.
//!
//! **What is remembered, and what makes it stale.** What the transaction knows of counters ([`KnownCounter`]), so that a run of rows
//! reads one once. A counter that the transaction has locked changes by the transaction alone, and by nothing but
//! [`raise`]; one that it has only read was at least so high. A rollback to a savepoint releases locks and takes
//! counters back, and a parent's row that comes, goes or is changed may be another one under the same key: both make the session
//! forget everything. The statements by which a foreign key reaches its parent ([`CounterPath`]) depend on both
//! tables, which are watched; whether the child's owner may write the counter is asked each time.

use crate::guard::child_key::{append_key, KeyDatums};
use crate::guard::noted_keys::NotedKeys;
use crate::number::counter_path::{CounterPath, LastGiven};
use crate::number::counter_rule::Counted;
use crate::pg::advisory_lock::subtransaction_number;
use crate::pg::alloc::{fallibly, is_exiting};
use crate::pg::error::Report;
use crate::pg::memory::exhausted;
use crate::pg::per_backend::PerBackend;
use crate::pg::snapshot::is_kept;
use crate::pg::spi::connected;
use crate::pg::transaction_end::{self, Listener};
use core::cell::RefCell;
use std::collections::TryReserveError;

/// What the transaction knows of a counter.
#[derive(Clone, Copy)]
struct KnownCounter {
    last: LastGiven,
    /// Whether it has the row locked; otherwise the counter may be higher.
    locked: bool,
}

/// The counter of a parent that is not there: a row that goes with it asks once.
const NONE: LastGiven = LastGiven { number: i64::MAX, largest: i64::MAX };

struct CountersSession {
    known: NotedKeys<KnownCounter>,
    /// The key being looked up, kept for its memory.
    key: Vec<u8>,
}

static SESSION: PerBackend<RefCell<Option<CountersSession>>> = PerBackend::new(RefCell::new(None));

static LISTENER: Listener = Listener {
    before_commit: || Ok(()),
    ended: forget,
    rolled_back: |_| forget(),
    released: |_| {},
};

impl CountersSession {
    const fn new() -> CountersSession {
        CountersSession { known: NotedKeys::new(), key: Vec::new() }
    }
}

/// Forgets what is known of all counters.
pub fn forget() {
    if is_exiting() {
        return;
    }
    if let Some(session) = SESSION.borrow_mut().as_mut().filter(|session| session.known.len() > 0) {
        *session = CountersSession::new();
    }
}

/// Looks at the session, with the bytes of a key written out: foreign key and column tell counters apart.
fn with_key<T>(
    counted: &Counted,
    values: &KeyDatums,
    body: impl FnOnce(&mut CountersSession) -> Result<T, TryReserveError>,
) -> Result<T, Report> {
    if SESSION.borrow().is_none() {
        transaction_end::listen(&LISTENER);
    }
    let mut session = SESSION.borrow_mut();
    let session = session.get_or_insert_with(CountersSession::new);
    let outcome = fallibly(|| {
        session.key.clear();
        session.key.try_reserve(6)?;
        session.key.extend_from_slice(&counted.foreign_key.constraint.to_u32().to_le_bytes());
        session.key.extend_from_slice(&counted.attno.to_le_bytes());
        append_key(&mut session.key, &counted.foreign_key, values)?;
        body(session)
    });
    outcome.map_err(|_| exhausted(session.key.len()))
}

fn known(counted: &Counted, values: &KeyDatums) -> Result<Option<KnownCounter>, Report> {
    with_key(counted, values, |session| {
        let CountersSession { known, key } = session;
        Ok(known.find(key).ok().and_then(|place| known.get(place)).copied())
    })
}

fn remember(counted: &Counted, values: &KeyDatums, now: KnownCounter) -> Result<(), Report> {
    let sub = subtransaction_number();
    with_key(counted, values, |session| {
        let CountersSession { known, key } = session;
        match known.find(key) {
            Ok(place) => {
                if let Some(known) = known.get_mut(place) {
                    *known = now;
                }
            }
            Err(hash) => {
                known.add(key, hash, sub, now)?;
            }
        }
        Ok(())
    })
}

/// Locks the parent's row with these key values and reads its counter; `None` where there is no such row. 55P03 where
/// somebody else has it and the caller does not wait.
pub fn lock(
    counted: &Counted,
    values: &KeyDatums,
    waits: bool,
) -> Result<Option<LastGiven>, Report> {
    if let Some(known) = known(counted, values)?.filter(|known| known.locked) {
        return Ok(Some(known.last));
    }
    let known = CounterPath::known(counted)?;
    let at_once = known.map_or(Ok(None), |path| path.lock_directly(values, waits))?;
    let found = match at_once {
        None => connected(|| lock_row(&*CounterPath::of(counted)?, values, waits))?,
        found => found,
    };
    if let Some(last) = found {
        remember(counted, values, KnownCounter { last, locked: true })?;
    }
    Ok(found)
}

/// READ COMMITTED follows a row and not a key: who waited for a transaction that deletes the parent and puts another row
/// under its key finds none, though one is there all the time. So it is locked again as long as one is to be seen.
fn lock_row(
    path: &CounterPath,
    values: &KeyDatums,
    waits: bool,
) -> Result<Option<LastGiven>, Report> {
    let mut found = path.lock(values, waits)?;
    for _ in 0..ATTEMPTS {
        if found.is_some() || is_kept() || path.look(values)?.is_none() {
            break;
        }
        found = path.lock(values, waits)?;
    }
    Ok(found)
}

/// How often a row is to be seen and not to be locked before something else than other writers is behind it.
const ATTEMPTS: usize = 20;

/// A row has gone in with a number: its key's counter is at least that. `highest` tells the highest number that stands under
/// the key, so that one write does for many rows.
pub fn follow(
    counted: &Counted,
    values: &KeyDatums,
    number: i64,
    highest: impl FnOnce() -> i64,
) -> Result<(), Report> {
    match known(counted, values)? {
        Some(known) if known.last.number >= number => Ok(()),
        _ => raise(counted, values, highest().max(number)),
    }
}

/// A row with a number goes, or gets another: nobody else is to be given it.
pub fn give_up(counted: &Counted, values: &KeyDatums, number: i64) -> Result<(), Report> {
    if known(counted, values)?.is_some_and(|known| known.last.number >= number) {
        return Ok(());
    }
    match connected(|| CounterPath::of(counted)?.look(values))? {
        // A parent that comes makes the session forget.
        None => remember(counted, values, KnownCounter { last: NONE, locked: false }),
        Some(last) if last.number >= number => {
            remember(counted, values, KnownCounter { last, locked: false })
        }
        Some(_) => raise(counted, values, number),
    }
}

/// Writes a counter that is below a number. A parent that is not there has none.
fn raise(counted: &Counted, values: &KeyDatums, number: i64) -> Result<(), Report> {
    let Some(last) = lock(counted, values, true)? else { return Ok(()) };
    if last.number >= number {
        return Ok(());
    }
    let known = CounterPath::known(counted)?;
    if !known.map_or(Ok(false), |path| path.raise_directly(values, number))? {
        connected(|| CounterPath::of(counted)?.raise(values, number))?;
    }
    let last = LastGiven { number, ..last };
    remember(counted, values, KnownCounter { last, locked: true })
}
