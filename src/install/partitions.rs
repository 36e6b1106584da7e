//! Guards and partitions: a guard on the root reaches every partition, present and future.

use super::target::Target;
use crate::errors;
use crate::pg::error::Report;
use crate::pg::spi::{one, Param};

/// A guard that a partition has from its root can be changed there only.
pub fn refuse_inherited_guard(target: &Target, function: &str) -> Result<(), Report> {
    let root = one(
        "SELECT p.tgrelid::regclass::text FROM pg_trigger t JOIN pg_trigger p ON p.oid = t.tgparentid \
         JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace \
         WHERE t.tgrelid = $1 AND n.nspname = 'raceguard' AND f.proname = $2::name",
        &[Param::Oid(target.oid), Param::Text(function)],
    )?;
    let Some(root) = root else { return Ok(()) };
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("cannot change the guard of partition \"{}\"", target.name),
    )
    .detail(format_args!("It comes from the guard of {root}."))
    .hint(format_args!("Change it there; the change reaches every partition."))
    .table(target.oid))
}

/// Postgres does not clone a trigger to a partition that has one of the same name.
pub fn refuse_guarded_partitions(target: &Target, function: &str) -> Result<(), Report> {
    let guarded = one(
        "SELECT string_agg(t.tgrelid::regclass::text, ', ' ORDER BY t.tgrelid::regclass::text) \
         FROM pg_partition_tree($1) p JOIN pg_trigger t ON t.tgrelid = p.relid \
         JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace \
         WHERE p.relid <> $1 AND t.tgparentid = 0 AND n.nspname = 'raceguard' AND f.proname = $2::name",
        &[Param::Oid(target.oid), Param::Text(function)],
    )?;
    let Some(guarded) = guarded else {
        return Ok(());
    };
    Err(Report::error(
        errors::DUPLICATE_OBJECT,
        format_args!("partitions of \"{}\" have guards of this kind of their own", target.name),
    )
    .detail(format_args!("They are {guarded}."))
    .hint(format_args!(
        "Take those off with raceguard.drop_guard; the guard of the root covers all partitions."
    ))
    .table(target.oid))
}
