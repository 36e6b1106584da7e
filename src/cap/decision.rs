//! What becomes of a row's slot: the decision of the cap guard, without Postgres.

/// What becomes of the slot of a written row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// The row keeps what it has.
    Keep(i64),
    /// The writer gave it; the index judges.
    Given(i64),
    /// The guard chooses, this one if it is free.
    Prefer(i64),
    /// The guard chooses.
    Choose,
    /// The row stood here before the cap and has no slot yet, or one that does not count: it gets one
    /// if one is free, and stays as it is otherwise.
    Number(Option<i64>),
    /// The row moves to another partition, whose guard chooses; the slot it had.
    Moves(Option<i64>),
}

/// A slot that asks the destination partition for the same one: far below any number a client
/// would write, and refused by the CHECK if it ever came to be stored. `least` is the least of the column's type.
pub fn encode_preference(slot: i64, least: i64) -> i64 {
    least + slot
}

pub fn decode_preference(value: i64, least: i64, slots: i64) -> Option<i64> {
    let slot = value.checked_sub(least)?;
    (1..=slots).contains(&slot).then_some(slot)
}

/// What the slot of an INSERTed row inside the cap comes to. `given` is what the row carries.
pub fn on_insert(null_key: bool, given: Option<i64>, preferred: Option<i64>) -> Slot {
    match given {
        _ if null_key => Slot::Keep(1),
        None | Some(0) => Slot::Choose,
        Some(_) if preferred.is_some() => Slot::Prefer(preferred.unwrap_or_default()),
        Some(slot) => Slot::Given(slot),
    }
}

/// What the slot of an UPDATEd row inside the cap comes to. A slot counts as given only if it is
/// neither NULL nor 0 and differs from OLD's, so that an ORM that writes back a slot it read does no
/// harm.
pub fn on_update(
    null_key: bool,
    stays: bool,
    moves: bool,
    old: Option<i64>,
    new: Option<i64>,
) -> Slot {
    let given = new.filter(|slot| new != old && *slot != 0);
    match given {
        _ if moves => Slot::Moves(given.or(old).filter(|slot| *slot != 0)),
        _ if null_key => Slot::Keep(1),
        Some(slot) => Slot::Given(slot),
        None if stays => match old {
            Some(slot) if slot != 0 => Slot::Keep(slot),
            _ => Slot::Number(old),
        },
        None => Slot::Choose,
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
