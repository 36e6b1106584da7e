//! `logical_table`, and the guards of shards and chunks: what an extension keeps a table's rows in is no table of the
//! clients', and its triggers are those of the table that they name.

use crate::pg::call::{function_entry, Call, Value};
use crate::pg::distribution;
use crate::pg::error::{catch, Report};
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use crate::pg::trigger_catalog::root_of;
use pgrx::pg_sys::{Datum, Oid};

function_entry!(raceguard_logical_table, crate::operate::pieces::logical_table);

/// `raceguard.logical_table(oid) -> regclass`: the table that clients name, of a shard of Citus's or a chunk of
/// TimescaleDB's; any other OID as it is. Raises nothing.
fn logical_table(call: Call) -> Result<Value, Report> {
    let Some(table) = call.oid(0) else { return Ok(Value::Null) };
    Ok(Value::Raw(Datum::from(of(table)?)))
}

/// The table that clients name, of a shard or chunk; any other as it is.
pub fn of(table: Oid) -> Result<Oid, Report> {
    catch(|| distribution::logical(table))
}

/// The trigger on the table that clients name, of one on a shard or chunk; any other as it is, and one that has none
/// there.
pub fn logical_trigger(trigger: Oid) -> Result<Oid, Report> {
    let rows =
        run_kept("SELECT tgrelid, tgname FROM pg_trigger WHERE oid = $1", &[Param::Oid(trigger)])?;
    let Some(row) = rows.first() else { return Ok(trigger) };
    let (table, name): (Oid, &str) = (row.get(0)?, row.get(1)?);
    let place = catch(|| distribution::of(table))?.filter(|place| place.is_piece);
    let Some(place) = place else { return Ok(trigger) };
    let standing = run_kept(
        "SELECT l.oid, l.tgname FROM pg_trigger l JOIN pg_trigger t ON t.tgfoid = l.tgfoid \
         WHERE t.oid = $1 AND l.tgrelid = $2",
        &[Param::Oid(trigger), Param::Oid(place.logical)],
    )?;
    for row in &standing {
        let logical: &str = row.get(1)?;
        if catch(|| place.is_same(name, logical))? {
            let found: Oid = row.get(0)?;
            return catch(|| root_of(found));
        }
    }
    Ok(trigger)
}
