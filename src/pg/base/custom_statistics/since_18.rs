//! pgrx has no bindings of what is declared here, which is pgstat_internal.h of Postgres 18.4 and 19rc1.
//! `pgrx-tests/stats/layout.c` has the compiler compare it with the headers of the server at hand.

use super::{EntryKey, Words, OWNER, RESET_AT, WORDS};
use crate::pg::base::error::catch;
use crate::pg::base::ffi;
use crate::pg::base::memory::{Buffer, Memory};
use crate::pg::base::per_backend::PerBackend;
use core::cell::Cell;
use core::ffi::{c_char, c_void};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};
use pgrx::pg_sys::{self, Datum, Oid};

/// PgStat_HashKey.
#[repr(C)]
struct HashKey {
    kind: u32,
    database: Oid,
    object: u64,
}

/// The beginning of PgStatShared_HashEntry.
#[repr(C)]
struct HashEntry {
    key: HashKey,
    dropped: bool,
}

/// The beginning of PgStat_EntryRef.
#[repr(C)]
struct EntryRef {
    entry: *const HashEntry,
    stats: *mut StatsEntry,
}

/// PgStatShared_Common, and what follows it in an entry of this kind.
#[repr(C)]
struct StatsEntry {
    magic: u32,
    lock: pg_sys::LWLock,
    words: [AtomicU64; WORDS],
}

const FIRST_IN_FILE: usize = offset_of!(StatsEntry, words) + (OWNER + 1) * size_of::<AtomicU64>();

/// A callback that this kind does not have.
type Absent = Option<unsafe extern "C-unwind" fn()>;

/// PgStat_KindInfo.
#[repr(C)]
struct KindInfo {
    /// Bits: 1 fixed_amount, 2 accessed_across_databases, 4 write_to_file.
    flags: u8,
    shared_size: u32,
    snapshot_ctl_off: u32,
    shared_ctl_off: u32,
    shared_data_off: u32,
    shared_data_len: u32,
    pending_size: u32,
    init_backend: Absent,
    flush_pending: Absent,
    delete_pending: Absent,
    reset_timestamp: Option<unsafe extern "C-unwind" fn(*mut StatsEntry, pg_sys::TimestampTz)>,
    to_serialized_name: Absent,
    from_serialized_name: Absent,
    #[cfg(since_pg19)]
    to_serialized_data: Absent,
    #[cfg(since_pg19)]
    from_serialized_data: Absent,
    #[cfg(since_pg19)]
    finish: Absent,
    init_shmem: Absent,
    flush_static: Absent,
    reset_all: Absent,
    snapshot: Absent,
    name: *const c_char,
}

// The numbers that layout.c compares.
#[cfg(not(since_pg19))]
const _: () = assert!(size_of::<KindInfo>() == 120 && offset_of!(KindInfo, name) == 112);
#[cfg(since_pg19)]
const _: () = assert!(size_of::<KindInfo>() == 144 && offset_of!(KindInfo, name) == 136);
const _: () = assert!(
    offset_of!(KindInfo, shared_size) == 4
        && offset_of!(KindInfo, shared_data_off) == 16
        && offset_of!(KindInfo, reset_timestamp) == 56
);
const _: () = assert!(offset_of!(StatsEntry, lock) == 4 && offset_of!(StatsEntry, words) == 24);
const _: () = assert!(offset_of!(HashEntry, dropped) == 16 && offset_of!(EntryRef, stats) == 8);

// SAFETY: never written, and what it points at is static.
unsafe impl Sync for KindInfo {}

static KIND_INFO: KindInfo = KindInfo {
    flags: 4,
    shared_size: size_of::<StatsEntry>() as u32,
    snapshot_ctl_off: 0,
    shared_ctl_off: 0,
    shared_data_off: FIRST_IN_FILE as u32,
    shared_data_len: (size_of::<StatsEntry>() - FIRST_IN_FILE) as u32,
    pending_size: 0,
    init_backend: None,
    flush_pending: None,
    delete_pending: None,
    reset_timestamp: Some(was_reset),
    to_serialized_name: None,
    from_serialized_name: None,
    #[cfg(since_pg19)]
    to_serialized_data: None,
    #[cfg(since_pg19)]
    from_serialized_data: None,
    #[cfg(since_pg19)]
    finish: None,
    init_shmem: None,
    flush_static: None,
    reset_all: None,
    snapshot: None,
    name: c"raceguard".as_ptr(),
};

/// Called with the entry locked, after its words in the file were set to zero.
unsafe extern "C-unwind" fn was_reset(entry: *mut StatsEntry, at: pg_sys::TimestampTz) {
    // SAFETY: the entry is one of this kind; nothing but the words is touched.
    unsafe { (*entry).words[RESET_AT].store(at as u64, Ordering::Relaxed) }
}

