//! Version columns: four types read and written as one 64-bit number.

use super::relation::Column;
use super::text::{display, PgText};
use pgrx::pg_sys::{self, Datum};

/// The type of a version column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Int2,
    Int4,
    Int8,
    /// timestamptz; `unit` is the column's precision in microseconds.
    Timestamp {
        unit: i64,
    },
}

impl Kind {
    /// The kind of a version column, `None` for a type that cannot be one.
    pub fn of_version(column: Column) -> Option<Kind> {
        match column.type_oid {
            pg_sys::INT2OID => Some(Kind::Int2),
            pg_sys::INT4OID => Some(Kind::Int4),
            pg_sys::INT8OID => Some(Kind::Int8),
            pg_sys::TIMESTAMPTZOID => {
                let digits = if (0..=6).contains(&column.typmod) { column.typmod } else { 6 };
                Some(Kind::Timestamp { unit: 10i64.pow(6 - digits as u32) })
            }
            _ => None,
        }
    }

    /// A datum of this type as a number.
    #[inline]
    pub fn read(self, value: Datum) -> i64 {
        match self {
            Kind::Int2 => value.value() as i16 as i64,
            Kind::Int4 => value.value() as i32 as i64,
            Kind::Int8 | Kind::Timestamp { .. } => value.value() as i64,
        }
    }

    /// A number within the type's range as a datum.
    #[inline]
    pub fn write(self, value: i64) -> Datum {
        Datum::from(value)
    }

    /// The largest number of an integer type.
    #[inline]
    pub fn max(self) -> i64 {
        match self {
            Kind::Int2 => i16::MAX as i64,
            Kind::Int4 => i32::MAX as i64,
            Kind::Int8 | Kind::Timestamp { .. } => i64::MAX,
        }
    }
}

/// A version as its type's output function writes it.
pub fn show(kind: Kind, value: i64) -> PgText {
    match kind {
        Kind::Timestamp { .. } => display(Datum::from(value), pg_sys::TIMESTAMPTZOID),
        _ => PgText::from_fmt(format_args!("{value}")),
    }
}
