//! What keeps a counter from being written, and who may not write it.

use crate::errors;
use crate::number::counter_rule::KEEPER_FUNCTION;
use crate::pg::error::Report;
use pgrx::pg_sys::Oid;

/// A counter as errors call it.
pub struct CounterName {
    pub parent: Oid,
    /// The name of the parent's table.
    pub table: String,
    /// The column, and the same quoted where it has to be.
    pub column: String,
    pub quoted: String,
    /// `schema.parent`, quoted where it has to be.
    pub qualified: String,
    pub child: String,
}

fn about(report: Report, name: &CounterName) -> Report {
    report.table(name.parent).column(&name.column)
}

/// 55000: a column that nobody has given to a guard is not written.
pub fn no_keeper(name: &CounterName) -> Report {
    let CounterName { table, column, .. } = name;
    let report = Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("column \"{column}\" of \"{table}\" is no counter"),
    )
    .detail(format_args!(
        "No trigger of \"{table}\" that executes raceguard.{KEEPER_FUNCTION} keeps the column wherever the guard fires; rows are refused rather than numbered by a column that anybody may write."
    ))
    .hint(format_args!("Call raceguard.add_number again: it puts up what is missing."));
    about(report, name)
}

/// 42804: the column has no type that counts any more.
pub fn no_counter(parent: Oid, table: &str, column: &str) -> Report {
    Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!("column \"{column}\" of \"{table}\" cannot hold numbers"),
    )
    .detail(format_args!("A counter is smallint, integer or bigint."))
    .hint(format_args!("Give the column such a type again."))
    .table(parent)
    .column(column)
}

/// 22003: the counter has no room for a number.
pub fn beyond(name: &CounterName, number: i64, largest: i64) -> Report {
    let CounterName { table, column, .. } = name;
    let report = Report::error(
        errors::OUT_OF_RANGE,
        format_args!("number {number} does not fit into counter \"{column}\" of \"{table}\""),
    )
    .detail(format_args!("Its type holds numbers up to {largest}."))
    .hint(format_args!("Make the column a bigint."));
    about(report, name)
}

/// 55000: a trigger of the parent has the guard's own UPDATE do nothing.
pub fn suppressed(name: &CounterName) -> Report {
    let CounterName { table, column, .. } = name;
    let report = Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("counter \"{column}\" of \"{table}\" was not written"),
    )
    .detail(format_args!(
        "A BEFORE UPDATE trigger of the parent suppresses the guard's UPDATE, or puts the old value back."
    ))
    .hint(format_args!("Have that trigger let UPDATEs of the counter pass."));
    about(report, name)
}

/// 42501: the guard must not do what the owner of its table may not.
pub fn not_allowed(name: &CounterName) -> Report {
    let CounterName { table, quoted, qualified, child, .. } = name;
    let report = Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!("the owner of table \"{child}\" may not update the counter of \"{table}\""),
    )
    .detail(format_args!(
        "A row of the child moves its parent's counter on behalf of the child's owner, who needs UPDATE on column {quoted}, and to whom no row security of the parent applies."
    ))
    .hint(format_args!(
        "GRANT UPDATE ({quoted}) ON {qualified} to the owner of the child; under row security, let both tables have one owner."
    ));
    about(report, name)
}
