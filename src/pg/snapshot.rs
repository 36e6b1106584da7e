//! Which rows a guard sees when it decides.

use pgrx::pg_sys::{self, Snapshot, SnapshotData};

extern "C-unwind" {
    fn GetLatestSnapshot() -> Snapshot;
    fn RegisterSnapshot(snapshot: Snapshot) -> Snapshot;
    fn UnregisterSnapshot(snapshot: Snapshot);
    fn GetCurrentCommandId(used: bool) -> pg_sys::CommandId;
}

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
            let latest = GetLatestSnapshot();
            let completed = (*latest).snapXactCompletionCount;
            let snapshot = RegisterSnapshot(latest);
            (*snapshot).curcid = GetCurrentCommandId(false) + 1;
            Deciding { snapshot, completed }
        }
    }

    /// Whether a snapshot taken now would show the same: no transaction has ended since, and this
    /// one has run no further command. Saves a second look at the index.
    #[inline]
    pub fn is_current(self) -> bool {
        // SAFETY: the snapshot is registered; the latest one is only read.
        unsafe {
            (*GetLatestSnapshot()).snapXactCompletionCount == self.completed
                && (*self.snapshot).curcid == GetCurrentCommandId(false) + 1
        }
    }

    #[inline]
    pub fn as_raw(self) -> Snapshot {
        self.snapshot
    }

    /// Gives the snapshot back.
    #[inline]
    pub fn done(self) {
        // SAFETY: registered in `take`.
        unsafe { UnregisterSnapshot(self.snapshot) }
    }
}

/// A snapshot that sees uncommitted rows and tells who wrote them. Only to find out whom to wait
/// for: it can miss rows.
pub fn dirty() -> SnapshotData {
    SnapshotData { snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY, ..Default::default() }
}
