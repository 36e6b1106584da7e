//! Transaction-scoped advisory locks in a class of raceguard's own.
//!
//! Postgres tells advisory locks apart by four fields. `pg_advisory_lock` uses 1 and 2 in the
//! fourth, Citus small numbers from 4 up; raceguard's are far away from both, so no application
//! lock can meet them. `pg_locks` shows the fields as database, classid, objid and objsubid.

use super::ffi;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::per_backend::PerBackend;
use crate::pg::base::sqlstate;
use core::cell::Cell;
use pgrx::pg_sys::{self, Oid};
use std::time::Instant;

/// What a lock stands for.
#[derive(Clone, Copy)]
pub struct Tag(pg_sys::LOCKTAG);

/// Which family of locks a table's common lock belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Keys = 0,
    Slots = 1,
    Numbers = 2,
}

const KEY: u16 = 21063;
const TABLE: u16 = 21064;
const SLOT: u16 = 21065;
const NUMBER: u16 = 21066;
/// `pg_advisory_lock(int, int)`.
const TWO_INTEGERS: u16 = 2;

const EXCLUSIVE: pg_sys::LOCKMODE = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
/// Compatible with itself, not with EXCLUSIVE.
const SHARED: pg_sys::LOCKMODE = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;

impl Tag {
    fn new(field2: u32, field3: u32, field4: u16) -> Tag {
        Tag(pg_sys::LOCKTAG {
            // SAFETY: set when the backend connects to its database.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: field2,
            locktag_field3: field3,
            locktag_field4: field4,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        })
    }

    /// One key of a table; partitions lock under their root.
    #[inline]
    pub fn key(root: Oid, hash: u32) -> Tag {
        Tag::new(root.to_u32(), hash, KEY)
    }

    /// One slot of a key in a leaf table.
    #[inline]
    pub fn slot(leaf: Oid, hash: u32) -> Tag {
        Tag::new(leaf.to_u32(), hash, SLOT)
    }

    /// One lock of a family: a key or a slot as above, or the numbers of a key in a leaf table.
    #[inline]
    pub fn single(family: Family, table: Oid, hash: u32) -> Tag {
        match family {
            Family::Keys => Tag::key(table, hash),
            Family::Slots => Tag::slot(table, hash),
            Family::Numbers => Tag::new(table.to_u32(), hash, NUMBER),
        }
    }

    /// All keys, all slots or all numbers of a table.
    #[inline]
    pub fn table(table: Oid, family: Family) -> Tag {
        Tag::new(table.to_u32(), family as u32, TABLE)
    }

    /// Exactly the lock of `pg_advisory_xact_lock(namespace, key)`.
    #[inline]
    pub fn integers(namespace: i32, key: i32) -> Tag {
        Tag::new(namespace as u32, key as u32, TWO_INTEGERS)
    }

    /// Waits for the lock and holds it until the transaction, or the savepoint it was taken in,
    /// ends; whether it is a new one, not held before. `out_of_memory` is the HINT if the server's
    /// lock table is full. Calls `before_wait` where there is somebody to wait for: after a wait that an error
    /// ends, nothing of Postgres can be called any more.
    #[inline]
    pub fn acquire(
        self,
        shared: bool,
        out_of_memory: &str,
        before_wait: impl FnOnce(),
    ) -> Result<bool, Report> {
        match self.lock_noting_waits(shared, before_wait)? {
            pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL => Err(out_of_locks(out_of_memory)),
            pg_sys::LockAcquireResult::LOCKACQUIRE_OK => Ok(true),
            _ => Ok(false),
        }
    }

