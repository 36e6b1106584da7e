//! How the versions of the parents that a transaction has noted are moved, each once and all in one order.
//!
//! No Postgres in here: what is asked of it stands in two traits, [`NotedParents`] and [`NotedRow`]. `bump.rs` answers for a
//! server, and `pgrx-tests/simulator` for every order in which sessions can take their steps.

/// The parents that a transaction has noted.
pub trait NotedParents {
    type Failure;
    type Noted;
    type Due;
    /// The order in which all transactions write parents.
    type Place: Ord;

    /// What was noted and not taken yet.
    fn take(&mut self) -> Result<Vec<Self::Noted>, Self::Failure>;
    /// The rows to move for it and their ancestors, in any order; one to which several keys lead more than once.
    fn find(&mut self, noted: Vec<Self::Noted>) -> Result<Vec<Self::Due>, Self::Failure>;
    fn place(due: &Self::Due) -> &Self::Place;
    /// Whether a row is met for the first time.
    fn is_first(&mut self, due: &mut Self::Due) -> Result<bool, Self::Failure>;
    /// Moves one row on: see [`move_version`].
    fn write(&mut self, due: Self::Due) -> Result<(), Self::Failure>;
}

/// Moves every noted parent. What triggers on the parents note meanwhile is moved too.
///
/// A transaction holds no lock on a parent that would stop another's until it starts to write them, and every
/// transaction writes in the same order. So two that touch the same parents, or a chain of them, wait for each other
/// but do not deadlock.
pub fn move_all<P: NotedParents>(parents: &mut P) -> Result<(), P::Failure> {
    loop {
        let noted = parents.take()?;
        if noted.is_empty() {
            return Ok(());
        }
        let mut found = parents.find(noted)?;
        found.sort_unstable_by(|a, b| P::place(a).cmp(P::place(b)));
        for mut due in found {
            if parents.is_first(&mut due)? {
                parents.write(due)?;
            }
        }
    }
}

/// A parent's row by its key.
pub trait NotedRow {
    type Failure;

    /// Moves the version on, from the one that the row had before this transaction or, if not `known`, from any. False if
    /// there is no such row.
    fn bump(&self, known: bool) -> Result<bool, Self::Failure>;
    /// Whether the row is there, and its version is still the one it had before the transaction.
    fn is_unmoved(&self) -> Result<bool, Self::Failure>;
    /// Locks the row as it is by now; false if it finds none, or waited for one that is gone.
    fn lock(&self) -> Result<bool, Self::Failure>;
    /// Whether the transaction keeps one snapshot for all its statements.
    fn keeps_snapshot(&self) -> bool;
    fn allow_cancel(&self) -> Result<(), Self::Failure>;
}

/// Moves one row on unless this transaction has done so: its version then differs from the one
/// it had before the transaction.
///
/// Mostly one statement does it, which insists on that version. If it finds nothing, the row
/// is gone, or moved by this transaction, or by another since it was looked at. Only in the
/// last case it is bumped from whatever version it has by then: insisting again would send the
/// writers of a busy parent back to the end of its queue time after time.
///
/// READ COMMITTED follows a row and not a key: a parent that another deletes and puts again while the UPDATE waits
/// is another row, and the UPDATE finds nothing. Where that happens to the second one too, the row is locked first,
/// as often as one is there, and bumped under its lock. Above READ COMMITTED either UPDATE has told of it by 40001.
pub fn move_version<R: NotedRow>(row: &R) -> Result<(), R::Failure> {
    if row.bump(true)? || !row.is_unmoved()? || row.bump(false)? || row.keeps_snapshot() {
        return Ok(());
    }
    while row.is_unmoved()? {
        row.allow_cancel()?;
        if row.lock()? {
            row.bump(false)?;
            break;
        }
    }
    Ok(())
}
