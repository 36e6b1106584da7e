//! `add_cooldown`: an index (key..., at) and the trigger that judges the distance between rows.

use super::arguments::{identifier, literal, positive, required};
use super::key::{canonical_key, canonical_predicate};
use super::partitions::refuse_inherited_guard;
use super::target::Target;
use super::trigger::{self, Plan, Wanted};
use crate::errors;
use crate::guards::cooldown::{self, FUNCTION, MAX_ROWS};
use crate::guards::key_lock;
use crate::pg::call::{self, function_entry, Call, Value};
use crate::pg::error::{catch, tell, Level, Report};
use crate::pg::instant::{Clock, Period};
use crate::pg::spi::{connected, in_subtransaction, one, pinned_search_path, run, run_now, Param};
use crate::pg::text::PgText;
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
        let at = required(call.name(2)?, "at")?;
        let period = required(call.datum(3), "period")?;
        let max_rows = checked_max_rows(required(call.int(4), "max_rows")?)?;
        let predicate = call.text(5)?;
        let guard = required(call.name(6)?, "guard")?;
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

fn checked_max_rows(max_rows: i32) -> Result<i32, Report> {
    if positive(max_rows, "max_rows")? as usize <= MAX_ROWS {
        return Ok(max_rows);
    }
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"max_rows\" must be at most {MAX_ROWS}, not {max_rows}"),
    )
    .detail(format_args!("For each row the guard reads all rows of its key within the period."))
    .hint(format_args!("Choose a shorter period with fewer rows.")))
}

fn checked_period(text: &str) -> Result<String, Report> {
    let (positive, finite) = catch(|| {
        let period = Period::parse(text);
        (period.is_positive(), period.is_finite())
    })?;
    if positive && finite {
        return Ok(text.to_owned());
    }
    let wanted = if positive { "finite" } else { "positive" };
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"period\" must be {wanted}, not {text}"),
    )
    .detail(format_args!(
        "Months, days and time of the period must not be negative, nor all zero, nor infinite."
    ))
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
    refuse_partition(target)?;
    target.lock("SHARE ROW EXCLUSIVE")?;
    let standing = trigger::existing(target, FUNCTION)?.into_iter().find(|t| t.trigger == name);
    let arguments = cooldown.arguments();
    let wanted = Wanted { guard: &cooldown.guard, function: FUNCTION, arguments };
    let plan = trigger::plan(target, standing, &wanted, replace)?;
    if let Plan::Keep(name) = plan {
        return Ok(Value::Text(name));
    }
    refuse_foreign_partitions(target)?;
    refuse_violations(target, cooldown)?;
    if let Plan::Replace(standing) = plan {
        trigger::drop(target, &standing.trigger)?;
        if find_index(target, cooldown)?.is_none() {
            give_up_index(target, &cooldown.guard)?;
        }
    }
    if find_index(target, cooldown)?.is_none() {
        create_index(target, cooldown)?;
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

/// 0A000: the rows of one key may lie in several partitions, whose writers a guard on one of them
/// would not see.
fn refuse_partition(target: &Target) -> Result<(), Report> {
    if !target.is_partition {
        return Ok(());
    }
    let root = one("SELECT pg_partition_root($1)::regclass::text", &[Param::Oid(target.oid)])?;
    let root = root.unwrap_or_default();
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("cannot put a cooldown on partition \"{}\" alone", target.name),
    )
    .detail(format_args!("Rows of one key may lie in other partitions of {root}."))
    .hint(format_args!("Guard {root}; that reaches every partition, present and future."))
    .table(target.oid))
}

