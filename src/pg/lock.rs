//! Transaction-scoped advisory locks in a class of raceguard's own.
//!
//! Postgres tells advisory locks apart by four fields. `pg_advisory_lock` uses 1 and 2 in the
//! fourth, Citus small numbers from 4 up; raceguard's are far away from both, so no application
//! lock can meet them. `pg_locks` shows the fields as database, classid, objid and objsubid.

use super::error::Report;
use super::raw;
use crate::errors;
use pgrx::pg_sys::{self, Oid};

/// What a lock stands for.
#[derive(Clone, Copy)]
pub struct Tag(pg_sys::LOCKTAG);

/// Which family of locks a table's common lock belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Keys = 0,
    Slots = 1,
}

const KEY: u16 = 21063;
const TABLE: u16 = 21064;
const SLOT: u16 = 21065;
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

    /// All keys, or all slots, of a table.
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
    /// lock table is full.
    #[inline]
    pub fn acquire(self, shared: bool, out_of_memory: &str) -> Result<bool, Report> {
        match self.lock(shared, false) {
            pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL => Err(out_of_locks(out_of_memory)),
            pg_sys::LockAcquireResult::LOCKACQUIRE_OK => Ok(true),
            _ => Ok(false),
        }
    }

    /// Takes the lock if nobody else has it.
    #[inline]
    pub fn try_acquire(self, shared: bool) -> bool {
        self.lock(shared, true) != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    #[inline]
    fn lock(self, shared: bool, dont_wait: bool) -> pg_sys::LockAcquireResult::Type {
        let mode = if shared { SHARED } else { EXCLUSIVE };
        // SAFETY: plain frames or inside `catch`: a deadlock, cancel or lock_timeout is an ERROR.
        // A full lock table comes back as NOT_AVAIL where that can mean nothing else, and is an
        // ERROR where it would look like a lock that somebody else holds.
        unsafe {
            as_transaction(|| {
                raw::LockAcquireExtended(
                    &self.0,
                    mode,
                    false,
                    dont_wait,
                    dont_wait,
                    core::ptr::null_mut(),
                    #[cfg(feature = "pg18")]
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
            raw::LockHeldByMe(
                &self.0,
                mode,
                #[cfg(any(feature = "pg17", feature = "pg18"))]
                false,
            )
        }
    }

    /// Gives back a lock that turned out not to be needed.
    pub fn release(self) {
        // SAFETY: called only for a lock just taken.
        unsafe { as_transaction(|| raw::LockRelease(&self.0, EXCLUSIVE, false)) };
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

#[cold]
fn out_of_locks(hint: &str) -> Report {
    Report::error(errors::OUT_OF_LOCKS, format_args!("out of shared memory"))
        .detail(format_args!("The server's lock table has no room for another lock."))
        .hint(format_args!("{hint}"))
}

/// A number that is different in every transaction of this session.
#[inline]
pub fn transaction_number() -> u32 {
    // SAFETY: MyProc is set in every backend.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        return (*pg_sys::MyProc).lxid;
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        return (*pg_sys::MyProc).vxid.lxid;
    }
}

/// A number that is different in every subtransaction of this transaction.
#[inline]
pub fn subtransaction_number() -> u32 {
    extern "C-unwind" {
        fn GetCurrentSubTransactionId() -> u32;
    }
    // SAFETY: reads the state of the current transaction.
    unsafe { GetCurrentSubTransactionId() }
}
