//! The form of a statement: same form, same SQL, prepared once per session.

/// What a statement does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verb {
    /// Writes the row if the token is still the stated one.
    Update,
    /// Deletes it, likewise.
    Delete,
    /// Reads what is stored where the two found nothing to write.
    Look,
    /// The same, and where the row lies and which transaction wrote it.
    LookAtOrigin,
}

/// A statement's form.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Form {
    pub verb: Verb,
    pub token: Token,
    /// The columns written.
    pub set: Vec<i16>,
    /// The columns compared, instead of a token or beside it.
    pub was: Vec<i16>,
}

/// What is compared between the client and the row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Token {
    /// The column of the table's version guard.
    Version,
    /// `row_version(xmin)`.
    Xmin,
    /// `row_hash(row)`.
    Hash,
    /// The values of some columns ([`crate::rows::swap_columns`]).
    Columns,
}
