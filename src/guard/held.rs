//! What guards decide about locks: one by one under the table's own, and the whole table's past a limit.
//!
//! **What is remembered, and what makes it stale.** The locks known to be held ([`Held`]), so that a run of
//! rows with one key asks the lock manager once. They depend on the transaction, whose number differs for
//! each one of a session (ROLLBACK, COMMIT AND CHAIN and PREPARE TRANSACTION begin another), and on the
//! subtransaction in which each was seen: a rollback to a savepoint releases locks without telling anyone,
//! and no lock of a transaction that goes on is released otherwise. A table or key is known by OID and
//! hash: whatever has these now shares the lock. The counter may be too high, which escalates earlier.
//!
//! No Postgres in here: what the protocol asks of it stands in [`Locks`]. `locking.rs` answers for a server, and
//! `pgrx-tests/simulator` for every order in which sessions can take their steps.

use core::cell::Cell;

/// What is asked of the lock manager, and of the transaction whose locks they are.
///
/// Every lock is held until the (sub)transaction ends, unless it is given back. An answer that is no `Result` may still
/// end the call: by an ERROR, past the protocol.
pub trait Locks {
    /// A table, and which of its families of locks.
    type Table: Copy + PartialEq;
    /// What a lock stands for.
    type Tag: Copy;
    /// On whose behalf is waited.
    type Whose<'w>: Copy;
    /// An error of Postgres: a cancel, a timeout, a deadlock, a full lock table.
    type Failure;

    /// Different in every transaction of the session.
    fn transaction(&self) -> u32;
    /// Different in every subtransaction of the transaction.
    fn subtransaction(&self) -> u32;
    /// How many single locks a transaction takes before it locks whole tables.
    fn limit(&self) -> i32;

    fn whole(&self, table: Self::Table) -> Self::Tag;
    fn single(&self, table: Self::Table, hash: u32) -> Self::Tag;
    fn in_namespace(&self, namespace: i32, key: i32) -> Self::Tag;

    fn is_held(&self, tag: Self::Tag, shared: bool) -> bool;
    /// Waits for who has it; whether it is a new one, not held before.
    fn acquire(
        &self,
        tag: Self::Tag,
        shared: bool,
        whose: Self::Whose<'_>,
    ) -> Result<bool, Self::Failure>;
    /// Takes it if nobody else has it.
    fn try_acquire(&self, tag: Self::Tag, shared: bool) -> bool;
    /// The same, where a full lock table is no error.
    fn try_quietly(&self, tag: Self::Tag, shared: bool) -> bool;
    fn release(&self, tag: Self::Tag, shared: bool);
    /// A whole table's lock was taken because of the limit.
    fn note_escalation(&self);
}

/// What the current transaction is known to have locked. After a rollback to a savepoint the counts
/// are too high, so what was taken in another subtransaction is asked of the lock manager.
pub struct Held<T> {
    transaction: Cell<u32>,
    taken: Cell<i32>,
    escalated: Cell<bool>,
    /// The table lock known to be held shared, and the subtransaction in which that was seen. As
    /// long as it is the current one the lock cannot have been released.
    shared: Cell<Option<(T, u32)>>,
    /// The table lock known to be held exclusively, likewise.
    whole: Cell<Option<(T, u32)>>,
    /// The hash of the last single lock taken under `shared`.
    last: Cell<Option<u32>>,
    /// The last key locked in a namespace, and the subtransaction in which it was.
    last_in_namespace: Cell<Option<(i32, i32, u32)>>,
}

impl<T: Copy + PartialEq> Held<T> {
    pub const fn new() -> Held<T> {
        Held {
            transaction: Cell::new(0),
            taken: Cell::new(0),
            escalated: Cell::new(false),
            shared: Cell::new(None),
            whole: Cell::new(None),
            last: Cell::new(None),
            last_in_namespace: Cell::new(None),
        }
    }

    #[inline]
    fn follow_transaction(&self, server: &impl Locks<Table = T>) {
        let now = server.transaction();
        if self.transaction.get() != now {
            self.transaction.set(now);
            self.taken.set(0);
            self.escalated.set(false);
            self.whole.set(None);
            self.set_shared(None);
            self.last_in_namespace.set(None);
        }
    }

    fn set_shared(&self, shared: Option<(T, u32)>) {
        self.shared.set(shared);
        self.last.set(None);
    }

    /// Whether the table's lock is known to be held, shared at least.
    #[inline]
    fn is_shared(&self, server: &impl Locks<Table = T>, table: T) -> bool {
        self.follow_transaction(server);
        self.shared.get() == Some((table, server.subtransaction()))
    }

