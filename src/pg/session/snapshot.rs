//! Which rows a guard sees when it decides.

use super::ffi;
use crate::pg::session::advisory_lock::{subtransaction_number, transaction_number};
use core::ffi::c_int;
use pgrx::pg_sys::{self, Snapshot, SnapshotData};

/// A snapshot that sees everything committed by now, at any isolation level, and the rows of the
/// current command. `Copy`: an ERROR leaves it to the resource owner.
///
/// Plain `GetLatestSnapshot` would not see the earlier rows of the same multi-row INSERT. A dirty
/// snapshot would, but an index scan under one can miss a live row that is being updated
/// meanwhile: it does not stop at one moment.
#[derive(Clone, Copy)]
pub struct Deciding {
    snapshot: Snapshot,
    /// How many transactions had ended when it was taken.
    completed: u64,
}

impl Deciding {
    /// Takes the snapshot; do so after the lock that makes the decision final is held.
    #[inline]
    pub fn take() -> Deciding {
        // SAFETY: RegisterSnapshot copies the static snapshot, so that curcid is ours to set.
        unsafe {
            let latest = ffi::GetLatestSnapshot();
            let completed = (*latest).snapXactCompletionCount;
            let snapshot = ffi::RegisterSnapshot(latest);
            (*snapshot).curcid = ffi::GetCurrentCommandId(false) + 1;
            Deciding { snapshot, completed }
        }
    }

    /// Whether a snapshot taken now would show the same: no transaction has ended since, and this
    /// one has run no further command. Saves a second look at the index.
    #[inline]
    pub fn is_current(self) -> bool {
        // SAFETY: the snapshot is registered; the latest one is only read.
        unsafe {
            (*ffi::GetLatestSnapshot()).snapXactCompletionCount == self.completed
                && (*self.snapshot).curcid == ffi::GetCurrentCommandId(false) + 1
        }
    }

    /// When it was taken.
    pub fn moment(self) -> Standstill {
        // SAFETY: the snapshot is registered.
        Standstill::of(self.completed, unsafe { (*self.snapshot).curcid } - 1)
    }

    #[inline]
    pub(in crate::pg) fn as_raw(self) -> Snapshot {
        self.snapshot
    }

    /// Gives the snapshot back.
    #[inline]
    pub fn done(self) {
        // SAFETY: registered in `take`.
        unsafe { ffi::UnregisterSnapshot(self.snapshot) }
    }
}

/// How many transactions with writes had ended at one moment. As long as it stays the same, no row
/// that others wrote has come to be committed or gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ended(u64);

impl Ended {
    pub fn now() -> Ended {
        // SAFETY: the latest snapshot is only read.
        unsafe { Ended((*ffi::GetLatestSnapshot()).snapXactCompletionCount) }
    }
}

/// A time during which nothing that others wrote has come to be committed or gone, and this session has run one
/// command in one subtransaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standstill {
    ended: u64,
    command: u32,
    transaction: u32,
    subtransaction: u32,
}

impl Standstill {
    #[inline]
    pub fn now() -> Standstill {
        // SAFETY: reads the state of the transaction.
        Standstill::of(Ended::now().0, unsafe { ffi::GetCurrentCommandId(false) })
    }

    /// Marks the present command as one that has written, so that whatever writes next runs under another number, also
    /// where nothing has been written under it yet. For a session that is writing.
    pub fn spend_command() {
        // SAFETY: sets a flag of the transaction.
        unsafe { ffi::GetCurrentCommandId(true) };
    }

    #[inline]
    fn of(ended: u64, command: u32) -> Standstill {
        let (transaction, subtransaction) = (transaction_number(), subtransaction_number());
        Standstill { ended, command, transaction, subtransaction }
    }
}

/// Whether the transaction keeps one snapshot for all its statements.
pub fn is_kept() -> bool {
    // SAFETY: a variable of the session.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as c_int }
}

/// A snapshot that sees uncommitted rows and tells who wrote them. Only to find out whom to wait
/// for: it can miss rows.
pub fn dirty() -> SnapshotData {
    SnapshotData { snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY, ..Default::default() }
}
