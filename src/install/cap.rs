//! `add_cap`: slot column, CHECK, unique index and the triggers that choose the slot.

use super::arguments::{identifier, one_of, positive, required};
use super::cap_definition::{check_name, drop_check, index_definition, slot_indexes, Cap};
use super::cap_plan::has_trigger;
use super::cap_rows;
use super::key::{canonical_key, canonical_predicate};
use super::target::Target;
use super::trigger::{self, Existing, Plan};
use crate::errors;
use crate::guards::cap::{FULL_FUNCTION, FUNCTION};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run, Param};

function_entry!(raceguard_add_cap, crate::install::cap::add_cap);

/// `add_cap(target, key, slots, slot_column, predicate, fill, online, guard, replace)`.
fn add_cap(call: Call) -> Result<Value, Report> {
    connected(|| {
        let (target, cap) = asked_for(call)?;
        let online = required(call.bool(6), "online")?;
        let replace = required(call.bool(8), "replace")?;
        pinned_search_path(|| install(&target, &cap, online, replace))
    })
}

/// The table and the cap that the arguments of `add_cap` and `plan_cap` describe.
pub fn asked_for(call: Call) -> Result<(Target, Cap), Report> {
    let target = pinned_search_path(|| Target::owned(call, 0))?;
    let key = required(call.text(1)?, "key")?;
    let slots = positive(required(call.int(2), "slots")?, "slots")?;
    let column = required(call.name(3)?, "slot_column")?;
    let predicate = call.text(4)?;
    let fill = required(call.text(5)?, "fill")?;
    let fill = one_of(&fill, "fill", &["lowest", "append"])?.to_owned();
    let guard = required(call.name(7)?, "guard")?;
    let mut parts = 0;
    let key = canonical_key(&target, &key, |_, key| {
        parts = key.parts.len();
        Ok(())
    })?;
    let predicate = predicate.map(|p| canonical_predicate(&target, &p)).transpose()?;
    let column_type = pinned_search_path(|| slot_column_type(&target, &column, slots))?;
    let cap = Cap { key, parts, slots, column, column_type, predicate, fill, guard };
    cap.trigger_names()?;
    Ok((target, cap))
}

fn install(target: &Target, cap: &Cap, online: bool, replace: bool) -> Result<Value, Report> {
    let (name, _) = cap.trigger_names()?;
    if online && standing(target, &name)?.is_none() {
        refuse_scan(target)?;
    }
    target.lock("ACCESS EXCLUSIVE")?;
    let standing = standing(target, &name)?;
    let half_made = match &standing {
        Some(standing) => {
            let same = trigger::same_arguments(&standing.arguments, &cap.wanted().arguments);
            same && !is_whole(target, cap)?
        }
        None => false,
    };
    let standing = standing.filter(|_| !half_made);
    match trigger::plan(target, standing, &cap.wanted(), replace)? {
        Plan::Keep(name) => return Ok(Value::Text(name)),
        Plan::Replace(_) => {
            if online {
                refuse_scan(target)?;
            }
            remove(target, &cap.guard, false)?
        }
        // The steps of plan_cap were begun, and not ended.
        Plan::Create if half_made => {
            if online {
                refuse_scan(target)?;
            }
            remove(target, &cap.guard, false)?
        }
        // Without its trigger (DROP EXTENSION ... CASCADE takes it too) the CHECK refuses every new row;
        // that cap is put up anew.
        Plan::Create if has_remains(target, &cap.guard)? => remove(target, &cap.guard, false)?,
        Plan::Create => {}
    }
    if target.column(&cap.column)?.is_none() {
        run(&cap.add_column(target), &[])?;
    }
    cap_rows::number(target, cap)?;
    run(&cap.add_check(target, ""), &[])?;
    if cap.index(target)?.is_none() {
        if let Some(index) = cap.failed_index(target)? {
            run(&format!("DROP INDEX {index}"), &[])?;
        }
        run(&cap.create_index(target, ""), &[])?;
    }
    run(&cap.create_full_trigger(target)?, &[])?;
    run(&cap.create_trigger(target)?, &[])?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\": at most {} rows per key ({})",
            target.name, cap.slots, cap.key
        ),
        None,
    );
    tell_of_rivals(target, cap)?;
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(Value::Text(name))
}

/// 55000 unless the table is empty: anything else has to be read under a lock that writers wait for.
fn refuse_scan(target: &Target) -> Result<(), Report> {
    let rows = run(
        "SELECT pg_size_pretty(sum(pg_relation_size(relid))) FROM \
         (SELECT relid FROM pg_partition_tree($1) UNION SELECT $1) AS t(relid) \
         HAVING sum(pg_relation_size(relid)) > 0",
        &[Param::Oid(target.oid)],
    )?;
    let Some(size) = rows.first().and_then(|r| r[0].clone()) else { return Ok(()) };
    Err(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("cannot add a cap to table \"{}\" online in one call", target.name),
    )
    .detail(format_args!(
        "Numbering and checking its rows ({size}) would hold a lock that every writer waits for."
    ))
    .hint(format_args!(
        "Run the steps that raceguard.plan_cap lists for the same arguments, one by one."
    ))
    .table(target.oid))
}

