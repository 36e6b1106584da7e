//! `add_cooldown`: an index (key..., at) and the trigger that judges the distance between rows.

use super::arguments::{identifier, literal, positive, required};
use super::key::{canonical_key, canonical_predicate};
use super::target::Target;
use super::trigger::{self, Plan, Wanted};
use crate::errors;
use crate::guards::cooldown::FUNCTION;
use crate::guards::key_lock;
use crate::pg::call::{self, function_entry, Call, Value};
use crate::pg::error::{catch, tell, Level, Report};
use crate::pg::instant::{Clock, Period};
use crate::pg::spi::{connected, pinned_search_path, run, Param};
use crate::pg::time_index;
use pgrx::pg_sys;

function_entry!(raceguard_add_cooldown, crate::install::cooldown::add_cooldown);

/// A cooldown as the owner asked for it, texts in Postgres's canonical form.
struct Cooldown {
    key: String,
    at: String,
    period: String,
    max_rows: i32,
    predicate: Option<String>,
    guard: String,
}

impl Cooldown {
    fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec![self.key.clone(), format!("at={}", self.at), format!("period={}", self.period)];
        if self.max_rows != 1 {
            arguments.push(format!("max_rows={}", self.max_rows));
        }
        arguments.extend(self.predicate.as_ref().map(|p| format!("predicate={p}")));
        arguments
    }

    fn condition(&self) -> &str {
        self.predicate.as_deref().unwrap_or("TRUE")
    }
}

/// `add_cooldown(target, key, at, period, max_rows, predicate, guard, replace)`.
fn add_cooldown(call: Call) -> Result<Value, Report> {
    connected(|| {
        let target = pinned_search_path(|| Target::owned(call, 0))?;
        let key = required(call.text(1)?, "key")?;
        let at = required(call.name(2), "at")?;
        let period = required(call.datum(3), "period")?;
        let max_rows = positive(required(call.int(4), "max_rows")?, "max_rows")?;
        let predicate = call.text(5)?;
        let guard = required(call.name(6), "guard")?;
        let replace = required(call.bool(7), "replace")?;
        let key = canonical_key(&target, &key, |_, key| key_lock::check(key, None))?;
        let predicate = predicate.map(|p| canonical_predicate(&target, &p)).transpose()?;
        pinned_search_path(|| {
            // One spelling for one period, whatever the session's style.
            run("SET LOCAL intervalstyle = 'postgres'", &[])?;
            let period = checked_period(&call::output(period, pg_sys::INTERVALOID)?)?;
            check_column(&target, &at)?;
            let cooldown = Cooldown { key, at, period, max_rows, predicate, guard };
            install(&target, &cooldown, replace)
        })
    })
}

fn checked_period(text: &str) -> Result<String, Report> {
    if catch(|| Period::parse(text).is_positive())? {
        return Ok(text.to_owned());
    }
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"period\" must be positive, not {text}"),
    )
    .detail(format_args!("Months, days and time of the period must not be negative, nor all zero."))
    .hint(format_args!("For example period => '7 days'.")))
}

fn check_column(target: &Target, name: &str) -> Result<(), Report> {
    let column = target.existing_column(name)?;
    let timely = matches!(
        column.type_name.as_str(),
        "date" | "timestamp without time zone" | "timestamp with time zone"
    );
    if timely && !column.generated {
        return Ok(());
    }
    Err(Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!(
            "column \"{name}\" of table \"{}\" cannot time a cooldown: its type is {}",
            target.name, column.type_name
        ),
    )
    .detail(format_args!("The column is a date, timestamp or timestamptz, and not generated."))
    .hint(format_args!(
        "Name the column that says when the row happens, for example \"createdAt\"."
    ))
    .table(target.oid)
    .column(name))
}

fn install(target: &Target, cooldown: &Cooldown, replace: bool) -> Result<Value, Report> {
    let name = trigger::trigger_name(&cooldown.guard, "")?;
    target.lock("SHARE ROW EXCLUSIVE")?;
    let standing = trigger::existing(target, FUNCTION)?.into_iter().find(|t| t.trigger == name);
    let arguments = cooldown.arguments();
    let wanted = Wanted { guard: &cooldown.guard, function: FUNCTION, arguments };
    match trigger::plan(target, standing, &wanted, replace)? {
        Plan::Keep(name) => return Ok(Value::Text(name)),
        Plan::Replace(standing) => trigger::drop(target, &standing.trigger)?,
        Plan::Create => {}
    }
    refuse_violations(target, cooldown)?;
    if !has_index(target, cooldown)? {
        let partial =
            cooldown.predicate.as_ref().map(|p| format!(" WHERE {p}")).unwrap_or_default();
        run(
            &format!(
                "CREATE INDEX {} ON {} ({}, {}){partial}",
                identifier(&index_name(target, &cooldown.guard)),
                target.qualified,
                cooldown.key,
                identifier(&cooldown.at)
            ),
            &[],
        )?;
    }
    let events = "AFTER INSERT OR UPDATE";
    trigger::create(target, &name, events, None, FUNCTION, &wanted.arguments)?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\": at most {} per key ({}) within {}",
            target.name, cooldown.max_rows, cooldown.key, cooldown.period
        ),
        None,
    );
    Ok(Value::Text(name))
}

/// The index that `add_cooldown` creates where none of the right shape stands.
pub fn index_name(target: &Target, guard: &str) -> String {
    super::cap_definition::index_name(target, &format!("{guard}_idx"))
}

/// Whether an index of the right shape stands already.
fn has_index(target: &Target, cooldown: &Cooldown) -> Result<bool, Report> {
    let (oid, key, at) = (target.oid, cooldown.key.as_str(), cooldown.at.as_str());
    let predicate = cooldown.predicate.as_deref();
    catch(|| {
        time_index::with_table(oid, |table| {
            let key = crate::pg::key::parse(table, key)?.compile(table);
            let found = table.column_named(at).and_then(|at| {
                let clock = Clock::of(at)?;
                time_index::find(table, &key, None, predicate, at, clock)
            });
            Ok(found.is_some())
        })
    })?
}

/// 23514 with the keys whose rows stand too close already.
fn refuse_violations(target: &Target, cooldown: &Cooldown) -> Result<(), Report> {
    run("SET LOCAL row_security = off", &[])?;
    let at = identifier(&cooldown.at);
    let rows = run(
        &format!(
            "SELECT string_agg(k, ', ' ORDER BY k) FROM ( \
               SELECT DISTINCT k FROM ( \
                 SELECT ROW({key})::text AS k, {at} AS first, \
                        lead({at}, $1::int) OVER (PARTITION BY {key} ORDER BY {at}) AS last \
                 FROM {table} WHERE ({condition}) AND num_nulls({key}, {at}) = 0) w \
               WHERE last < first + {period}::interval ORDER BY k LIMIT 10) x",
            key = cooldown.key,
            table = target.qualified,
            condition = cooldown.condition(),
            period = literal(&cooldown.period),
        ),
        &[Param::Int(cooldown.max_rows as i64)],
    )?;
    let Some(keys) = rows.first().and_then(|r| r[0].clone()) else { return Ok(()) };
    Err(Report::error(
        errors::CHECK_VIOLATION,
        format_args!(
            "rows of \"{}\" stand closer than the cooldown of {} allows",
            target.name, cooldown.period
        ),
    )
    .detail(format_args!("Keys ({}) with such rows: {keys}.", cooldown.key))
    .hint(format_args!("Remove or move rows of these keys first, or exempt them with a predicate."))
    .table(target.oid))
}
