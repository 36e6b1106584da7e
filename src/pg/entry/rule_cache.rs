//! The rule cache: what a guard's arguments and table mean, worked out once per session.
//!
//! **What an entry is.** An entry belongs to one trigger and one type of rule: its key is the
//! trigger's OID and the place of the type's own [`Last`]. CREATE OR REPLACE TRIGGER keeps the OID and
//! may name another guard's function; that guard then finds no entry of its type, and nothing can be
//! read as what it is not.
//!
//! **What it depends on, and what makes it stale.**
//! * The trigger's arguments, columns, indexes, foreign keys of its table and of the other tables the
//!   rule names ([`Cached::tables`]): a relcache invalidation of any of them. CREATE OR REPLACE TRIGGER
//!   sends one.
//! * Functions, operators, casts, collations and schemas, where the rule has compiled expressions or calls
//!   a hash function that did not come with Postgres ([`Cached::runs`]): any change of one of these, in any
//!   session. An expression stands in the trigger's arguments as text, so a new overload may change what it
//!   means, and two sessions that mean different keys would lock different ones.
//! * Types, where one of these functions or types is not Postgres's own ([`Runs::Anything`]): any change of one.
//!   Every CREATE TEMP TABLE makes two types, and there are applications that make such tables all the time;
//!   `lower(email)` and a cap's `NOT cancelled` take no notice.
//! * Nothing of the session: expressions are parsed with `search_path` pinned, are IMMUTABLE, and
//!   nothing in a rule depends on the role.
//!
//! * What another extension's catalogs say of its table ([`distribution`](super::distribution)). They are changed in
//!   the transaction that changes the table, but for the rows that Citus copies into new shards: it tells their nodes
//!   only afterwards that they are shards. A rule built meanwhile lasts for that transaction.
//!
//! The callbacks only set flags, no catalog is read in them. A stale entry is built anew at its next
//! use, or goes when the transaction ends: its table may be gone. An entry built in a transaction
//! that aborts is never used again: it may describe a table that only that transaction ever saw.
//!
//! A statement that was running when its trigger was replaced goes on firing the old definition. A
//! rule built from that serves the one firing and is not kept: the next statement has another. Where the
//! new definition's rule, of the same type, is there already, it serves both.
//!
//! **How long it lives.** A replaced entry is freed when no entry of raceguard is on the stack
//! ([`frames`]), at the latest when the transaction ends.

use super::distribution::may_become_shard;
use super::ffi;
use super::installed;
use super::trigger::Definition;
use crate::pg::base::alloc::is_exiting;
use crate::pg::base::error::Report;
use crate::pg::base::frames;
use crate::pg::base::memory::{self, Buffer, Memory};
use crate::pg::base::per_backend::PerBackend;
use crate::pg::table::key::Runs;
use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_int, c_void};
use core::ptr::null;
use pgrx::pg_sys::{self, Datum, MemoryContext, Oid};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The rules of one trigger function.
pub trait Cached: Sized + 'static {
    /// One of them; what it points at lasts as long as `'r`.
    type Rule<'r>: Copy;

    /// Works out the rule of a trigger.
    ///
    /// Runs in plain frames, with the rule's memory as the current context.
    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<Self::Rule<'r>, Report>;

    /// Their own place for the entry used last: `static LAST: Last<Rules> = Last::new();`.
    fn last() -> &'static Last<Self>;

    /// The tables that a rule depends on besides the trigger's own.
    fn tables<'a>(_rule: &'a Self::Rule<'_>) -> &'a [Oid] {
        &[]
    }

    /// What using a rule runs.
    fn runs(rule: &Self::Rule<'_>) -> Runs;
}

/// The entry of one type of rule that was used last, for runs of rows through one trigger.
pub struct Last<R: Cached>(PerBackend<(Cell<u64>, Cell<*const Entry<R>>)>);

/// No OID, which has 32 bits.
const NO_TRIGGER: u64 = u64::MAX;

impl<R: Cached> Last<R> {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Last<R> {
        // SAFETY: `forget` is called before an entry goes.
        Last(unsafe { PerBackend::of_pointers((Cell::new(NO_TRIGGER), Cell::new(null()))) })
    }

    fn set(&self, trigger: u32, entry: *const Entry<R>) {
        self.0 .0.set(trigger.into());
        self.0 .1.set(entry);
    }
}

/// A rule and what its cache knows about it. It lies in the context it owns, as does what the rule points at:
/// so the lifetime inside is the entry's own, and no other than the borrower's leaves this file.
#[repr(C)]
struct Entry<R: Cached> {
    head: Head,
    rule: R::Rule<'static>,
}

impl<R: Cached> Entry<R> {
    /// # Safety
    /// The entry is there as long as `'t`.
    #[inline]
    unsafe fn rule<'t>(entry: *const Entry<R>) -> &'t R::Rule<'t> {
        // SAFETY: promised by the caller. A rule is `Copy`, so nothing that lasts shorter can be put into it.
        unsafe { &*(&raw const (*entry).rule).cast::<R::Rule<'t>>() }
    }
}

