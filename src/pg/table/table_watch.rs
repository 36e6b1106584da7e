//! Telling a cached description of a table from an outdated one.
//!
//! A relcache invalidation only sets the flags of that table's watches; no catalog is read in the
//! callback. A rollback replays the invalidations of what it undoes, so a description made inside
//! the transaction goes stale with it.
//!
//! A watch depends on the table's OID and on every schema: columns, types, keys, triggers and the name of the
//! table are told by its relcache entry, its schema's name is not. It does not depend on the functions and
//! types behind the table: what keeps a watch ([`crate::rows`]) has Postgres plan its statements, and those
//! plans know what they depend on. A flag is never taken back; one that is set is no longer in the list.

use super::ffi;
use super::privilege::is_standby;
use crate::pg::base::alloc::is_exiting;
use crate::pg::base::error::{catch, Report};
use core::cell::{Cell, RefCell};
use core::ffi::c_int;
use core::mem::ManuallyDrop;
use pgrx::pg_sys::{self, Datum, Oid};
use std::collections::HashMap;
use std::rc::Rc;

thread_local! {
    /// The flags to set when a table changes; a flag that was set is forgotten. Never dropped: a
    /// backend that exits may still be told of changes.
    static WATCHES: ManuallyDrop<RefCell<Watches>> = Default::default();
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Knows whether a table has changed since the watch was made.
pub struct Watch(Rc<Cell<bool>>);

impl Watch {
    /// Watches a table. Make the watch before reading the catalog, so that no change is missed.
    pub fn new(relid: Oid) -> Result<Watch, Report> {
        if !REGISTERED.get() {
            // SAFETY: the callbacks are registered once per backend and never unloaded. A schema
            // that is renamed moves its tables to another name without touching them.
            catch(|| unsafe {
                ffi::CacheRegisterRelcacheCallback(Some(table_changed), Datum::null());
                ffi::CacheRegisterSyscacheCallback(
                    pg_sys::SysCacheIdentifier::NAMESPACEOID as c_int,
                    Some(schema_changed),
                    Datum::null(),
                );
            })?;
            REGISTERED.set(true);
        }
        let flag = Rc::new(Cell::new(false));
        with_watches(|watches| watches.entry(relid.to_u32()).or_default().push(flag.clone()));
        Ok(Watch(flag))
    }

    pub fn is_outdated(&self) -> bool {
        self.0.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.set(true);
        with_watches(|watches| {
            watches.retain(|_, flags| {
                flags.retain(|flag| !flag.get());
                !flags.is_empty()
            })
        });
    }
}

type Watches = HashMap<u32, Vec<Rc<Cell<bool>>>>;

fn with_watches<T>(body: impl FnOnce(&mut Watches) -> T) -> T {
    WATCHES.with(|watches| body(&mut watches.borrow_mut()))
}

unsafe extern "C-unwind" fn table_changed(_arg: Datum, relid: Oid) {
    if is_exiting() {
        return;
    }
    with_watches(|watches| {
        if relid == pg_sys::InvalidOid {
            watches.drain().for_each(set);
        } else if let Some(entry) = watches.remove_entry(&relid.to_u32()) {
            set(entry);
        }
    });
}

unsafe extern "C-unwind" fn schema_changed(_arg: Datum, _cache: c_int, _hash: u32) {
    if !is_exiting() {
        with_watches(|watches| watches.drain().for_each(set));
    }
}

fn set((_, flags): (u32, Vec<Rc<Cell<bool>>>)) {
    flags.iter().for_each(|flag| flag.set(true));
}

/// Takes the lock of an UPDATE on a table, as the UPDATE will; changes that others have committed
/// reach the watches before this returns. A standby grants only the lock of a reader, and refuses
/// the UPDATE itself with 25006.
pub fn lock_for_writing(relid: Oid) -> Result<(), Report> {
    let mode = match is_standby() {
        true => pg_sys::AccessShareLock,
        false => pg_sys::RowExclusiveLock,
    };
    // SAFETY: locks any OID; one that names no table locks nothing.
    catch(|| unsafe { ffi::LockRelationOid(relid, mode as pg_sys::LOCKMODE) })
}
