//! What can be wrong with a cap beyond its trigger.

use crate::cap::definition::{check_name, full_attachment, standing_check, Cap};
use crate::cap::rows as cap_rows;
use crate::cap::rule::{parse, Options, FULL_ATTACHMENT, FULL_FUNCTION};
use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::guard::numbered_index::{index_fault, indexes};
use crate::guard::target::{column_of, ColumnInfo, Target};
use crate::guard::trigger::{self, Existing};
use crate::pg::error::Report;
use crate::pg::numbered_index::IndexForm;
use crate::pg::spi::{one, run, Param};
use pgrx::pg_sys::Oid;

/// The slot column, the index, the CHECK, and the trigger that refuses.
pub fn check(inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let options = match parse(guard.arguments.iter().map(String::as_str)) {
        Ok(options) => options,
        Err(bad) => {
            return Ok(vec![Finding::error(
                "arguments_invalid",
                format!("\"{bad}\" is no slot column or option of a cap, so every row is refused. Put the triggers up anew with raceguard.drop_guard and raceguard.add_cap."),
            )])
        }
    };
    let Some(column) = column_of(guard.table, options.column)? else {
        return Ok(vec![column_missing(inspected, options.column)?]);
    };
    let mut findings = Vec::new();
    if let Some(retyped) = column_retyped(inspected, &column)? {
        // The index has its condition on the slots rewritten for the type, and comes back with that.
        findings.push(retyped);
    } else {
        findings.extend(column_not_null(inspected, &column));
        findings.extend(index_fault(guard.table, options.column, IndexForm::Slots)?);
    }
    findings.extend(constraint(inspected, &options)?);
    findings.extend(refuser(inspected, options.column)?);
    Ok(findings)
}

/// The index and the CHECK follow a rename; the triggers' arguments do not.
fn column_missing(inspected: &Inspected, column: &str) -> Result<Finding, Report> {
    let guard = &inspected.guard;
    let finding = |rest: &str| {
        let detail = format!(
            "Slot column \"{column}\" was dropped or renamed, so every row is refused. {rest}"
        );
        Finding::error("column_missing", detail)
    };
    let Some(present) = present_column(guard.table)? else {
        return Ok(finding("Call raceguard.drop_guard and raceguard.add_cap with the cap's key."));
    };
    let renamed = |arguments: &[String]| -> Vec<String> {
        core::iter::once(present.clone()).chain(arguments.iter().skip(1).cloned()).collect()
    };
    let mut statements = Vec::new();
    for full in full_triggers(inspected, column) {
        let attachment = full_attachment(guard.table, &guard.trigger)?;
        statements.push(full.with(&attachment, &renamed(&full.arguments)));
    }
    statements.push(inspected.trigger_with(&renamed(&guard.arguments)));
    Ok(finding(&format!("The index of a cap ends with column \"{present}\" now."))
        .remedy(statements.join("; ")))
}

