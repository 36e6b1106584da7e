//! What can be wrong with a total beyond its trigger.

use crate::guard::arguments::identifier;
use crate::guard::finding::Finding;
use crate::guard::key::{recanonical_predicate, type_of, unreadable};
use crate::guard::kind::Inspected;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::guard::wanted_trigger::WantedTrigger;
use crate::pg::error::Report;
use crate::pg::owner::{acting_as, may_update};
use crate::pg::spi::{run, Param};
use crate::total::definition::{
    base, child_triggers, parent_triggers, standing_check, standing_triggers, OwnedBounds,
};
use crate::total::faults::{base_of, check_name};
use crate::total::removal::parent_of;
use crate::total::rule::{
    kind_of_type, parse, TotalOptions, COLUMN_FUNCTION, END, FUNCTION, SETTLE, SETTLE_FUNCTION,
};
use crate::total::standing::bounds_of;
use crate::total::sums::Feeder;
use pgrx::pg_sys::Oid;
use serde_json::Value;

/// The foreign key, the parent's column, its CHECK, and the other triggers.
pub fn check(inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let options = match parse(guard.arguments.iter().map(String::as_str)) {
        Ok(options) => options,
        Err(bad) => {
            let detail = format!("\"{bad}\" is missing or no option of a total, so every row is refused. Put the triggers up anew with raceguard.drop_guard and raceguard.add_total.");
            return Ok(vec![Finding::error("arguments_invalid", detail)]);
        }
    };
    let mut findings = texts(guard, &options)?;
    if !has_foreign_key(guard, &options)? {
        let detail = format!("Foreign key \"{}\" was dropped or renamed, and not one other, but none or several, leads to the parent, so every row is refused. Add it again, or take the guard off with raceguard.drop_guard.", options.foreign_key);
        findings.push(Finding::error("foreign_key_missing", detail));
        return Ok(findings);
    }
    let Some(parent) = parent_of(guard)?.map(Target::of).transpose()? else {
        return Ok(findings);
    };
    if parent.column(options.column)?.is_none() {
        let detail = format!("Column \"{}\" of {} was dropped or renamed, so every row is refused. Call raceguard.drop_guard and raceguard.add_total with its present name.", options.column, parent.qualified);
        findings.push(Finding::error("column_missing", detail));
        return Ok(findings);
    }
    let call = inspected.call();
    let wanted =
        child_triggers(guard.guard(), &guard.arguments, options.at_commit, &parent.qualified)?;
    let own = wanted.iter().filter(|wanted| wanted.attachment.function != FUNCTION);
    let child = Target::of(guard.table)?;
    findings.extend(companions(&child, own, &call, guard)?);
    let Some(bounds) = bounds_of(&parent, options.column)? else {
        let detail = format!("No trigger of {} keeps column \"{}\", so every row is refused. The call puts it up; bounds that the total had are to be given again.", parent.qualified, options.column);
        findings.push(Finding::error("column_not_kept", detail).remedy(call));
        return Ok(findings);
    };
    if findings.is_empty() {
        findings.extend(would_round(&child, &parent, &options)?);
    }
    findings.extend(not_allowed(&child, &parent, options.column)?);
    let base = base(&parent, options.column)?;
    let wanted = parent_triggers(&base, options.column, &bounds)?;
    findings.extend(companions(&parent, wanted.iter(), &call, guard)?);
    findings.extend(constraint(&parent, &base, options.column, &bounds, &call)?);
    Ok(findings)
}

/// A numeric amount whose total has no type that holds it: a column was retyped after the total was added.
fn would_round(
    child: &Target,
    parent: &Target,
    options: &TotalOptions,
) -> Result<Option<Finding>, Report> {
    let column = options.column;
    let rows = run(
        "SELECT atttypid = 'numeric'::regtype AND atttypmod < 0 FROM pg_attribute \
         WHERE attrelid = $1 AND attname = $2::name",
        &[Param::Oid(parent.oid), Param::Text(column)],
    )?;
    let holds_any = rows.first().map_or(Ok(true), |row| row.get(0))?;
    let Ok(type_oid) = type_of(child.oid, &format!("({})", options.amount))? else {
        return Ok(None);
    };
    let kind = type_oid.and_then(kind_of_type);
    let name = &parent.qualified;
    let detail = match kind {
        Some(true) => return Ok(None),
        Some(false) if holds_any => return Ok(None),
        Some(false) => format!("The amount ({}) is numeric, and column \"{column}\" of {name} would round it. Give the column the type numeric, or the amount one of integers, and call raceguard.recount.", options.amount),
        None => format!("The amount ({}) is not smallint, integer, bigint or numeric any more, so every row is refused. Call raceguard.add_total with another amount and replace => true.", options.amount),
    };
    Ok(Some(Finding::error("amount_retyped", detail)))
}

