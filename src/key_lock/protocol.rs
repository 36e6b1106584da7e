//! In which order a writer takes the locks of keys, and that of the row in the way of an upsert.
//!
//! No Postgres in here: what is asked of it stands in two traits, [`Locker`] and [`Upserter`]. `locks.rs` and `guard.rs`
//! answer for a server, and `pgrx-tests/simulator` for every order in which sessions can take their steps.

/// What a key is locked by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Locked(pub u32);

/// Who takes the locks of one table's keys.
pub trait Locker {
    /// An error of Postgres: a cancel, a timeout, a deadlock, a full lock table.
    type Failure;

    /// Waits for one key, and holds it until the (sub)transaction ends.
    fn lock(&self, key: Locked) -> Result<(), Self::Failure>;
    fn lock_whole(&self) -> Result<(), Self::Failure>;
    /// Whether so many more keys are too many to be locked one by one.
    fn would_escalate(&self, more: usize) -> bool;
    /// Whether a key is known to be held, without a look into the lock manager.
    fn is_last(&self, key: Locked) -> bool;
    fn holds(&self, key: Locked) -> bool;
}

/// Who is about to put a row in, or to change the one that is in its way.
pub trait Upserter {
    type Failure;
    type Row;
    /// A time in which no transaction has ended.
    type Moment: PartialEq;
    /// A key that may be given back.
    type Trial;

    fn now(&self) -> Self::Moment;
    /// The row that is in the way. Waits for transactions that are writing such a row.
    fn find(&self) -> Option<Self::Row>;
    /// Locks the row that was found.
    fn lock_row(&self, row: Self::Row) -> Result<InTheWay, Self::Failure>;
    /// No row is in the way, and the key is locked next.
    fn looked(&self);
    /// Locks a key that is not held.
    fn lock_on_trial(&self, key: Locked) -> Result<Self::Trial, Self::Failure>;
    fn give_back(&self, trial: Self::Trial);
}

/// What became of the row in the way.
pub enum InTheWay {
    /// It is locked as the UPDATE will lock it, and has this key.
    Locked(Option<Locked>),
    /// It was changed or deleted meanwhile.
    Gone,
    /// This very command wrote it.
    Own,
}

/// The order in which OLD's and NEW's locks are taken.
pub fn in_order(old: Option<Locked>, new: Option<Locked>) -> [Option<Locked>; 2] {
    match (old, new) {
        (Some(a), Some(b)) if a == b => [Some(a), None],
        (Some(a), Some(b)) if b < a => [Some(b), Some(a)],
        pair => [pair.0, pair.1],
    }
}

/// Locks OLD's and NEW's key.
#[inline]
pub fn lock_two<L: Locker>(
    locker: &L,
    old: Option<Locked>,
    new: Option<Locked>,
) -> Result<(), L::Failure> {
    in_order(old, new).into_iter().flatten().try_for_each(|key| locker.lock(key))
}

/// Takes many locks, in the order in which every writer takes two.
pub fn lock_all<L: Locker>(locker: &L, keys: &mut Vec<Locked>) -> Result<(), L::Failure> {
    keys.sort_unstable();
    keys.dedup();
    if locker.would_escalate(keys.len()) {
        return locker.lock_whole();
    }
    keys.iter().try_for_each(|key| locker.lock(*key))
}

/// Locks the key of a row to be inserted: at once, or in an upsert after the row that is in the way.
#[inline]
pub fn lock_inserted<L: Locker, U: Upserter<Failure = L::Failure>>(
    locker: &L,
    upserter: impl FnOnce() -> Option<U>,
    new: Locked,
) -> Result<(), L::Failure> {
    if locker.is_last(new) {
        return Ok(());
    }
    match upserter() {
        Some(upserter) if !locker.holds(new) => lock_upserted(locker, &upserter, new),
        _ => locker.lock(new),
    }
}

/// Row before key, as every UPDATE takes them. Where no row is in the way it is the key that others
/// wait for, and with the key held one is looked for again: a writer of this key may have put it in
/// meanwhile. Nobody waits for a row here while holding a key that was taken for it.
#[inline(never)]
fn lock_upserted<L: Locker, U: Upserter<Failure = L::Failure>>(
    locker: &L,
    upserter: &U,
    new: Locked,
) -> Result<(), L::Failure> {
    loop {
        let looked = upserter.now();
        if let Some(row) = upserter.find() {
            match upserter.lock_row(row)? {
                InTheWay::Gone => continue,
                InTheWay::Own => return locker.lock(new),
                InTheWay::Locked(old) => return lock_two(locker, old, Some(new)),
            }
        }
        upserter.looked();
        let trial = upserter.lock_on_trial(new)?;
        if looked == upserter.now() || upserter.find().is_none() {
            return Ok(());
        }
        upserter.give_back(trial);
    }
}
