//! How guards lock one by one, and the whole table at once when it becomes too many.
//!
//! Every single lock is taken under the table's own lock in a mode that single lockers share.
//! Past `raceguard.max_key_locks` a transaction takes the table's lock exclusively instead: it
//! waits for the single lockers of other transactions, and they wait for it. A million-row UPDATE
//! so needs one lock, where one lock per key would fill the server's lock table.

use crate::pg::error::Report;
use crate::pg::guc;
use crate::pg::lock::{subtransaction_number, transaction_number, Family, Tag};
use crate::pg::per_backend::PerBackend;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

/// What the current transaction is known to have locked. After a rollback to a savepoint the counts
/// are too high, so what was taken in another subtransaction is asked of the lock manager.
struct Held {
    transaction: Cell<u32>,
    taken: Cell<i32>,
    escalated: Cell<bool>,
    /// The table lock known to be held shared, and the subtransaction in which that was seen. As
    /// long as it is the current one the lock cannot have been released.
    shared: Cell<Option<(Oid, Family, u32)>>,
    /// The hash of the last key locked under `shared`.
    last: Cell<Option<u32>>,
}

impl Held {
    #[inline]
    fn follow_transaction(&self) {
        let now = transaction_number();
        if self.transaction.get() != now {
            self.transaction.set(now);
            self.taken.set(0);
            self.escalated.set(false);
            self.set_shared(None);
        }
    }

    fn set_shared(&self, shared: Option<(Oid, Family, u32)>) {
        self.shared.set(shared);
        self.last.set(None);
    }

    /// Whether the table's lock is known to be held, shared at least.
    #[inline]
    fn is_shared(&self, table: Oid, family: Family) -> bool {
        self.follow_transaction();
        self.shared.get() == Some((table, family, subtransaction_number()))
    }

    /// Whether the next single lock can be taken without another look at the table's.
    #[inline]
    fn has_room(&self) -> bool {
        !self.escalated.get() && self.taken.get() < guc::max_key_locks()
    }
}

static HELD: PerBackend<Held> = PerBackend::new(Held {
    transaction: Cell::new(0),
    taken: Cell::new(0),
    escalated: Cell::new(false),
    shared: Cell::new(None),
    last: Cell::new(None),
});

/// The HINT when the server's lock table is full.
pub const TOO_MANY: &str = "Raise max_locks_per_transaction, or lower raceguard.max_key_locks so that a bulk job locks the whole table earlier.";

/// Whether single locks of the table still have to be taken one by one. Takes the table's lock as
/// a side effect, shared or, past the limit, exclusively.
#[inline]
pub fn prepare(table: Oid, family: Family) -> Result<bool, Report> {
    let whole = Tag::table(table, family);
    let shared = HELD.is_shared(table, family);
    if HELD.escalated.get() && whole.is_held(false) {
        return Ok(false);
    }
    if !shared {
        if !whole.is_held(true) {
            whole.acquire(true, TOO_MANY)?;
        }
        HELD.set_shared(Some((table, family, subtransaction_number())));
    }
    if HELD.taken.get() >= guc::max_key_locks() {
        whole.acquire(false, TOO_MANY)?;
        HELD.escalated.set(true);
        return Ok(false);
    }
    Ok(true)
}

/// As `prepare`, but waits for nobody: `None` where another transaction has the whole table.
fn prepare_at_once(table: Oid, family: Family) -> Option<bool> {
    let whole = Tag::table(table, family);
    HELD.follow_transaction();
    if HELD.escalated.get() && whole.is_held(false) {
        return Some(false);
    }
    if !whole.is_held(true) && !whole.try_acquire(true) {
        return None;
    }
    // Past the limit, but with other lockers in the table, one more single lock is the lesser evil.
    if HELD.taken.get() >= guc::max_key_locks() && whole.try_acquire(false) {
        HELD.escalated.set(true);
        return Some(false);
    }
    Some(true)
}

/// Takes a table's lock exclusively: no other transaction holds or gets a single one.
pub fn lock_whole(table: Oid, family: Family) -> Result<(), Report> {
    Tag::table(table, family).acquire(false, TOO_MANY)?;
    HELD.follow_transaction();
    HELD.escalated.set(true);
    Ok(())
}

/// Whether so many more single locks go past the limit. A caller that knows their number beforehand
/// takes the table's lock before the first of them, so that two such callers cannot deadlock.
pub fn would_escalate(more: usize) -> bool {
    HELD.follow_transaction();
    let room = guc::max_key_locks().saturating_sub(HELD.taken.get());
    more > room.max(0) as usize
}

/// Counts one more single lock.
#[inline]
pub fn taken() {
    HELD.taken.set(HELD.taken.get().saturating_add(1));
}

/// Locks one key of a table until the transaction ends.
#[inline]
pub fn lock_key(root: Oid, hash: u32) -> Result<(), Report> {
    let tag = Tag::key(root, hash);
    let shared = HELD.is_shared(root, Family::Keys);
    if shared && HELD.last.get() == Some(hash) {
        return Ok(());
    }
    // Past the first key of a (sub)transaction the lock manager is asked once, held key or not.
    if !(shared && HELD.has_room()) {
        // A key that is held was locked under the table's lock, which lives at least as long.
        if tag.is_held(false) || !prepare(root, Family::Keys)? {
            return Ok(());
        }
    }
    if tag.acquire(false, TOO_MANY)? {
        taken();
    }
    HELD.last.set(Some(hash));
    Ok(())
}

/// Locks one key if nobody else has it.
pub fn try_lock_key(root: Oid, hash: u32) -> bool {
    let tag = Tag::key(root, hash);
    if tag.is_held(false) {
        return true;
    }
    match prepare_at_once(root, Family::Keys) {
        None => return false,
        Some(false) => return true,
        Some(true) => {}
    }
    if !tag.try_acquire(false) {
        return false;
    }
    taken();
    true
}