/// A child whose owner may not write the total: writes are refused, and what stands is not counted.
fn not_allowed(child: &Target, parent: &Target, column: &str) -> Result<Option<Finding>, Report> {
    let Some(attno) = parent.column(column)?.map(|column| column.attno) else { return Ok(None) };
    if may_update(child.owner, parent.oid, parent.owner, attno)? {
        return Ok(None);
    }
    let detail = format!("The owner of {} may not update column \"{column}\" of {}, or row security of that table applies to him: writes are refused, and recounts leave the rows out. Grant him UPDATE on the column, or let both tables have one owner.", child.qualified, parent.qualified);
    Ok(Some(Finding::error("owner_not_allowed", detail)))
}

/// Amount and predicate that cannot be read any more.
fn texts(guard: &Existing, options: &TotalOptions) -> Result<Vec<Finding>, Report> {
    let mut findings = Vec::new();
    let both = [Some(options.amount), options.predicate];
    for (text, what) in both.into_iter().zip(["amount", "predicate"]) {
        let Some(text) = text else { continue };
        if let Some(reason) = unreadable(guard.table, &format!("({text})"))? {
            let detail = format!("Its {what} ({text}) cannot be read any more, so every row is refused: {reason}. Call raceguard.add_total with the {what} as it is now and replace => true.");
            findings.push(Finding::error("expression_unreadable", detail));
        }
    }
    Ok(findings)
}

/// Whether the guard finds its foreign key: by its name, or as the only one to the parent that it remembers.
fn has_foreign_key(guard: &Existing, options: &TotalOptions) -> Result<bool, Report> {
    let rows = run(
        "SELECT k.conname = $2::name, k.confrelid = any(s.remembered) FROM pg_constraint k, \
                (SELECT array_agg(tgconstrrelid) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
                 WHERE t.tgrelid = $1 AND p.proname = $3::name AND t.tgname = $4::name) AS s(remembered) \
         WHERE k.conrelid = $1 AND k.contype = 'f' \
           AND to_jsonb(k)->>'conenforced' IS DISTINCT FROM 'false'",
        &[
            Param::Oid(guard.table),
            Param::Text(options.foreign_key),
            Param::Text(SETTLE_FUNCTION),
            Param::Text(&format!("{}{}", guard.trigger, SETTLE)),
        ],
    )?;
    let (mut named, mut to_parent) = (false, 0);
    for row in &rows {
        let remembered = row.get::<Option<bool>>(1)?;
        named |= row.get::<bool>(0)? && remembered != Some(false);
        to_parent += usize::from(remembered == Some(true));
    }
    Ok(named || to_parent == 1)
}

/// The other triggers, on the child or on the parent.
fn companions<'a>(
    target: &Target,
    wanted: impl Iterator<Item = &'a WantedTrigger>,
    call: &str,
    guard: &Existing,
) -> Result<Vec<Finding>, Report> {
    let standing = standing_triggers(target)?;
    let mut findings = Vec::new();
    for wanted in wanted {
        let table = &target.qualified;
        let Some(found) = standing.iter().find(|t| wanted.is(t)) else {
            let detail = format!(
                "No trigger \"{}\" on {table} executes raceguard.{} {} as the guard needs it.",
                wanted.name, wanted.attachment.function, wanted.attachment
            );
            findings.push(Finding::error("companion_missing", detail).remedy(call.to_owned()));
            continue;
        };
        for enable in &found.off {
            let detail = format!("Trigger \"{}\" on {table}, which belongs to the guard, is disabled: {enable} undoes it. Totals may be wrong: raceguard.recount counts again.", wanted.name);
            findings.push(Finding::error("companion_disabled", detail).remedy(enable.clone()));
        }
        if found.off.is_empty() && found.always != guard.always {
            let how = if guard.always { "ENABLE ALWAYS" } else { "ENABLE" };
            let detail = format!("Trigger \"{}\" on {table} and the guard's own do not fire in the same sessions: one has ENABLE ALWAYS, the other not.", wanted.name);
            let remedy = format!("ALTER TABLE {table} {how} TRIGGER {}", identifier(&wanted.name));
            findings.push(Finding::warning("companion_state", detail).remedy(remedy));
        }
    }
    Ok(findings)
}

