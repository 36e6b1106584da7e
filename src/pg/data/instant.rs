//! Instants of date, timestamp and timestamptz columns, and SQL's `instant + period`.
//!
//! What a guard judges must not depend on who writes: with the session's TimeZone, which anyone may SET
//! to rules of his own, a period of seven days on timestamptz was one of five. So days and months on
//! timestamptz are counted in UTC, where every day has 24 hours.

use super::ffi;
use crate::pg::base::text::{display, PgText};
use crate::pg::data::column::Column;
use pgrx::pg_sys::{self, Datum};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Which clock a column's instants are on. Instants are microseconds since 2000, local time for
/// date and timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    Date,
    Timestamp,
    TimestampTz,
}

/// A period of a cooldown, in Postgres's memory.
#[derive(Clone, Copy)]
pub struct Period(*mut pg_sys::Interval);

impl Clock {
    /// The clock of a column, `None` if its type is not one of a point in time.
    pub fn of(column: Column) -> Option<Clock> {
        match column.type_oid {
            pg_sys::DATEOID => Some(Clock::Date),
            pg_sys::TIMESTAMPOID => Some(Clock::Timestamp),
            pg_sys::TIMESTAMPTZOID => Some(Clock::TimestampTz),
            _ => None,
        }
    }

    /// A column's value as an instant.
    #[inline]
    pub fn read(self, value: Datum) -> i64 {
        match self {
            // SAFETY: date_timestamp takes a date.
            Clock::Date => unsafe {
                ffi::DirectFunctionCall1Coll(Some(ffi::date_timestamp), pg_sys::InvalidOid, value)
                    .value() as i64
            },
            _ => value.value() as i64,
        }
    }

    /// The column's value at or just before an instant, for a range condition.
    pub fn floor(self, instant: i64) -> Datum {
        match self {
            Clock::Date if instant == i64::MIN => Datum::from(i32::MIN),
            Clock::Date if instant == i64::MAX => Datum::from(i32::MAX),
            Clock::Date => Datum::from(instant.div_euclid(DAY) as i32),
            _ => Datum::from(instant),
        }
    }

    /// `instant + period`, as SQL computes it on timestamps; a timestamptz is one of UTC. On a date
    /// column that is the first date not before it.
    #[inline]
    pub fn plus(self, instant: i64, period: Period) -> i64 {
        if let (Some(moved), false) = (period.after(instant), self == Clock::Date) {
            return moved;
        }
        // SAFETY: the function takes a timestamp and an interval.
        let moved = unsafe {
            let (instant, period) = (Datum::from(instant), Datum::from(period.0));
            ffi::DirectFunctionCall2Coll(
                Some(ffi::timestamp_pl_interval),
                pg_sys::InvalidOid,
                instant,
                period,
            )
        };
        match self {
            Clock::Date => next_midnight(moved.value() as i64),
            _ => moved.value() as i64,
        }
    }

    /// A length that no `instant + period` exceeds. Months are at most 31 days.
    pub fn reach(self, period: Period) -> i64 {
        let [month, day, time] = period.parts();
        // A period on a date column ends at a midnight.
        let midnight = if self == Clock::Date { 1 } else { 0 };
        let days = month.saturating_mul(31).saturating_add(day).saturating_add(midnight);
        days.saturating_mul(DAY).saturating_add(time)
    }

    /// The present moment on this clock; today, for a date.
    pub fn now(self) -> i64 {
        // SAFETY: reads the clock.
        self.on_this_clock(unsafe { ffi::GetCurrentTimestamp() })
    }

    /// What `now()` is, on this clock: the moment at which the transaction began.
    pub fn transaction_start(self) -> i64 {
        // SAFETY: reads the state of the transaction that runs.
        self.on_this_clock(unsafe { ffi::GetCurrentTransactionStartTimestamp() })
    }

    fn on_this_clock(self, instant: i64) -> i64 {
        if self == Clock::TimestampTz {
            return instant;
        }
        // SAFETY: the conversion uses the session's TimeZone, as now() would.
        unsafe {
            let now = Datum::from(instant);
            let local = ffi::DirectFunctionCall1Coll(
                Some(ffi::timestamptz_timestamp),
                pg_sys::InvalidOid,
                now,
            );
            match self {
                Clock::Date => (local.value() as i64).div_euclid(DAY) * DAY,
                _ => local.value() as i64,
            }
        }
    }

