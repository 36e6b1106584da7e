//! `next_free_slot`, `insert_next_slot`: using a cap's slots from SQL.

use crate::cap::rule as cap;
use crate::cap::rule::{CapRules, Rule};
use crate::cap::search as cap_search;
use crate::cap::standing::no_cap;
use crate::errors::{self, Code};
use crate::guard::arguments::{one_of, required};
use crate::guard::key_values;
use crate::guard::spread;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert;
use crate::pg::distribution;
use crate::pg::error::{catch, Report};
use crate::pg::jsonb::Json;
use crate::pg::memory::here;
use crate::pg::open_table::{open_table, OpenTable};
use crate::pg::partitions;
use crate::pg::privilege;
use crate::pg::relation::{no_column, Table};
use crate::pg::rule_cache;
use crate::pg::spi::{connected, in_subtransaction, run, Param};
use crate::pg::time_index::with_table;
use crate::pg::trigger;
use pgrx::pg_sys::{self, Datum};

function_entry!(raceguard_next_free_slot, crate::cap::calls::next_free_slot);
function_entry!(raceguard_insert_next_slot, crate::cap::calls::insert_next_slot);

/// `raceguard.next_free_slot(target, key, guard) -> int`: the slot that a new row of the key would get, NULL
/// when the cap is full. `key` is a scalar or an array in key order, NULL for a cap on the whole table.
///
/// Raises 22023 for a wrong number of key values, 22004, 42501, 42704 without such a cap.
fn next_free_slot(call: Call) -> Result<Value, Report> {
    let table = open_table(required(call.oid(0), "target")?)?;
    privilege::require_trying(&table)?;
    let key = call.json(1)?;
    let guard = required(call.name(2)?, "guard")?;
    let rule = rule(&table, &guard)?;
    spread::refuse_shell(&table, rule.place, "next_free_slot")?;
    let constant = here(|memory| rule.index.key.constant(memory).map(<[Datum]>::to_vec));
    let values = match (key, constant) {
        (None, Some(constant)) => Some(constant),
        (key, _) => key_values::of_json(&required(key, "key")?, &rule.index.key, None)?,
    };
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
    here(|memory| {
        for leaf in partitions::leaves(table, memory) {
            let slot = with_table(*leaf, |leaf| {
                let Some(definition) = trigger::find_named(leaf, cap::FUNCTION, name) else {
                    return Ok(Some(1));
                };
                let rule = rule_cache::rule::<CapRules>(definition)?;
                Ok(cap_search::peek(leaf, rule, &rule.index.key.of_values(values)))
            })?;
            if slot != Some(1) {
                return Ok(slot);
            }
        }
        Ok(Some(1))
    })
}

/// `raceguard.insert_next_slot(target, new_row, on_full) -> jsonb`: inserts a row into the next free slot and
/// returns the whole row. `new_row` names columns in a JSON object; the others take their defaults. With a
/// full cap RG403, or NULL where `on_full` is `null`. Serves the application that asks whether there was room
/// and wants no error for an answer.
///
/// Raises RG403, 42704 without a cap, 42703 for an unknown column, 22023, 22004, and what the INSERT itself
/// raises.
fn insert_next_slot(call: Call) -> Result<Value, Report> {
    let target = required(call.oid(0), "target")?;
    let row = required(call.json(1)?, "new_row")?;
    let on_full = required(call.text(2)?, "on_full")?;
    one_of(&on_full, "on_full", &["error", "null"])?;
    require_cap(&open_table(target)?)?;
    let inserted = connected(|| {
        let statement = insert_statement(target, &row, "")?;
        let given = Param::Typed(pg_sys::JSONBOID, call.datum(1));
        let insert = || run(&statement, &[given]);
        if on_full == "error" {
            return Ok(Some(insert()?));
        }
        match in_subtransaction(insert)? {
            Ok(rows) => Ok(Some(rows)),
            Err(report) if errors::is_own(report, Code::Rg403) => Ok(None),
            Err(report) => Err(report),
        }
    })?;
    match inserted.unwrap_or_default().first() {
        Some(row) => Ok(Value::Raw(convert::input(row.get(0)?, pg_sys::JSONBOID, -1)?)),
        None => Ok(Value::Null),
    }
}

/// INSERT of the columns that the JSON object names; the others take their defaults.
pub fn insert_statement(
    target: pg_sys::Oid,
    row: &Json,
    on_conflict: &str,
) -> Result<String, Report> {
    let table = open_table(target)?;
    let handle = table.table();
    let columns = here(|memory| named_columns(handle, row.names(memory)?))?;
    let qualified = catch(|| handle.qualified_name())?;
    let qualified = qualified.as_str();
    if columns.is_empty() {
        return Ok(format!(
            "WITH given AS (SELECT $1) INSERT INTO {qualified} AS raceguard_row DEFAULT VALUES {on_conflict} RETURNING pg_catalog.to_jsonb(raceguard_row.*)"
        ));
    }
    let list = columns.join(", ");
    let insert = format!(
        "INSERT INTO {qualified} AS raceguard_row ({list}) \
         SELECT {list} FROM pg_catalog.jsonb_populate_record(NULL::{qualified}, $1) {on_conflict}"
    );
    let place = catch(|| distribution::of(target))?;
    Ok(match place.is_some_and(|place| place.is_shell()) {
        // To SPI Citus tells another number of rows than come where a conflict leaves none.
        true => format!(
            "WITH written AS ({insert} RETURNING raceguard_row.*) SELECT pg_catalog.to_jsonb(written.*) FROM written"
        ),
        false => format!("{insert} RETURNING pg_catalog.to_jsonb(raceguard_row.*)"),
    })
}

/// The columns of a table that an object's members name, quoted; 22023 where it is none, 42703 for another name.
fn named_columns(table: Table, names: Option<&[&str]>) -> Result<Vec<String>, Report> {
    let Some(names) = names else {
        return Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("argument \"new_row\" must be a JSON object"),
        )
        .detail(format_args!("Its fields are the row's columns."))
        .hint(format_args!("For example '{{\"userId\": 1}}'.")));
    };
    let mut columns = Vec::new();
    for name in names {
        if catch(|| table.column_named(name))?.is_none() {
            return Err(no_column(table.name(), table.oid(), name)
                .detail(format_args!("The field stands in argument \"new_row\"."))
                .hint(format_args!(
                    "Field names are column names, upper and lower case as in the table."
                )));
        }
        columns.push(format!("\"{}\"", name.replace('"', "\"\"")));
    }
    Ok(columns)
}

/// 42704 unless the table has a cap.
fn require_cap(table: &OpenTable) -> Result<(), Report> {
    let handle = table.table();
    match catch(|| trigger::find(handle, cap::FUNCTION).is_some())? {
        true => Ok(()),
        false => Err(no_cap(handle.name(), handle.oid(), None)),
    }
}

/// The rule of one of the table's caps.
fn rule<'t>(table: &'t OpenTable, guard: &str) -> Result<&'t Rule<'t>, Report> {
    let handle = table.table();
    let name = format!("{}{guard}", trigger::PREFIX);
    let named = || trigger::find_named(handle, cap::FUNCTION, &name);
    let found = catch(|| named().map(rule_cache::rule::<CapRules>))?;
    match found {
        Some(rule) => rule,
        None => Err(no_cap(handle.name(), handle.oid(), Some(guard))),
    }
}
