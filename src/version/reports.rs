//! What the version guard says to the client whose UPDATE it does not let pass.

use crate::errors::{self, Code};
use crate::guard::outcome::{self, Mode};
use crate::guard::stats::winners;
use crate::pg::error::Report;
use crate::pg::executor;
use crate::pg::guc::ErrorStyle;
use crate::pg::text::PgText;
use crate::pg::trigger::Firing;
use crate::pg::version_value;
use crate::version::decision::Stated;
use crate::version::rule::{ClientSends, Rule};
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
        Some(v) => version_value::show(rule.kind, v),
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
    let _ = write!(text, "{}", winners::sentence(firing, rule.attno()));
    text
}

/// RG409. The stored version where the next one is expected comes from a client that is one version
/// behind, or that sends back what it has read; which, only a SET of the column to itself tells.
#[cold]
pub fn stale(
    firing: Firing,
    rule: &Rule,
    stored: Option<i64>,
    stated: Stated,
    style: ErrorStyle,
) -> Report {
    let table = firing.table();
    let sent_back = rule.options.client_sends == ClientSends::Next
        && stored.is_some()
        && stated.version() == stored;
    if sent_back && executor::sets_to_itself(firing, rule.attno()) {
        return returned(firing, rule, stored, style);
    }
    let stated = Some(show(rule, base_version(rule, stated)));
    let hint = match sent_back {
        true => "Read the row again, apply the change to what it says now, and repeat the update; a client that sends back the version as it read it needs client_sends => 'current'.",
        false => "Read the row again, apply the change to what it says now, and repeat the update.",
    };
    errors::own_in(
        style,
        Code::Rg409,
        table.oid(),
        format_args!("row of \"{}\" has changed since it was read", errors::written_to(table)),
        Some(format_args!("{}", row_and_versions(firing, rule, stated, stored))),
        format_args!("{hint}"),
        None,
    )
    .column(rule.options.column)
}

/// RG409 for `SET version = version` where the next version is expected.
fn returned(firing: Firing, rule: &Rule, stored: Option<i64>, style: ErrorStyle) -> Report {
    let table = firing.table();
    let column = rule.options.column;
    let mut detail = PgText::new();
    // Writing to a PgText cannot fail (see there).
    let _ = match table.describe_key(firing.old()) {
        Some(key) => write!(detail, "Key {key}: the stored version"),
        None => write!(detail, "The stored version"),
    };
    if table.shows(&[rule.attno()]) {
        let _ = write!(detail, " {}", show(rule, stored));
    }
    let _ = write!(
        detail,
        " was sent back; this table expects the one after it.{}",
        winners::sentence(firing, rule.attno())
    );
    errors::own_in(
        style,
        Code::Rg409,
        table.oid(),
        format_args!(
            "update of \"{}\" states the version of the row, not the next",
            errors::written_to(table)
        ),
        Some(format_args!("{detail}")),
        format_args!(
            "Set \"{column}\" to the version that was read plus one, leave it out of the SET list, or add the guard with client_sends => 'current'."
        ),
        None,
    )
    .column(rule.options.column)
}

/// RG428. The log line of observe mode names the row; the client is told what to send, and which of
/// its changes, `counted`, are not ignored.
#[cold]
pub fn missing(
    firing: Firing,
    rule: &Rule,
    stored: Option<i64>,
    counted: &[i16],
    style: ErrorStyle,
) -> Report {
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
    let mut detail = detail;
    for (i, attno) in counted.iter().enumerate() {
        // Writing to a PgText cannot fail (see there).
        let before = if i == 0 { " Changed, and not ignored:" } else { "," };
        let _ = write!(detail, "{before} \"{}\"", table.column_name(*attno));
    }
    if !counted.is_empty() {
        let _ = write!(detail, ".");
    }
    errors::own_in(
        style,
        Code::Rg428,
        table.oid(),
        format_args!(
            "update of \"{}\" must state the version it is based on",
            errors::written_to(table)
        ),
        Some(format_args!("{detail}")),
        format_args!("Set \"{column}\" in the UPDATE, or use raceguard.compare_and_swap."),
        None,
    )
    .column(column)
}

/// The WARNING of `unstated => 'warn'`.
#[cold]
pub fn warn_unstated(firing: Firing, rule: &Rule) {
    outcome::warn(
        format_args!(
            "update of \"{}\" does not state the version it is based on",
            errors::written_to(firing.table())
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
            errors::known_as(firing.table()),
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
