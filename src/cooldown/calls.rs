//! `next_allowed`: when a cooldown lets the next row of a key in.

use crate::cooldown::guard::first_allowed;
use crate::cooldown::rule::{self, Rule, FUNCTION};
use crate::errors;
use crate::guard::arguments::required;
use crate::guard::key_values;
use crate::guard::spread;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{catch, Report};
use crate::pg::instant::Clock;
use crate::pg::open_table::{open_table, OpenTable};
use crate::pg::privilege;
use crate::pg::trigger;
use pgrx::pg_sys::Datum;

function_entry!(raceguard_next_allowed, crate::cooldown::calls::next_allowed);

/// `raceguard.next_allowed(target, key, guard) -> timestamptz`: the first instant from the start of the
/// transaction on, which `now()` is, at which a cooldown allows a row of a key. So
/// `next_allowed(...) <= now()` says whether a row with `DEFAULT now()` would be let in.
///
/// Raises 22023 for a wrong number of key values, 55000 without such a cooldown, 42501.
fn next_allowed(call: Call) -> Result<Value, Report> {
    let table = open_table(required(call.oid(0), "target")?)?;
    privilege::require_trying(&table)?;
    let key = required(call.json(1)?, "key")?;
    let guard = required(call.name(2)?, "guard")?;
    let rule = rule(&table, &guard)?;
    spread::refuse_shell(&table, rule.place, "next_allowed")?;
    let values = key_values::of_json(&key, &rule.key, Some(rule.options.key))?;
    let instant = catch(|| {
        let now = rule.clock.transaction_start();
        let next = match &values {
            Some(values) => first_allowed(rule, &rule.key.of_values(values), now, None),
            None => now,
        };
        // On a date column that is its day's midnight.
        match next == now {
            true => Clock::TimestampTz.transaction_start(),
            false => rule.clock.to_timestamptz(next),
        }
    })?;
    Ok(Value::Raw(Datum::from(instant)))
}

/// The rule of one of the table's cooldowns.
fn rule<'t>(table: &'t OpenTable, guard: &str) -> Result<&'t Rule<'t>, Report> {
    let handle = table.table();
    let name = format!("{}{guard}", trigger::PREFIX);
    let found = catch(|| trigger::find_named(handle, FUNCTION, &name).map(rule::rule))?;
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
