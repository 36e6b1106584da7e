//! What becomes of an UPDATE: the decision of the version guard, without Postgres.

use crate::version::rule::{ClientSends, Unstated};

/// What the UPDATE says about the version.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stated {
    /// The SET list does not name the column.
    Nothing,
    /// The SET list names it; `None` is NULL.
    Value(Option<i64>),
}

impl Stated {
    /// The version in the SET list, if there is one.
    pub fn version(self) -> Option<i64> {
        match self {
            Stated::Value(version) => version,
            Stated::Nothing => None,
        }
    }
}

/// What becomes of the UPDATE.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// The version moves on.
    Pass,
    /// It states a version that is not the row's.
    Stale,
    /// It states none and should.
    NoneStated,
}

/// Judges one UPDATE. `next` is the version that follows `old`; a row whose version is NULL (a
/// column that was made nullable) accepts NULL as its version.
pub fn judge(
    sends: ClientSends,
    unstated: Unstated,
    old: Option<i64>,
    next: i64,
    stated: Stated,
) -> Verdict {
    match stated {
        Stated::Nothing if unstated == Unstated::Allow => Verdict::Pass,
        Stated::Nothing => Verdict::NoneStated,
        Stated::Value(value) => {
            let expected = match sends {
                ClientSends::Current => old,
                ClientSends::Next => old.map(|_| next),
            };
            if value == expected {
                Verdict::Pass
            } else {
                Verdict::Stale
            }
        }
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
