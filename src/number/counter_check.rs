//! What can be wrong with the counter of a number guard.

use crate::guard::arguments::{identifier, literal};
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::guard::wanted_trigger::WantedTrigger;
use crate::number::counter_definition::{numbered_keys, of_counters, Counter};
use crate::number::counter_rule::{COUNTER, COUNTER_FUNCTION, KEEPER_FUNCTION};
use crate::number::rule::{largest, Options, FUNCTION};
use crate::pg::error::Report;
use crate::pg::owner::may_update;
use pgrx::pg_sys::Oid;

/// The foreign key, the column, and the triggers that keep it.
pub fn counter(inspected: &Inspected, options: &Options) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let Some((column, foreign_key)) = options.counter else { return Ok(Vec::new()) };
    let child = Target::of(guard.table)?;
    let counter = Counter::of(guard)?;
    let Some(counter) = counter.filter(|c| leads_there(&child, c).unwrap_or(false)) else {
        let detail = format!("Foreign key \"{foreign_key}\", which leads to the counter, was dropped or renamed, and not one other, but none or several, leads to the parent, so rows are refused. Add it again, or call raceguard.add_number with another one and replace => true.");
        return Ok(vec![Finding::error("foreign_key_missing", detail)]);
    };
    let parent = &counter.parent;
    let Some(found) = parent.column(column)? else {
        let detail = format!("Counter \"{column}\" of {} was dropped or renamed, so rows are refused. Call raceguard.add_number with its present name and replace => true; without such a column it is added, and starts at the highest number that stands.", parent.qualified);
        return Ok(vec![Finding::error("counter_missing", detail)]);
    };
    let mut findings = Vec::new();
    let (table, quoted) = (&parent.qualified, identifier(column));
    let number = child.column(options.column)?.and_then(|number| largest(&number.type_name));
    if largest(&found.type_name).is_none_or(|last| number.is_some_and(|number| number > last)) {
        let detail = format!("Counter \"{column}\" of {table} is {}, which does not hold what the number column holds.", found.type_name);
        findings.push(Finding::error("counter_retyped", detail).remedy(format!(
            "ALTER TABLE {table} ALTER COLUMN {quoted} TYPE bigint USING ({quoted}::text)::bigint"
        )));
    }
    if !found.not_null {
        let detail = format!("Counter \"{column}\" of {table} may be NULL: what it had counted would be forgotten with it.");
        findings.push(Finding::warning("counter_nullable", detail));
    }
    if !may_update(child.owner, parent.oid, parent.owner, found.attno)? {
        let detail = format!("The owner of {} may not update column {quoted} of {table}, or row security of that table applies to him: rows are refused. Grant him UPDATE on the column, or let both tables have one owner.", child.qualified);
        findings.push(Finding::error("owner_not_allowed", detail));
    }
    let call = inspected.call();
    findings.extend(companion(&child, &counter.writer(guard.guard())?, &call, inspected)?);
    findings.extend(companion(parent, &counter.keeper(options.start)?, &call, inspected)?);
    Ok(findings)
}

/// Whether the guard finds its foreign key: by its name, or as the only one to the parent that it remembers.
fn leads_there(child: &Target, counter: &Counter) -> Result<bool, Report> {
    let keys = numbered_keys(child)?;
    let there = || keys.iter().filter(|key| key.parent == counter.parent.oid);
    Ok(there().any(|key| key.name == counter.foreign_key) || there().count() == 1)
}

/// A trigger that goes with the guard.
fn companion(
    target: &Target,
    wanted: &WantedTrigger,
    call: &str,
    inspected: &Inspected,
) -> Result<Vec<Finding>, Report> {
    let standing = of_counters(target)?;
    let Some(found) = standing.iter().find(|t| wanted.is(t)) else {
        let detail = format!(
            "No trigger \"{}\" on {} executes raceguard.{} {} as the guard needs it, so rows are refused.",
            wanted.name, target.qualified, wanted.attachment.function, wanted.attachment
        );
        return Ok(vec![Finding::error("companion_missing", detail).remedy(call.to_owned())]);
    };
    if target.oid == inspected.guard.table || !found.off.is_empty() {
        return Ok(inspected.companion_states(found));
    }
    if found.always == inspected.guard.always {
        return Ok(Vec::new());
    }
    let how = if inspected.guard.always { "ENABLE ALWAYS" } else { "ENABLE" };
    let detail = format!("Trigger \"{}\" on {} and the guard's own do not fire in the same sessions: one has ENABLE ALWAYS, the other not.", wanted.name, target.qualified);
    let remedy =
        format!("ALTER TABLE {} {how} TRIGGER {}", target.qualified, identifier(&wanted.name));
    Ok(vec![Finding::warning("companion_state", detail).remedy(remedy)])
}

/// Counters that are below a number that stands under their key.
pub fn behind(inspected: &Inspected, count: i64) -> Finding {
    let detail = format!("Counters that are below the highest number of their key: {count}. Rows were written where no trigger fires, or before their parent. The next number is right all the same, and the counter follows; a number whose row is deleted before that where no trigger fires comes again.");
    Finding::error("counters_behind", detail).remedy(inspected.call())
}

/// Triggers beside a guard's own that is gone.
pub fn remains(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let mut findings = Vec::new();
    for left in trigger::all(table)? {
        let finding = match left.function.as_str() {
            COUNTER_FUNCTION => left_writer(&left)?,
            KEEPER_FUNCTION => left_keeper(&left)?,
            _ => None,
        };
        findings.extend(finding);
    }
    Ok(findings)
}

fn left_writer(left: &Existing) -> Result<Option<Finding>, Report> {
    let own = left.trigger.strip_suffix(COUNTER).unwrap_or_default();
    if trigger::existing_on(left.table, FUNCTION)?.iter().any(|guard| guard.trigger == own) {
        return Ok(None);
    }
    let guard = own.strip_prefix(trigger::PREFIX).unwrap_or(own);
    let detail = format!("Trigger \"{}\" stands without the number guard to which it belongs: rows get no number. The call drops it; raceguard.add_number puts both up.", left.trigger);
    let (table, name) = (literal(&left.qualified), literal(guard));
    Ok(Some(
        Finding::error("trigger_missing", detail)
            .remedy(format!("SELECT raceguard.drop_guard({table}, {name})"))
            .at(left.table, guard),
    ))
}

fn left_keeper(left: &Existing) -> Result<Option<Finding>, Report> {
    let column = left.arguments.first().map_or("", String::as_str);
    for guard in trigger::referring(left.table, FUNCTION)? {
        if Counter::of(&guard)?.is_some_and(|counter| counter.column == column) {
            return Ok(None);
        }
    }
    let detail = format!("Trigger \"{}\" keeps others from writing column \"{column}\", in which no number guard counts.", left.trigger);
    Ok(Some(
        Finding::warning("keeper_unused", detail)
            .remedy(format!("DROP TRIGGER {} ON {}", identifier(&left.trigger), left.qualified))
            .at(left.table, left.guard()),
    ))
}
