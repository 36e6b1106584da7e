//! Amounts: numeric values and the columns that hold them.

use super::ffi;
use crate::pg::base::error::{catch, Report};
use crate::pg::base::memory::{here, own, Memory};
use crate::pg::data::convert::{input, output};
use pgrx::pg_sys::{self, Datum, Oid};

/// How exactly a column holds amounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// This many digits after the decimal point; negative: zeros before it.
    Digits(i32),
    /// Any number of digits.
    Unlimited,
}

/// The exactness of a column of smallint, integer, bigint or numeric, or of a domain over one;
/// `None` for every other type.
pub fn scale(type_oid: Oid, typmod: i32) -> Result<Option<Scale>, Report> {
    let mut typmod = typmod;
    let place: *mut i32 = &mut typmod;
    // SAFETY: follows domains down to their base type and writes its typmod.
    let base = catch(|| unsafe { ffi::getBaseTypeAndTypmod(type_oid, place) })?;
    Ok(match base {
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Some(Scale::Digits(0)),
        pg_sys::NUMERICOID if typmod < VARHDRSZ => Some(Scale::Unlimited),
        pg_sys::NUMERICOID => Some(Scale::Digits(scale_of(typmod))),
        _ => None,
    })
}

const VARHDRSZ: i32 = pg_sys::VARHDRSZ as i32;

/// A numeric typmod carries the scale in its lower eleven bits, signed since Postgres 15.
fn scale_of(typmod: i32) -> i32 {
    (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024
}

/// The sum of two numeric values.
pub fn add(a: Datum, b: Datum) -> Result<Datum, Report> {
    // SAFETY: both are numeric values.
    catch(|| unsafe {
        ffi::DirectFunctionCall2Coll(Some(ffi::numeric_add), pg_sys::InvalidOid, a, b)
    })
}

/// A numeric value with the other sign.
pub fn negated(a: Datum) -> Result<Datum, Report> {
    // SAFETY: a numeric value.
    catch(|| unsafe {
        ffi::DirectFunctionCall1Coll(Some(ffi::numeric_uminus), pg_sys::InvalidOid, a)
    })
}

/// Whether two numeric values are equal, however many zeros they end with. Plain frames.
pub fn is_equal(a: Datum, b: Datum) -> bool {
    // SAFETY: both are numeric values.
    let equal =
        unsafe { ffi::DirectFunctionCall2Coll(Some(ffi::numeric_eq), pg_sys::InvalidOid, a, b) };
    equal.value() as u8 != 0
}

/// Whether a numeric value is a number: not NaN, and not infinite. Plain frames.
pub fn is_finite(value: Datum) -> bool {
    // SAFETY: a numeric value, which these only look at once it is out of TOAST storage.
    unsafe {
        let value = ffi::pg_detoast_datum(value.cast_mut_ptr()) as pg_sys::Numeric;
        !ffi::numeric_is_nan(value) && !ffi::numeric_is_inf(value)
    }
}

/// An integer as a numeric value.
pub fn of_integer(value: i128) -> Result<Datum, Report> {
    input(&value.to_string(), pg_sys::NUMERICOID, -1)
}

/// Whether a numeric value is zero, however many digits it shows.
pub fn is_zero(a: Datum) -> Result<bool, Report> {
    here(|memory| Ok(text(a, memory)?.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))))
}

/// Whether a numeric value is below zero.
pub fn is_negative(a: Datum) -> Result<bool, Report> {
    here(|memory| Ok(text(a, memory)?.starts_with('-')))
}

/// Whether a numeric value is not a number.
pub fn is_nan(a: Datum) -> Result<bool, Report> {
    here(|memory| Ok(text(a, memory)? == "NaN"))
}

/// A numeric value in plain digits, as its output function writes it.
pub fn shown(value: Datum) -> Result<String, Report> {
    here(|memory| own(text(value, memory)?))
}

fn text(value: Datum, memory: Memory<'_>) -> Result<&str, Report> {
    output(value, pg_sys::NUMERICOID, memory)
}

/// Whether a number, written in plain digits, can be held exactly.
pub fn fits(number: &str, scale: Scale) -> bool {
    let Scale::Digits(scale) = scale else {
        return true;
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    if scale >= 0 {
        return fraction.len() <= scale as usize;
    }
    let zeros = whole.len() - whole.trim_end_matches('0').len();
    let is_zero = whole.trim_start_matches('-').trim_end_matches('0').is_empty();
    fraction.is_empty() && (is_zero || zeros >= scale.unsigned_abs() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typmods_carry_the_scale() {
        let typmod = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + VARHDRSZ;
        assert_eq!(scale_of(typmod(10, 2)), 2);
        assert_eq!(scale_of(typmod(10, 0)), 0);
        assert_eq!(scale_of(typmod(3, -3)), -3);
        assert_eq!(scale_of(typmod(1000, 1000)), 1000);
    }

    #[test]
    fn amounts_that_a_column_would_round_do_not_fit() {
        for (number, scale, expected) in [
            ("1", 0, true),
            ("1.0", 0, true),
            ("-1.5", 0, false),
            ("1.50", 1, true),
            ("1.505", 2, false),
            ("0.001", 2, false),
            ("-3000", -3, true),
            ("1500", -3, false),
            ("0", -3, true),
            ("-0.5", -3, false),
        ] {
            assert_eq!(fits(number, Scale::Digits(scale)), expected, "{number} at {scale}");
        }
        assert!(fits("0.000000001", Scale::Unlimited));
    }
}
