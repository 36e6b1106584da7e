//! Steps left out, or done otherwise. Each has to be noticed.

mutants! {
    /// Parents are written in the order in which they were noted, not in one of all transactions.
    InAnyOrder,
    /// A version is moved whatever it was before the transaction.
    MovesTwice,
    /// Where another has moved it since the look, nothing is moved.
    OneTry,
    /// A parent that was put again twice, while its row was waited for, is not locked before it is moved.
    NeverLocks,
    /// A rollback to a savepoint does not make due again what was moved within.
    ForgetsUndone,
    /// A rollback to a savepoint leaves what was noted within.
    NotesUndone,
    /// Each write of a child moves the version.
    EachRow,
    /// The version is moved in a transaction of its own, after that of the children.
    AfterCommit,
}