struct Head {
    /// Everything the rule points at lives here.
    context: MemoryContext,
    /// The tables on which the rule depends; they lie in the context.
    tables: *const [Oid],
    runs: Runs,
    stale: Cell<bool>,
    /// Built in the current transaction.
    fresh: Cell<bool>,
    /// Good for that transaction only.
    passing: bool,
    /// Makes the type's [`Last`] forget its entry.
    forget: fn(),
    /// The entry that was replaced before this one.
    replaced_before: Cell<*const Head>,
}

/// A trigger, and the place of a type's [`Last`].
type EntryId = (u32, usize);

struct Cache {
    entries: HashMap<EntryId, *const Head, BuildHasherDefault<KeyHasher>>,
    /// The entry replaced last, which leads to the ones before.
    replaced: *const Head,
    any_fresh: bool,
    any_stale: bool,
    /// How many invalidations have arrived.
    invalidations: u64,
    registered: bool,
}

/// OIDs are spread well enough as they are.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

// SAFETY: an entry that is freed leaves the map and the list before.
static CACHE: PerBackend<UnsafeCell<Cache>> = unsafe {
    PerBackend::of_pointers(UnsafeCell::new(Cache {
        entries: HashMap::with_hasher(BuildHasherDefault::new()),
        replaced: null(),
        any_fresh: false,
        any_stale: false,
        invalidations: 0,
        registered: false,
    }))
};

fn cache() -> &'static mut Cache {
    // SAFETY: a backend has one thread, and no caller below keeps the reference across a call
    // into Postgres.
    unsafe { &mut *CACHE.get() }
}

/// The rule of a trigger, built at first use. It may go when the table is no longer open here.
#[inline]
pub fn rule<'t, R: Cached>(trigger: Definition<'t>) -> Result<&'t R::Rule<'t>, Report> {
    let last = &R::last().0;
    if last.0.get() == u64::from(trigger.id().to_u32()) {
        let entry = last.1.get();
        // SAFETY: `forget` is called before an entry goes.
        unsafe {
            if !(*entry).head.stale.get() {
                return Ok(Entry::rule(entry));
            }
        }
    }
    find_or_build::<R>(trigger)
}

/// A number that differs when anything has been invalidated meanwhile.
pub fn invalidations() -> u64 {
    cache().invalidations
}

#[inline(never)]
fn find_or_build<'t, R: Cached>(trigger: Definition<'t>) -> Result<&'t R::Rule<'t>, Report> {
    let id = trigger.id().to_u32();
    let key = (id, core::ptr::from_ref(R::last()) as usize);
    if let Some(head) = cache().entries.get(&key) {
        let entry = *head as *const Entry<R>;
        // SAFETY: the key holds the place of R's own static, so `store` was given an Entry<R>; an
        // entry that is freed leaves the map before.
        unsafe {
            if !(*entry).head.stale.get() {
                R::last().set(id, entry);
                return Ok(Entry::rule(entry));
            }
        }
    }
    trigger.refuse_long_arguments()?;
    if installed::may_warn() {
        installed::warn_of_other_version();
    }
    register_callbacks();
    let invalidations = cache().invalidations;
    // SAFETY: the new context hangs under the current one until the rule is complete, so an ERROR
    // while building frees it; then it moves under CacheMemoryContext.
    unsafe {
        let caller = pg_sys::CurrentMemoryContext;
        let context = ffi::AllocSetContextCreateInternal(
            caller,
            c"raceguard rule".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
        );
        // What is built here is seen by others only through `Entry::rule`.
        let memory: Memory<'static> = Memory::from_raw(context);
        let entry = memory
            .within(|| Ok(complete::<R>(trigger, context, memory, R::build(trigger, memory)?)))?;
        if trigger.is_current() {
            if cache().entries.try_reserve(1).is_err() {
                return Err(memory::exhausted(size_of::<EntryId>()));
            }
            ffi::MemoryContextSetParent(context, pg_sys::CacheMemoryContext);
            // One that arrived meanwhile (opening an index receives them) may be about what was
            // read before: REINDEX CONCURRENTLY drops the old index once nobody writes with it.
            (*entry).head.stale.set(cache().invalidations != invalidations);
            store(key, &(*entry).head);
            R::last().set(id, entry);
        }
        Ok(Entry::rule(entry))
    }
}

/// The entry of a rule that was built in `context`, which is the current one and the memory.
fn complete<R: Cached>(
    trigger: Definition,
    context: MemoryContext,
    memory: Memory<'static>,
    rule: R::Rule<'static>,
) -> *const Entry<R> {
    let others = R::tables(&rule);
    let mut tables = Buffer::new(memory, others.len() + 1);
    tables.push(trigger.table().oid());
    for table in others {
        tables.push(*table);
    }
    let head = Head {
        context,
        tables: tables.into_slice(),
        runs: R::runs(&rule),
        stale: Cell::new(false),
        fresh: Cell::new(true),
        passing: may_become_shard(trigger.table().oid()),
        forget: || R::last().set_none(),
        replaced_before: Cell::new(null()),
    };
    let entry = memory::allocate(size_of::<Entry<R>>()) as *mut Entry<R>;
    // SAFETY: the memory has the size of an entry and is aligned for any type.
    unsafe { entry.write(Entry { head, rule }) };
    entry
}