/// The only column that ends an index of a cap's form and is no other cap's.
fn present_column(table: Oid) -> Result<Option<String>, Report> {
    let taken = trigger::existing_on(table, crate::cap::rule::FUNCTION)?;
    let rows = run(
        "SELECT DISTINCT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
           AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NOT NULL",
        &[Param::Oid(table)],
    )?;
    let mut found = Vec::new();
    for row in &rows {
        let name: String = row.get(0)?;
        let free = !taken.iter().any(|cap| cap.arguments.first() == Some(&name));
        if free && !indexes(table, &name, IndexForm::Slots)?.is_empty() {
            found.push(name);
        }
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// ALTER COLUMN TYPE writes `slot > 0` of the index anew, and back again it would be `slot::numeric > 0::numeric`: no
/// condition of a cap's.
fn column_retyped(inspected: &Inspected, column: &ColumnInfo) -> Result<Option<Finding>, Report> {
    if matches!(column.type_name.as_str(), "smallint" | "integer" | "bigint") {
        return Ok(None);
    }
    let (table, quoted) = (&inspected.guard.qualified, identifier(&column.name));
    let detail = format!(
        "Slot column \"{}\" is now {}, which holds no slots, so every row is refused.",
        column.name, column.type_name
    );
    let back = format!(
        "ALTER TABLE {table} ALTER COLUMN {quoted} TYPE integer USING ({quoted}::text)::integer"
    );
    let rows = run(
        "SELECT format('DROP INDEX %s', d.oid::regclass), d.rewritten FROM ( \
           SELECT i.indexrelid AS oid, pg_get_indexdef(i.indexrelid) AS standing, \
                  regexp_replace(replace(pg_get_indexdef(i.indexrelid), format(' ON ONLY %s ', i.indrelid::regclass), \
                                         format(' ON %s ', i.indrelid::regclass)), \
                                 '(' || regexp_replace(quote_ident($2), '(\\W)', '\\\\\\1', 'g') || ' > )\\(0\\)::(?:numeric|double precision)', \
                                 '\\10') AS rewritten \
           FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.indnkeyatts - 1] \
           WHERE i.indrelid = $1 AND a.attname = $2::name AND i.indisunique AND i.indpred IS NOT NULL) AS d \
         WHERE d.standing <> d.rewritten ORDER BY 1",
        &[Param::Oid(inspected.guard.table), Param::Text(&column.name)],
    )?;
    let remedy = match rows.first() {
        Some(row) => format!("{}; {back}; {}", row.get::<&str>(0)?, row.get::<&str>(1)?),
        None => back,
    };
    Ok(Some(Finding::error("column_retyped", detail).remedy(remedy)))
}

fn column_not_null(inspected: &Inspected, column: &ColumnInfo) -> Option<Finding> {
    let (table, quoted) = (&inspected.guard.qualified, identifier(&column.name));
    let refuses = column.not_null && inspected.option("predicate").is_some();
    refuses.then(|| {
        let detail = format!(
            "Slot column \"{}\" is NOT NULL; rows outside the predicate have no slot, and are refused.",
            column.name
        );
        Finding::error("column_not_null", detail)
            .remedy(format!("ALTER TABLE {table} ALTER COLUMN {quoted} DROP NOT NULL"))
    })
}

/// A cap that observes has no CHECK: it lets rows in without a slot.
fn observed(inspected: &Inspected, options: &Options) -> Result<Option<Finding>, Report> {
    let guard = &inspected.guard;
    let check = standing_check(guard.table, guard.guard(), options.slots)?;
    Ok(check.map(|_| {
        let detail = format!(
            "CHECK \"{}\" stands although the cap only observes: rows too many are refused.",
            check_name(guard.guard())
        );
        Finding::error("check_unexpected", detail).remedy(inspected.in_mode("observe"))
    }))
}

fn constraint(inspected: &Inspected, options: &Options) -> Result<Option<Finding>, Report> {
    let guard = &inspected.guard;
    if inspected.observes() {
        return observed(inspected, options);
    }
    let name = check_name(guard.guard());
    let call = inspected.option("key").map(|_| inspected.call());
    let finding = |problem, what: &str| Finding::error(problem, format!("CHECK \"{name}\" {what}"));
    let Some(check) = standing_check(guard.table, guard.guard(), options.slots)? else {
        return Ok(Some(
            finding("check_missing", "is missing: rows without a slot pass the cap.").remedy(call),
        ));
    };
    if !check.enforced {
        let what = "is NOT ENFORCED: rows without a slot pass the cap.";
        return Ok(Some(finding("check_not_enforced", what).remedy(call)));
    }
    if !check.as_many {
        let what = format!("does not allow slots 0 to {} as the cap does.", options.slots);
        return Ok(Some(finding("check_other_bound", &what).remedy(call)));
    }
    if !check.valid {
        let what = "is NOT VALID: rows that stand may be beyond the cap.";
        let (table, name) = (&guard.qualified, identifier(&name));
        let validate = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
        return Ok(Some(finding("check_not_valid", what).remedy(validate)));
    }
    Ok(check.inherited.then(|| {
        let what =
            "refuses the rows of tables that inherit from the guarded one, which get no slot.";
        finding("check_inherited", what).remedy(call)
    }))
}

/// The triggers that refuse slot 0 of a column.
fn full_triggers<'a>(inspected: &'a Inspected, column: &str) -> impl Iterator<Item = &'a Existing> {
    inspected
        .triggers_of(FULL_FUNCTION)
        .filter(move |full| full.arguments.first().is_some_and(|argument| argument == column))
}