fn constraint(
    parent: &Target,
    base: &str,
    column: &str,
    bounds: &OwnedBounds,
    call: &str,
) -> Result<Option<Finding>, Report> {
    let name = check_name(base);
    let standing = standing_check(parent, base)?;
    let finding = |problem, what: &str| {
        let detail = format!("CHECK \"{name}\" of {} {what}", parent.qualified);
        Some(Finding::error(problem, detail).remedy(call.to_owned()))
    };
    let (Some(wanted), Some(standing)) = (bounds.check(column), &standing) else {
        return Ok(match (bounds.check(column), &standing) {
            (Some(_), None) => finding("check_missing", "is missing: a total may pass its bounds."),
            (None, Some(_)) => {
                finding("check_unexpected", "stands although the total has no bounds.")
            }
            _ => None,
        });
    };
    if !standing.enforced {
        return Ok(finding("check_not_enforced", "is NOT ENFORCED: a total may pass its bounds."));
    }
    // Whoever looks may not use the schemas of functions in them.
    let (now, wanted) = acting_as(parent.owner, || {
        let now = |text: &str| recanonical_predicate(parent.oid, text);
        Ok((now(&standing.condition)?, now(&wanted)?))
    })?;
    if now != wanted {
        return Ok(finding("check_other_bound", "has other bounds than the guard."));
    }
    if standing.valid {
        return Ok(None);
    }
    let validate =
        format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", parent.qualified, identifier(&name));
    Ok(finding("check_not_valid", "is NOT VALID: totals that stand may be beyond it.")
        .map(|finding| finding.remedy(validate)))
}

/// Parents whose total is not the sum of what stands under them.
pub fn check_rows(child: &Target, inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let Some(Value::String(column)) = inspected.definition.get("total_column") else {
        return Ok(Vec::new());
    };
    let Some(parent) = parent_of(&inspected.guard)?.map(Target::of).transpose()? else {
        return Ok(Vec::new());
    };
    let feeders = Feeder::of(parent.oid, column)?;
    let own = (child.oid, inspected.guard.guard().to_owned());
    if !feeders.iter().any(|feeder| feeder.guard == own) {
        // It has lost its foreign key, or its owner may not write the total: it is told of that.
        return Ok(Vec::new());
    }
    let counted: Vec<String> = feeders.iter().map(Feeder::counted).collect();
    let sql = format!(
        "WITH counted(place, spot, n) AS ({}), \
              total AS (SELECT place, spot, sum(n) AS n FROM counted GROUP BY 1, 2) \
         SELECT count(*), min(p::text) FROM {rows} AS p \
         LEFT JOIN total AS t ON t.place = p.tableoid AND t.spot = p.ctid \
         WHERE coalesce(p.{name}, 0) <> coalesce(t.n, 0)",
        counted
            .iter()
            .map(|c| c.replace("{parent}", &parent.rows()))
            .collect::<Vec<_>>()
            .join(" UNION ALL "),
        rows = parent.rows(),
        name = identifier(column),
    );
    let rows = child.in_owners_name(|| run(&sql, &[]))?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let wrong: i64 = row.get(0)?;
    if wrong == 0 {
        return Ok(Vec::new());
    }
    let detail = format!(
        "Rows of {} whose total \"{column}\" is not what stands under them: {wrong}. CALL raceguard.recount({}, {}) counts them again.",
        parent.qualified,
        crate::guard::arguments::literal(&child.qualified),
        crate::guard::arguments::literal(inspected.guard.guard()),
    );
    Ok(vec![Finding::error("totals_wrong", detail)])
}

/// Triggers beside a guard's own that is gone, and columns that nobody counts any more.
pub fn remains(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let mut findings = Vec::new();
    for left in trigger::without(table, crate::total::rule::STATEMENT_FUNCTION, FUNCTION)? {
        let name = left.guard();
        let Some(guard) = name.strip_suffix(END) else { continue };
        let detail = format!("Trigger \"{}\" of a total stands without the guard's own: rows are not counted any more. raceguard.drop_guard takes off what is left; raceguard.add_total puts the guard up again.", left.trigger);
        findings.push(Finding::error("trigger_missing", detail).at(left.table, guard));
    }
    for keeper in trigger::all(table)? {
        if keeper.function != COLUMN_FUNCTION {
            continue;
        }
        let column = keeper.arguments.first().map_or("", String::as_str);
        if Feeder::all_of(keeper.table, column)?.is_empty() {
            let detail = format!("Column \"{column}\" of {} is kept from being written, but no table is counted in it any more. Drop the triggers that begin with \"{}\", and CHECK \"{}\".", keeper.qualified, keeper.trigger, check_name(base_of(&keeper.trigger)));
            findings.push(Finding::warning("total_orphaned", detail).at(keeper.table, ""));
        }
    }
    Ok(findings)
}
