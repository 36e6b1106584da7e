//! `add_cooldown`: an index (key..., at) and the trigger that judges the distance between rows.

use crate::cooldown::definition::Cooldown;
use crate::cooldown::index;
use crate::cooldown::rule::{ATTACHMENT, FUNCTION, MAX_ROWS};
use crate::errors;
use crate::guard::arguments::{identifier, literal, positive, required};
use crate::guard::key::{canonical_key, canonical_predicate};
use crate::guard::kind::put_mode;
use crate::guard::outcome::Mode;
use crate::guard::partitions::{refuse_inherited_guard, tell_of_children};
use crate::guard::spread;
use crate::guard::steps::{of_trigger, return_steps, Step};
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, Put};
use crate::guard::wanted::{self, Plan, Wanted};
use crate::key_lock::rule as key_lock;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert;
use crate::pg::error::{catch, tell, Level, Report};
use crate::pg::instant::Period;
use crate::pg::memory::here;
use crate::pg::relation::Table;
use crate::pg::spi::{
    connected, one, pinned_intervalstyle, pinned_search_path, run, run_now, without_row_security,
    Param,
};
use crate::pg::text::Abridged;
use crate::pg::time_index;
use pgrx::pg_sys;

function_entry!(raceguard_add_cooldown, crate::cooldown::install::add_cooldown);
function_entry!(raceguard_plan_cooldown, crate::cooldown::install::plan_cooldown);

/// `raceguard.add_cooldown(target, key, at, period, max_rows, predicate, own_past, guard, replace)`: at
/// most `max_rows` rows per key within any period. With `own_past` an UPDATE that moves a row's time
/// is judged against the time it had before, for cooldowns kept in one row. Returns the trigger's name.
///
/// Raises 22023 where the key is unique and the cooldown could never fire, 23514 with the keys whose rows stand
/// too close, 42501, 42703, 42804, 42P17, 42710, 40001 at REPEATABLE READ and above where the table has changed
/// since the snapshot.
fn add_cooldown(call: Call) -> Result<Value, Report> {
    connected(|| {
        let (target, cooldown, replace) = asked_for(call)?;
        pinned_search_path(|| install(&target, &cooldown, replace))
    })
}

/// `raceguard.plan_cooldown(same arguments as add_cooldown) -> table(step, ddl, lock_mode, own_transaction)`: what is
/// left to do of `add_cooldown`, in order, for a table that is in use. Changes nothing.
///
/// Raises what `add_cooldown` raises for the same arguments.
fn plan_cooldown(call: Call) -> Result<Value, Report> {
    let steps = connected(|| {
        let (target, cooldown, replace) = asked_for(call)?;
        pinned_search_path(|| steps(&target, &cooldown, replace))
    })?;
    return_steps(call, &steps)
}

