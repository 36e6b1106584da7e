//! What the version guard says to the client whose UPDATE it does not let pass.

use super::outcome::{self, Mode};
use super::version::{ClientSends, Rule, Stated};
use crate::errors::{self, Code};
use crate::pg::error::Report;
use crate::pg::guc::ErrorStyle;
use crate::pg::text::PgText;
use crate::pg::trigger::Firing;
use crate::pg::value;
use core::fmt::Write;

/// The version a client had read that states this.
fn base_version(rule: &Rule, stated: Stated) -> Option<i64> {
    let Stated::Value(Some(sent)) = stated else { return None };
    match rule.options.client_sends {
        ClientSends::Current => Some(sent),
        ClientSends::Next => Some(sent.wrapping_sub(1)),
    }
}

fn show(rule: &Rule, version: Option<i64>) -> PgText {
    match version {
        None => PgText::from_fmt(format_args!("NULL")),
        Some(v) => value::show(rule.kind, v),
    }
}

/// `Key (id)=(42): stated version 3, stored version 5.`, without the parts that the user may not
/// read in the table either.
fn row_and_versions(
    firing: Firing,
    rule: &Rule,
    stated: Option<PgText>,
    stored: Option<i64>,
) -> PgText {
    let table = firing.table();
    let key = table.describe_key(firing.old());
    let mut text = PgText::new();
    // Writing to a PgText cannot fail (see there).
    let _ = match key {
        Some(key) => write!(text, "Key {key}: "),
        None => Ok(()),
    };
    let _ = match (stated, key) {
        (Some(version), Some(_)) => write!(text, "stated version {version}"),
        (Some(version), None) => write!(text, "Stated version {version}"),
        (None, Some(_)) => write!(text, "no stated version"),
        (None, None) => write!(text, "No stated version"),
    };
    let _ = match table.shows(&[rule.attno()]) {
        true => write!(text, ", stored version {}.", show(rule, stored)),
        false => write!(text, "."),
    };
    text
}

/// RG409.
#[cold]
pub fn stale(
    firing: Firing,
    rule: &Rule,
    stored: Option<i64>,
    stated: Stated,
    style: ErrorStyle,
) -> Report {
    let table = firing.table();
    let stated = Some(show(rule, base_version(rule, stated)));
    errors::own_in(
        style,
        Code::Rg409,
        table.oid(),
        format_args!("row of \"{}\" has changed since it was read", table.name()),
        Some(format_args!("{}", row_and_versions(firing, rule, stated, stored))),
        format_args!(
            "Read the row again, apply the change to what it says now, and repeat the update."
        ),
        None,
    )
    .column(rule.options.column)
    .constraint(firing.trigger_name())
}

/// RG428. The log line of observe mode names the row; the client is told what to send.
#[cold]
pub fn missing(firing: Firing, rule: &Rule, stored: Option<i64>, style: ErrorStyle) -> Report {
    let table = firing.table();
    let column = rule.options.column;
    let must = match rule.options.client_sends {
        ClientSends::Next => "the version it read plus one",
        ClientSends::Current => "the version it read",
    };
    let detail = match rule.options.mode {
        Mode::Observe => row_and_versions(firing, rule, None, stored),
        Mode::Enforce => PgText::from_fmt(format_args!(
            "Column \"{column}\" is not in the SET list; the client must send {must}."
        )),
    };
    errors::own_in(
        style,
        Code::Rg428,
        table.oid(),
        format_args!("update of \"{}\" must state the version it is based on", table.name()),
        Some(format_args!("{detail}")),
        format_args!("Set \"{column}\" in the UPDATE, or use raceguard.compare_and_swap."),
        None,
    )
    .column(column)
    .constraint(firing.trigger_name())
}

/// The WARNING of `unstated => 'warn'`.
#[cold]
pub fn warn_unstated(firing: Firing, rule: &Rule) {
    outcome::warn(
        format_args!(
            "update of \"{}\" does not state the version it is based on",
            firing.table().name()
        ),
        format_args!(
            "Set \"{}\" in the UPDATE; the guard only warns because it was added with unstated => 'warn'.",
            rule.options.column
        ),
    );
}

/// 22003: there is no next version.
#[cold]
pub fn overflow(firing: Firing, rule: &Rule) -> Report {
    Report::error(
        errors::OUT_OF_RANGE,
        format_args!(
            "version of a row of \"{}\" is the largest that column \"{}\" can hold",
            firing.table().name(),
            rule.options.column
        ),
    )
    .detail(format_args!("The version would have to go past the range of the column's type."))
    .hint(format_args!(
        "Change the column to a wider type, for example with ALTER COLUMN ... TYPE bigint."
    ))
    .table(firing.table().oid())
    .column(rule.options.column)
    .constraint(firing.trigger_name())
}
