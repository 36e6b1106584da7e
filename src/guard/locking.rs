//! How guards lock one by one, and the whole table at once when it becomes too many.
//!
//! Every single lock is taken under the table's own lock in a mode that single lockers share.
//! Past `raceguard.max_key_locks` a transaction takes the table's lock exclusively instead: it
//! waits for the single lockers of other transactions, and they wait for it. A million-row UPDATE
//! so needs one lock, where one lock per key would fill the server's lock table.
//!
//! **What is remembered, and what makes it stale.** The locks known to be held ([`Held`]), so that a run of
//! rows with one key asks the lock manager once. They depend on the transaction, whose number differs for
//! each one of a session (ROLLBACK, COMMIT AND CHAIN and PREPARE TRANSACTION begin another), and on the
//! subtransaction in which each was seen: a rollback to a savepoint releases locks without telling anyone,
//! and no lock of a transaction that goes on is released otherwise. A table or key is known by OID and
//! hash: whatever has these now shares the lock. The counter may be too high, which escalates earlier.
//!
//! What waits is told `whose` guard's lock it is, whose counters are looked up before the wait: an error may end it.

use crate::guard::stats::session;
use crate::pg::advisory_lock::{
    note_escalation, subtransaction_number, transaction_number, Family, Tag,
};
use crate::pg::error::Report;
use crate::pg::guc;
use crate::pg::per_backend::PerBackend;
use crate::pg::trigger::Definition;
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
    /// The table lock known to be held exclusively, likewise.
    whole: Cell<Option<(Oid, Family, u32)>>,
    /// The hash of the last single lock taken under `shared`.
    last: Cell<Option<u32>>,
    /// The last key locked in a namespace, and the subtransaction in which it was.
    last_in_namespace: Cell<Option<(i32, i32, u32)>>,
}

