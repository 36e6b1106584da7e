//! Whether a row stands too close, and when one may: the decision of the cooldown guard, without Postgres.

/// A row's instant and the first instant at which its period is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub at: i64,
    pub end: i64,
}

/// Whether the row at `at` lies within the period of a row, its own included, that holds more than
/// `max_rows` rows. The spans are those of all rows of the key that may share a period with it,
/// itself included, in ascending order; periods it does not belong to are not judged.
pub fn exceeds(spans: &[Span], at: i64, max_rows: usize) -> bool {
    spans.iter().enumerate().any(|(i, start)| {
        start.at <= at
            && at < start.end
            && spans.get(i + max_rows).is_some_and(|last| last.at < start.end)
    })
}

/// The first instant from `from` on at which another row would be allowed beside those of `spans`
/// (ascending). `end_of` is the end of the period of a row at an instant.
///
/// A row at an instant shares a period with too many others in one of two ways: it lies in the
/// period of a row that already has `max_rows` in it, or its own period holds that many. While it
/// moves forward it can become free of others only where such a full period ends. One pass over
/// the rows therefore finds the instant, except where a later row's period ends first, as a month from
/// 31 January, 1:00, does before one from 30 January, 2:00: there the loop goes on to an instant that is
/// certainly allowed.
pub fn next_allowed(
    spans: &[Span],
    from: i64,
    max_rows: usize,
    end_of: impl Fn(i64) -> i64,
) -> i64 {
    let is_full = |i: usize, end: i64| spans.get(i + max_rows - 1).is_some_and(|s| s.at < end);
    let has_room = |at: i64| !is_full(spans.partition_point(|s| s.at < at), end_of(at));
    let mut allowed = from;
    for (i, span) in spans.iter().enumerate() {
        if span.end <= allowed || !is_full(i, span.end) {
            continue;
        }
        if allowed < span.at && has_room(allowed) {
            return allowed;
        }
        allowed = span.end;
    }
    while !has_room(allowed) {
        allowed = end_of(allowed);
    }
    allowed
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
