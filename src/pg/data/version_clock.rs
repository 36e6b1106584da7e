//! Timestamps that only move forward.

use super::ffi;

/// The largest finite timestamptz in microseconds, exclusive (the year 294277).
const END_OF_TIME: i64 = 9_223_371_331_200_000_000;

/// The present moment in steps of `unit` microseconds, or one step after `old` when the clock has
/// not passed it; `None` past the range of timestamptz (an infinite `old` included).
pub fn strictly_after(old: Option<i64>, unit: i64) -> Option<i64> {
    // SAFETY: GetCurrentTimestamp only reads the clock.
    let now = unsafe { ffi::GetCurrentTimestamp() };
    step_after(old, now, unit)
}

/// The arithmetic of [`strictly_after`].
pub fn step_after(old: Option<i64>, now: i64, unit: i64) -> Option<i64> {
    let now = now - now.rem_euclid(unit);
    let next = match old {
        Some(old) => now.max(old.checked_add(unit)?),
        None => now,
    };
    (next < END_OF_TIME).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn always_later_by_at_least_the_unit(
            old in -211_813_488_000_000_000i64..END_OF_TIME - 2_000_000,
            now in -211_813_488_000_000_000i64..END_OF_TIME - 2_000_000,
            digits in 0u32..=6,
        ) {
            let unit = 10i64.pow(6 - digits);
            let next = step_after(Some(old), now, unit).unwrap();
            prop_assert!(next >= old + unit);
            prop_assert!(next == old + unit || next <= now);
        }
    }

    #[test]
    fn infinity_has_no_successor() {
        assert_eq!(step_after(Some(i64::MAX), 0, 1), None);
    }
}
