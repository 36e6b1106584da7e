//! `next_allowed`: when a cooldown lets the next row of a key in.

use super::arguments::required;
use super::key_values;
use crate::errors;
use crate::guards::cooldown::{self, Rule};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{catch, Report};
use crate::pg::instant::Clock;
use crate::pg::open::{open_table, OpenTable};
use crate::pg::privilege;
use crate::pg::trigger;
use pgrx::pg_sys::Datum;

function_entry!(raceguard_next_allowed, crate::calls::cooldown::next_allowed);

/// `next_allowed(target, key, guard)`.
fn next_allowed(call: Call) -> Result<Value, Report> {
    let table = open_table(required(call.oid(0), "target")?)?;
    privilege::require_write(&table)?;
    let key = required(call.json(1)?, "key")?;
    let guard = required(call.name(2)?, "guard")?;
    let rule = rule(&table, &guard)?;
    let values = key_values::of_json(&key, &rule.key, Some(rule.options.key))?;
    let instant = catch(|| {
        let now = rule.clock.now();
        let next = match &values {
            Some(values) => cooldown::first_allowed(rule, &rule.key.of_values(values), now, None),
            None => now,
        };
        // On a date column "now" is today's midnight.
        match next == now {
            true => Clock::TimestampTz.now(),
            false => rule.clock.to_timestamptz(next),
        }
    })?;
    Ok(Value::Raw(Datum::from(instant)))
}

/// The rule of one of the table's cooldowns.
fn rule(table: &OpenTable, guard: &str) -> Result<&'static Rule, Report> {
    let handle = table.table();
    let name = format!("{}{guard}", trigger::PREFIX);
    let found =
        catch(|| trigger::find_named(handle, cooldown::FUNCTION, &name).map(cooldown::rule))?;
    found.unwrap_or_else(|| {
        Err(Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!("table \"{}\" has no cooldown named \"{guard}\"", handle.name()),
        )
        .detail(format_args!("The call answers for a cooldown guard on the table."))
        .hint(format_args!(
            "Add one first with raceguard.add_cooldown; raceguard.guards lists what there is."
        ))
        .table(handle.oid()))
    })
}