impl Held {
    #[inline]
    fn follow_transaction(&self) {
        let now = transaction_number();
        if self.transaction.get() != now {
            self.transaction.set(now);
            self.taken.set(0);
            self.escalated.set(false);
            self.whole.set(None);
            self.set_shared(None);
            self.last_in_namespace.set(None);
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

    /// Whether all locks of the table are held as one: asked of the lock manager once in a subtransaction.
    #[inline]
    fn has_whole(&self, table: Oid, family: Family) -> bool {
        if !self.escalated.get() {
            return false;
        }
        let here = Some((table, family, subtransaction_number()));
        if self.whole.get() == here {
            return true;
        }
        let held = Tag::table(table, family).is_held(false);
        if held {
            self.whole.set(here);
        }
        held
    }

    /// Whether the transaction surely holds no lock of a key or slot yet, single or of a whole table. Counts are
    /// never too low.
    #[inline]
    fn is_empty(&self) -> bool {
        self.taken.get() == 0 && !self.escalated.get()
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
    whole: Cell::new(None),
    last: Cell::new(None),
    last_in_namespace: Cell::new(None),
});

/// The HINT when the server's lock table is full.
pub const TOO_MANY: &str = "Raise max_locks_per_transaction, or lower raceguard.max_key_locks so that a bulk job locks the whole table earlier.";

/// Whether single locks of the table still have to be taken one by one. Takes the table's lock as
/// a side effect, shared or, past the limit, exclusively.
#[inline]
pub fn prepare(table: Oid, family: Family, whose: Definition) -> Result<bool, Report> {
    let whole = Tag::table(table, family);
    let shared = HELD.is_shared(table, family);
    if HELD.has_whole(table, family) {
        return Ok(false);
    }
    if !shared {
        if HELD.is_empty() || !whole.is_held(true) {
            whole.acquire(true, TOO_MANY, || session::know(whose))?;
        }
        HELD.set_shared(Some((table, family, subtransaction_number())));
    }
    if HELD.taken.get() >= guc::max_key_locks() {
        whole.acquire(false, TOO_MANY, || session::know(whose))?;
        HELD.escalated.set(true);
        note_escalation();
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
        note_escalation();
        return Some(false);
    }
    Some(true)
}

/// Takes a table's lock exclusively: no other transaction holds or gets a single one.
pub fn lock_whole(table: Oid, family: Family, whose: Definition) -> Result<(), Report> {
    Tag::table(table, family).acquire(false, TOO_MANY, || session::know(whose))?;
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

/// Whether a lock of a family is known to be held, without asking the lock manager.
#[inline]
fn is_last(family: Family, table: Oid, hash: u32) -> bool {
    HELD.is_shared(table, family) && HELD.last.get() == Some(hash)
}

/// Whether a key is known to be held, without asking the lock manager.
#[inline]
pub fn is_last_key(root: Oid, hash: u32) -> bool {
    is_last(Family::Keys, root, hash)
}

/// Whether a lock of a family is held, itself or as that of the whole table.
pub fn holds(family: Family, table: Oid, hash: u32) -> bool {
    is_last(family, table, hash)
        || Tag::single(family, table, hash).is_held(false)
        || Tag::table(table, family).is_held(false)
}

/// As [`is_last_key`], for a key in a namespace.
#[inline]
pub fn is_last_in_namespace(namespace: i32, key: i32) -> bool {
    HELD.follow_transaction();
    HELD.last_in_namespace.get() == Some((namespace, key, subtransaction_number()))
}

/// Locks one key in a namespace until the transaction ends. `too_many` is the HINT if the server's
/// lock table is full.
#[inline]
pub fn lock_in_namespace(
    namespace: i32,
    key: i32,
    too_many: &str,
    whose: Definition,
) -> Result<(), Report> {
    if is_last_in_namespace(namespace, key) {
        return Ok(());
    }
    Tag::integers(namespace, key).acquire(false, too_many, || session::know(whose))?;
    HELD.last_in_namespace.set(Some((namespace, key, subtransaction_number())));
    Ok(())
}

/// Takes one lock of a family that was not held, for a writer that may have to give it back.
pub fn lock_on_trial(
    family: Family,
    table: Oid,
    hash: u32,
    whose: Definition,
) -> Result<Trial, Report> {
    let whole = Tag::table(table, family);
    let under = (!whole.is_held(true)).then_some(whole);
    lock(family, table, hash, whose)?;
    // Past the limit there is no single lock, and the table's stays.
    let key = (!whole.is_held(false)).then_some(Tag::single(family, table, hash));
    Ok(Trial { key, under: key.and(under), counted: key.is_some() })
}

/// A lock that was just taken and that may be given back.
#[derive(Clone, Copy)]
pub struct Trial {
    key: Option<Tag>,
    /// The table's lock, if it was taken for this key.
    under: Option<Tag>,
    counted: bool,
}

impl Trial {
    /// A key that is locked without the table's lock.
    pub fn alone(key: Tag) -> Trial {
        Trial { key: Some(key), under: None, counted: false }
    }

    pub fn give_back(self) {
        if let Some(key) = self.key {
            key.release(false);
        }
        if self.counted {
            HELD.taken.set(HELD.taken.get().saturating_sub(1));
        }
        if let Some(table) = self.under {
            table.release(true);
        }
        HELD.set_shared(None);
        HELD.last_in_namespace.set(None);
    }
}

/// Takes one lock of a family until the transaction ends.
#[inline]
pub fn lock(family: Family, table: Oid, hash: u32, whose: Definition) -> Result<(), Report> {
    let tag = Tag::single(family, table, hash);
    let shared = HELD.is_shared(table, family);
    if shared && HELD.last.get() == Some(hash) {
        return Ok(());
    }
    if HELD.has_whole(table, family) {
        return Ok(());
    }
    // Past the first lock of a (sub)transaction the lock manager is asked once, held or not.
    if !(shared && HELD.has_room()) {
        // What is held was locked under the table's lock, which lives at least as long.
        if !HELD.is_empty() && tag.is_held(false) || !prepare(table, family, whose)? {
            return Ok(());
        }
    }
    if tag.acquire(false, TOO_MANY, || session::know(whose))? {
        taken();
    }
    HELD.last.set(Some(hash));
    Ok(())
}

/// What a guard that only observes finds where a guard that locks would take a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Nobody is in the way.
    Free,
    /// Another transaction has the key, or all keys.
    Key,
    /// Past the limit the whole table would be locked, and others have keys of it.
    Table,
}

/// Locks one key for a guard that only observes, if nobody is in the way. Waits for nobody, and a full lock
/// table is no error.
pub fn observe_key(root: Oid, hash: u32) -> Seen {
    let key = Tag::key(root, hash);
    if is_last_key(root, hash) || key.is_held(false) {
        return Seen::Free;
    }
    match prepare_to_observe(root, Family::Keys) {
        Err(seen) => return seen,
        Ok(false) => return Seen::Free,
        Ok(true) => {}
    }
    if !key.try_quietly(false) {
        return Seen::Key;
    }
    taken();
    HELD.last.set(Some(hash));
    Seen::Free
}

/// As [`prepare`], for a guard that only observes: waits for nobody, and tells who is in the way.
pub fn prepare_to_observe(table: Oid, family: Family) -> Result<bool, Seen> {
    let whole = Tag::table(table, family);
    HELD.follow_transaction();
    if whole.is_held(false) {
        return Ok(false);
    }
    if !whole.is_held(true) && !whole.try_quietly(true) {
        return Err(Seen::Key);
    }
    HELD.set_shared(Some((table, family, subtransaction_number())));
    if HELD.taken.get() < guc::max_key_locks() {
        return Ok(true);
    }
    if !whole.try_quietly(false) {
        return Err(Seen::Table);
    }
    HELD.escalated.set(true);
    note_escalation();
    Ok(false)
}

/// The same of a key in a namespace, where a locking guard takes lock after lock: past the limit this one
/// gives them back.
pub fn observe_in_namespace(namespace: i32, key: i32) -> Seen {
    let tag = Tag::integers(namespace, key);
    if is_last_in_namespace(namespace, key) || tag.is_held(false) {
        return Seen::Free;
    }
    if !tag.try_quietly(false) {
        return Seen::Key;
    }
    if HELD.taken.get() >= guc::max_key_locks() {
        tag.release(false);
        return Seen::Free;
    }
    taken();
    HELD.last_in_namespace.set(Some((namespace, key, subtransaction_number())));
    Seen::Free
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
