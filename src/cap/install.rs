//! `add_cap`: slot column, CHECK, unique index and the triggers that choose the slot.

use crate::cap::definition::{slot_column_type, Cap};
use crate::cap::protocol::Fill;
use crate::cap::removal::{has_remains, remove, remove_rule};
use crate::cap::rows as cap_rows;
use crate::cap::rule::{ATTACHMENT, FULL_ATTACHMENT};
use crate::cap::standing::{
    full_triggers, lowest_slot, refuse_inherited_check, refuses_slot_zero, StandingCap,
};
use crate::errors;
use crate::guard::arguments::{one_of, positive, required};
use crate::guard::index::failed_index;
use crate::guard::key::{canonical_key, canonical_predicate};
use crate::guard::outcome::Mode;
use crate::guard::partitions::tell_of_children;
use crate::guard::shells;
use crate::guard::spread;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, Put};
use crate::guard::wanted::{self, Plan, Wanted};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, one, pinned_search_path, run, Param};

function_entry!(raceguard_add_cap, crate::cap::install::add_cap);

/// `raceguard.add_cap(target, key, slots, slot_column, predicate, fill, online, guard, replace) -> text`: at most
/// `slots` rows per key, each in a slot numbered from 1. `key` as in CREATE INDEX, NULL for the whole table;
/// `predicate` says which rows count; `fill` is `lowest` (gaps first) or `append` (gaps at the end). `online`
/// refuses to read a table that holds rows under a lock that writers wait for. Returns the trigger's name.
/// Serves "three highlighted posts per user and week".
///
/// Raises 23514 with the keys that have more rows than slots, or rows that stand in a slot it does not have,
/// 55000 (another index of a cap's form on the slot column; `online` and the table is not empty), 42501 unless
/// the caller owns the table, 42703, 42601, 42804, 42P17, 42710, 22003, 22023, 22004, 40001 at REPEATABLE READ
/// and above where the table or its rows have changed since the snapshot.
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
    // One key for all rows: the cap is on the whole table.
    let key = call.text(1)?.unwrap_or_else(|| "(1)".to_owned());
    let slots = positive(required(call.int(2), "slots")?, "slots")?;
    let column = required(call.name(3)?, "slot_column")?;
    let predicate = call.text(4)?;
    let fill = required(call.text(5)?, "fill")?;
    let fill = match one_of(&fill, "fill", &[Fill::Lowest.name(), Fill::Append.name()])? {
        "append" => Fill::Append,
        _ => Fill::Lowest,
    };
    let guard = required(call.name(7)?, "guard")?;
    let mut parts = 0;
    let key = canonical_key(&target, &key, |table, key| {
        parts = key.parts.len();
        spread::check_key(table, None, spread::CAP, key).map(drop)
    })?;
    let predicate = predicate.map(|p| canonical_predicate(&target, &p)).transpose()?;
    let column_type = pinned_search_path(|| slot_column_type(&target, &column, slots))?;
    let mode = Mode::Enforce;
    let cap = Cap { key, parts, slots, column, column_type, predicate, fill, mode, guard };
    cap.trigger_names()?;
    Ok((target, cap))
}

fn install(target: &Target, cap: &Cap, online: bool, replace: bool) -> Result<Value, Report> {
    let stands = StandingCap::find(target, &cap.guard)?.is_some();
    if online && !stands {
        refuse_scan(target)?;
    }
    // Read before the lock: a call that finds nothing to do keeps nobody waiting.
    let uncounted = stands && cap_rows::any_in_slot_zero(target, cap)?;
    target.lock(match rule_stands(target, cap, uncounted)? {
        true => "SHARE ROW EXCLUSIVE",
        false => "ACCESS EXCLUSIVE",
    })?;
    let rule_stands = rule_stands(target, cap, uncounted)?;
    if !rule_stands {
        // Held already, unless somebody has changed the cap meanwhile.
        target.lock("ACCESS EXCLUSIVE")?;
    }
    let standing = StandingCap::find(target, &cap.guard)?;
    let lowest = lowest_slot(standing.as_ref());
    let (plan, half_made) = plan(target, cap, standing, uncounted, replace)?;
    if let Some(name) = plan.done(target)? {
        return Ok(Value::Text(name));
    }
    if let (true, Plan::Replace(standing)) = (rule_stands, &plan) {
        replace_arguments(target, cap, standing)?;
        return tell_of_cap(target, cap).map(Value::Text);
    }
    if online && (half_made || plan != Plan::Create) {
        refuse_scan(target)?;
    }
    clear(target, cap, plan, half_made)?;
    build(target, cap, lowest)?;
    tell_of_cap(target, cap).map(Value::Text)
}

/// Whether a whole cap of the same rule stands: the one asked for, or one that differs in `fill`, which its triggers
/// alone know. Readers need not wait for a change of those.
fn rule_stands(target: &Target, cap: &Cap, uncounted: bool) -> Result<bool, Report> {
    let Some(standing) = StandingCap::find(target, &cap.guard)? else { return Ok(false) };
    let like = Cap { fill: standing.fill(), ..cap.clone() };
    let compared = standing.compared(target, &like)?;
    Ok(compared.same
        && compared.standing.is_sound(&ATTACHMENT)
        && fault(target, cap, &compared.standing, uncounted)?.is_none()
        && is_checked(target, cap)?)
}

/// Gives a cap's triggers other arguments.
fn replace_arguments(target: &Target, cap: &Cap, standing: &Existing) -> Result<(), Report> {
    let arguments = cap.arguments();
    for full in full_triggers(target.oid, &cap.column)? {
        trigger::replace_arguments(target, &full, &FULL_ATTACHMENT, &arguments)?;
    }
    trigger::replace_arguments(target, standing, &ATTACHMENT, &arguments)
}

