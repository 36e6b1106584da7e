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
pub struct Deciding(Snapshot);

impl Deciding {
    /// Takes the snapshot; do so after the lock that makes the decision final is held.
    #[inline]
    pub fn take() -> Deciding {
        // SAFETY: RegisterSnapshot copies the static snapshot, so that curcid is ours to set.
        unsafe {
            let snapshot = RegisterSnapshot(GetLatestSnapshot());
            (*snapshot).curcid = GetCurrentCommandId(false) + 1;
            Deciding(snapshot)
        }
    }

    #[inline]
    pub fn as_raw(self) -> Snapshot {
        self.0
    }

    /// Gives the snapshot back.
    #[inline]
    pub fn done(self) {
        // SAFETY: registered in `take`.
        unsafe { UnregisterSnapshot(self.0) }
    }
}

/// A snapshot that sees uncommitted rows and tells who wrote them. Only to find out whom to wait
/// for: it can miss rows.
pub fn dirty() -> SnapshotData {
    SnapshotData { snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY, ..Default::default() }
}
