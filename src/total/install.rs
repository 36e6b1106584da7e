//! `add_total`: the parent's column, its CHECK, and the triggers on both tables.

use crate::errors;
use crate::guard::arguments::{identifier, literal, one_of, required};
use crate::guard::foreign_keys::{choose, foreign_keys};
use crate::guard::kept_column::refuse_kept;
use crate::guard::key::{canonical_expression, canonical_predicate, recanonical_predicate};
use crate::guard::lock_tables::lock_tables;
use crate::guard::partitions::{
    refuse_guarded_partitions, refuse_inherited_guard, tell_of_children,
};
use crate::guard::spread;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::guard::wanted::{self, Compared, Plan, Wanted};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::key::Key;
use crate::pg::memory::here;
use crate::pg::spi::{connected, pinned_search_path, run, Param};
use crate::total::bounds;
use crate::total::definition::{
    base, drop_check, keeper, standing_check, standing_triggers, OwnedBounds, Total,
};
use crate::total::fill::{fill, refuse_beyond};
use crate::total::removal::drop_triggers;
use crate::total::rule::{kind_of_amount, ATTACHMENT, COLUMN_FUNCTION, FUNCTION, WORDS};
use crate::total::sums::Feeder;

function_entry!(raceguard_add_total, crate::total::install::add_total);

/// `raceguard.add_total(child, parent, total_column, amount, predicate, at_most, at_least, settle, foreign_key, guard,
/// replace) -> text`: column `total_column` of `parent` from now on always equals the sum of `amount` over the rows of
/// `child` that refer to it and satisfy `predicate`; with `at_most` and `at_least`, expressions over the parent's
/// columns, a CHECK keeps it within bounds. `settle` says when the column is written: at the end of each `statement` or
/// at `commit`. Returns the trigger's name. Serves capacity per event, quotas, "never without an owner", counter
/// caches.
///
/// Raises 23514 with the parents whose rows are beyond a bound, 42704 and 22023 for the foreign key, 42501 unless the
/// caller owns both tables, 42804 for types, 42P17 for what is not IMMUTABLE, 42710 for another definition or other
/// bounds of the column without `replace`, 0A000 for a parent without primary key and around partitions, 22004.
fn add_total(call: Call) -> Result<Value, Report> {
    connected(|| {
        let total = asked_for(call)?;
        let replace = required(call.bool(10), "replace")?;
        pinned_search_path(|| install(&total, replace).map(Value::Text))
    })
}

/// The total that the arguments of `add_total` and `plan_total` describe.
pub fn asked_for(call: Call) -> Result<Total, Report> {
    required(call.oid(0), "child")?;
    required(call.oid(1), "parent")?;
    let (child, parent) =
        pinned_search_path(|| Ok((Target::owned(call, 0)?, Target::owned(call, 1)?)))?;
    let column = required(call.name(2)?, "total_column")?;
    let amount = required(call.text(3)?, "amount")?;
    let settle = required(call.text(7)?, "settle")?;
    let at_commit = one_of(&settle, "settle", &["statement", "commit"])? == "commit";
    let guard = required(call.name(9)?, "guard")?;
    let foreign_key = pinned_search_path(|| {
        spread::refuse_parent(child.oid, spread::TOTAL, parent.oid)?;
        refuse_parent(&parent)?;
        let keys = foreign_keys(&child, &parent)?;
        choose(&child, &parent, &keys, call.name(8)?, &WORDS)
    })?;
    let mut integer = true;
    let amount = canonical_expression(&child, "amount", &amount, |_, key| {
        integer = kind_of_amount(key).ok_or_else(|| no_amount("amount", key))?;
        Ok(())
    })?;
    let predicate = call.text(4)?.map(|p| canonical_predicate(&child, &p)).transpose()?;
    let bounds = OwnedBounds {
        at_most: bound(&parent, &column, "at_most", call.text(5)?)?,
        at_least: bound(&parent, &column, "at_least", call.text(6)?)?,
    };
    refuse_empty(&parent, &bounds)?;
    let starts_null = bounds.starts_null();
    let column_type = pinned_search_path(|| column_type(&parent, &column, integer, starts_null))?;
    let base = pinned_search_path(|| base(&parent, &column))?;
    let total = Total {
        child,
        parent,
        column,
        base,
        column_type,
        amount,
        predicate,
        bounds,
        at_commit,
        foreign_key,
        guard,
    };
    // Names that do not fit are refused before anything is done.
    total.child_triggers()?;
    total.parent_triggers()?;
    Ok(total)
}

