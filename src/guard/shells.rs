//! Calls that are refused for a table whose rows Citus keeps in shards, where the call would find none of them.

use crate::errors;
use crate::guard::arguments::literal;
use crate::guard::target::Target;
use crate::pg::error::Report;
use crate::pg::spi::{one, Param};

/// 0A000 for a call that does to all rows of a table what each of Citus's shards would have to do for itself. `instead` is what
/// works.
pub fn refuse_on_nodes(
    target: &Target,
    call: &str,
    why: &str,
    instead: impl FnOnce(&str) -> String,
) -> Result<(), Report> {
    if !target.place.is_some_and(|place| place.is_on_nodes() && place.is_shell()) {
        return Ok(());
    }
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!(
            "raceguard.{call} cannot be called for \"{}\": Citus keeps its rows in shards",
            target.name
        ),
    )
    .detail(format_args!("{why}"))
    .hint(format_args!("{}", instead(&literal(&target.qualified))))
    .table(target.oid))
}

/// 55000 for rows that `create_distributed_table` has copied and left: Postgres checks them as if they were the table's.
pub fn refuse_rows_left(target: &Target) -> Result<(), Report> {
    if !target.place.is_some_and(|place| place.is_on_nodes() && place.is_shell()) {
        return Ok(());
    }
    let left = one::<bool>(
        "SELECT sum(pg_relation_size(relid)) > 0 FROM (SELECT relid FROM pg_partition_tree($1) UNION SELECT $1) AS t(relid)",
        &[Param::Oid(target.oid)],
    )?;
    if left != Some(true) {
        return Ok(());
    }
    Err(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("table \"{}\" has rows left from before it was distributed", target.name),
    )
    .detail(format_args!(
        "They are in its shards too; a CHECK of the table would be looked for in what is left."
    ))
    .hint(format_args!(
        "SELECT truncate_local_data_after_distributing_table({});",
        literal(&target.qualified)
    ))
    .table(target.oid))
}
