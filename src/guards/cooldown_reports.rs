//! What the cooldown says to the client whose row it does not let in.

use super::cooldown::{Options, Rule};
use crate::errors::{self, Code};
use crate::pg::error::Report;
use crate::pg::guc::ErrorStyle;
use crate::pg::key::KeyValues;
use crate::pg::relation::Table;
use crate::pg::text::{quote_ident, quote_literal, PgText};
use crate::pg::trigger::{Definition, Firing};

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
        format_args!("cooldown of {period} is running in \"{}\"", table.name()),
        Some(format_args!("{detail}")),
        format_args!("{hint}"),
        Some(seconds),
    )
    .column(rule.options.at)
    .constraint(firing.trigger_name())
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

/// 55000: without its index the guard would have to read the whole table for every row.
pub fn no_index(trigger: Definition, leaf: Table, options: &Options) -> Report {
    let root = trigger.table().root_literal();
    let predicate = match options.predicate {
        Some(predicate) => PgText::from_fmt(format_args!(" WHERE {predicate}")),
        None => PgText::new(),
    };
    let report = Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("guard \"{}\" has no index on table \"{}\"", trigger.name(), leaf.name()),
    )
    .detail(format_args!(
        "It needs a valid btree index on ({}, {}), ascending, without a predicate or with its own; writes are refused rather than left unguarded.",
        options.key,
        quote_ident(options.at)
    ));
    let take_off = PgText::from_fmt(format_args!(
        "SELECT raceguard.drop_guard({root}, {});",
        quote_literal(trigger.name())
    ));
    let report = if leaf.is_foreign() {
        report.hint(format_args!(
            "A foreign table can have none: detach it, or take the guard off: {take_off}"
        ))
    } else {
        report.hint(format_args!(
            "CREATE INDEX ON {} ({}, {}){predicate}; or take the guard off: {take_off}",
            leaf.qualified_name(),
            options.key,
            quote_ident(options.at)
        ))
    };
    report.table(leaf.oid()).constraint(trigger.name())
}
