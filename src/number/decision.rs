//! What becomes of a row's number: the decision of the guard, without Postgres.

/// What becomes of the number of a written row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    /// The key has a NULL: no number.
    Null,
    /// The row keeps what it has.
    Keep(i64),
    /// The writer states it; the index judges.
    Stated(i64),
    /// This one if it is free, or else the key's next.
    Prefer(i64),
    /// The key's next.
    Next,
    /// The row moves to another partition, whose guard numbers it; what it is told.
    Moves(Option<i64>),
    /// A row that stays under its key has another number than before.
    Changed,
}

/// What the number of an INSERTed row comes to. `stated` is what the row carries; `cascades` where a foreign key's
/// action moves it here from another partition.
pub fn on_insert(null_key: bool, stated: Option<i64>, cascades: bool) -> Number {
    match stated {
        _ if null_key => Number::Null,
        Some(number) if cascades => Number::Prefer(number),
        Some(number) => Number::Stated(number),
        None => Number::Next,
    }
}

/// An UPDATE of one row.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Whether the new key has a NULL.
    pub null_key: bool,
    /// Whether the key is what it was, without a NULL.
    pub stays: bool,
    /// Whether the row moves to another partition.
    pub moves: bool,
    /// Whether a foreign key's action does it.
    pub cascades: bool,
    pub old: Option<i64>,
    pub new: Option<i64>,
}

/// What the number of an UPDATEd row comes to. With another key a number is stated only if it is not NULL and differs
/// from OLD's, so that an ORM that writes back the number it read does no harm. A foreign key's action
/// renames the key under all its rows, which keep their numbers where these are free.
pub fn on_update(update: Update) -> Number {
    let Update { null_key, stays, moves, cascades, old, new } = update;
    if null_key {
        return Number::Null;
    }
    if stays {
        return match (old, new) {
            (Some(before), Some(number)) if before == number => Number::Keep(number),
            (Some(_), _) => Number::Changed,
            (None, Some(number)) => Number::Stated(number),
            (None, None) => Number::Next,
        };
    }
    let stated = new.filter(|_| new != old);
    match (stated, old) {
        _ if moves => Number::Moves(stated.or(old.filter(|_| cascades))),
        (Some(number), _) => Number::Stated(number),
        (None, Some(number)) if cascades => Number::Prefer(number),
        (None, _) => Number::Next,
    }
}

/// The number after the highest one that stands from `start` on; `None` past the column's `last`.
pub fn next(highest: Option<i64>, start: i64, last: i64) -> Option<i64> {
    let next = match highest {
        Some(highest) => highest.checked_add(1)?,
        None => start,
    };
    (next <= last).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_inserted_row_keeps_what_it_states() {
        assert_eq!(on_insert(false, Some(7), false), Number::Stated(7));
        assert_eq!(on_insert(false, Some(0), false), Number::Stated(0));
        assert_eq!(on_insert(false, None, false), Number::Next);
        assert_eq!(on_insert(true, Some(7), false), Number::Null);
        assert_eq!(on_insert(false, Some(7), true), Number::Prefer(7));
    }

    const EDIT: Update = Update {
        null_key: false,
        stays: true,
        moves: false,
        cascades: false,
        old: Some(5),
        new: Some(5),
    };

    #[test]
    fn a_number_stays_with_its_row() {
        assert_eq!(on_update(EDIT), Number::Keep(5));
        assert_eq!(on_update(Update { new: Some(6), ..EDIT }), Number::Changed);
        assert_eq!(on_update(Update { new: None, ..EDIT }), Number::Changed);
        assert_eq!(on_update(Update { old: None, ..EDIT }), Number::Stated(5));
        assert_eq!(on_update(Update { old: None, new: None, ..EDIT }), Number::Next);
    }

    #[test]
    fn another_key_has_numbers_of_its_own() {
        let other = Update { stays: false, ..EDIT };
        assert_eq!(on_update(other), Number::Next);
        assert_eq!(on_update(Update { new: None, ..other }), Number::Next);
        assert_eq!(on_update(Update { new: Some(9), ..other }), Number::Stated(9));
        assert_eq!(on_update(Update { null_key: true, ..other }), Number::Null);
        assert_eq!(on_update(Update { moves: true, ..other }), Number::Moves(None));
        let stated = Update { moves: true, new: Some(9), ..other };
        assert_eq!(on_update(stated), Number::Moves(Some(9)));
    }

    #[test]
    fn a_key_that_is_renamed_keeps_its_numbers() {
        let cascade = Update { stays: false, cascades: true, ..EDIT };
        assert_eq!(on_update(cascade), Number::Prefer(5));
        assert_eq!(on_update(Update { moves: true, ..cascade }), Number::Moves(Some(5)));
        assert_eq!(on_update(Update { old: None, new: None, ..cascade }), Number::Next);
    }

    proptest! {
        #[test]
        fn the_next_is_one_more_or_nothing(highest in proptest::option::of(any::<i64>()), start in any::<i32>()) {
            let start = i64::from(start);
            match (highest, next(highest, start, i64::MAX)) {
                (None, found) => prop_assert_eq!(found, Some(start)),
                (Some(i64::MAX), found) => prop_assert_eq!(found, None),
                (Some(highest), found) => prop_assert_eq!(found, Some(highest + 1)),
            }
            let small = next(highest, start, i16::MAX.into());
            prop_assert!(small.is_none_or(|number| number <= i16::MAX.into()));
        }

        #[test]
        fn without_another_key_a_number_never_changes(old in any::<i64>(), new in proptest::option::of(any::<i64>())) {
            match on_update(Update { old: Some(old), new, ..EDIT }) {
                Number::Keep(number) => prop_assert_eq!(number, old),
                other => prop_assert_eq!(other, Number::Changed),
            }
        }
    }
}
