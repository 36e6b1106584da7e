//! `drop_guard`: takes a guard off a table.

use crate::guard::arguments::required;
use crate::guard::lock_tables::lock_tables;
use crate::guard::partitions::refuse_inherited_guard;
use crate::guard::target::Target;
use crate::operate::find_guard::{find, no_such_guard};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path};
use crate::registry::KINDS;
use pgrx::pg_sys::Oid;

function_entry!(raceguard_drop_guard, crate::operate::drop_guard::drop_guard);

/// `raceguard.drop_guard(target, guard, drop_column)`: takes a guard off a table with all that goes with it:
/// further triggers, CHECK, index. `guard` is its name in the view `raceguard.guards`, or its trigger's name.
/// The version or slot column stays unless `drop_column`.
///
/// Raises 42704 with the guards there are, 42501 unless the caller owns the table, 0A000 for the guard of a
/// partition that comes from its root, 22004, 40001 at REPEATABLE READ and above where the table has changed
/// since the snapshot.
fn drop_guard(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let guard = required(call.name(1)?, "guard")?;
            let drop_column = required(call.bool(2), "drop_column")?;
            let other = match find(&target, &guard)? {
                Some((kind, standing)) => (kind.removed_from)(&standing)?,
                None => None,
            };
            let other = other.map(owned).transpose()?;
            let other = other.as_ref().map(|other| (other, "ACCESS EXCLUSIVE"));
            lock_tables((&target, "ACCESS EXCLUSIVE"), other)?;
            take_away(&target, &guard, drop_column)?;
            tell(
                Level::Notice,
                format_args!("guard \"{guard}\" of table \"{}\" dropped", target.name),
                None,
            );
            Ok(Value::Void)
        })
    })
}

/// A table of the caller's.
fn owned(table: Oid) -> Result<Target, Report> {
    let table = Target::of(table)?;
    table.require_owner()?;
    Ok(table)
}

fn take_away(target: &Target, guard: &str, drop_column: bool) -> Result<(), Report> {
    if let Some((kind, standing)) = find(target, guard)? {
        refuse_inherited_guard(target, &standing.function)?;
        return (kind.remove)(target, &standing, drop_column);
    }
    for kind in KINDS {
        if (kind.remove_remains)(target, guard, drop_column)? {
            return Ok(());
        }
    }
    Err(no_such_guard(target, guard)?)
}