/// What to do about the cap that stands, if any; and whether it is one whose steps of `plan_cap` were
/// begun and not ended.
fn plan(
    target: &Target,
    cap: &Cap,
    standing: Option<StandingCap>,
    uncounted: bool,
    replace: bool,
) -> Result<(Plan, bool), Report> {
    let compared = standing.map(|standing| standing.compared(target, cap)).transpose()?;
    let same = compared.as_ref().filter(|compared| compared.same);
    let fault = match same {
        Some(compared) => fault(target, cap, &compared.standing, uncounted)?,
        None => None,
    };
    let half_made = same.is_some() && fault.is_none() && !is_checked(target, cap)?;
    let compared = compared.filter(|_| !half_made);
    let plan = wanted::decide(target, compared, &Wanted { fault, ..cap.wanted() }, replace)?;
    Ok((plan, half_made))
}

/// Takes away what stands in the new cap's place.
fn clear(target: &Target, cap: &Cap, plan: Plan, half_made: bool) -> Result<(), Report> {
    let mended = matches!(plan, Plan::Mend(..));
    match plan.replaced(target) {
        _ if half_made || mended => remove_rule(target, &cap.guard),
        Some(_) => remove(target, &cap.guard, false),
        // Without its trigger (DROP EXTENSION ... CASCADE takes it too) the CHECK refuses every new row;
        // that cap is put up anew.
        _ if has_remains(target, &cap.guard)? => remove(target, &cap.guard, false),
        _ => Ok(()),
    }
}

/// Puts up column, CHECK, index and triggers, and numbers the rows that stand.
fn build(target: &Target, cap: &Cap, lowest: i64) -> Result<(), Report> {
    // The same CHECK becomes the table's own as well; another one cannot stand beside it.
    if cap.standing_check(target)?.is_some_and(|check| !check.as_many) {
        refuse_inherited_check(target, &cap.guard)?;
    }
    cap.refuse_other_indexes(target)?;
    shells::refuse_rows_left(target)?;
    if target.column(&cap.column)?.is_none() {
        target.alter_as_owner(&cap.add_column(target))?;
    }
    cap_rows::number(target, cap, lowest)?;
    target.alter_as_owner(&cap.add_check(target, "")?)?;
    if cap.index(target)?.is_none() {
        if let Some(index) = failed_index(target, &cap.guard)? {
            target.run(&format!("DROP INDEX {index}"))?;
        }
        run(&cap.create_index(target, ""), &[])?;
    }
    target.run(&cap.create_full_trigger(target, Put::New)?)?;
    target.run(&cap.create_trigger(target, Put::New)?)
}

/// Tells what has been made, and what rules beside it; the trigger's name.
fn tell_of_cap(target: &Target, cap: &Cap) -> Result<String, Report> {
    let (name, _) = cap.trigger_names()?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\": at most {} rows{}",
            target.name,
            cap.slots,
            cap.per_key()
        ),
        None,
    );
    tell_of_rivals(target, cap)?;
    tell_of_children(target, "add_cap")?;
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(name)
}

/// 55000 unless the table is empty: anything else has to be read under a lock that writers wait for.
fn refuse_scan(target: &Target) -> Result<(), Report> {
    let size: Option<String> = one(
        "SELECT pg_size_pretty(sum(pg_relation_size(relid))) FROM \
         (SELECT relid FROM pg_partition_tree($1) UNION SELECT $1) AS t(relid) \
         HAVING sum(pg_relation_size(relid)) > 0",
        &[Param::Oid(target.oid)],
    )?;
    let Some(size) = size else { return Ok(()) };
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

/// Tells of CHECKs and unique indexes on the slot column that would refuse what a cap does: slot 0
/// stands in a row for a moment when the cap is full.
fn tell_of_rivals(target: &Target, cap: &Cap) -> Result<(), Report> {
    let own = cap.index(target)?.map(|index| index.qualified);
    let rivals: Option<String> = one(
        "SELECT string_agg(format('\"%s\"', name), ', ' ORDER BY name) FROM pg_attribute a, LATERAL ( \
           SELECT k.conname FROM pg_constraint k WHERE k.conrelid = $1 AND k.contype = 'c' \
             AND k.conname <> $3::name AND a.attnum = ANY (k.conkey) \
             AND to_jsonb(k)->>'conenforced' IS DISTINCT FROM 'false' \
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
    if let Some(rivals) = rivals {
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

/// Whether the CHECK of a cap stands, holds for all its rows and no others, and allows no more slots.
fn is_checked(target: &Target, cap: &Cap) -> Result<bool, Report> {
    let check = cap.standing_check(target)?;
    Ok(check.is_some_and(|check| check.valid && check.as_many && !check.inherited))
}

/// What lets rows past a cap whose trigger and index stand.
fn fault(
    target: &Target,
    cap: &Cap,
    standing: &Existing,
    uncounted: bool,
) -> Result<Option<String>, Report> {
    if !standing.off.is_empty() {
        return Ok(Some(format!("trigger \"{}\" was disabled", standing.trigger)));
    }
    let full = cap.full_attachment(target)?;
    if !refuses_slot_zero(target.oid, &cap.column, &full)? {
        return Ok(Some(format!("no trigger executed raceguard.{} {full}", full.function)));
    }
    Ok(uncounted.then(|| "rows stood in slot 0, which is not counted".to_owned()))
}
