//! Version columns: five types read and written as one 64-bit number.

use crate::pg::base::text::{display, PgText};
use crate::pg::data::column::Column;
use pgrx::pg_sys::{self, Datum};

/// The type of a version column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionKind {
    Int2,
    Int4,
    Int8,
    /// timestamptz, or timestamp in UTC; `unit` is the column's precision in microseconds.
    Timestamp {
        unit: i64,
        zoned: bool,
    },
}

impl VersionKind {
    /// The kind of a version column, `None` for a type that cannot be one.
    pub fn of_version(column: Column) -> Option<VersionKind> {
        match column.type_oid {
            pg_sys::INT2OID => Some(VersionKind::Int2),
            pg_sys::INT4OID => Some(VersionKind::Int4),
            pg_sys::INT8OID => Some(VersionKind::Int8),
            pg_sys::TIMESTAMPTZOID | pg_sys::TIMESTAMPOID => {
                let zoned = column.type_oid == pg_sys::TIMESTAMPTZOID;
                let digits = if (0..=6).contains(&column.typmod) { column.typmod } else { 6 };
                Some(VersionKind::Timestamp { unit: 10i64.pow(6 - digits as u32), zoned })
            }
            _ => None,
        }
    }

    /// The type in which a version is compared with one that a client states.
    pub fn compared_as(self) -> pg_sys::Oid {
        match self {
            VersionKind::Timestamp { zoned: true, .. } => pg_sys::TIMESTAMPTZOID,
            VersionKind::Timestamp { zoned: false, .. } => pg_sys::TIMESTAMPOID,
            _ => pg_sys::INT8OID,
        }
    }

    /// A datum of this type as a number.
    #[inline]
    pub fn read(self, value: Datum) -> i64 {
        match self {
            VersionKind::Int2 => value.value() as i16 as i64,
            VersionKind::Int4 => value.value() as i32 as i64,
            VersionKind::Int8 | VersionKind::Timestamp { .. } => value.value() as i64,
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
            VersionKind::Int2 => i16::MAX as i64,
            VersionKind::Int4 => i32::MAX as i64,
            VersionKind::Int8 | VersionKind::Timestamp { .. } => i64::MAX,
        }
    }
}

/// A version as its type's output function writes it.
pub fn show(kind: VersionKind, value: i64) -> PgText {
    match kind {
        VersionKind::Timestamp { .. } => display(Datum::from(value), kind.compared_as()),
        _ => PgText::from_fmt(format_args!("{value}")),
    }
}