fn refuser(inspected: &Inspected, column: &str) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let wanted = full_attachment(guard.table, &guard.trigger)?;
    let found: Vec<_> = full_triggers(inspected, column).collect();
    let attached = found.iter().copied().find(|full| {
        FULL_ATTACHMENT.fits(full.shape) && full.shape.kind & wanted.kind() == wanted.kind()
    });
    let Some(full) = attached else {
        let (problem, what) = match found.is_empty() {
            true => ("companion_missing", "is there"),
            false => ("companion_attached_otherwise", "is attached that way"),
        };
        let detail = format!(
            "No trigger that executes raceguard.{FULL_FUNCTION} {wanted} {what}: a full key's rows are refused with 55000, and an UPDATE may leave a row in slot 0."
        );
        let call = inspected.option("key").map(|_| inspected.call());
        return Ok(vec![Finding::error(problem, detail).remedy(call)]);
    };
    Ok(inspected.companion_states(full))
}

/// The cap that stands, for looks at its rows.
fn cap_of(target: &Target, inspected: &Inspected) -> Result<Option<Cap>, Report> {
    let Ok(options) = parse(inspected.guard.arguments.iter().map(String::as_str)) else {
        return Ok(None);
    };
    let Some(index) = indexes(target.oid, options.column, IndexForm::Slots)?.into_iter().next()
    else {
        return Ok(None);
    };
    let Some(column) = target.column(options.column)? else { return Ok(None) };
    Ok(Some(Cap {
        key: index.key,
        parts: index.parts,
        slots: i32::try_from(options.slots).unwrap_or(i32::MAX),
        column: options.column.to_owned(),
        column_type: column.type_name,
        predicate: index.predicate,
        fill: options.fill,
        mode: options.mode,
        guard: inspected.guard.guard().to_owned(),
    }))
}

/// Rows that the cap does not count, and keys that have too many.
pub fn check_rows(target: &Target, inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let Some(cap) = cap_of(target, inspected)? else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    if cap_rows::any_in_slot_zero(target, &cap)? {
        let detail = "Rows stand in slot 0, where they are not counted.".to_owned();
        findings.push(Finding::error("slot_zero", detail).remedy(inspected.call()));
    }
    if !inspected.observes() {
        findings.extend(without_slot(target, &cap, inspected)?);
    }
    for (problem, outcome) in [
        ("rows_beyond_cap", cap_rows::refuse_overfull(target, &cap)),
        ("rows_outside_slots", cap_rows::refuse_outside(target, &cap, 0)),
    ] {
        let Err(report) = outcome else { continue };
        if !report.is(errors::CHECK_VIOLATION) {
            return Err(report);
        }
        let detail = format!("{} {}", report.detail_text(), report.hint_text());
        findings.push(Finding::error(problem, detail));
    }
    Ok(findings)
}

fn without_slot(
    target: &Target,
    cap: &Cap,
    inspected: &Inspected,
) -> Result<Option<Finding>, Report> {
    let count: Option<i64> = target.in_owners_name(|| {
        one(
            &format!(
                "SELECT count(*) FROM {} WHERE {} IS NULL AND ({}) HAVING count(*) > 0",
                target.rows(),
                identifier(&cap.column),
                cap.condition()
            ),
            &[],
        )
    })?;
    Ok(count.map(|count| {
        let detail = format!("Rows that the cap counts and that have no slot: {count}.");
        Finding::error("rows_without_slot", detail).remedy(inspected.call())
    }))
}
