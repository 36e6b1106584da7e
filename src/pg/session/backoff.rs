//! Waiting between attempts: exponential backoff with full jitter.

use super::ffi;
use crate::pg::base::error::{catch, Report};
#[cfg(since_pg17)]
use crate::pg::base::per_backend::PerBackend;
#[cfg(since_pg17)]
use core::cell::Cell;
use core::ffi::{c_int, c_long};
use pgrx::pg_sys::{self, Datum};

/// What pg_stat_activity shows of type Extension while a session waits here. Plain frames or inside `catch`.
#[cfg(since_pg17)]
fn wait_event() -> u32 {
    static EVENT: PerBackend<Cell<u32>> = PerBackend::new(Cell::new(0));
    if EVENT.get() == 0 {
        // SAFETY: a name is registered once for the server and looked up from then on.
        EVENT.set(unsafe { ffi::WaitEventExtensionNew(c"RaceguardRetry".as_ptr()) });
    }
    EVENT.get()
}

/// Before 17 an event of an extension has no name of its own.
#[cfg(not(since_pg17))]
fn wait_event() -> u32 {
    pg_sys::PG_WAIT_EXTENSION
}

/// An interval in microseconds, a month as 30 days; an infinite one is as long as i64 can say.
pub fn microseconds(interval: Datum) -> i64 {
    // SAFETY: the datum is an interval.
    let interval = unsafe { *interval.cast_mut_ptr::<pg_sys::Interval>() };
    let days = i128::from(interval.month) * 30 + i128::from(interval.day);
    let total = days * 86_400_000_000 + i128::from(interval.time);
    total.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// The longest wait after so many failed attempts: `base`, doubled each time, up to `max`.
pub fn ceiling(base: i64, max: i64, failed: i32) -> i64 {
    let doublings = (failed - 1).clamp(0, 62) as u32;
    let longest = i128::from(base) << doublings;
    longest.min(max.into()) as i64
}

/// CHECK_FOR_INTERRUPTS: a cancel, a timeout or a termination is an ERROR here. Plain frames or inside
/// `catch`.
#[inline]
pub fn allow_cancel() {
    // SAFETY: as said.
    unsafe {
        if pg_sys::InterruptPending != 0 {
            ffi::ProcessInterrupts();
        }
    }
}

/// Waits a random time up to `ceiling` microseconds, the timer's resolution being a millisecond.
///
/// Full jitter: sessions that failed together have to come back apart, and a random share of the
/// whole ceiling spreads them furthest. A cancel, a timeout or a termination ends the wait at once
/// with its error.
pub fn wait(ceiling: i64) -> Result<(), Report> {
    // SAFETY: the generator is seeded when the backend starts; the clock is only read.
    let until = unsafe {
        let share = ffi::pg_prng_double(&raw mut pg_sys::pg_global_prng_state);
        ffi::GetCurrentTimestamp().saturating_add((share * ceiling as f64) as i64)
    };
    loop {
        catch(allow_cancel)?;
        // SAFETY: reads the clock.
        let left = until.saturating_sub(unsafe { ffi::GetCurrentTimestamp() });
        if left <= 0 {
            return Ok(());
        }
        let milliseconds = (left / 1000 + 1).min(i32::MAX.into()) as c_long;
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        // SAFETY: the process latch is this backend's own.
        catch(|| unsafe {
            ffi::WaitLatch(pg_sys::MyLatch, events as c_int, milliseconds, wait_event());
            ffi::ResetLatch(pg_sys::MyLatch);
        })?;
    }
}

#[cfg(test)]
mod tests {
    use super::ceiling;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn grows_and_stays_below_the_maximum(
            base in 0i64..i64::MAX,
            max in 0i64..i64::MAX,
            failed in 1i32..i32::MAX,
        ) {
            let now = ceiling(base, max, failed);
            prop_assert!(now >= 0 && now <= max);
            prop_assert!(ceiling(base, max, failed - 1) <= now);
        }
    }

    #[test]
    fn doubles_from_the_base() {
        let steps: Vec<i64> = (1..=5).map(|failed| ceiling(10, 100, failed)).collect();
        assert_eq!(steps, [10, 20, 40, 80, 100]);
        assert_eq!(ceiling(0, 100, 1000), 0);
    }
}
