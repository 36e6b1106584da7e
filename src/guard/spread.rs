//! What guards and calls may count on where an extension spreads a table's rows: over nodes (Citus), or over chunks
//! of time (TimescaleDB).
//!
//! A guard sees the rows of the one shard or chunk on which it fires, on the node where that lies. What would need more
//! is refused with 0A000: when the guard is added, and at every write where a table that has it was spread later.

use crate::errors;
use crate::pg::distribution::{self, Location, Spread};
use crate::pg::error::{catch, Report};
use crate::pg::key::Key;
use crate::pg::open_table::{glance, OpenTable};
use crate::pg::relation::{literal_of, name_of, Table};
use crate::pg::text::{quote_ident, quote_literal, PgText};
use crate::pg::trigger::Definition;
use pgrx::pg_sys::Oid;

/// What a kind of guard needs of the place of its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs {
    /// As a sentence names it: "a cap".
    pub guard: &'static str,
    /// Whether each copy of a row, for itself, may decide: all have to come to the same.
    pub alone: Result<(), &'static str>,
    /// Whether it works where a key's rows lie in several chunks.
    pub in_chunks: bool,
}

pub const VERSION: Needs = Needs { guard: "a version guard", alone: Ok(()), in_chunks: true };

/// Versions that are times.
pub const VERSION_OF_TIME: Needs =
    Needs { alone: Err("each copy would take the time from its own clock"), ..VERSION };

pub const KEY_LOCK: Needs = Needs { guard: "a key lock", alone: Ok(()), in_chunks: false };

pub const COOLDOWN: Needs = Needs { guard: "a cooldown", alone: Ok(()), in_chunks: false };

pub const CAP: Needs = Needs {
    guard: "a cap",
    alone: Err("each copy would choose a slot for itself"),
    in_chunks: false,
};

pub const NUMBER: Needs = Needs {
    guard: "a number guard",
    alone: Err("each copy would choose a number for itself"),
    in_chunks: false,
};

pub const PARENT_VERSION: Needs =
    Needs { guard: "a parent version", alone: Ok(()), in_chunks: false };

pub const TOTAL: Needs = Needs { guard: "a total", alone: Ok(()), in_chunks: false };

/// The place of a table that is to have, or has, such a guard, or 0A000 where the guard would not hold there. Plain
/// frames.
pub fn check(
    table: Table,
    guard: Option<Definition>,
    needs: Needs,
) -> Result<Option<Location>, Report> {
    let Some(place) = distribution::of(table.oid()) else { return Ok(None) };
    match (place.spread, needs.alone) {
        (Spread::Chunks, _) if !needs.in_chunks => {
            let report = refused(place, needs, "hypertable").detail(format_args!(
                "TimescaleDB keeps its rows in chunks, of which some may be compressed, and each chunk has the guard for itself."
            ));
            Err(hinted(report, place, guard, "Keep what the guard has to know in an ordinary table, a row per key, and guard that one"))
        }
        (Spread::Reference, Err(reason)) => {
            let report = refused(place, needs, "reference table").detail(format_args!(
                "Citus repeats each write on every copy of the table, and {reason}."
            ));
            let hint = match needs == VERSION_OF_TIME {
                true => "Use an integer as the version column",
                false => "Distribute the table, by a column of the guard's key: undistribute_table, then create_distributed_table",
            };
            Err(hinted(report, place, guard, hint))
        }
        (Spread::Anywhere, _) if needs != VERSION && needs != VERSION_OF_TIME => {
            let report = refused(place, needs, "table").detail(format_args!(
                "It is not distributed by hash or by range of a column, so rows of one key may lie in any of its shards."
            ));
            Err(hinted(
                report,
                place,
                guard,
                "Distribute it by hash, by a column of the guard's key",
            ))
        }
        _ => Ok(Some(place)),
    }
}

/// The same of a guard whose writers have to meet in one shard by its key. Plain frames.
pub fn check_key(
    table: Table,
    guard: Option<Definition>,
    needs: Needs,
    key: &Key,
) -> Result<Option<Location>, Report> {
    let Some(place) = check(table, guard, needs)? else { return Ok(None) };
    let Some(column) = place.column().filter(|column| !key.has_column(table, column.as_str()))
    else {
        return Ok(Some(place));
    };
    let column = quote_ident(column.as_str());
    let report = refused(place, needs, "table").detail(format_args!(
        "It is distributed by column {column}, which is no column of the guard's key: rows of one key may lie in different shards, which know nothing of each other."
    ));
    let hint = PgText::from_fmt(format_args!(
        "Put column {column} into the key, or distribute the table by a column of the key with alter_distributed_table"
    ));
    Err(hinted(report, place, guard, hint.as_str()))
}