/// The table, the cooldown that the arguments describe, and `replace`.
fn asked_for(call: Call) -> Result<(Target, Cooldown, bool), Report> {
    let target = pinned_search_path(|| Target::owned(call, 0))?;
    let key = required(call.text(1)?, "key")?;
    let at = required(call.name(2)?, "at")?;
    let period = required(call.datum(3), "period")?;
    let max_rows = checked_max_rows(required(call.int(4), "max_rows")?)?;
    let predicate = call.text(5)?;
    // The SQL of 0.1.0 has no own_past.
    let added = usize::from(call.count() > 8);
    let own_past = added == 1 && required(call.bool(6), "own_past")?;
    let guard = required(call.name(6 + added)?, "guard")?;
    let replace = required(call.bool(7 + added), "replace")?;
    let key = canonical_key(&target, &key, |table, key| {
        key_lock::check(key, None)?;
        spread::check_key(table, None, spread::COOLDOWN, key).map(drop)
    })?;
    let predicate = predicate.map(|p| canonical_predicate(&target, &p)).transpose()?;
    let period = pinned_search_path(|| {
        check_column(&target, &at)?;
        here(|memory| {
            let text = || convert::output(period, pg_sys::INTERVALOID, memory);
            checked_period(pinned_intervalstyle(text)?)
        })
    })?;
    let cooldown = Cooldown { key, at, period, max_rows, predicate, own_past, guard };
    Ok((target, cooldown, replace))
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

const EVENTS: &str = "AFTER INSERT OR UPDATE";

/// What to do about the cooldown that stands, if any, and the name of its trigger.
fn plan(
    target: &Target,
    cooldown: &Cooldown,
    fault: Option<String>,
    replace: bool,
) -> Result<(Plan, String), Report> {
    let name = trigger::trigger_name(&cooldown.guard, "")?;
    let standing = trigger::existing(target, FUNCTION)?.into_iter().find(|t| t.trigger == name);
    let wanted = Wanted {
        guard: &cooldown.guard,
        attachment: &ATTACHMENT,
        arguments: cooldown.arguments(),
        keyed: true,
        fault,
    };
    Ok((wanted::plan(target, standing, &wanted, replace)?, name))
}

/// Refuses a table that cannot have the cooldown, and rows that it would not have let in.
fn refuse_unfit(target: &Target, cooldown: &Cooldown, plan: &Plan) -> Result<(), Report> {
    match plan {
        Plan::Keep(_) => Ok(()),
        Plan::Enable(_) => refuse_violations(target, cooldown),
        Plan::Create | Plan::Mend(..) | Plan::Replace(_) => {
            refuse_foreign_partitions(target)?;
            refuse_idle(target, cooldown)?;
            refuse_violations(target, cooldown)
        }
    }
}

fn create(put: Put, target: &Target, name: &str, cooldown: &Cooldown) -> String {
    trigger::statement(put, target, name, EVENTS, FUNCTION, &cooldown.arguments())
}

fn install(target: &Target, cooldown: &Cooldown, replace: bool) -> Result<Value, Report> {
    refuse_partition(target)?;
    target.lock("SHARE ROW EXCLUSIVE")?;
    let lost = index::find_index(target, cooldown)?.is_none();
    let fault = lost.then(|| "it had no index to read".to_owned());
    let (plan, name) = plan(target, cooldown, fault, replace)?;
    refuse_unfit(target, cooldown, &plan)?;
    if let Some(name) = plan.done(target)? {
        return Ok(Value::Text(name));
    }
    let mut replaced = plan.replaced(target);
    if lost {
        // An index of another definition has the name that the new one gets.
        if let Some(standing) = replaced.take() {
            trigger::drop(target, &standing.trigger)?;
            index::give_up(target, &cooldown.guard)?;
        }
        run(&index::create_statement(target, cooldown, ""), &[])?;
    }
    let create = |put| create(put, target, &name, cooldown);
    target.run_all(&trigger::put_up(target, replaced.as_ref(), &name, create)?)?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\": at most {} per key ({}) within {}",
            target.name, cooldown.max_rows, cooldown.key, cooldown.period
        ),
        None,
    );
    tell_of_children(target, "add_cooldown")?;
    Ok(Value::Text(name))
}

/// The index comes first, which the guard reads; when the trigger stands, the index of another definition goes.
fn steps(target: &Target, cooldown: &Cooldown, replace: bool) -> Result<Vec<Step>, Report> {
    refuse_partition(target)?;
    let (plan, name) = plan(target, cooldown, None, replace)?;
    refuse_unfit(target, cooldown, &plan)?;
    let (mut steps, old) = index::steps(target, cooldown)?;
    steps.extend(of_trigger(&plan, target, &name, |put| create(put, target, &name, cooldown))?);
    steps.extend(old);
    Ok(steps)
}

