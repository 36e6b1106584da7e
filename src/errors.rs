//! The RG errors in their three styles, and reports that several guards make; every other report stands where it is
//! raised. The digits of an RG code are the HTTP status it stands for; everything else uses Postgres's codes.

use crate::pg::distribution;
use crate::pg::error::Report;
use crate::pg::guc::ErrorStyle;
use crate::pg::relation::{self, no_column, Table};
pub use crate::pg::sqlstate::*;
use crate::pg::text::{quote_literal, PgText};
use crate::pg::trigger::logical_name;
use core::fmt::{Arguments, Write};
use pgrx::pg_sys::Oid;

/// raceguard's own SQLSTATEs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// A stated version is not the row's.
    Rg409,
    /// A version has to be stated and was not.
    Rg428,
    /// A call names a row that is not there.
    Rg404,
    /// A cap is full.
    Rg403,
    /// A cooldown is running.
    Rg429,
    /// `take` would go below the floor.
    Rg422,
}

/// The three spellings of one code: native, class 23, HTTP status.
const fn spelling(code: Code) -> (&'static [u8; 5], &'static [u8; 5], u16) {
    match code {
        Code::Rg409 => (b"RG409", b"23R09", 409),
        Code::Rg428 => (b"RG428", b"23R28", 428),
        Code::Rg404 => (b"RG404", b"23R04", 404),
        // PostgREST clients know 403 as "not allowed"; a full cap is a conflict to them.
        Code::Rg403 => (b"RG403", b"23R03", 409),
        Code::Rg429 => (b"RG429", b"23R29", 429),
        Code::Rg422 => (b"RG422", b"23R22", 422),
    }
}

const PGRST: SqlState = SqlState::new(b"PGRST");

impl Code {
    /// The native SQLSTATE as text.
    pub fn name(self) -> &'static str {
        core::str::from_utf8(spelling(self).0).unwrap_or_default()
    }
}

/// Builds one of raceguard's own errors about a row of a table that a call names, in a given style.
pub fn of_call(
    style: ErrorStyle,
    code: Code,
    table: Oid,
    message: Arguments,
    detail: Arguments,
    hint: Arguments,
) -> Report {
    dressed(style, code, table, message, Some(detail), hint, None)
}

/// The same of a guard about a row of the table on which it fires. Of a partition the root is named, which
/// the client wrote to and which has the guard; the partition stands in DETAIL. `retry_after` is the number
/// of seconds until the request may succeed, where it is known.
pub fn own_in(
    style: ErrorStyle,
    code: Code,
    table: Oid,
    message: Arguments,
    detail: Option<Arguments>,
    hint: Arguments,
    retry_after: Option<u64>,
) -> Report {
    let root = relation::root_of(table);
    if root == table {
        return dressed(
            style,
            code,
            distribution::logical(table),
            message,
            detail,
            hint,
            retry_after,
        );
    }
    let mut told = PgText::new();
    // Writing to a PgText cannot fail (see there).
    let _ = match detail {
        Some(detail) => write!(told, "{detail} "),
        None => Ok(()),
    };
    let _ = write!(told, "{}", OfPartition(table));
    let root = distribution::logical(root);
    dressed(style, code, root, message, Some(format_args!("{told}")), hint, retry_after)
}

/// The name of the table that clients have written to when a guard fires on one of its partitions, shards or chunks.
pub fn written_to(table: Table) -> PgText {
    relation::name_of(distribution::logical(table.root()))
}

/// The name by which clients know a table: that of a shard or chunk is its logical table's. Of a partition its own.
pub fn known_as(table: Table) -> PgText {
    relation::name_of(distribution::logical(table.oid()))
}

/// A table, of a partition its root, by the name that clients know, as a SQL literal that a call can be given.
pub fn literal_for_calls(table: Table) -> PgText {
    relation::literal_of(distribution::logical(table.root()))
}

fn dressed(
    style: ErrorStyle,
    code: Code,
    table: Oid,
    message: Arguments,
    detail: Option<Arguments>,
    hint: Arguments,
    retry_after: Option<u64>,
) -> Report {
    let (native, integrity, status) = spelling(code);
    let mut report = Report::error(SqlState::new(native), message).hint(hint).table(table);
    if let Some(detail) = detail {
        report = report.detail(detail);
    }
    match style {
        ErrorStyle::Native => report,
        ErrorStyle::Integrity => report.restyle(SqlState::new(integrity), None, None),
        ErrorStyle::Postgrest => {
            let message = format_args!(
                "{}{},\"message\":{},\"details\":{},\"hint\":{}}}",
                PGRST_CODE,
                JsonText(code.name()),
                JsonText(report.message_text()),
                JsonText(report.detail_text()),
                JsonText(report.hint_text()),
            );
            match retry_after {
                Some(seconds) => report.restyle(
                    PGRST,
                    Some(message),
                    Some(format_args!(
                        "{{\"status\":{status},\"headers\":{{\"Retry-After\":\"{seconds}\"}}}}"
                    )),
                ),
                None => report.restyle(
                    PGRST,
                    Some(message),
                    Some(format_args!("{{\"status\":{status},\"headers\":{{}}}}")),
                ),
            }
        }
    }
}

