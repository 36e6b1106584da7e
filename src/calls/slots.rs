//! `next_free_slot`, `insert_next_slot`: using a cap's slots from SQL.

use super::arguments::required;
use super::key_values;
use crate::errors::{self, Code};
use crate::guards::cap::{self, Rule};
use crate::guards::cap_search;
use crate::pg::cache;
use crate::pg::call::{self, function_entry, Call, Value};
use crate::pg::error::{catch, Report};
use crate::pg::open::{open_table, OpenTable};
use crate::pg::partitions;
use crate::pg::privilege;
use crate::pg::relation::Table;
use crate::pg::spi::{connected, in_subtransaction, run, Param};
use crate::pg::time_index::with_table;
use crate::pg::trigger;
use pgrx::pg_sys::{self, Datum};

function_entry!(raceguard_next_free_slot, crate::calls::slots::next_free_slot);
function_entry!(raceguard_insert_next_slot, crate::calls::slots::insert_next_slot);

/// `next_free_slot(target, key, guard)`.
fn next_free_slot(call: Call) -> Result<Value, Report> {
    let table = open_table(required(call.oid(0), "target")?)?;
    privilege::require_write(&table)?;
    let key = required(call.json(1)?, "key")?;
    let guard = required(call.name(2)?, "guard")?;
    let rule = rule(&table, &guard)?;
    let values = key_values::of_json(&key, &rule.index.key, None)?;
    let handle = table.table();
    let name = format!("{}{guard}", trigger::PREFIX);
    let slot = catch(|| match &values {
        Some(values) if handle.is_partitioned() => peek_below(handle, &name, values),
        Some(values) => Ok(cap_search::peek(handle, rule, &rule.index.key.of_values(values))),
        None => Ok(Some(1)),
    })??;
    Ok(slot.map_or(Value::Null, |s| Value::Raw(Datum::from(s as i32))))
}

/// The next free slot of a key of a partitioned table. Its rows lie in one partition, since the key
/// covers the partition key; to any other partition the key is new. Plain frames.
fn peek_below(table: Table, name: &str, values: &[Datum]) -> Result<Option<i64>, Report> {
    for leaf in partitions::leaves(table) {
        let slot = with_table(*leaf, |leaf| {
            let Some(definition) = trigger::find_named(leaf, cap::FUNCTION, name) else {
                return Ok(Some(1));
            };
            let rule = cache::rule(definition, cap::build)?;
            Ok(cap_search::peek(leaf, rule, &rule.index.key.of_values(values)))
        })?;
        if slot != Some(1) {
            return Ok(slot);
        }
    }
    Ok(Some(1))
}

/// `insert_next_slot(target, new_row, on_full)`.
fn insert_next_slot(call: Call) -> Result<Value, Report> {
    let target = required(call.oid(0), "target")?;
    let row = required(call.json(1)?, "new_row")?;
    let on_full = required(call.text(2)?, "on_full")?;
    if !matches!(on_full.as_str(), "error" | "null") {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("invalid value for argument \"on_full\": \"{on_full}\""),
        )
        .detail(format_args!("Allowed values are \"error\", \"null\"."))
        .hint(format_args!("Write on_full => 'null' to get NULL instead of an error.")));
    }
    require_cap(&open_table(target)?)?;
    let inserted = connected(|| {
        let statement = insert_statement(target, &row, "")?;
        let row = row.to_string();
        let insert = || {
            let json = call::input(&row, pg_sys::JSONBOID, -1)?;
            run(&statement, &[Param::Typed(pg_sys::JSONBOID, Some(json))])
        };
        if on_full == "error" {
            return Ok(Some(insert()?));
        }
        match in_subtransaction(insert)? {
            Ok(rows) => Ok(Some(rows)),
            Err(report) if errors::is_own(report, Code::Rg403) => Ok(None),
            Err(report) => Err(report),
        }
    })?;
    let text = inserted.and_then(|rows| rows.into_iter().next()?.into_iter().next()?);
    match text {
        Some(text) => Ok(Value::Raw(call::input(&text, pg_sys::JSONBOID, -1)?)),
        None => Ok(Value::Null),
    }
}

/// INSERT of the columns that the JSON object names; the others take their defaults.
pub fn insert_statement(
    target: pg_sys::Oid,
    row: &serde_json::Value,
    on_conflict: &str,
) -> Result<String, Report> {
    let table = open_table(target)?;
    let handle = table.table();
    let Some(object) = row.as_object() else {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("argument \"new_row\" must be a JSON object"),
        )
        .detail(format_args!("Its fields are the row's columns."))
        .hint(format_args!("For example '{{\"userId\": 1}}'.")));
    };
    let mut columns = Vec::with_capacity(object.len());
    for name in object.keys() {
        if catch(|| handle.column_named(name))?.is_none() {
            return Err(Report::error(
                errors::UNDEFINED_COLUMN,
                format_args!("column \"{name}\" of table \"{}\" does not exist", handle.name()),
            )
            .detail(format_args!("The field stands in argument \"new_row\"."))
            .hint(format_args!(
                "Field names are column names, upper and lower case as in the table."
            ))
            .table(target)
            .column(name));
        }
        columns.push(format!("\"{}\"", name.replace('"', "\"\"")));
    }
    let qualified = catch(|| handle.qualified_name())?;
    let qualified = qualified.as_str();
    if columns.is_empty() {
        return Ok(format!(
            "WITH given AS (SELECT $1) INSERT INTO {qualified} AS raceguard_row DEFAULT VALUES {on_conflict} RETURNING pg_catalog.to_jsonb(raceguard_row)"
        ));
    }
    let list = columns.join(", ");
    Ok(format!(
        "INSERT INTO {qualified} AS raceguard_row ({list}) \
         SELECT {list} FROM pg_catalog.jsonb_populate_record(NULL::{qualified}, $1) \
         {on_conflict} RETURNING pg_catalog.to_jsonb(raceguard_row)"
    ))
}

/// 55000 unless the table has a cap.
fn require_cap(table: &OpenTable) -> Result<(), Report> {
    let handle = table.table();
    match catch(|| trigger::find(handle, cap::FUNCTION).is_some())? {
        true => Ok(()),
        false => Err(no_cap(table, None)),
    }
}

/// The rule of one of the table's caps.
fn rule(table: &OpenTable, guard: &str) -> Result<&'static Rule, Report> {
    let handle = table.table();
    let name = format!("{}{guard}", trigger::PREFIX);
    let found = catch(|| {
        trigger::find_named(handle, cap::FUNCTION, &name)
            .map(|definition| cache::rule(definition, cap::build))
    })?;
    match found {
        Some(rule) => rule,
        None => Err(no_cap(table, Some(guard))),
    }
}

fn no_cap(table: &OpenTable, guard: Option<&str>) -> Report {
    let handle = table.table();
    let name = handle.name();
    let report = match guard {
        Some(guard) => Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!("table \"{name}\" has no cap named \"{guard}\""),
        ),
        None => Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!("table \"{name}\" has no cap"),
        ),
    };
    report
        .detail(format_args!("Slots are those of a cap guard on the table."))
        .hint(format_args!(
            "Add one first with raceguard.add_cap; raceguard.guards lists what there is."
        ))
        .table(handle.oid())
}