impl<R: Cached> Last<R> {
    fn set_none(&self) {
        self.0 .0.set(NO_TRIGGER);
        self.0 .1.set(null());
    }
}

fn store(key: EntryId, head: &Head) {
    let cache = cache();
    cache.any_fresh = true;
    cache.any_stale |= head.stale.get();
    if let Some(replaced) = cache.entries.insert(key, head) {
        retire(replaced, &mut cache.replaced);
    }
}

/// Leaves an entry to be freed when nobody can be using it.
fn retire(head: *const Head, replaced: &mut *const Head) {
    // SAFETY: a head lives until `free_replaced`.
    let head = unsafe { &*head };
    (head.forget)();
    head.replaced_before.set(*replaced);
    *replaced = head;
    frames::when_left(free_replaced);
}

/// Frees replaced entries. No entry of raceguard is on the stack, or none that goes on.
fn free_replaced() {
    let mut next = core::mem::replace(&mut cache().replaced, null());
    while !next.is_null() {
        // SAFETY: each entry lies in its own context, and nothing points into that any more.
        unsafe {
            let context = (*next).context;
            next = (*next).replaced_before.get();
            ffi::MemoryContextDelete(context);
        }
    }
}

fn register_callbacks() {
    if cache().registered {
        return;
    }
    use pg_sys::SysCacheIdentifier::*;
    // SAFETY: the callbacks are registered once per backend and never unloaded.
    unsafe {
        ffi::CacheRegisterRelcacheCallback(Some(relation_changed), Datum::null());
        for catalog in [PROCOID, OPEROID, TYPEOID, CASTSOURCETARGET, COLLOID, NAMESPACEOID] {
            ffi::CacheRegisterSyscacheCallback(catalog as c_int, Some(code_changed), Datum::null());
        }
        ffi::RegisterXactCallback(Some(transaction_ended), core::ptr::null_mut());
        ffi::RegisterSubXactCallback(Some(subtransaction_event), core::ptr::null_mut());
    }
    cache().registered = true;
}

/// Marks the entries that depend on what has changed.
fn changed(depends: impl Fn(&Head) -> bool) {
    if is_exiting() {
        return;
    }
    let cache = cache();
    cache.invalidations += 1;
    for head in cache.entries.values() {
        // SAFETY: an entry that is freed leaves the map before.
        let head = unsafe { &**head };
        if depends(head) {
            head.stale.set(true);
            cache.any_stale = true;
        }
    }
}

unsafe extern "C-unwind" fn relation_changed(_arg: Datum, relid: Oid) {
    // SAFETY: the tables lie in the entry's own context.
    let is_of = |head: &Head| unsafe { (*head.tables).contains(&relid) };
    changed(|head| relid == pg_sys::InvalidOid || is_of(head));
}

unsafe extern "C-unwind" fn code_changed(_arg: Datum, cache: c_int, _hash: u32) {
    let least = match cache == pg_sys::SysCacheIdentifier::TYPEOID as c_int {
        true => Runs::Anything,
        false => Runs::BuiltIn,
    };
    changed(|head| head.runs >= least);
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::*;
    match event {
        _ if is_exiting() => return,
        XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT => settle(false),
        XACT_EVENT_COMMIT | XACT_EVENT_PARALLEL_COMMIT | XACT_EVENT_PREPARE => settle(true),
        _ => return,
    }
    retire_stale();
    frames::transaction_ends();
}

unsafe extern "C-unwind" fn subtransaction_event(
    event: pg_sys::SubXactEvent::Type,
    id: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    use pg_sys::SubXactEvent::*;
    match event {
        _ if is_exiting() => {}
        SUBXACT_EVENT_START_SUB => frames::subtransaction_begins(id),
        SUBXACT_EVENT_COMMIT_SUB => frames::subtransaction_ends(id, false),
        SUBXACT_EVENT_ABORT_SUB => {
            settle(false);
            frames::subtransaction_ends(id, true);
        }
        _ => {}
    }
}

/// Entries of the ended (sub)transaction become trusted, or stale if it aborted.
fn settle(committed: bool) {
    let cache = cache();
    if !cache.any_fresh {
        return;
    }
    for head in cache.entries.values() {
        // SAFETY: as in `changed`.
        let head = unsafe { &**head };
        if head.fresh.replace(false) && (!committed || head.passing) {
            head.stale.set(true);
            cache.any_stale = true;
        }
    }
    cache.any_fresh = false;
}

/// Forgets stale entries, for good where nothing asks for them any more.
fn retire_stale() {
    if !core::mem::take(&mut cache().any_stale) {
        return;
    }
    let Cache { entries, replaced, .. } = cache();
    entries.retain(|_, head| {
        // SAFETY: as in `changed`.
        let stale = unsafe { (**head).stale.get() };
        if stale {
            retire(*head, replaced);
        }
        !stale
    });
}
