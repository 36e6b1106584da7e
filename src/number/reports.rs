//! What a number guard says when it cannot number a row.

use crate::errors;
use crate::number::rule::Rule;
use crate::pg::error::Report;
use crate::pg::key::KeyValues;
use crate::pg::text::PgText;
use crate::pg::trigger::Firing;

/// 428C9: an UPDATE of the number alone.
#[cold]
pub fn changed(firing: Firing, rule: &Rule, key: &KeyValues) -> Report {
    let column = rule.options.column;
    let report = about(
        Report::error(
            errors::GENERATED_ALWAYS,
            format_args!(
                "column \"{column}\" of \"{}\" cannot be changed",
                errors::written_to(firing.table())
            ),
        ),
        firing,
        rule,
    );
    let under = match rule.index.describe(key) {
        Some(key) => PgText::from_fmt(format_args!("Key {key}: a number stays with its row.")),
        None => PgText::from_fmt(format_args!("A number stays with its row.")),
    };
    report.detail(format_args!("{under}")).hint(format_args!(
        "Leave column \"{column}\" out of the SET list. A row that changes its key is numbered anew."
    ))
}

/// 22003: the column's type, or the counter's, has no number left after `last`.
#[cold]
pub fn exhausted(firing: Firing, rule: &Rule, key: &KeyValues, last: i64) -> Report {
    // The narrower of the two.
    let column = match rule.options.counter {
        Some((counter, _)) if last < rule.last => counter,
        _ => rule.options.column,
    };
    let report = about(
        Report::error(
            errors::OUT_OF_RANGE,
            format_args!(
                "next number of \"{}\" does not fit into column \"{column}\"",
                errors::written_to(firing.table())
            ),
        ),
        firing,
        rule,
    );
    match rule.index.describe(key) {
        Some(key) => report.detail(format_args!("Key {key}: number {last} is taken.")),
        None => {
            report.detail(format_args!("Number {last} is taken, the last that the type holds."))
        }
    }
    .hint(format_args!("Make column \"{column}\" a bigint, or give such rows another key."))
}

fn about(report: Report, firing: Firing, rule: &Rule) -> Report {
    report
        .table(firing.table().root())
        .column(rule.options.column)
        .constraint(firing.trigger_name())
}