    /// Takes the lock if nobody else has it.
    #[inline]
    pub fn try_acquire(self, shared: bool) -> bool {
        self.lock(shared, true, true) != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// The clock is read, and errors are caught, only where there is somebody to wait for.
    #[inline]
    fn lock_noting_waits(
        self,
        shared: bool,
        before_wait: impl FnOnce(),
    ) -> Result<pg_sys::LockAcquireResult::Type, Report> {
        match self.lock(shared, true, false) {
            pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL => self.wait(shared, before_wait),
            at_once => Ok(at_once),
        }
    }

    #[cold]
    fn wait(
        self,
        shared: bool,
        before_wait: impl FnOnce(),
    ) -> Result<pg_sys::LockAcquireResult::Type, Report> {
        before_wait();
        noting_wait(|| self.lock(shared, false, false))
    }

    /// As [`Tag::try_acquire`], but a full lock table is no error: it looks like a lock that somebody else
    /// holds.
    pub fn try_quietly(self, shared: bool) -> bool {
        self.lock(shared, true, false) != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// Takes the lock, exclusively, if nobody else has it; whether it is a new one, not held before. A full lock table is
    /// an ERROR, or looks like a lock that somebody else holds.
    #[inline]
    pub fn try_take(self, quietly: bool) -> Option<bool> {
        match self.lock(false, true, !quietly) {
            pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL => None,
            result => Some(result == pg_sys::LockAcquireResult::LOCKACQUIRE_OK),
        }
    }

    /// With `full_is_error` a full lock table is an ERROR, and comes back as NOT_AVAIL otherwise, which
    /// without `dont_wait` can mean nothing else.
    #[inline]
    fn lock(
        self,
        shared: bool,
        dont_wait: bool,
        tell_of_memory: bool,
    ) -> pg_sys::LockAcquireResult::Type {
        let mode = if shared { SHARED } else { EXCLUSIVE };
        // SAFETY: plain frames or inside `catch`: a deadlock, cancel or lock_timeout is an ERROR.
        // A full lock table comes back as NOT_AVAIL where that can mean nothing else, and where the
        // lock is asked for again; it is an ERROR where it would look like a lock that somebody else holds.
        unsafe {
            as_transaction(|| {
                ffi::LockAcquireExtended(
                    &self.0,
                    mode,
                    false,
                    dont_wait,
                    tell_of_memory,
                    core::ptr::null_mut(),
                    #[cfg(since_pg18)]
                    false,
                )
            })
        }
    }

    /// Whether this transaction holds the lock; asked of the lock manager, because a rollback to a
    /// savepoint releases locks without telling.
    #[inline]
    pub fn is_held(self, shared: bool) -> bool {
        let mode = if shared { SHARED } else { EXCLUSIVE };
        // SAFETY: looks into the backend's own lock table.
        unsafe {
            ffi::LockHeldByMe(
                &self.0,
                mode,
                #[cfg(since_pg17)]
                false,
            )
        }
    }

    /// Gives back a lock that turned out not to be needed.
    pub fn release(self, shared: bool) {
        let mode = if shared { SHARED } else { EXCLUSIVE };
        // SAFETY: called only for a lock just taken.
        unsafe { as_transaction(|| ffi::LockRelease(&self.0, mode, false)) };
    }
}

/// Calls the lock manager with the (sub)transaction as the owner of the lock. A cursor that runs is an
/// owner of its own: when a FETCH fails, the rollback to a savepoint would release what earlier ones took.
///
/// # Safety
/// Plain frames or inside `catch`: an ERROR ends the (sub)transaction, which sets the owner anew.
#[inline]
unsafe fn as_transaction<T: Copy>(call: impl FnOnce() -> T) -> T {
    // SAFETY: the owner of the running (sub)transaction outlives the call.
    unsafe {
        let caller = pg_sys::CurrentResourceOwner;
        pg_sys::CurrentResourceOwner = pg_sys::CurTransactionResourceOwner;
        let answer = call();
        pg_sys::CurrentResourceOwner = caller;
        answer
    }
}

/// What has happened to this session's locks since it was last asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct News {
    /// How often it waited.
    pub waits: u64,
    /// How long, in microseconds.
    pub wait_time: u64,
    /// How often it took one lock for a whole table.
    pub escalations: u64,
}

const NO_NEWS: News = News { waits: 0, wait_time: 0, escalations: 0 };

static NEWS: PerBackend<Cell<News>> = PerBackend::new(Cell::new(NO_NEWS));
static ANY_NEWS: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));

fn note(news: impl FnOnce(News) -> News) {
    NEWS.set(news(NEWS.get()));
    ANY_NEWS.set(true);
}

/// Waits for another transaction, and notes how long it took, also where a lock_timeout, a cancel or a deadlock ends it.
pub fn noting_wait<T: Copy>(wait: impl FnOnce() -> T) -> Result<T, Report> {
    let began = Instant::now();
    let answer = catch(wait);
    let micros = began.elapsed().as_micros() as u64;
    note(|n| News { waits: n.waits + 1, wait_time: n.wait_time + micros, ..n });
    answer
}

/// Notes that the session has taken one lock for a whole table.
pub fn note_escalation() {
    note(|n| News { escalations: n.escalations + 1, ..n });
}

/// Whether there are news.
#[inline]
pub fn any_news() -> bool {
    ANY_NEWS.get()
}

/// The news, which are then none any more.
pub fn take_news() -> News {
    ANY_NEWS.set(false);
    NEWS.replace(NO_NEWS)
}

#[cold]
fn out_of_locks(hint: &str) -> Report {
    Report::error(sqlstate::OUT_OF_LOCKS, format_args!("out of shared memory"))
        .detail(format_args!("The server's lock table has no room for another lock."))
        .hint(format_args!("{hint}"))
}

/// A number that is different in every transaction of this session.
#[inline]
pub fn transaction_number() -> u32 {
    // SAFETY: MyProc is set in every backend.
    unsafe {
        #[cfg(not(since_pg17))]
        return (*pg_sys::MyProc).lxid;
        #[cfg(since_pg17)]
        return (*pg_sys::MyProc).vxid.lxid;
    }
}

/// A number that is different in every subtransaction of this transaction.
#[inline]
pub fn subtransaction_number() -> u32 {
    // SAFETY: reads the state of the current transaction.
    unsafe { ffi::GetCurrentSubTransactionId() }
}