    /// An instant as timestamptz: local time is read in the session's TimeZone.
    pub fn to_timestamptz(self, instant: i64) -> i64 {
        match self {
            Clock::TimestampTz => instant,
            // SAFETY: timestamp_timestamptz takes a timestamp.
            _ => unsafe {
                let value = Datum::from(instant);
                ffi::DirectFunctionCall1Coll(
                    Some(ffi::timestamp_timestamptz),
                    pg_sys::InvalidOid,
                    value,
                )
                .value() as i64
            },
        }
    }

    /// An instant as Postgres shows it.
    pub fn show(self, instant: i64) -> PgText {
        match self {
            Clock::Date => display(self.floor(instant), pg_sys::DATEOID),
            Clock::Timestamp => display(Datum::from(instant), pg_sys::TIMESTAMPOID),
            Clock::TimestampTz => display(Datum::from(instant), pg_sys::TIMESTAMPTZOID),
        }
    }
}

/// Infinity and -infinity stand outside of time: no period reaches them or begins there.
pub fn is_finite(instant: i64) -> bool {
    instant != i64::MIN && instant != i64::MAX
}

/// The first midnight that is not before an instant.
fn next_midnight(instant: i64) -> i64 {
    if !is_finite(instant) {
        return instant;
    }
    -(-instant).div_euclid(DAY) * DAY
}

/// The first instant of a timestamp, and the first after the last: timestamp.h's MIN_TIMESTAMP and END_TIMESTAMP.
const FIRST: i64 = -211_813_488_000_000_000;
const END: i64 = 9_223_371_331_200_000_000;

impl Period {
    /// Reads a period from its text, in the current memory context.
    pub fn parse(text: &str) -> Period {
        let text = PgText::from_fmt(format_args!("{text}"));
        // SAFETY: the input function of interval reads a NUL-terminated text and allocates.
        unsafe {
            let (mut function, mut io_param) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            ffi::getTypeInputInfo(pg_sys::INTERVALOID, &mut function, &mut io_param);
            let value = ffi::OidInputFunctionCall(function, text.into_raw(), io_param, -1);
            Period(value.cast_mut_ptr())
        }
    }

    /// Whether every instant moves forward by it.
    pub fn is_positive(self) -> bool {
        let parts = self.parts();
        parts.iter().all(|p| *p >= 0) && parts.iter().any(|p| *p > 0)
    }

    /// Whether it is not `infinity`, which Postgres 17 and later know.
    pub fn is_finite(self) -> bool {
        self.parts() != [i32::MAX as i64, i32::MAX as i64, i64::MAX]
    }

    /// An instant and the period, where that is a sum: without months a day has 24 hours on these clocks. `None` also where
    /// Postgres would say that the result is out of range.
    #[inline]
    fn after(self, instant: i64) -> Option<i64> {
        let [month, day, time] = self.parts();
        let moved = instant.checked_add(day.checked_mul(DAY)?.checked_add(time)?)?;
        (month == 0 && (FIRST..END).contains(&instant) && (FIRST..END).contains(&moved))
            .then_some(moved)
    }

    fn parts(self) -> [i64; 3] {
        // SAFETY: made by `parse`.
        let interval = unsafe { &*self.0 };
        [interval.month as i64, interval.day as i64, interval.time]
    }
}

#[cfg(test)]
mod tests {
    use super::{next_midnight, Period, DAY, END, FIRST};
    use pgrx::pg_sys::Interval;

    #[test]
    fn a_period_without_months_is_a_length() {
        let of = |month, day, time| Interval { month, day, time };
        let after = |mut interval: Interval, at| Period(&raw mut interval).after(at);
        assert_eq!(after(of(0, 7, 5), 1), Some(7 * DAY + 6));
        assert_eq!(after(of(0, 7, 5), -8 * DAY), Some(5 - DAY));
        assert_eq!(after(of(1, 0, 0), 1), None);
        assert_eq!(after(of(0, 1, 0), END - DAY), None);
        assert_eq!(after(of(0, 1, 0), END - DAY - 1), Some(END - 1));
        assert_eq!(after(of(0, 1, 0), FIRST), Some(FIRST + DAY));
        for outside in [i64::MIN, FIRST - 1, END, i64::MAX] {
            assert_eq!(after(of(0, 1, 0), outside), None);
        }
    }

    #[test]
    fn a_period_on_dates_ends_at_a_midnight() {
        for (instant, midnight) in
            [(0, 0), (1, DAY), (DAY, DAY), (-1, 0), (-DAY, -DAY), (-DAY - 1, -DAY)]
        {
            assert_eq!(next_midnight(instant), midnight, "{instant}");
        }
        assert_eq!(next_midnight(i64::MAX), i64::MAX);
        assert_eq!(next_midnight(i64::MIN), i64::MIN);
    }
}
