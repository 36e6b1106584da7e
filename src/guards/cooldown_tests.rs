use super::*;
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
        parse(["u", "at=t", "period=7 days", "max_rows=5", "predicate=(a = 1)"].into_iter()),
        Ok(Options {
            key: "u",
            at: "t",
            period: "7 days",
            max_rows: 5,
            predicate: Some("(a = 1)")
        })
    );
    assert_eq!(parse(["u", "period=1 h"].into_iter()), Err("at"));
    assert_eq!(parse(["u", "at=t"].into_iter()), Err("period"));
    assert_eq!(parse(["u", "at=t", "period=1 h", "max_rows=0"].into_iter()), Err("max_rows=0"));
}

proptest! {
    /// The sliding window, counted row by row: no period starting at a row holds more than allowed.
    #[test]
    fn agrees_with_counting(times in proptest::collection::vec(0i64..60, 1..12), max_rows in 1usize..4) {
        let all = spans(&times);
        let at = times[0];
        let by_counting = times.iter().any(|start| {
            let inside = |t: i64| *start <= t && t < start + PERIOD;
            inside(at) && times.iter().filter(|t| inside(**t)).count() > max_rows
        });
        prop_assert_eq!(exceeds(&all, at, max_rows), by_counting);
    }
}
