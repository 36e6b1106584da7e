//! The bounds of a total, as the arguments of the parent's triggers say them.

use crate::pg::memory::Memory;
use crate::pg::relation::Table;
use crate::pg::trigger::find_all;
use crate::total::rule::COLUMN_FUNCTION;

/// The arguments of the parent's triggers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds<'a> {
    pub column: &'a str,
    pub at_most: Option<&'a str>,
    pub at_least: Option<&'a str>,
}

impl Bounds<'_> {
    /// Whether a parent may be there before its first child although no child is below the bound.
    pub fn starts_null(&self) -> bool {
        self.at_least.is_some_and(|bound| constant(bound).is_none_or(|n| n > 0.0))
    }
}

/// The number that a bound is, if it is one; Postgres writes `-1` as `'-1'::integer`.
pub fn constant(bound: &str) -> Option<f64> {
    let digits = match bound.strip_prefix('\'').and_then(|rest| rest.split_once("'::")) {
        Some((digits, "smallint" | "integer" | "bigint" | "numeric")) => digits,
        Some(_) => return None,
        None => bound,
    };
    digits.parse().ok()
}

/// Reads the bounds; the error is the argument that is none or is missing.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<Bounds<'a>, &'a str> {
    let column = arguments.next().unwrap_or_default();
    let mut bounds = Bounds { column, at_most: None, at_least: None };
    for argument in arguments {
        match argument.split_once('=') {
            Some(("at_most", bound)) => bounds.at_most = Some(bound),
            Some(("at_least", bound)) => bounds.at_least = Some(bound),
            _ => return Err(argument),
        }
    }
    match bounds.column {
        "" => Err("total_column"),
        _ => Ok(bounds),
    }
}

/// The name of the parent's trigger that keeps a column, and the bounds that it says. Plain frames.
pub fn bounds_of<'m>(
    table: Table,
    column: &str,
    memory: Memory<'m>,
) -> Option<(&'m str, Bounds<'m>)> {
    let found = find_all(table, COLUMN_FUNCTION).find(|trigger| trigger.argument(0) == column)?;
    let bounds = parse(found.keep_arguments(memory).iter().copied()).ok()?;
    Some((memory.keep_text(found.name()), bounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_above_zero_lets_a_parent_begin_without_a_total() {
        let bounds = |at_least| Bounds { column: "n", at_most: None, at_least };
        assert!(bounds(Some("1")).starts_null());
        assert!(bounds(Some("0.5")).starts_null());
        assert!(bounds(Some("least")).starts_null());
        assert!(!bounds(Some("0")).starts_null());
        assert!(!bounds(Some("-3")).starts_null());
        assert!(!bounds(Some("'-3'::integer")).starts_null());
        assert!(bounds(Some("'5000000000'::bigint")).starts_null());
        assert!(bounds(Some("'-3'::text")).starts_null());
        assert!(!bounds(None).starts_null());
    }
}
