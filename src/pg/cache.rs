//! The rule cache: what a guard's arguments and table mean, worked out once per session.
//!
//! Entries are keyed by trigger OID. A relcache invalidation only sets a flag on the entries of
//! that relation (no catalog is read in the callback); a stale entry is built anew at its next use, or
//! goes when the transaction ends: its table may be gone.
//! An entry built in a transaction that aborts is never used again: it may describe a table that
//! only that transaction ever saw.

use super::error::Report;
use super::per_backend::PerBackend;
use super::raw;
use super::trigger::Definition;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use pgrx::pg_sys::{self, Datum, MemoryContext, Oid};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

struct Entry {
    /// The tables on which the rule depends.
    relids: Vec<Oid>,
    /// Everything the rule points at lives here.
    context: MemoryContext,
    rule: *const c_void,
    stale: bool,
    /// Built in the current transaction.
    fresh: bool,
}

struct Cache {
    entries: HashMap<u32, Entry, BuildHasherDefault<OidHasher>>,
    /// The entry used last, for runs of rows through one trigger.
    last: Option<(u32, *const Entry)>,
    /// Contexts of replaced entries: deleted when no guard can be running, at transaction end.
    retired: Vec<MemoryContext>,
    /// Tables that the rule being built depends on besides its own.
    depends: Vec<Oid>,
    any_fresh: bool,
    any_stale: bool,
    /// How many invalidations have arrived.
    invalidations: u64,
    registered: bool,
}

/// OIDs are spread well enough as they are.
#[derive(Default)]
struct OidHasher(u64);

impl Hasher for OidHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 << 8) | *b as u64;
        }
    }
    fn write_u32(&mut self, n: u32) {
        self.0 = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

static CACHE: PerBackend<UnsafeCell<Option<Cache>>> = PerBackend::new(UnsafeCell::new(None));

fn cache() -> &'static mut Cache {
    // SAFETY: a backend has one thread, and no caller below keeps the reference across a call
    // into Postgres.
    unsafe {
        (*CACHE.get()).get_or_insert_with(|| Cache {
            entries: HashMap::default(),
            last: None,
            retired: Vec::new(),
            depends: Vec::new(),
            any_fresh: false,
            any_stale: false,
            invalidations: 0,
            registered: false,
        })
    }
}

/// The rule of a trigger, built by `build` at first use.
///
/// `build` runs in plain frames, with the current memory context set to one that lives as long as
/// the entry: whatever it allocates there may be pointed at by the rule.
#[inline]
pub fn rule<R: Copy>(
    trigger: Definition,
    build: fn(Definition) -> Result<R, Report>,
) -> Result<&'static R, Report> {
    let id = trigger.id().to_u32();
    if let Some((last, entry)) = cache().last {
        // SAFETY: `last` is cleared whenever an entry moves or goes.
        let entry = unsafe { &*entry };
        if last == id && !entry.stale {
            // SAFETY: the trigger's function, and so the type of its rule, never changes.
            return Ok(unsafe { &*(entry.rule as *const R) });
        }
    }
    find_or_build(id, trigger, build)
}

#[inline(never)]
fn find_or_build<R: Copy>(
    id: u32,
    trigger: Definition,
    build: fn(Definition) -> Result<R, Report>,
) -> Result<&'static R, Report> {
    if let Some(entry) = cache().entries.get(&id) {
        if !entry.stale {
            let found = entry as *const Entry;
            let rule = entry.rule;
            cache().last = Some((id, found));
            // SAFETY: as in `rule`.
            return Ok(unsafe { &*(rule as *const R) });
        }
    }
    register_callbacks();
    let invalidations = cache().invalidations;
    // SAFETY: the new context hangs under the current one until the rule is complete, so an ERROR
    // while building frees it; then it moves under CacheMemoryContext.
    unsafe {
        let caller = pg_sys::CurrentMemoryContext;
        let context = raw::AllocSetContextCreateInternal(
            caller,
            c"raceguard rule".as_ptr(),
            pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
        );
        pg_sys::CurrentMemoryContext = context;
        cache().depends.clear();
        let built = build(trigger);
        pg_sys::CurrentMemoryContext = caller;
        let built = built?;
        let rule = raw::MemoryContextAlloc(context, size_of::<R>()) as *mut R;
        rule.write(built);
        raw::MemoryContextSetParent(context, pg_sys::CacheMemoryContext);
        // One that arrived meanwhile (opening an index receives them) may be about what was read
        // before: REINDEX CONCURRENTLY drops the old index once nobody writes with it.
        let stale = cache().invalidations != invalidations;
        store(id, trigger.table().oid(), context, rule as *const c_void, stale);
        Ok(&*rule)
    }
}

