//! `guard_new_tables`: what the event trigger of an `auto_guard` does.

use crate::operate::rollout::auto_guard::AutoGuard;
use crate::operate::rollout::options::Wish;
use crate::operate::rollout::tables::{has_column, CANDIDATES};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::result_row::Rows;
use crate::pg::spi::{connected, pinned_search_path, run, Param};

function_entry!(raceguard_guard_new_tables, crate::operate::rollout::new_tables::guard_new_tables);

/// `raceguard.guard_new_tables(kind, options, schema, where_column)`: puts a guard on the tables that the present
/// command has made, as whoever made them. Partitions have the guards of their root.
///
/// Raises 39P03 outside an event trigger, and whatever the kind's `add_*` raises, with the event trigger's name.
fn guard_new_tables(call: Call) -> Result<Value, Report> {
    connected(|| {
        let auto = AutoGuard::read(call)?;
        let tables = pinned_search_path(|| created(&auto))?;
        if tables.is_empty() {
            return Ok(Value::Void);
        }
        let wish = Wish::read(call.text(0)?, call.plain(1)?)?;
        for table in &tables {
            let (oid, name) = (table.get(0)?, table.get(1)?);
            if let Err(cause) = wish.run("add", "called", oid) {
                return Err(told_by(&auto, name, cause)?);
            }
        }
        Ok(Value::Void)
    })
}

fn created(auto: &AutoGuard) -> Result<Rows, Report> {
    let sql = format!(
        "SELECT c.oid, format('%I.%I', n.nspname, c.relname) FROM {CANDIDATES} \
         JOIN pg_event_trigger_ddl_commands() d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid \
         WHERE d.command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') AND NOT d.in_extension \
           AND ($1 IS NULL OR n.nspname = $1::name) AND {} ORDER BY 2",
        has_column("$2")
    );
    let schema = Param::OptText(auto.schema.as_deref());
    run(&sql, &[schema, Param::OptText(auto.column.as_deref())])
}

/// The error says what CREATE TABLE had to do with it, and how to have it without.
fn told_by(auto: &AutoGuard, table: &str, cause: Report) -> Result<Report, Report> {
    let name = auto.name()?;
    let told = format!(
        "Event trigger \"{name}\", made by raceguard.auto_guard, adds a guard to new table {table}. \
         ALTER EVENT TRIGGER \"{name}\" DISABLE switches it off."
    );
    Ok(match cause.detail_text() {
        "" => cause.detail(format_args!("{told}")),
        detail => cause.detail(format_args!("{detail}\n{told}")),
    })
}
