//! What keeps totals from being written, and who may not write them.

use crate::errors;
use crate::guard::settling;
use crate::pg::distribution;
use crate::pg::error::Report;
use crate::pg::relation::{name_of, Table};
use crate::pg::trigger::Firing;
use pgrx::pg_sys::Oid;

/// How the names of a parent's triggers begin. They sort before those of other guards, which tell the guard's own write
/// by them.
pub const KEEPER: &str = "zz_raceguard_keep_";

/// What the trigger that keeps a column is named after: the column as it was called when the total was added.
pub fn base_of(keeper: &str) -> &str {
    keeper.strip_prefix(KEEPER).unwrap_or(keeper)
}

/// The name of a total's CHECK.
pub fn check_name(base: &str) -> String {
    format!("raceguard_total_{base}")
}

/// 428C9: the column belongs to the guard. Plain frames.
pub fn not_yours(firing: Firing, column: &str) -> Report {
    settling::not_yours(
        firing,
        column,
        format_args!("It is a total of other rows, which a guard of raceguard's keeps."),
        format_args!(
            "Leave the column out of the UPDATE, or write back the value that it has; change the rows that it counts."
        ),
    )
}

/// 22003: NaN and infinity have no sum that could be taken back.
pub fn not_finite(child: Oid) -> Report {
    Report::error(
        errors::OUT_OF_RANGE,
        format_args!(
            "amount of a row of \"{}\" is not a finite number",
            name_of(distribution::logical(child))
        ),
    )
    .detail(format_args!("A total cannot count NaN or Infinity: nothing takes them away again."))
    .hint(format_args!("Write NULL for an amount that is not known; it counts nothing."))
    .table(distribution::logical(child))
}

/// 55006: what was noted of a child's rows can no longer be followed to their parents.
pub fn changed_meanwhile(table: Table) -> Report {
    Report::error(
        errors::OBJECT_IN_USE,
        format_args!("table \"{}\" was changed while totals were to be written", errors::known_as(table)),
    )
    .detail(format_args!(
        "A foreign key or a column is no longer that by which rows written in this transaction are counted."
    ))
    .hint(format_args!(
        "Change the table in a transaction of its own, or call SET CONSTRAINTS ALL IMMEDIATE before."
    ))
    .table(distribution::logical(table.oid()))
}

/// 55000: a column that nobody has given to a guard is not written.
pub fn no_keeper(table: Table, column: &str) -> Report {
    let name = errors::known_as(table);
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("column \"{column}\" of \"{name}\" is no total"),
    )
    .detail(format_args!(
        "No trigger of \"{name}\" that executes raceguard.total_column keeps the column; writes are refused rather than left uncounted."
    ))
    .hint(format_args!(
        "Call raceguard.add_total again: it puts up what is missing; or take the guard off the child."
    ))
    .table(distribution::logical(table.oid()))
    .column(column)
}

/// 40001: a parent was not there when its children were counted, and is there when they are committed.
pub fn came_late(parent: Oid, column: &str) -> Report {
    let name = name_of(distribution::logical(parent));
    Report::error(
        errors::SERIALIZATION_FAILURE,
        format_args!(
            "total \"{column}\" of \"{name}\" could not be written: a parent came meanwhile"
        ),
    )
    .detail(format_args!(
        "Another transaction has committed the parent of rows of this one after they were counted."
    ))
    .hint(format_args!("Repeat the transaction."))
    .table(distribution::logical(parent))
    .column(column)
}

/// 55000: a trigger of the parent has the guard's own UPDATE do nothing.
pub fn suppressed(parent: Oid, column: &str) -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("total \"{column}\" of \"{}\" was not written", name_of(distribution::logical(parent))),
    )
    .detail(format_args!("A BEFORE UPDATE trigger of the parent suppresses the guard's UPDATE, or changes the total or the parent's key in it."))
    .hint(format_args!("Have that trigger let UPDATEs of the total pass."))
    .table(distribution::logical(parent))
    .column(column)
}

/// 42804: a type has changed since the total was added.
pub fn would_round(parent: Oid, column: &str) -> Report {
    let name = name_of(distribution::logical(parent));
    Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!("total \"{column}\" of \"{name}\" cannot hold a numeric amount"),
    )
    .detail(format_args!(
        "The amount is numeric, and the column has no type numeric without a scale: the total would be rounded."
    ))
    .hint(format_args!(
        "Give the column the type numeric, or the amount a type of integers, and call raceguard.recount."
    ))
    .table(distribution::logical(parent))
    .column(column)
}

/// 22003: more than any column could hold.
pub fn out_of_range() -> Report {
    Report::error(errors::OUT_OF_RANGE, format_args!("total of a transaction is out of range"))
        .detail(format_args!("It has more than 38 digits."))
        .hint(format_args!("Write fewer rows in one transaction."))
}

/// No trigger came to settle what was noted. That takes a call of the WHEN condition's function by hand, or
/// triggers attached by hand; the transaction must not commit children that their parents do not count.
pub fn never_settled() -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("parents of written rows still have their old totals"),
    )
    .detail(format_args!(
        "Function \"raceguard.total_due\" was called outside the condition of a trigger, or triggers of a total were disabled within the transaction."
    ))
    .hint(format_args!(
        "Let raceguard.add_total create the triggers, leave raceguard.total_due to them, and repeat the transaction."
    ))
}