/// The type of the slot column; one that is missing will be added as integer.
pub fn slot_column_type(target: &Target, name: &str, slots: i32) -> Result<String, Report> {
    let Some(column) = target.column(name)? else { return Ok("integer".to_owned()) };
    let integer = matches!(column.type_name.as_str(), "smallint" | "integer" | "bigint");
    if !integer || column.generated || column.not_null {
        return Err(Report::error(
            errors::DATATYPE_MISMATCH,
            format_args!("column \"{name}\" of table \"{}\" cannot hold slots", target.name),
        )
        .detail(format_args!(
            "A slot column is smallint, integer or bigint, accepts NULL and is not generated."
        ))
        .hint(format_args!(
            "Name another column with slot_column => '...'; one that does not exist is added."
        ))
        .table(target.oid)
        .column(name));
    }
    if column.type_name == "smallint" && slots > i16::MAX as i32 {
        return Err(Report::error(
            errors::OUT_OF_RANGE,
            format_args!("{slots} slots do not fit into smallint column \"{name}\""),
        )
        .detail(format_args!("A smallint holds numbers up to {}.", i16::MAX))
        .hint(format_args!("Make the column an integer first, or allow fewer slots."))
        .table(target.oid)
        .column(name));
    }
    Ok(column.type_name)
}

/// Tells of CHECKs and unique indexes on the slot column that would refuse what a cap does: slot 0
/// stands in a row for a moment when the cap is full.
fn tell_of_rivals(target: &Target, cap: &Cap) -> Result<(), Report> {
    let own = cap.index(target)?.map(|index| index.qualified);
    let rows = run(
        "SELECT string_agg(quote_ident(name), ', ' ORDER BY name) FROM pg_attribute a, LATERAL ( \
           SELECT k.conname FROM pg_constraint k WHERE k.conrelid = $1 AND k.contype = 'c' \
             AND k.conname <> $3::name AND a.attnum = ANY (k.conkey) \
           UNION ALL SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.indrelid = $1 AND i.indisunique \
             AND i.indkey[i.indnkeyatts - 1] = a.attnum \
             AND format('%I.%I', n.nspname, c.relname) IS DISTINCT FROM $4) AS rival(name) \
         WHERE a.attrelid = $1 AND a.attname = $2::name",
        &[
            Param::Oid(target.oid),
            Param::Text(&cap.column),
            Param::Text(&cap.check_name()),
            Param::OptText(own.as_deref()),
        ],
    )?;
    if let Some(rivals) = rows.first().and_then(|r| r[0].clone()) {
        tell(
            Level::Notice,
            format_args!(
                "column \"{}\" of table \"{}\" is also ruled by {rivals}", cap.column, target.name
            ),
            Some(format_args!(
                "What enforced the same cap before should be dropped: it would refuse rows with an error of its own instead of RG403."
            )),
        );
    }
    Ok(())
}

/// The cap's trigger as it stands, with the key and predicate of its index.
pub fn standing(target: &Target, name: &str) -> Result<Option<Existing>, Report> {
    let found = trigger::existing(target, FUNCTION)?.into_iter().find(|t| t.trigger == name);
    let Some(mut standing) = found else { return Ok(None) };
    let column = standing.arguments.first().cloned().unwrap_or_default();
    standing.arguments.extend(index_definition(target.oid, &column)?);
    Ok(Some(standing))
}

/// Whether nothing is missing of a cap whose trigger and index stand.
fn is_whole(target: &Target, cap: &Cap) -> Result<bool, Report> {
    let (_, full) = cap.trigger_names()?;
    let check = cap.standing_check(target)?;
    Ok(check.is_some_and(|check| check.valid && check.as_many) && has_trigger(target, &full)?)
}

/// Whether something stands of a cap whose own trigger somebody dropped: the trigger that refuses, or
/// the CHECK.
pub fn has_remains(target: &Target, guard: &str) -> Result<bool, Report> {
    let full = trigger::trigger_name(guard, "_full")?;
    Ok(has_trigger(target, &full)? || has_check(target, guard)?)
}

fn has_check(target: &Target, guard: &str) -> Result<bool, Report> {
    let rows = run(
        "SELECT FROM pg_constraint WHERE conrelid = $1 AND contype = 'c' AND conname = $2::name",
        &[Param::Oid(target.oid), Param::Text(&check_name(guard))],
    )?;
    Ok(!rows.is_empty())
}

/// The slot column, as either of the cap's triggers names it.
fn slot_column(target: &Target, guard: &str) -> Result<Option<String>, Report> {
    for (function, suffix) in [(FUNCTION, ""), (FULL_FUNCTION, "_full")] {
        let name = trigger::trigger_name(guard, suffix)?;
        let found = trigger::existing(target, function)?.into_iter().find(|t| t.trigger == name);
        if let Some(standing) = found {
            return Ok(standing.arguments.into_iter().next());
        }
    }
    Ok(None)
}

/// Takes a cap's objects away; the column and its numbers stay unless `drop_column`.
pub fn remove(target: &Target, guard: &str, drop_column: bool) -> Result<(), Report> {
    let column = slot_column(target, guard)?;
    for suffix in ["", "_full"] {
        let name = trigger::trigger_name(guard, suffix)?;
        run(&format!("DROP TRIGGER IF EXISTS {} ON {}", identifier(&name), target.qualified), &[])?;
    }
    if has_check(target, guard)? {
        run(&drop_check(target, guard), &[])?;
    }
    let indexes = column.as_deref().map(|column| slot_indexes(target.oid, column)).transpose()?;
    for index in indexes.unwrap_or_default() {
        run(&format!("DROP INDEX {}", index.qualified), &[])?;
    }
    if let (true, Some(column)) = (drop_column, column) {
        run(
            &format!(
                "ALTER TABLE {} DROP COLUMN IF EXISTS {}",
                target.qualified,
                identifier(&column)
            ),
            &[],
        )?;
    }
    Ok(())
}