/// 0A000 where a child's rows are not on the same nodes as the rows of its parents, which a guard of the child writes.
/// Plain frames.
pub fn check_parent(
    child: Table,
    guard: Option<Definition>,
    needs: Needs,
    parent: Oid,
) -> Result<(), Report> {
    let place = check(child, guard, needs)?;
    let Some(theirs) = distribution::of(parent) else { return Ok(()) };
    if theirs.spread != Spread::Reference
        || place.is_some_and(|place| place.spread == Spread::Reference)
    {
        return Ok(());
    }
    let name = name_of(theirs.logical);
    let place = place.unwrap_or_else(|| Location::of_itself(child.oid()));
    let report = refused(place, needs, "table").detail(format_args!(
        "Its parent \"{name}\" is a reference table, and the guard would write only the copy on the node where the child's row lies."
    ));
    let hint = PgText::from_fmt(format_args!(
        "Distribute \"{name}\" together with the child, by the column that the foreign key refers to"
    ));
    Err(hinted(report, place, guard, hint.as_str()))
}

/// [`check`] for a table that is to have a guard.
pub fn refuse(table: Oid, needs: Needs) -> Result<(), Report> {
    of_oid(table, |table| check(table, None, needs).map(drop))
}

/// [`check_parent`] for a child that is to have a guard.
pub fn refuse_parent(child: Oid, needs: Needs, parent: Oid) -> Result<(), Report> {
    of_oid(child, |child| check_parent(child, None, needs, parent))
}

/// 0A000 for a guard that has triggers for TRUNCATE on each shard, on a table that is distributed already: Citus puts such on
/// shards only when it makes them.
pub fn refuse_late(table: Oid, needs: Needs) -> Result<(), Report> {
    of_oid(table, |table| {
        let Some(place) = distribution::of(table.oid()).filter(|place| place.is_shell()) else {
            return Ok(());
        };
        let report = refused(place, needs, "table").detail(format_args!(
            "It is distributed already, and Citus would keep the guard's triggers for TRUNCATE off the shards that there are."
        ));
        let hint = match place.spread {
            Spread::Single => "Count the rows by a query: all of them lie on one node",
            _ => "Add the guard before the tables are distributed: drop the child's guards that refer to its parent, then undistribute_table with cascade_via_foreign_keys, raceguard.add_total, and create_distributed_table for parent and child",
        };
        Err(hinted(report, place, None, hint))
    })
}

fn of_oid(table: Oid, check: impl FnOnce(Table) -> Result<(), Report>) -> Result<(), Report> {
    glance(table, |table| catch(|| check(table)).and_then(|checked| checked)).map(drop)
}

/// 0A000 with the table that clients name.
fn refused(place: Location, needs: Needs, what: &str) -> Report {
    let name = name_of(place.logical);
    Report::error(
        errors::UNSUPPORTED,
        format_args!("{} cannot guard {what} \"{name}\"", needs.guard),
    )
    .table(place.logical)
}

/// What to do; of a guard that stands it can also be to take it off.
fn hinted(report: Report, place: Location, guard: Option<Definition>, hint: &str) -> Report {
    match guard {
        None => report.hint(format_args!("{hint}.")),
        Some(guard) => {
            let name = place.logical_name(guard.name());
            report.constraint(name).hint(format_args!(
                "{hint}; or take the guard off: SELECT raceguard.drop_guard({}, {});",
                literal_of(place.logical),
                quote_literal(name)
            ))
        }
    }
}

/// Whether a statement trigger fires on a table whose rows Citus keeps in shards: it fires there too, and has to do nothing
/// here.
pub fn is_shell(table: Table) -> bool {
    distribution::of(table.oid()).is_some_and(|place| place.is_shell())
}

/// 0A000 where Citus would keep a change of a table to itself: writes pass the shards.
pub fn refuse_unpropagated(place: &Location, table: &str) -> Result<(), Report> {
    let setting = c"citus.enable_ddl_propagation";
    if !place.is_shell() || !catch(|| distribution::is_off(setting))? {
        return Ok(());
    }
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!(
            "cannot change guards of \"{table}\" while citus.enable_ddl_propagation is off"
        ),
    )
    .detail(format_args!("The shards, in which its rows lie, would stay as they are."))
    .hint(format_args!("SET citus.enable_ddl_propagation = on;"))
    .table(place.logical))
}

/// 0A000 without a HINT: a call finds in the table that it names nothing of what the guard's writers meet.
pub fn no_place(table: &OpenTable, call: &str) -> Report {
    let table = table.table();
    Report::error(
        errors::UNSUPPORTED,
        format_args!(
            "raceguard.{call} cannot be called for \"{}\": Citus keeps its rows in shards",
            table.name()
        ),
    )
    .detail(format_args!(
        "The guard's writers meet in the shard of the key, on the node where it lies; in the table itself the call would find nobody."
    ))
    .table(table.oid())
}

/// 0A000 for a call that reads what the guard reads, where that lies in shards.
pub fn refuse_shell(table: &OpenTable, place: Option<Location>, call: &str) -> Result<(), Report> {
    if !place.is_some_and(|place| place.is_shell()) {
        return Ok(());
    }
    let name = catch(|| table.table().qualified_name())?;
    Err(no_place(table, call).hint(format_args!(
        "Ask the shard, of a key that has rows: SELECT raceguard.{call}(tableoid::regclass, ...) FROM {name} WHERE ... LIMIT 1;"
    )))
}
