//! What the cooldown says to the client whose row it does not let in.

use crate::cooldown::rule::Rule;
use crate::errors::{self, Code};
use crate::pg::error::Report;
use crate::pg::guc::ErrorStyle;
use crate::pg::key::KeyValues;
use crate::pg::text::PgText;
use crate::pg::trigger::Firing;

/// RG429. The next allowed instant is told also to a writer who may not read the table: it is what
/// the guard is for, and he would find it by trying. The key is not.
#[cold]
pub fn running(
    style: ErrorStyle,
    firing: Firing,
    rule: &Rule,
    key: &KeyValues,
    at: i64,
    next: i64,
) -> Report {
    let table = firing.table();
    let (max_rows, period) = (rule.options.max_rows, rule.options.period);
    let shown = rule.clock.show(next);
    let detail = match rule.key.describe(table, rule.options.key, key) {
        Some(key) => PgText::from_fmt(format_args!(
            "Key {key}: at most {max_rows} per {period}; the next is allowed at {shown}."
        )),
        None => PgText::from_fmt(format_args!(
            "At most {max_rows} of a key per {period}; the next is allowed at {shown}."
        )),
    };
    let now = rule.clock.now();
    let seconds = (next.saturating_sub(now).max(0) as u64).div_ceil(1_000_000);
    let wait = waiting_time(seconds);
    let hint = match seconds {
        0 => PgText::from_fmt(format_args!("Give the row a time of {shown} or later.")),
        _ if at > now => PgText::from_fmt(format_args!(
            "Give the row a time of {shown} or later; that is in {wait}."
        )),
        _ => PgText::from_fmt(format_args!("Try again in {wait}.")),
    };
    errors::own_in(
        style,
        Code::Rg429,
        table.oid(),
        format_args!("cooldown of {period} is running in \"{}\"", errors::written_to(table)),
        Some(format_args!("{detail}")),
        format_args!("{hint}"),
        Some(seconds),
    )
    .column(rule.options.at)
}

/// Seconds as days and clock time.
fn waiting_time(seconds: u64) -> PgText {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock =
        PgText::from_fmt(format_args!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60));
    match days {
        0 => clock,
        1 => PgText::from_fmt(format_args!("1 day {clock}")),
        _ => PgText::from_fmt(format_args!("{days} days {clock}")),
    }
}