fn store(id: u32, relid: Oid, context: MemoryContext, rule: *const c_void, stale: bool) {
    let cache = cache();
    cache.last = None;
    cache.any_fresh = true;
    cache.any_stale |= stale;
    let mut relids = core::mem::take(&mut cache.depends);
    relids.push(relid);
    let entry = Entry { relids, context, rule, stale, fresh: true };
    if let Some(replaced) = cache.entries.insert(id, entry) {
        cache.retired.push(replaced.context);
    }
}

/// Says, while a rule is being built, that it depends on other tables too.
pub fn depend_on(tables: &[Oid]) {
    cache().depends.extend_from_slice(tables);
}

fn register_callbacks() {
    if cache().registered {
        return;
    }
    // SAFETY: the callbacks are registered once per backend and never unloaded.
    unsafe {
        raw::CacheRegisterRelcacheCallback(Some(relation_changed), Datum::null());
        // The functions of a key are compiled into its rule.
        raw::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::PROCOID as c_int,
            Some(function_changed),
            Datum::null(),
        );
        raw::RegisterXactCallback(Some(transaction_ended), core::ptr::null_mut());
        raw::RegisterSubXactCallback(Some(subtransaction_ended), core::ptr::null_mut());
    }
    cache().registered = true;
}

unsafe extern "C-unwind" fn relation_changed(_arg: Datum, relid: Oid) {
    let cache = cache();
    cache.invalidations += 1;
    for entry in cache.entries.values_mut() {
        if relid == pg_sys::InvalidOid || entry.relids.contains(&relid) {
            entry.stale = true;
            cache.any_stale = true;
        }
    }
}

unsafe extern "C-unwind" fn function_changed(_arg: Datum, _cache: c_int, _hash: u32) {
    let cache = cache();
    cache.invalidations += 1;
    cache.any_stale = true;
    for entry in cache.entries.values_mut() {
        entry.stale = true;
    }
}

unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT => settle(false),
        XACT_EVENT_COMMIT | XACT_EVENT_PARALLEL_COMMIT | XACT_EVENT_PREPARE => settle(true),
        _ => return,
    }
    retire_stale();
    for context in core::mem::take(&mut cache().retired) {
        // SAFETY: no guard runs at transaction end, so nothing points into the context.
        unsafe { raw::MemoryContextDelete(context) };
    }
}

unsafe extern "C-unwind" fn subtransaction_ended(
    event: pg_sys::SubXactEvent::Type,
    _subid: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        settle(false);
    }
}

/// Entries of the ended (sub)transaction become trusted, or stale if it aborted.
fn settle(committed: bool) {
    let cache = cache();
    if !cache.any_fresh {
        return;
    }
    for entry in cache.entries.values_mut().filter(|e| e.fresh) {
        entry.fresh = false;
        entry.stale |= !committed;
    }
    cache.any_stale |= !committed;
    cache.any_fresh = false;
}

/// Forgets stale entries, for good where nothing asks for them any more.
fn retire_stale() {
    let cache = cache();
    if !core::mem::take(&mut cache.any_stale) {
        return;
    }
    cache.last = None;
    let retired = &mut cache.retired;
    cache.entries.retain(|_, entry| {
        if entry.stale {
            retired.push(entry.context);
        }
        !entry.stale
    });
}
