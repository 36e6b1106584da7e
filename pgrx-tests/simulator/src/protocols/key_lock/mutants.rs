//! Steps of the protocol, and of what it rests on, left out or done otherwise. Each has to be noticed.

mutants! {
    /// Keys are locked without the table's lock, which others escalate to.
    NoTableLock,
    /// Past the limit nothing is locked any more, and single lockers are not waited for.
    EscalatesUnlocked,
    /// Who knows beforehand that he goes past the limit locks one by one until he is there.
    EscalatesMidway,
    /// Who is past the limit when he comes to a table shares its lock first, as single lockers do.
    SharesFirst,
    /// New locks are not counted.
    Uncounted,
    /// What was locked in a subtransaction is taken to be held after ROLLBACK TO SAVEPOINT.
    OneSubtransaction,
    /// What was locked in one transaction is taken to be held in the next.
    OneTransaction,
    /// OLD's key is locked before NEW's, whichever is smaller.
    OldKeyFirst,
    /// Only NEW's key is locked.
    NewKeyOnly,
    /// Many keys are locked in the order in which they are given.
    AsGiven,
    /// An upsert locks its key before the row in its way.
    KeyBeforeRow,
    /// An upsert that waited for its key does not look again for a row in its way.
    NothingEnds,
    /// An upsert that finds a row after all keeps its key while it waits for the row.
    KeepsTrial,
    /// Rows are counted under a snapshot from before the lock.
    SnapshotFirst,
    /// Postgres lets go of locks before what was done under them can be seen.
    ReleasesFirst,
}