/// 0A000: a foreign table has no index that the guard could read.
fn refuse_foreign_partitions(target: &Target) -> Result<(), Report> {
    let foreign = one(
        "SELECT string_agg(relid::regclass::text, ', ' ORDER BY relid::regclass::text) \
         FROM pg_partition_tree($1) JOIN pg_class c ON c.oid = relid WHERE c.relkind = 'f'",
        &[Param::Oid(target.oid)],
    )?;
    let Some(foreign) = foreign else { return Ok(()) };
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("cannot put a cooldown on \"{}\": it has foreign partitions", target.name),
    )
    .detail(format_args!("They are {foreign}; their rows cannot be found by an index here."))
    .hint(format_args!("Detach them first."))
    .table(target.oid))
}

fn create_index(target: &Target, cooldown: &Cooldown) -> Result<(), Report> {
    let partial = cooldown.predicate.as_ref().map(|p| format!(" WHERE {p}")).unwrap_or_default();
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
    Ok(())
}

/// The index that `add_cooldown` creates where none of the right shape stands.
fn index_name(target: &Target, guard: &str) -> String {
    super::cap_definition::index_name(target, &format!("{guard}_idx"))
}

/// The index that a guard of this definition reads.
fn find_index(target: &Target, cooldown: &Cooldown) -> Result<Option<pg_sys::Oid>, Report> {
    let predicate = cooldown.predicate.as_deref();
    index_of(target.oid, &cooldown.key, &cooldown.at, predicate)
}

fn index_of(
    oid: pg_sys::Oid,
    key: &str,
    at: &str,
    predicate: Option<&str>,
) -> Result<Option<pg_sys::Oid>, Report> {
    catch(|| {
        time_index::with_table(oid, |table| {
            let key = crate::pg::key::parse(table, key)?.compile(table);
            let predicate = predicate.map(|p| {
                let condition = PgText::from_fmt(format_args!("({p})"));
                Ok(crate::pg::key::parse(table, condition.as_str())?.compile(table))
            });
            let predicate = predicate.transpose()?;
            let found = table.column_named(at).and_then(|at| {
                let clock = Clock::of(at)?;
                time_index::find(table, &key, predicate, at, clock)
            });
            Ok(found.map(|index| index.index()))
        })
    })?
}

/// Takes a cooldown off a table. The index that `add_cooldown` made for it goes as well, unless
/// another cooldown reads it: that one then owns it. An index that was adopted stays.
pub fn remove(target: &Target, trigger: &str) -> Result<(), Report> {
    refuse_inherited_guard(target, FUNCTION)?;
    trigger::drop(target, trigger)?;
    give_up_index(target, trigger.strip_prefix(trigger::PREFIX).unwrap_or(trigger))
}

fn give_up_index(target: &Target, guard: &str) -> Result<(), Report> {
    let rows = run(
        "SELECT c.oid, format('%I.%I', n.nspname, c.relname) FROM pg_index i \
         JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE i.indrelid = $1 AND c.relname = $2::name",
        &[Param::Oid(target.oid), Param::Text(&index_name(target, guard))],
    )?;
    let Some([Some(oid), Some(index)]) = rows.first().map(Vec::as_slice) else { return Ok(()) };
    for other in trigger::existing(target, FUNCTION)? {
        let Ok(options) = cooldown::parse(other.arguments.iter().map(String::as_str)) else {
            continue;
        };
        // A guard whose own columns are gone reads no index.
        let read =
            in_subtransaction(|| index_of(target.oid, options.key, options.at, options.predicate))?;
        if read.ok().flatten().is_some_and(|read| read.to_u32().to_string() == *oid) {
            let guard = other.trigger.strip_prefix(trigger::PREFIX).unwrap_or(&other.trigger);
            let name = identifier(&index_name(target, guard));
            run(&format!("ALTER INDEX {index} RENAME TO {name}"), &[])?;
            return Ok(());
        }
    }
    run(&format!("DROP INDEX {index}"), &[])?;
    Ok(())
}

/// 23514 with the keys whose rows stand too close already.
fn refuse_violations(target: &Target, cooldown: &Cooldown) -> Result<(), Report> {
    run("SET LOCAL row_security = off", &[])?;
    let at = identifier(&cooldown.at);
    let rows = run_now(
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
