use super::*;
use proptest::prelude::*;

#[test]
fn an_insert_gets_a_slot_or_keeps_its_own() {
    assert_eq!(on_insert(true, None, None), Slot::Keep(1));
    assert_eq!(on_insert(false, None, None), Slot::Choose);
    assert_eq!(on_insert(false, Some(0), None), Slot::Choose);
    assert_eq!(on_insert(false, Some(2), None), Slot::Given(2));
    assert_eq!(on_insert(false, Some(-9), Some(3)), Slot::Prefer(3));
}

#[test]
fn an_update_that_writes_back_its_slot_keeps_it() {
    assert_eq!(on_update(false, true, false, Some(2), Some(2)), Slot::Keep(2));
    assert_eq!(on_update(false, true, false, Some(2), None), Slot::Keep(2));
    assert_eq!(on_update(false, true, false, Some(2), Some(3)), Slot::Given(3));
    assert_eq!(on_update(false, true, false, Some(2), Some(0)), Slot::Keep(2));
    assert_eq!(on_update(false, true, false, None, None), Slot::Number(None));
    assert_eq!(on_update(false, false, false, Some(2), Some(2)), Slot::Choose);
    assert_eq!(on_update(false, false, true, Some(2), Some(2)), Slot::Moves(Some(2)));
}

#[test]
fn slot_0_is_no_slot() {
    assert_eq!(on_update(false, true, false, Some(0), Some(0)), Slot::Number(Some(0)));
    assert_eq!(on_update(false, true, false, Some(0), None), Slot::Number(Some(0)));
    assert_eq!(on_update(false, true, false, Some(0), Some(2)), Slot::Given(2));
    assert_eq!(on_update(false, false, true, Some(0), Some(0)), Slot::Moves(None));
}

proptest! {
    /// A preference survives the trip to the other partition, and no slot in use looks like one.
    #[test]
    fn preferences_round_trip(slots in 1i64..=i16::MAX as i64, slot in 1i64..=i16::MAX as i64) {
        for least in [i16::MIN as i64, i32::MIN as i64, i64::MIN] {
            let encoded = encode_preference(slot, least);
            prop_assert!(encoded < 0);
            let expected = (slot <= slots).then_some(slot);
            prop_assert_eq!(decode_preference(encoded, least, slots), expected);
            prop_assert_eq!(decode_preference(slot, least, slots), None);
        }
    }
}
