//! Every error raceguard raises of its own, in one table. The digits of an RG code are the HTTP
//! status it stands for; everything else uses Postgres's codes.

use crate::pg::error::{Report, SqlState};
use crate::pg::guc::{error_style, ErrorStyle};
use crate::pg::relation::Table;
use crate::pg::text::quote_literal;
use core::fmt::Arguments;
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

pub const INVALID_PARAMETER: SqlState = SqlState::new(b"22023");
pub const NULL_NOT_ALLOWED: SqlState = SqlState::new(b"22004");
pub const OUT_OF_RANGE: SqlState = SqlState::new(b"22003");
pub const UNDEFINED_TABLE: SqlState = SqlState::new(b"42P01");
pub const UNDEFINED_COLUMN: SqlState = SqlState::new(b"42703");
pub const UNDEFINED_OBJECT: SqlState = SqlState::new(b"42704");
pub const UNDEFINED_FUNCTION: SqlState = SqlState::new(b"42883");
pub const DUPLICATE_OBJECT: SqlState = SqlState::new(b"42710");
pub const DATATYPE_MISMATCH: SqlState = SqlState::new(b"42804");
pub const WRONG_OBJECT_TYPE: SqlState = SqlState::new(b"42809");
pub const INSUFFICIENT_PRIVILEGE: SqlState = SqlState::new(b"42501");
pub const INVALID_OBJECT_DEFINITION: SqlState = SqlState::new(b"42P17");
pub const INDETERMINATE_COLLATION: SqlState = SqlState::new(b"42P22");
pub const SYNTAX_ERROR: SqlState = SqlState::new(b"42601");
pub const NAME_TOO_LONG: SqlState = SqlState::new(b"42622");
pub const UNSUPPORTED: SqlState = SqlState::new(b"0A000");
pub const TRIGGER_PROTOCOL: SqlState = SqlState::new(b"39P01");
pub const TRIGGERED_DATA_CHANGE: SqlState = SqlState::new(b"27000");
pub const CHECK_VIOLATION: SqlState = SqlState::new(b"23514");
pub const OUT_OF_LOCKS: SqlState = SqlState::new(b"53200");
pub const NOT_IN_PREREQUISITE_STATE: SqlState = SqlState::new(b"55000");
pub const READ_ONLY: SqlState = SqlState::new(b"25006");
pub const SERIALIZATION_FAILURE: SqlState = SqlState::new(b"40001");
pub const DEADLOCK: SqlState = SqlState::new(b"40P01");
pub const ACTIVE_TRANSACTION: SqlState = SqlState::new(b"25001");
pub const TRANSACTION_TERMINATION: SqlState = SqlState::new(b"2D000");
pub const LOCK_NOT_AVAILABLE: SqlState = SqlState::new(b"55P03");
pub const LIMIT_EXCEEDED: SqlState = SqlState::new(b"54000");
pub const INTERNAL: SqlState = SqlState::new(b"XX000");

impl Code {
    /// The native SQLSTATE as text.
    pub fn name(self) -> &'static str {
        core::str::from_utf8(spelling(self).0).unwrap_or_default()
    }
}

/// Builds one of raceguard's own errors and dresses it as `raceguard.error_style` says.
///
/// `retry_after` is the number of seconds until the request may succeed, where it is known.
pub fn own(
    code: Code,
    table: Oid,
    message: Arguments,
    detail: Option<Arguments>,
    hint: Arguments,
    retry_after: Option<u64>,
) -> Report {
    own_in(error_style(), code, table, message, detail, hint, retry_after)
}

/// [`own`] in a given style.
pub fn own_in(
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
            let body = serde_json::json!({
                "code": code.name(),
                "message": report.message_text(),
                "details": report.detail_text(),
                "hint": report.hint_text(),
            });
            let headers = match retry_after {
                Some(seconds) => serde_json::json!({ "Retry-After": seconds.to_string() }),
                None => serde_json::json!({}),
            };
            let response = serde_json::json!({ "status": status, "headers": headers });
            report.restyle(PGRST, Some(format_args!("{body}")), Some(format_args!("{response}")))
        }
    }
}

/// Whether a report is one of raceguard's own errors with this code, in whatever style.
pub fn is_own(report: Report, code: Code) -> bool {
    let (native, integrity, _) = spelling(code);
    if report.is(SqlState::new(native)) || report.is(SqlState::new(integrity)) {
        return true;
    }
    report.is(PGRST)
        && serde_json::from_str::<serde_json::Value>(report.message_text())
            .is_ok_and(|body| body["code"].as_str().map(str::as_bytes) == Some(native))
}

/// 39P01: a trigger function called as an ordinary function.
pub fn not_a_trigger_call(function: &str) -> Report {
    Report::error(
        TRIGGER_PROTOCOL,
        format_args!("function \"raceguard.{function}\" was not called by the trigger manager"),
    )
    .detail(format_args!("It is a trigger function and takes effect only as part of a trigger."))
    .hint(format_args!("Let raceguard.add_* create the trigger."))
}

/// 39P01: a trigger attached at the wrong timing, level or event.
pub fn wrong_timing(function: &str, table: Table, needed: &str) -> Report {
    Report::error(
        TRIGGER_PROTOCOL,
        format_args!("function \"raceguard.{function}\" must be fired {needed}"),
    )
    .detail(format_args!("The trigger on table \"{}\" fires it otherwise.", table.name()))
    .hint(format_args!("Drop the trigger and let raceguard.add_* create it."))
    .table(table.oid())
}

/// 39P01: trigger arguments that cannot be a rule.
pub fn wrong_argument(trigger: &str, table: Table, problem: Arguments) -> Report {
    Report::error(
        TRIGGER_PROTOCOL,
        format_args!("trigger \"{trigger}\" on table \"{}\" has wrong arguments", table.name()),
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
            "guard \"{trigger}\" on table \"{}\" names column \"{column}\", which does not exist",
            table.name()
        ),
    )
    .detail(format_args!(
        "The column was renamed or dropped after the guard was added; writes are refused rather than left unguarded."
    ))
    .hint(format_args!("{remedy}"))
    .table(table.oid())
    .column(column)
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
            "guard \"{trigger}\" on table \"{}\" cannot use its {what} ({text})",
            table.name()
        ),
    )
    .detail(format_args!(
        "The cause is: {}. Writes are refused rather than left unguarded.",
        cause.message_text()
    ))
    .hint(format_args!(
        "Add the guard with its new {what} and replace => true, or take it off: SELECT raceguard.drop_guard({}, {});",
        table.root_literal(),
        quote_literal(trigger)
    ))
    .table(table.oid())
}
