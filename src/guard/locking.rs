//! How guards lock one by one, and the whole table at once when it becomes too many.
//!
//! Every single lock is taken under the table's own lock in a mode that single lockers share.
//! Past `raceguard.max_key_locks` a transaction takes the table's lock exclusively instead: it
//! waits for the single lockers of other transactions, and they wait for it. A million-row UPDATE
//! so needs one lock, where one lock per key would fill the server's lock table.
//!
//! What is decided, and what is remembered for it, stands in `held.rs`; here is what that asks of Postgres.
//!
//! What waits is told `whose` guard's lock it is, whose counters are looked up before the wait: an error may end it.

use crate::guard::held::{self, Held, Locks};
use crate::guard::stats::session;
use crate::pg::advisory_lock::{
    note_escalation, subtransaction_number, transaction_number, Family, Tag,
};
use crate::pg::error::Report;
use crate::pg::guc;
use crate::pg::per_backend::PerBackend;
use crate::pg::trigger::Definition;
use pgrx::pg_sys::Oid;

pub use crate::guard::held::Seen;

/// What the current transaction is known to have locked.
static HELD: PerBackend<Held<(Oid, Family)>> = PerBackend::new(Held::new());

/// The HINT when the server's lock table is full.
pub const TOO_MANY: &str = "Raise max_locks_per_transaction, or lower raceguard.max_key_locks so that a bulk job locks the whole table earlier.";

/// Postgres's lock manager, and the transaction that runs.
struct Server;

/// On whose behalf is waited, and the HINT if the lock table is full.
#[derive(Clone, Copy)]
struct Waiter<'w> {
    whose: Definition<'w>,
    too_many: &'w str,
}

impl<'w> Waiter<'w> {
    #[inline]
    fn of(whose: Definition<'w>) -> Waiter<'w> {
        Waiter { whose, too_many: TOO_MANY }
    }
}

impl Locks for Server {
    type Table = (Oid, Family);
    type Tag = Tag;
    type Whose<'w> = Waiter<'w>;
    type Failure = Report;

    #[inline]
    fn transaction(&self) -> u32 {
        transaction_number()
    }

    #[inline]
    fn subtransaction(&self) -> u32 {
        subtransaction_number()
    }

    #[inline]
    fn limit(&self) -> i32 {
        guc::max_key_locks()
    }

    #[inline]
    fn whole(&self, (table, family): (Oid, Family)) -> Tag {
        Tag::table(table, family)
    }

    #[inline]
    fn single(&self, (table, family): (Oid, Family), hash: u32) -> Tag {
        Tag::single(family, table, hash)
    }

    #[inline]
    fn in_namespace(&self, namespace: i32, key: i32) -> Tag {
        Tag::integers(namespace, key)
    }

    #[inline]
    fn is_held(&self, tag: Tag, shared: bool) -> bool {
        tag.is_held(shared)
    }

    #[inline]
    fn acquire(&self, tag: Tag, shared: bool, waiter: Waiter) -> Result<bool, Report> {
        tag.acquire(shared, waiter.too_many, || session::know(waiter.whose))
    }

    #[inline]
    fn try_acquire(&self, tag: Tag, shared: bool) -> bool {
        tag.try_acquire(shared)
    }

    fn try_quietly(&self, tag: Tag, shared: bool) -> bool {
        tag.try_quietly(shared)
    }

    fn release(&self, tag: Tag, shared: bool) {
        tag.release(shared);
    }

    fn note_escalation(&self) {
        note_escalation();
    }
}

/// Whether single locks of the table still have to be taken one by one. Takes the table's lock as
/// a side effect, shared or, past the limit, exclusively.
#[inline]
pub fn prepare(table: Oid, family: Family, whose: Definition) -> Result<bool, Report> {
    HELD.prepare(&Server, (table, family), Waiter::of(whose))
}

/// As [`prepare`], for a guard that only observes: waits for nobody, and tells who is in the way.
pub fn prepare_to_observe(table: Oid, family: Family) -> Result<bool, Seen> {
    HELD.prepare_to_observe(&Server, (table, family))
}

/// Takes a table's lock exclusively: no other transaction holds or gets a single one.
pub fn lock_whole(table: Oid, family: Family, whose: Definition) -> Result<(), Report> {
    HELD.lock_whole(&Server, (table, family), Waiter::of(whose))
}

/// Whether so many more single locks go past the limit.
pub fn would_escalate(more: usize) -> bool {
    HELD.would_escalate(&Server, more)
}

/// Counts one more single lock.
#[inline]
pub fn taken() {
    HELD.count();
}

/// Whether a key is known to be held, without asking the lock manager.
#[inline]
pub fn is_last_key(root: Oid, hash: u32) -> bool {
    HELD.is_last(&Server, (root, Family::Keys), hash)
}

/// Whether a lock of a family is held, itself or as that of the whole table.
pub fn holds(family: Family, table: Oid, hash: u32) -> bool {
    HELD.holds(&Server, (table, family), hash)
}

/// As [`is_last_key`], for a key in a namespace.
#[inline]
pub fn is_last_in_namespace(namespace: i32, key: i32) -> bool {
    HELD.is_last_in_namespace(&Server, namespace, key)
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
    HELD.lock_in_namespace(&Server, namespace, key, Waiter { whose, too_many })
}

/// Takes one lock of a family that was not held, for a writer that may have to give it back.
pub fn lock_on_trial(
    family: Family,
    table: Oid,
    hash: u32,
    whose: Definition,
) -> Result<Trial, Report> {
    HELD.lock_on_trial(&Server, (table, family), hash, Waiter::of(whose)).map(Trial)
}

/// A lock that was just taken and that may be given back.
#[derive(Clone, Copy)]
pub struct Trial(held::OnTrial<Tag>);

impl Trial {
    /// A key that is locked without the table's lock.
    pub fn alone(key: Tag) -> Trial {
        Trial(held::OnTrial::alone(key))
    }

    pub fn give_back(self) {
        HELD.give_back(&Server, self.0);
    }
}

/// Takes one lock of a family until the transaction ends.
#[inline]
pub fn lock(family: Family, table: Oid, hash: u32, whose: Definition) -> Result<(), Report> {
    HELD.lock(&Server, (table, family), hash, Waiter::of(whose))
}

/// Locks one key for a guard that only observes, if nobody is in the way. Waits for nobody, and a full lock
/// table is no error.
pub fn observe_key(root: Oid, hash: u32) -> Seen {
    HELD.observe(&Server, (root, Family::Keys), hash)
}

/// The same of a key in a namespace, where a locking guard takes lock after lock: past the limit this one
/// gives them back.
pub fn observe_in_namespace(namespace: i32, key: i32) -> Seen {
    HELD.observe_in_namespace(&Server, namespace, key)
}

/// Locks one key if nobody else has it.
pub fn try_lock_key(root: Oid, hash: u32) -> bool {
    HELD.try_lock(&Server, (root, Family::Keys), hash)
}