    /// Whether all locks of the table are held as one: asked of the lock manager once in a subtransaction.
    #[inline]
    fn has_whole(&self, server: &impl Locks<Table = T>, table: T) -> bool {
        if !self.escalated.get() {
            return false;
        }
        let here = Some((table, server.subtransaction()));
        if self.whole.get() == here {
            return true;
        }
        let held = server.is_held(server.whole(table), false);
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
    fn has_room(&self, server: &impl Locks<Table = T>) -> bool {
        !self.escalated.get() && self.taken.get() < server.limit()
    }

    /// Whether single locks of the table still have to be taken one by one. Takes the table's lock as
    /// a side effect, shared or, past the limit, exclusively.
    #[inline]
    pub fn prepare<S: Locks<Table = T>>(
        &self,
        server: &S,
        table: T,
        whose: S::Whose<'_>,
    ) -> Result<bool, S::Failure> {
        let whole = server.whole(table);
        let shared = self.is_shared(server, table);
        if self.has_whole(server, table) {
            return Ok(false);
        }
        // Not shared first: two that are past the limit already would wait for each other.
        if self.taken.get() >= server.limit() {
            server.acquire(whole, false, whose)?;
            self.escalated.set(true);
            server.note_escalation();
            return Ok(false);
        }
        if !shared {
            if self.is_empty() || !server.is_held(whole, true) {
                server.acquire(whole, true, whose)?;
            }
            self.set_shared(Some((table, server.subtransaction())));
        }
        Ok(true)
    }

    /// As `prepare`, but waits for nobody: `None` where another transaction has the whole table.
    fn prepare_at_once<S: Locks<Table = T>>(&self, server: &S, table: T) -> Option<bool> {
        let whole = server.whole(table);
        self.follow_transaction(server);
        if self.escalated.get() && server.is_held(whole, false) {
            return Some(false);
        }
        if !server.is_held(whole, true) && !server.try_acquire(whole, true) {
            return None;
        }
        // Past the limit, but with other lockers in the table, one more single lock is the lesser evil.
        if self.taken.get() >= server.limit() && server.try_acquire(whole, false) {
            self.escalated.set(true);
            server.note_escalation();
            return Some(false);
        }
        Some(true)
    }

    /// Takes a table's lock exclusively: no other transaction holds or gets a single one.
    pub fn lock_whole<S: Locks<Table = T>>(
        &self,
        server: &S,
        table: T,
        whose: S::Whose<'_>,
    ) -> Result<(), S::Failure> {
        server.acquire(server.whole(table), false, whose)?;
        self.follow_transaction(server);
        self.escalated.set(true);
        Ok(())
    }

    /// Whether so many more single locks go past the limit. A caller that knows their number beforehand
    /// takes the table's lock before the first of them, so that two such callers cannot deadlock.
    pub fn would_escalate(&self, server: &impl Locks<Table = T>, more: usize) -> bool {
        self.follow_transaction(server);
        let room = server.limit().saturating_sub(self.taken.get());
        more > room.max(0) as usize
    }

    /// Counts one more single lock.
    #[inline]
    pub fn count(&self) {
        self.taken.set(self.taken.get().saturating_add(1));
    }

    /// Whether a single lock is known to be held, without asking the lock manager.
    #[inline]
    pub fn is_last(&self, server: &impl Locks<Table = T>, table: T, hash: u32) -> bool {
        self.is_shared(server, table) && self.last.get() == Some(hash)
    }

    /// Whether a single lock is held, itself or as that of the whole table.
    pub fn holds(&self, server: &impl Locks<Table = T>, table: T, hash: u32) -> bool {
        self.is_last(server, table, hash)
            || server.is_held(server.single(table, hash), false)
            || server.is_held(server.whole(table), false)
    }

    /// As [`Held::is_last`], for a key in a namespace.
    #[inline]
    pub fn is_last_in_namespace(
        &self,
        server: &impl Locks<Table = T>,
        namespace: i32,
        key: i32,
    ) -> bool {
        self.follow_transaction(server);
        self.last_in_namespace.get() == Some((namespace, key, server.subtransaction()))
    }

    /// Locks one key in a namespace until the transaction ends.
    #[inline]
    pub fn lock_in_namespace<S: Locks<Table = T>>(
        &self,
        server: &S,
        namespace: i32,
        key: i32,
        whose: S::Whose<'_>,
    ) -> Result<(), S::Failure> {
        if self.is_last_in_namespace(server, namespace, key) {
            return Ok(());
        }
        server.acquire(server.in_namespace(namespace, key), false, whose)?;
        self.last_in_namespace.set(Some((namespace, key, server.subtransaction())));
        Ok(())
    }

    /// Takes one lock that was not held, for a writer that may have to give it back.
    pub fn lock_on_trial<S: Locks<Table = T>>(
        &self,
        server: &S,
        table: T,
        hash: u32,
        whose: S::Whose<'_>,
    ) -> Result<OnTrial<S::Tag>, S::Failure> {
        let whole = server.whole(table);
        let under = (!server.is_held(whole, true)).then_some(whole);
        self.lock(server, table, hash, whose)?;
        // Past the limit there is no single lock, and the table's stays.
        let key = (!server.is_held(whole, false)).then_some(server.single(table, hash));
        Ok(OnTrial { key, under: key.and(under), counted: key.is_some() })
    }

    pub fn give_back<S: Locks<Table = T>>(&self, server: &S, trial: OnTrial<S::Tag>) {
        if let Some(key) = trial.key {
            server.release(key, false);
        }
        if trial.counted {
            self.taken.set(self.taken.get().saturating_sub(1));
        }
        if let Some(table) = trial.under {
            server.release(table, true);
        }
        self.set_shared(None);
        self.last_in_namespace.set(None);
    }

    /// Takes one lock until the transaction ends.
    #[inline]
    pub fn lock<S: Locks<Table = T>>(
        &self,
        server: &S,
        table: T,
        hash: u32,
        whose: S::Whose<'_>,
    ) -> Result<(), S::Failure> {
        let tag = server.single(table, hash);
        let shared = self.is_shared(server, table);
        if shared && self.last.get() == Some(hash) {
            return Ok(());
        }
        if self.has_whole(server, table) {
            return Ok(());
        }
        // Past the first lock of a (sub)transaction the lock manager is asked once, held or not.
        if !(shared && self.has_room(server)) {
            // What is held was locked under the table's lock, which lives at least as long.
            let known = !self.is_empty() && server.is_held(tag, false);
            if known || !self.prepare(server, table, whose)? {
                return Ok(());
            }
        }
        if server.acquire(tag, false, whose)? {
            self.count();
        }
        self.last.set(Some(hash));
        Ok(())
    }

    /// Takes one lock for a guard that only observes, if nobody is in the way. Waits for nobody, and a full lock
    /// table is no error.
    pub fn observe<S: Locks<Table = T>>(&self, server: &S, table: T, hash: u32) -> Seen {
        let key = server.single(table, hash);
        if self.is_last(server, table, hash) || server.is_held(key, false) {
            return Seen::Free;
        }
        match self.prepare_to_observe(server, table) {
            Err(seen) => return seen,
            Ok(false) => return Seen::Free,
            Ok(true) => {}
        }
        if !server.try_quietly(key, false) {
            return Seen::Key;
        }
        self.count();
        self.last.set(Some(hash));
        Seen::Free
    }

    /// As [`Held::prepare`], for a guard that only observes: waits for nobody, and tells who is in the way.
    pub fn prepare_to_observe<S: Locks<Table = T>>(
        &self,
        server: &S,
        table: T,
    ) -> Result<bool, Seen> {
        let whole = server.whole(table);
        self.follow_transaction(server);
        if server.is_held(whole, false) {
            return Ok(false);
        }
        if !server.is_held(whole, true) && !server.try_quietly(whole, true) {
            return Err(Seen::Key);
        }
        self.set_shared(Some((table, server.subtransaction())));
        if self.taken.get() < server.limit() {
            return Ok(true);
        }
        if !server.try_quietly(whole, false) {
            return Err(Seen::Table);
        }
        self.escalated.set(true);
        server.note_escalation();
        Ok(false)
    }

    /// The same of a key in a namespace, where a locking guard takes lock after lock: past the limit this one
    /// gives them back.
    pub fn observe_in_namespace<S: Locks<Table = T>>(
        &self,
        server: &S,
        namespace: i32,
        key: i32,
    ) -> Seen {
        let tag = server.in_namespace(namespace, key);
        if self.is_last_in_namespace(server, namespace, key) || server.is_held(tag, false) {
            return Seen::Free;
        }
        if !server.try_quietly(tag, false) {
            return Seen::Key;
        }
        if self.taken.get() >= server.limit() {
            server.release(tag, false);
            return Seen::Free;
        }
        self.count();
        self.last_in_namespace.set(Some((namespace, key, server.subtransaction())));
        Seen::Free
    }

    /// Takes one lock if nobody else has it.
    pub fn try_lock<S: Locks<Table = T>>(&self, server: &S, table: T, hash: u32) -> bool {
        let tag = server.single(table, hash);
        if server.is_held(tag, false) {
            return true;
        }
        match self.prepare_at_once(server, table) {
            None => return false,
            Some(false) => return true,
            Some(true) => {}
        }
        if !server.try_acquire(tag, false) {
            return false;
        }
        self.count();
        true
    }
}

/// A lock that was just taken and that may be given back.
#[derive(Clone, Copy)]
pub struct OnTrial<Tag> {
    key: Option<Tag>,
    /// The table's lock, if it was taken for this key.
    under: Option<Tag>,
    counted: bool,
}

impl<Tag> OnTrial<Tag> {
    /// A key that is locked without the table's lock.
    pub fn alone(key: Tag) -> OnTrial<Tag> {
        OnTrial { key: Some(key), under: None, counted: false }
    }
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