/// A bound in canonical form: a number, or an expression over the parent's columns.
fn bound(
    parent: &Target,
    column: &str,
    name: &str,
    text: Option<String>,
) -> Result<Option<String>, Report> {
    let Some(text) = text else { return Ok(None) };
    let total = pinned_search_path(|| parent.column(column))?.map(|found| found.attno);
    let canonical = canonical_expression(parent, name, &text, |_, key| {
        if total.is_some_and(|total| here(|memory| key.columns(memory).contains(&total))) {
            return Err(bound_by_itself(parent, column, name));
        }
        kind_of_amount(key).map(drop).ok_or_else(|| no_amount(name, key))
    })?;
    Ok(Some(canonical))
}

/// 22023 for bounds between which there is nothing.
fn refuse_empty(parent: &Target, bounds: &OwnedBounds) -> Result<(), Report> {
    let number = |bound: &Option<String>| bound.as_deref().and_then(bounds::constant);
    match (number(&bounds.at_least), number(&bounds.at_most)) {
        (Some(least), Some(most)) if least > most => {
            Err(Report::error(errors::INVALID_PARAMETER, format_args!("at_least is above at_most"))
                .detail(format_args!("No total can be at least {least} and at most {most}."))
                .hint(format_args!("Give at_least the lower of the two bounds, or leave one out."))
                .table(parent.oid))
        }
        _ => Ok(()),
    }
}

/// 22023: what a total may be must not depend on what it is.
fn bound_by_itself(parent: &Target, column: &str, name: &str) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"{name}\" must not name the total \"{column}\" itself"),
    )
    .detail(format_args!("A bound is a number, or made of other columns of the parent."))
    .hint(format_args!("Keep the bound in a column of its own."))
    .table(parent.oid)
    .column(column)
}

fn no_amount(argument: &str, key: &Key) -> Report {
    let report = Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!(
            "argument \"{argument}\" must be one expression of type smallint, integer, bigint or numeric"
        ),
    );
    let report = match key.parts {
        [part] => report.detail(format_args!("It is of type {}.", part.type_name())),
        parts => report.detail(format_args!("It has {} parts.", parts.len())),
    };
    report.hint(format_args!("Cast it, for example {argument} => '(price)::numeric'."))
}

/// 0A000 for a table whose rows cannot be told apart, or that is a part of another.
fn refuse_parent(parent: &Target) -> Result<(), Report> {
    let name = &parent.name;
    let refuse = |message: &str, detail: &str, hint: &str| {
        Err(Report::error(errors::UNSUPPORTED, format_args!("parent \"{name}\" {message}"))
            .detail(format_args!("{detail}"))
            .hint(format_args!("{hint}"))
            .table(parent.oid))
    };
    let key = run(
        "SELECT FROM pg_index WHERE indrelid = $1 AND indisprimary AND indimmediate",
        &[Param::Oid(parent.oid)],
    )?;
    if key.is_empty() {
        return refuse(
            "has no primary key",
            "Parents are written in the order of their keys, so that transactions do not deadlock; a DEFERRABLE key does not hold at every moment.",
            "Give it one: ALTER TABLE ... ADD PRIMARY KEY (...).",
        );
    }
    if parent.is_partition {
        return refuse(
            "is a partition",
            "Its column belongs to the partitioned table.",
            "Give the child a foreign key to the partitioned table.",
        );
    }
    Ok(())
}