/// Whether a report is one of raceguard's own errors with this code, in whatever style.
pub fn is_own(report: Report, code: Code) -> bool {
    let (native, integrity, _) = spelling(code);
    if report.is(SqlState::new(native)) || report.is(SqlState::new(integrity)) {
        return true;
    }
    let body = report.message_text().strip_prefix(PGRST_CODE);
    report.is(PGRST)
        && body.is_some_and(|rest| {
            rest.as_bytes().get(1..).is_some_and(|rest| rest.starts_with(native))
        })
}

/// How the message begins in the style of PostgREST, before the code.
const PGRST_CODE: &str = "{\"code\":";

/// What DETAIL says of a partition, behind all else.
struct OfPartition(Oid);

impl core::fmt::Display for OfPartition {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Partition \"{}\".", relation::name_of(distribution::logical(self.0)))
    }
}

/// A DETAIL of [`own_in`] without the partition, for whoever names that otherwise.
pub fn without_partition(detail: &str, table: Oid) -> &str {
    let partition = PgText::from_fmt(format_args!(" {}", OfPartition(table)));
    detail.strip_suffix(partition.as_str()).unwrap_or(detail)
}

/// A text as a JSON string.
struct JsonText<'a>(&'a str);

impl core::fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("\"")?;
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
            f.write_str(&rest[..at])?;
            match rest.as_bytes()[at] {
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                special @ (b'"' | b'\\') => write!(f, "\\{}", special as char)?,
                control => write!(f, "\\u{control:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        f.write_str(rest)?;
        f.write_str("\"")
    }
}

/// 39P01: a trigger attached at the wrong timing, level or event.
pub fn wrong_timing(function: &str, table: Table, needed: &str) -> Report {
    Report::error(
        TRIGGER_PROTOCOL,
        format_args!("function \"raceguard.{function}\" must be fired {needed}"),
    )
    .detail(format_args!("The trigger on table \"{}\" fires it otherwise.", known_as(table)))
    .hint(format_args!("Drop the trigger and let raceguard.add_* create it."))
    .table(table.oid())
}

/// 39P01: trigger arguments that cannot be a rule.
pub fn wrong_argument(trigger: &str, table: Table, problem: Arguments) -> Report {
    Report::error(
        TRIGGER_PROTOCOL,
        format_args!(
            "trigger \"{}\" on table \"{}\" has wrong arguments",
            logical_name(table, trigger),
            known_as(table)
        ),
    )
    .detail(problem)
    .hint(format_args!("Drop the trigger and let raceguard.add_* create it."))
    .table(table.oid())
}

/// 42703: the column that a guard names is no longer there.
pub fn guard_column_missing(trigger: &str, table: Table, column: &str, remedy: &str) -> Report {
    Report::error(
        UNDEFINED_COLUMN,
        format_args!(
            "guard \"{}\" on table \"{}\" names column \"{column}\", which does not exist",
            logical_name(table, trigger),
            known_as(table)
        ),
    )
    .detail(format_args!(
        "The column was renamed or dropped after the guard was added; writes are refused rather than left unguarded."
    ))
    .hint(format_args!("{remedy}"))
    .table(table.oid())
    .column(column)
}

/// 42703 with the columns that there are.
pub fn no_such_column(table: &str, oid: Oid, name: &str, columns: &str) -> Report {
    no_column(table, oid, name)
        .detail(format_args!("The table's columns are {columns}."))
        .hint(format_args!("Check the spelling; upper-case names keep their case here."))
}

/// A guard whose key (or predicate: `what`) cannot be read any more: a column of it was renamed,
/// dropped or changed to a type that cannot be a key, or a function it uses is gone. Bad arguments
/// are 39P01; what does not come from the key (a cancelled statement, lack of memory) stays as it is.
pub fn guard_text_broken(
    trigger: &str,
    table: Table,
    what: &str,
    text: &str,
    cause: Report,
) -> Report {
    if cause.is(SYNTAX_ERROR) {
        return wrong_argument(
            trigger,
            table,
            format_args!("\"{text}\" is not a {what}: {}.", cause.message_text()),
        );
    }
    if !cause.is_in_class(b"42") || cause.is(INSUFFICIENT_PRIVILEGE) {
        return cause;
    }
    Report::error(
        cause.code(),
        format_args!(
            "guard \"{}\" on table \"{}\" cannot use its {what} ({text})",
            logical_name(table, trigger),
            known_as(table)
        ),
    )
    .detail(format_args!(
        "The cause is: {}. Writes are refused rather than left unguarded.",
        cause.message_text()
    ))
    .hint(format_args!(
        "Add the guard with its new {what} and replace => true, or take it off: SELECT raceguard.drop_guard({}, {});",
        literal_for_calls(table),
        quote_literal(logical_name(table, trigger).as_str())
    ))
    .table(table.oid())
}

#[cfg(test)]
mod tests {
    use super::JsonText;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_become_json_strings(text in any::<String>()) {
            let written = JsonText(&text).to_string();
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