/// 0A000: the rows of one key may lie in several partitions, whose writers a guard on one of them
/// would not see.
fn refuse_partition(target: &Target) -> Result<(), Report> {
    if !target.is_partition {
        return Ok(());
    }
    let root: Option<String> =
        one("SELECT pg_partition_root($1)::regclass::text", &[Param::Oid(target.oid)])?;
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
    let foreign: Option<String> = one(
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

/// 22023: with one row of a key, or one time before, there are never as many as could be too many.
fn refuse_idle(target: &Target, cooldown: &Cooldown) -> Result<(), Report> {
    if cooldown.own_past && cooldown.max_rows == 1 {
        return Ok(());
    }
    let predicate = cooldown.predicate.as_deref();
    let find = |table: Table| {
        here(|memory| {
            let (key, predicate) = index::compile(table, &cooldown.key, predicate, memory)?;
            Ok(time_index::unique_index(table, &key, predicate))
        })
    };
    // As the owner: to compile a key is to evaluate what is constant in it.
    let unique = target.in_owners_name(|| catch(|| time_index::with_table(target.oid, find))?)?;
    let Some(unique) = unique else { return Ok(()) };
    let report = Report::error(
        errors::INVALID_PARAMETER,
        format_args!("cooldown on \"{}\" could never refuse a row", target.name),
    );
    let report = match cooldown.own_past {
        false => report.detail(format_args!(
            "Unique index \"{unique}\" lets a key ({}) have one row only.",
            cooldown.key
        )),
        true => report
            .detail(format_args!(
                "Unique index \"{unique}\" lets a key ({}) have one row only, which remembers one time before the present one, and {} are allowed.",
                cooldown.key, cooldown.max_rows
            )),
    };
    let report = match (cooldown.own_past, cooldown.max_rows) {
        (false, 1) => report.hint(format_args!(
            "To have each UPDATE of \"{}\" judged against the time that the row had before, pass own_past => true.",
            cooldown.at
        )),
        (false, _) => report.hint(format_args!(
            "Keep each event in a row of its own, or leave max_rows out and pass own_past => true."
        )),
        (true, _) => report.hint(format_args!(
            "Leave max_rows out, or keep each event in a row of its own."
        )),
    };
    Err(report.table(target.oid).column(&cooldown.at))
}

/// Takes a cooldown off a table. The index that `add_cooldown` made for it goes as well, unless
/// another cooldown reads it: that one then owns it. An index that was adopted stays.
pub fn remove(target: &Target, guard: &Existing, _drop_column: bool) -> Result<(), Report> {
    refuse_inherited_guard(target, FUNCTION)?;
    trigger::drop(target, &guard.trigger)?;
    index::give_up(target, guard.guard())
}

/// 23514 with the keys whose rows stand too close already.
pub fn refuse_violations(target: &Target, cooldown: &Cooldown) -> Result<(), Report> {
    let at = identifier(&cooldown.at);
    // As Clock::plus counts.
    let column = target.existing_column(&cooldown.at)?;
    let zone = match column.type_name.as_str() {
        "timestamp with time zone" => " AT TIME ZONE 'UTC'",
        _ => "",
    };
    let close = format!(
        "SELECT string_agg(k, ', ' ORDER BY k) FROM ( \
               SELECT DISTINCT k FROM ( \
                 SELECT ROW({key})::text AS k, {at} AS first, \
                        lead({at}, $1::int) OVER (PARTITION BY {key} ORDER BY {at}) AS last \
                 FROM {table} WHERE ({condition}) AND ROW({key}, {at}) IS NOT NULL) w \
               WHERE last{zone} < first{zone} + {period}::interval ORDER BY k LIMIT 10) x",
        zone = zone,
        key = cooldown.key,
        table = target.rows(),
        condition = cooldown.condition(),
        period = literal(&cooldown.period),
    );
    // Key and predicate are the owner's code.
    let rows = without_row_security(|| {
        target.in_owners_name(|| run_now(&close, &[Param::Int(cooldown.max_rows as i64)]))
    })?;
    let Some(row) = rows.first() else { return Ok(()) };
    let Some(keys) = row.get::<Option<&str>>(0)? else { return Ok(()) };
    Err(Report::error(
        errors::CHECK_VIOLATION,
        format_args!(
            "rows of \"{}\" stand closer than the cooldown of {} allows",
            target.name, cooldown.period
        ),
    )
    .detail(format_args!("Keys ({}) with such rows: {}.", cooldown.key, Abridged(keys)))
    .hint(format_args!("Remove or move rows of these keys first, or exempt them with a predicate."))
    .table(target.oid))
}

/// Lets a guard that stands enforce or observe.
pub fn set_mode(target: &Target, guard: &Existing, mode: Mode) -> Result<(), Report> {
    put_mode(target, guard, &ATTACHMENT, mode)
}