unsafe extern "C-unwind" {
    fn pgstat_register_kind(kind: u32, info: *const KindInfo);
    fn pgstat_get_entry_ref(
        kind: u32,
        database: Oid,
        object: u64,
        create: bool,
        created: *mut bool,
    ) -> *mut EntryRef;
    fn pgstat_reset_matching_entries(
        matches: unsafe extern "C-unwind" fn(*mut HashEntry, Datum) -> bool,
        data: Datum,
        at: pg_sys::TimestampTz,
    );
    fn pgstat_drop_matching_entries(
        matches: unsafe extern "C-unwind" fn(*mut HashEntry, Datum) -> bool,
        data: Datum,
    );
}

/// The number of the kind; 0 where it was not registered.
static KIND: PerBackend<Cell<u32>> = PerBackend::new(Cell::new(0));

/// Registers the kind under a number, while the library is preloaded. An ERROR, which ends the start of the server,
/// for a number that is out of range or taken.
pub fn register(kind: u32) {
    // SAFETY: called by _PG_init, whose frames are plain; the description is static.
    unsafe { pgstat_register_kind(kind, &raw const KIND_INFO) };
    KIND.set(kind);
}

/// Whether the kind was registered.
pub fn is_registered() -> bool {
    KIND.get() != 0
}

/// An entry, and whether it was made just now; `None` where there is none and none is wanted, or no memory for one.
///
/// Its words may be used until the next call of Postgres that looks up statistics, and as long as nobody drops the
/// entry. Plain frames or inside `catch`.
pub fn entry(database: Oid, object: u64, create: bool) -> Option<(Words, bool)> {
    let found = catch(|| {
        let mut created = false;
        let at = if create { &raw mut created } else { core::ptr::null_mut() };
        // SAFETY: a backend that runs guards has attached to the statistics. `created` is only passed with `create`.
        (unsafe { pgstat_get_entry_ref(KIND.get(), database, object, create, at) }, created)
    });
    let (reference, created) = match found {
        Ok(found) => found,
        Err(_) => {
            // SAFETY: an ERROR may have left a lock of the statistics to the rollback, which there is none of here. No
            // guard holds such a lock, nor does anything that calls one.
            unsafe { ffi::LWLockReleaseAll() };
            return None;
        }
    };
    if reference.is_null() {
        return None;
    }
    // SAFETY: this backend's reference keeps the entry, an entry of this kind, until it looks up another one. The
    // words are in shared memory and reached by atomics alone.
    unsafe {
        let dropped = (*(*reference).entry).dropped;
        (!dropped).then(|| (&(*(*reference).stats).words, created))
    }
}

/// What a walk over the entries is told.
struct Walk<'a, 'm> {
    keys: &'a mut Buffer<'m, EntryKey>,
    /// How many more may be noted: under the statistics' locks nothing is to be allotted.
    room: usize,
    count: usize,
}

unsafe extern "C-unwind" fn note(entry: *mut HashEntry, walk: Datum) -> bool {
    // SAFETY: `keys` passes a walk, and Postgres an entry that is locked.
    let (walk, key) =
        unsafe { (&mut *walk.cast_mut_ptr::<c_void>().cast::<Walk>(), &(*entry).key) };
    if key.kind == KIND.get() {
        walk.count += 1;
        if walk.room > 0 {
            walk.room -= 1;
            walk.keys.push((key.database.to_u32(), key.object));
        }
    }
    // Nothing is reset.
    false
}

/// The entries that there are. Plain frames or inside `catch`.
pub fn keys<'m>(memory: Memory<'m>) -> &'m [EntryKey] {
    let mut none = Buffer::new(memory, 1);
    let count = walk(&mut none, 0);
    // Those made meanwhile are left out, past a few.
    let room = count + 64;
    let mut keys = Buffer::new(memory, room);
    walk(&mut keys, room);
    keys.into_slice()
}

fn walk(keys: &mut Buffer<EntryKey>, room: usize) -> usize {
    let mut walk = Walk { keys, room, count: 0 };
    // SAFETY: the walk outlives the call; `note` keeps to what may be done under a lock.
    unsafe { pgstat_reset_matching_entries(note, Datum::from(&raw mut walk), 0) };
    walk.count
}

unsafe extern "C-unwind" fn is_wanted(entry: *mut HashEntry, wanted: Datum) -> bool {
    // SAFETY: as in `note`; `drop_entries` passes a list.
    let (wanted, key) =
        unsafe { (&*wanted.cast_mut_ptr::<c_void>().cast::<&[EntryKey]>(), &(*entry).key) };
    key.kind == KIND.get() && wanted.binary_search(&(key.database.to_u32(), key.object)).is_ok()
}

/// Drops entries, given in ascending order. Others may hold on to one until they look up statistics. Plain frames or
/// inside `catch`.
pub fn drop_entries(keys: &[EntryKey]) {
    // SAFETY: the list outlives the call, and `is_wanted` only reads.
    unsafe { pgstat_drop_matching_entries(is_wanted, Datum::from(&raw const keys)) }
}
