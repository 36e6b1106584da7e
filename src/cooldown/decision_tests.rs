use super::*;
use crate::cooldown::rule::{parse, Options};
use crate::guard::outcome::Mode;
use proptest::prelude::*;

const PERIOD: i64 = 10;

fn spans(times: &[i64]) -> Vec<Span> {
    let mut spans: Vec<Span> = times.iter().map(|at| Span { at: *at, end: at + PERIOD }).collect();
    spans.sort_by_key(|s| s.at);
    spans
}

#[test]
fn one_row_per_period_in_both_directions() {
    assert!(!exceeds(&spans(&[0]), 0, 1));
    assert!(exceeds(&spans(&[0, 9]), 9, 1));
    assert!(exceeds(&spans(&[0, 9]), 0, 1));
    assert!(!exceeds(&spans(&[0, 10]), 10, 1), "the period is over after exactly one period");
    assert!(exceeds(&spans(&[5, 5]), 5, 1));
}

#[test]
fn windows_without_the_row_are_not_judged() {
    assert!(!exceeds(&spans(&[0, 1, 30]), 30, 1));
}

#[test]
fn the_options_are_read() {
    assert_eq!(
        parse(
            ["u", "at=t", "period=7 days", "max_rows=5", "predicate=(a = 1)", "own_past=true"]
                .into_iter()
        ),
        Ok(Options {
            key: "u",
            at: "t",
            period: "7 days",
            max_rows: 5,
            predicate: Some("(a = 1)"),
            own_past: true,
            mode: Mode::Enforce,
        })
    );
    assert_eq!(parse(["u", "period=1 h"].into_iter()), Err("at"));
    assert_eq!(parse(["u", "at=t"].into_iter()), Err("period"));
    assert_eq!(parse(["u", "at=t", "period=1 h", "max_rows=0"].into_iter()), Err("max_rows=0"));
}

/// Whether a row at `at` is allowed beside the others, counted row by row: no period that begins at
/// a row and holds the new one holds more than allowed.
fn fits(times: &[i64], at: i64, max_rows: usize, end_of: impl Fn(i64) -> i64) -> bool {
    let all = || times.iter().chain(core::iter::once(&at));
    !all().any(|start| {
        let inside = |t: i64| *start <= t && t < end_of(*start);
        inside(at) && all().filter(|t| inside(**t)).count() > max_rows
    })
}

#[test]
fn next_allowed_waits_for_the_periods_around() {
    let next = |times: &[i64], from, max_rows| {
        next_allowed(&spans(times), from, max_rows, |at| at + PERIOD)
    };
    assert_eq!(next(&[], 3, 1), 3);
    assert_eq!(next(&[0], 3, 1), 10);
    assert_eq!(next(&[0, 15], 3, 1), 25, "from 10 on the row would be too close to 15");
    assert_eq!(next(&[0, 20], 3, 1), 10);
    assert_eq!(next(&[0, 2, 4], 5, 3), 10, "the first of the three ends");
    assert_eq!(next(&[0, 2, 4], 5, 4), 5);
}

#[test]
fn next_allowed_takes_one_pass_over_many_rows() {
    let times: Vec<i64> = (0..200_000).map(|n| n * 6).collect();
    assert_eq!(next_allowed(&spans(&times), 3, 1, |at| at + PERIOD), 199_999 * 6 + PERIOD);
}

/// Days that a time zone makes 9 or 11 long: the end of a later row's period may come first.
fn uneven_end(at: i64) -> i64 {
    at + if at.rem_euclid(7) < 3 { 11 } else { 9 }
}

proptest! {
    /// The sliding window, counted row by row.
    #[test]
    fn agrees_with_counting(times in proptest::collection::vec(0i64..60, 1..12), max_rows in 1usize..4) {
        let all = spans(&times);
        let expected = fits(&times[1..], times[0], max_rows, |at| at + PERIOD);
        prop_assert_eq!(exceeds(&all, times[0], max_rows), !expected);
    }

    #[test]
    fn agrees_with_counting_where_days_differ(times in proptest::collection::vec(0i64..60, 1..12), max_rows in 1usize..4) {
        let mut all: Vec<Span> =
            times.iter().map(|at| Span { at: *at, end: uneven_end(*at) }).collect();
        all.sort_by_key(|s| s.at);
        let expected = fits(&times[1..], times[0], max_rows, uneven_end);
        prop_assert_eq!(exceeds(&all, times[0], max_rows), !expected);
    }

    /// The first instant from `from` on that fits, found by trying one after the other.
    #[test]
    fn next_allowed_is_the_first_that_fits(
        times in proptest::collection::vec(-20i64..60, 0..16),
        from in -10i64..40,
        max_rows in 1usize..4,
    ) {
        let first = (from..).find(|at| fits(&times, *at, max_rows, |at| at + PERIOD));
        prop_assert_eq!(Some(next_allowed(&spans(&times), from, max_rows, |at| at + PERIOD)), first);
    }

    /// Where days differ in length it may be a later one, but always one that is allowed.
    #[test]
    fn next_allowed_is_allowed_where_days_differ(
        times in proptest::collection::vec(-20i64..60, 0..16),
        from in -10i64..40,
        max_rows in 1usize..4,
    ) {
        let mut all: Vec<Span> =
            times.iter().map(|at| Span { at: *at, end: uneven_end(*at) }).collect();
        all.sort_by_key(|s| s.at);
        let next = next_allowed(&all, from, max_rows, uneven_end);
        prop_assert!(next >= from);
        prop_assert!(fits(&times, next, max_rows, uneven_end));
    }
}