/// The type of the total's column; one that is missing will be added.
fn column_type(
    parent: &Target,
    name: &str,
    integer: bool,
    starts_null: bool,
) -> Result<String, Report> {
    refuse_kept(parent, name, &[COLUMN_FUNCTION])?;
    let Some(found) = parent.column(name)? else {
        return Ok(if integer { "bigint" } else { "numeric" }.to_owned());
    };
    let wrong = |detail: &str| {
        Err(Report::error(
            errors::DATATYPE_MISMATCH,
            format_args!("column \"{name}\" of table \"{}\" cannot hold the total", parent.name),
        )
        .detail(format_args!("{detail}"))
        .hint(format_args!(
            "Name another column with total_column => '...'; one that does not exist is added."
        ))
        .table(parent.oid)
        .column(name))
    };
    let rows = run(
        "SELECT a.atttypmod, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique \
                AND a.attnum = ANY (i.indkey::int2[])), a.attidentity <> '' \
         FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum = $2",
        &[Param::Oid(parent.oid), Param::Int(found.attno.into())],
    )?;
    let Some(row) = rows.first() else { return Ok(found.type_name) };
    let (typmod, unique, identity): (i64, bool, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
    match found.type_name.as_str() {
        _ if found.generated || identity => return wrong("Postgres gives the column its values."),
        _ if unique => {
            return wrong("It is part of a unique index: its UPDATE would lock out foreign keys.")
        }
        "smallint" | "integer" | "bigint" if integer => {}
        "smallint" | "integer" | "bigint" => {
            return wrong("The amount is numeric, and would be rounded.")
        }
        "numeric" if typmod >= 0 && !integer => {
            return wrong(
                "It has a scale, and a numeric amount might be rounded to it: a total must not.",
            )
        }
        "numeric" => {}
        _ => return wrong("A total is smallint, integer, bigint or numeric."),
    }
    if starts_null && found.not_null {
        return wrong("A parent has no total before its first child, where a lower bound is above zero: the column must accept NULL.");
    }
    Ok(found.type_name)
}

fn install(total: &Total, replace: bool) -> Result<String, Report> {
    let (child, parent) = (&total.child, &total.parent);
    // A trigger can only be dropped when nobody reads its table: asked for at once, since who has one lock and wants a
    // stronger one dies of readers that come from the parent.
    let mode = match plan(total, replace)? {
        Plan::Mend(..) | Plan::Replace(_) => "ACCESS EXCLUSIVE",
        Plan::Create | Plan::Keep(_) | Plan::Enable(_) => "SHARE ROW EXCLUSIVE",
    };
    lock_tables((child, mode), Some((parent, "ACCESS EXCLUSIVE")))?;
    let plan = plan(total, replace)?;
    if let Some(name) = plan.done(child)? {
        return Ok(name);
    }
    refuse_late(total)?;
    if let Some(replaced) = plan.replaced(child) {
        drop_triggers(child, replaced.guard())?;
    }
    build(total)?;
    tell_of_total(total)?;
    trigger::trigger_name(&total.guard, "")
}

/// 0A000 where child or parent is distributed already.
pub fn refuse_late(total: &Total) -> Result<(), Report> {
    spread::refuse_late(total.child.oid, spread::TOTAL)?;
    spread::refuse_late(total.parent.oid, spread::TOTAL)
}

/// What to do about the guard that stands, if any. 0A000 and 42710 around partitions.
pub fn plan(total: &Total, replace: bool) -> Result<Plan, Report> {
    let (child, parent) = (&total.child, &total.parent);
    refuse_inherited_guard(child, FUNCTION)?;
    refuse_guarded_partitions(child, FUNCTION)?;
    let name = trigger::trigger_name(&total.guard, "")?;
    let standing = trigger::existing(child, FUNCTION)?.into_iter().find(|t| t.trigger == name);
    let bounds = standing_bounds(parent, &total.column)?;
    if let Some(bounds) = bounds.as_ref().filter(|bounds| **bounds != total.bounds)
        && !replace
    {
        let others = Feeder::of(parent.oid, &total.column)?;
        if others.iter().any(|other| other.child != child.oid) || standing.is_none() {
            return Err(other_bounds(total, bounds));
        }
    }
    let mut arguments = total.arguments();
    arguments.extend(total.bounds.arguments());
    let compared = match standing {
        Some(standing) => Some(compared(total, standing, bounds.unwrap_or_default(), &arguments)?),
        None => None,
    };
    let fault = match &compared {
        Some(compared) if compared.same => fault(total)?,
        _ => None,
    };
    let guard = &total.guard;
    let wanted = Wanted { guard, attachment: &ATTACHMENT, arguments, keyed: false, fault };
    wanted::decide(child, compared, &wanted, replace)
}

/// Compares a guard that stands with the one that is wanted, as Postgres writes both today.
fn compared(
    total: &Total,
    standing: Existing,
    bounds: OwnedBounds,
    wanted: &[String],
) -> Result<Compared, Report> {
    let mut definition = standing.arguments.clone();
    for argument in &mut definition {
        if let Some((option @ ("amount" | "predicate"), text)) = argument.split_once('=') {
            let now = recanonical_predicate(total.child.oid, text)?;
            *argument = format!("{option}={now}");
        }
    }
    definition.extend(bounds.arguments());
    let same = wanted::same_arguments(&definition, wanted);
    Ok(Compared { standing, definition, same })
}

/// The bounds of a column that is a total already, as Postgres writes them today.
pub fn standing_bounds(parent: &Target, name: &str) -> Result<Option<OwnedBounds>, Report> {
    let Some(found) = keeper(parent, name)? else { return Ok(None) };
    let Ok(bounds) = bounds::parse(found.arguments.iter().map(String::as_str)) else {
        return Ok(None);
    };
    let now = |bound: Option<&str>| {
        bound.map(|bound| recanonical_predicate(parent.oid, bound)).transpose()
    };
    Ok(Some(OwnedBounds { at_most: now(bounds.at_most)?, at_least: now(bounds.at_least)? }))
}

/// What is wrong with the rest of a guard that stands.
fn fault(total: &Total) -> Result<Option<String>, Report> {
    let (child, parent) = (&total.child, &total.parent);
    for (target, wanted) in [(child, total.child_triggers()?), (parent, total.parent_triggers()?)] {
        let standing = standing_triggers(target)?;
        for wanted in wanted {
            let found = standing.iter().find(|t| wanted.is(t) && t.off.is_empty());
            let is_own = target.oid == child.oid && wanted.attachment.function == FUNCTION;
            if found.is_none() && !is_own {
                return Ok(Some(format!(
                    "trigger \"{}\" on \"{}\" was off, missing or another",
                    wanted.name, target.name
                )));
            }
        }
    }
    let check = standing_check(parent, &total.base)?;
    let sound = match (&check, total.bounds.check(&total.column)) {
        (None, None) => true,
        (Some(check), Some(wanted)) => {
            let wanted = recanonical_predicate(parent.oid, &wanted)?;
            let now = recanonical_predicate(parent.oid, &check.condition)?;
            check.valid && check.enforced && wanted == now
        }
        _ => false,
    };
    Ok((!sound).then(|| "its CHECK was missing, not valid or another".to_owned()))
}

/// Puts up everything, and counts what stands.
fn build(total: &Total) -> Result<(), Report> {
    let parent = &total.parent;
    if standing_check(parent, &total.base)?.is_some() {
        parent.alter_as_owner(&drop_check(parent, &total.base))?;
    }
    if parent.column(&total.column)?.is_none() {
        parent.alter_as_owner(&total.add_column())?;
    }
    fill(total)?;
    refuse_beyond(total)?;
    if let Some(check) = total.add_check("") {
        parent.alter_as_owner(&check)?;
    }
    for statement in trigger_statements(total)? {
        total.child.execute(&statement)?;
    }
    Ok(())
}

/// The statements that make all triggers stand, the parent's first.
pub fn trigger_statements(total: &Total) -> Result<Vec<String>, Report> {
    let mut statements = Vec::new();
    for (target, wanted) in
        [(&total.parent, total.parent_triggers()?), (&total.child, total.child_triggers()?)]
    {
        let standing = standing_triggers(target)?;
        for wanted in wanted {
            statements.extend(wanted.statements(target, &standing)?);
        }
    }
    Ok(statements)
}

fn tell_of_total(total: &Total) -> Result<(), Report> {
    let (child, parent) = (&total.child, &total.parent);
    tell(
        Level::Notice,
        format_args!(
            "column \"{}\" of \"{}\" counts the rows of \"{}\" through foreign key \"{}\"{}",
            total.column,
            parent.name,
            child.name,
            total.foreign_key,
            match total.bounds.check(&total.column) {
                Some(check) => format!(", within CHECK ({check})"),
                None => String::new(),
            }
        ),
        None,
    );
    tell_of_children(child, "add_total")
}

/// 42710: another child feeds the column under other bounds.
fn other_bounds(total: &Total, standing: &OwnedBounds) -> Report {
    let shown = |bounds: &OwnedBounds| match bounds.arguments() {
        list if list.is_empty() => "none".to_owned(),
        list => list.iter().map(|a| literal(a)).collect::<Vec<_>>().join(", "),
    };
    Report::error(
        errors::DUPLICATE_OBJECT,
        format_args!(
            "total \"{}\" of \"{}\" already exists with other bounds",
            total.column, total.parent.name
        ),
    )
    .detail(format_args!(
        "They are {}; asked for was {}. Children that feed one column share its bounds.",
        shown(standing),
        shown(&total.bounds)
    ))
    .hint(format_args!(
        "Give the same bounds, or another column, or pass replace => true to change them for all: {}.",
        identifier(&total.column)
    ))
    .table(total.parent.oid)
    .column(&total.column)
}
