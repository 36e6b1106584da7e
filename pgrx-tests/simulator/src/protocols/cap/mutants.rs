//! Steps of the protocol, and of what it rests on, left out or done otherwise. Each has to be noticed.

mutants! {
    /// A slot that looked free is not looked at again under its lock, though a transaction has ended since.
    NoSecondLook,
    /// What a pass has found is taken to be so still.
    AlwaysCurrent,
    /// A slot that looked free is taken without its lock.
    NoReservation,
    /// The lock of a slot that turned out to be taken is kept.
    KeepsUseless,
    /// The look that decides uses the statement's snapshot, at REPEATABLE READ that of the transaction.
    StatementSnapshot,
    /// The look that decides does not see the rows of its own command.
    CommandNotRaised,
    /// The look that decides is a dirty one, which does not stop at one moment, and is taken to be of its last.
    DirtyPass,
    /// The look that decides counts rows that others have not committed.
    SeesArrivals,
    /// Nobody looks who is taking a row out, nor whether all slots are taken by now.
    NoDirtyLook,
    /// Who is taking a row out is not waited for.
    NeverWaits,
    /// A version that its own transaction has taken out again counts as one that keeps the slot.
    GoingCounts,
    /// Slots that were free for the row before are taken without asking whether anything has happened since.
    SpareForEver,
    /// Slots are locked without the table's lock, which others escalate to.
    NoTableLock,
    /// Past the limit nothing is locked any more.
    EscalatesUnlocked,
    /// Nobody refuses a row that has gone in without a slot.
    Unrefused,
    /// Postgres lets go of locks before what was done under them can be seen.
    ReleasesFirst,
}
