//! Instants of date, timestamp and timestamptz columns, and SQL's `instant + period`.

use super::raw;
use super::relation::Column;
use super::text::{display, PgText};
use pgrx::pg_sys::{self, Datum, Oid};

extern "C-unwind" {
    fn DirectFunctionCall2Coll(
        function: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> Datum,
        collation: Oid,
        a: Datum,
        b: Datum,
    ) -> Datum;
    fn DirectFunctionCall1Coll(
        function: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> Datum,
        collation: Oid,
        a: Datum,
    ) -> Datum;
    fn timestamptz_pl_interval(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    fn timestamp_pl_interval(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    fn timestamptz_mi_interval(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    fn timestamp_mi_interval(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    fn date_timestamp(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    fn timestamp_timestamptz(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    fn timestamptz_timestamp(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    fn GetCurrentTimestamp() -> pg_sys::TimestampTz;
}

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
                DirectFunctionCall1Coll(date_timestamp, pg_sys::InvalidOid, value).value() as i64
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

    /// `instant + period`, as SQL computes it. Infinity stays infinity.
    #[inline]
    pub fn plus(self, instant: i64, period: Period) -> i64 {
        let function = match self {
            Clock::TimestampTz => timestamptz_pl_interval,
            _ => timestamp_pl_interval,
        };
        self.shift(function, instant, period)
    }

    /// An instant that is certainly not after any `x` with `x + period > instant`. Months and days
    /// differ in length, so the exact borders are found by [`Clock::plus`] from here.
    pub fn before(self, instant: i64, period: Period) -> i64 {
        let function = match self {
            Clock::TimestampTz => timestamptz_mi_interval,
            _ => timestamp_mi_interval,
        };
        let start = self.shift(function, instant, period);
        if start == i64::MIN || start == i64::MAX {
            return start;
        }
        start.saturating_sub(period.slack())
    }

    fn shift(
        self,
        function: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> Datum,
        instant: i64,
        period: Period,
    ) -> i64 {
        // SAFETY: each function takes a timestamp and an interval.
        let moved = unsafe {
            let (instant, period) = (Datum::from(instant), Datum::from(period.0));
            DirectFunctionCall2Coll(function, pg_sys::InvalidOid, instant, period)
        };
        moved.value() as i64
    }

    /// The present moment on this clock.
    pub fn now(self) -> i64 {
        // SAFETY: reads the clock; the conversion uses the session's TimeZone, as now() would.
        unsafe {
            let now = GetCurrentTimestamp();
            match self {
                Clock::TimestampTz => now,
                _ => {
                    let local = DirectFunctionCall1Coll(
                        timestamptz_timestamp,
                        pg_sys::InvalidOid,
                        Datum::from(now),
                    );
                    local.value() as i64
                }
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
                DirectFunctionCall1Coll(timestamp_timestamptz, pg_sys::InvalidOid, value).value()
                    as i64
            },
        }
    }

    /// An instant as Postgres shows it.
    pub fn show(self, instant: i64) -> PgText {
        let type_oid = match self {
            Clock::TimestampTz => pg_sys::TIMESTAMPTZOID,
            _ => pg_sys::TIMESTAMPOID,
        };
        display(Datum::from(instant), type_oid)
    }
}

impl Period {
    /// Reads a period from its text, in the current memory context.
    pub fn parse(text: &str) -> Period {
        let text = PgText::from_fmt(format_args!("{text}"));
        // SAFETY: the input function of interval reads a NUL-terminated text and allocates.
        unsafe {
            let (mut function, mut io_param) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            raw::getTypeInputInfo(pg_sys::INTERVALOID, &mut function, &mut io_param);
            let value = raw::OidInputFunctionCall(function, text.into_raw(), io_param, -1);
            Period(value.cast_mut_ptr())
        }
    }

    /// How much the length of the same months and days can differ between two places in time.
    fn slack(self) -> i64 {
        // SAFETY: made by `parse`.
        let interval = unsafe { &*self.0 };
        let days = if interval.month != 0 { 4 } else { 0 } + if interval.day != 0 { 1 } else { 0 };
        let days = if interval.month != 0 { days + 1 } else { days };
        days * DAY
    }

    /// Whether every instant moves forward by it.
    pub fn is_positive(self) -> bool {
        // SAFETY: made by `parse`.
        let interval = unsafe { &*self.0 };
        let parts = [interval.month as i64, interval.day as i64, interval.time];
        parts.iter().all(|p| *p >= 0) && parts.iter().any(|p| *p > 0)
    }
}
