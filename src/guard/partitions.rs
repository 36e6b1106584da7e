//! Guards and partitions: a guard on the root reaches every partition, present and future, and a row that moves
//! between them.

use crate::errors;
use crate::guard::target::Target;
use crate::pg::error::{tell, Level, Report};
use crate::pg::key::Key;
use crate::pg::spi::{one, Param};
use crate::pg::trigger::{Event, Firing};

/// A guard that a partition has from its root can be changed there only.
pub fn refuse_inherited_guard(target: &Target, function: &str) -> Result<(), Report> {
    let root: Option<String> = one(
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
    let guarded: Option<String> = one(
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

/// Tells of the tables that inherit from one: Postgres inherits columns and CHECKs, but neither triggers
/// nor indexes.
pub fn tell_of_children(target: &Target, call: &str) -> Result<(), Report> {
    let children: Option<String> = one(
        "SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid::regclass::text) \
         FROM pg_inherits WHERE inhparent = $1",
        &[Param::Oid(target.oid)],
    )?;
    if let (Some(children), false) = (children, target.partitioned) {
        tell(
            Level::Notice,
            format_args!(
                "rows of the tables that inherit from \"{}\" are not guarded: {children}",
                target.name
            ),
            Some(format_args!(
                "Postgres inherits no triggers; call raceguard.{call} for each of them."
            )),
        );
    }
    Ok(())
}

/// Whether NEW does not belong to the partition it is written to, which has these bounds.
pub fn leaves_partition(bounds: Option<Key>, firing: Firing) -> bool {
    bounds.is_some_and(|bounds| !bounds.is_not_false(firing.new_in_slot()))
}

/// 23514 in Postgres's words. Its own check comes too late: a row that a trigger of a partition has
/// changed and that does not belong there is a row on the move to it, 0A000; and an UPDATE's would show what the
/// guard has written for the partition that a row moves to.
#[cold]
pub fn wrong_partition(firing: Firing) -> Report {
    let table = firing.table();
    Report::error(
        errors::CHECK_VIOLATION,
        format_args!("new row for relation \"{}\" violates partition constraint", table.name()),
    )
    .detail(format_args!("The row belongs to another partition."))
    .hint(match firing.event() {
        Event::Insert => format_args!("INSERT INTO the partitioned table finds the right one."),
        _ => format_args!("UPDATE of the partitioned table moves it to the right one."),
    })
    .table(table.oid())
}
