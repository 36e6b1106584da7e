//! What the session notes for a parent.

use crate::pg::column::Storage;
use crate::total::ledger::TryCopy;
use std::collections::TryReserveError;

/// What is noted for a parent.
pub enum Amount {
    Int(i128),
    /// The [`key_bytes`](crate::pg::key_bytes) of a numeric value.
    Numeric(Vec<u8>),
    /// Not an amount: the parent is new, and must have a total when the transaction ends.
    New,
    /// Not an amount: what stands under the parent has to be counted.
    Count,
}

/// How numeric values lie in memory.
pub const NUMERIC: Storage = Storage { length: -1, by_value: false };

impl TryCopy for Amount {
    fn try_copy(&self) -> Result<Amount, TryReserveError> {
        Ok(match self {
            Amount::Int(n) => Amount::Int(*n),
            Amount::New => Amount::New,
            Amount::Count => Amount::Count,
            Amount::Numeric(bytes) => {
                let mut copy = Vec::new();
                copy.try_reserve_exact(bytes.len())?;
                copy.extend_from_slice(bytes);
                Amount::Numeric(copy)
            }
        })
    }
}
