//! What is left of caps whose own trigger is gone.

use crate::cap::definition::standing_check;
use crate::cap::rule::{ATTACHMENT, FULL_FUNCTION, FUNCTION};
use crate::guard::arguments::identifier;
use crate::guard::finding::Finding;
use crate::guard::inspected::add_call;
use crate::guard::numbered_index::indexes;
use crate::guard::trigger::{existing_on, Existing};
use crate::pg::error::Report;
use crate::pg::numbered_index::IndexForm;
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;
use serde_json::{json, Map};

/// What stands of caps whose own trigger is gone, on one table or on all.
pub fn remains(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let mut findings = checks(table)?;
    findings.extend(refusing_triggers(table)?);
    findings.extend(indexes_alone(table)?);
    Ok(findings)
}

/// The trigger that refuses, of a cap that observes: it has no CHECK that would tell.
fn refusing_triggers(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let rows = run_kept(
        "SELECT DISTINCT t.tgrelid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = 'raceguard' AND p.proname = 'cap_full_guard' AND t.tgparentid = 0 \
           AND ($1::oid = 0 OR t.tgrelid = $1) \
           AND NOT EXISTS (SELECT FROM pg_trigger o WHERE o.tgrelid = t.tgrelid AND o.tgname || '_full' = t.tgname) \
         ORDER BY 1",
        &[Param::Oid(table.unwrap_or(Oid::INVALID))],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let table = row.get(0)?;
        let caps = existing_on(table, FUNCTION)?;
        for full in existing_on(table, FULL_FUNCTION)? {
            let own = full.trigger.strip_suffix("_full").unwrap_or(&full.trigger).to_owned();
            let guard = Existing { trigger: own, ..full.clone() };
            let stands = caps.iter().any(|cap| cap.arguments.first() == full.arguments.first());
            if stands || standing_check(table, guard.guard(), 0)?.is_some() {
                continue;
            }
            let detail = format!(
                "Trigger \"{}\" of a cap stands without the one that chooses slots: rows get none, and are not counted. The remedy puts that up again; to do without the cap, call raceguard.drop_guard.",
                full.trigger
            );
            let create = guard.with(&ATTACHMENT, &full.arguments);
            findings.push(
                Finding::error("trigger_missing", detail).remedy(create).at(table, guard.guard()),
            );
        }
    }
    Ok(findings)
}

/// An index of a cap's form where nothing else of a cap stands. It may be the owner's own.
fn indexes_alone(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    // The predicates are read last, of the few indexes that are left.
    let rows = run_kept(
        "WITH alone AS MATERIALIZED ( \
           SELECT i.indrelid, i.indexrelid, i.indpred, a.attname FROM pg_index i \
           JOIN pg_class c ON c.oid = i.indrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.indnkeyatts - 1] \
           WHERE i.indisunique AND i.indpred IS NOT NULL AND i.indnkeyatts > 1 AND ($1::oid = 0 OR i.indrelid = $1) \
             AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) \
             AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = i.indrelid AND k.contype = 'c' \
                             AND k.conname LIKE 'raceguard\\_%\\_slots') \
             AND NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
                             JOIN pg_namespace n ON n.oid = p.pronamespace \
                             WHERE t.tgrelid = i.indrelid AND n.nspname = 'raceguard' \
                               AND p.proname IN ('cap_guard', 'cap_full_guard'))) \
         SELECT indrelid, indexrelid::regclass FROM alone \
         WHERE position(format('(%I > 0)', attname) IN pg_get_expr(indpred, indrelid)) > 0 ORDER BY indrelid, 2",
        &[Param::Oid(table.unwrap_or(Oid::INVALID))],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let index: &str = row.get(1)?;
        let detail = format!(
            "Index {index} has the form of a cap's, and no cap stands: CREATE TABLE ... LIKE and DETACH PARTITION leave that of one that observes. Add the cap again or drop the index; an index of your own may stay."
        );
        findings.push(Finding::info("index_orphaned", detail).at(row.get(0)?, ""));
    }
    Ok(findings)
}

/// A CHECK: CREATE TABLE ... LIKE, DETACH PARTITION, a restore without raceguard.
fn checks(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let rows = run_kept(
        "WITH cap AS MATERIALIZED ( \
           SELECT t.tgrelid, t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
           JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'raceguard' AND p.proname = 'cap_guard') \
         SELECT c.conrelid, c.conrelid::regclass, substring(c.conname from '^raceguard_(.*)_slots$'), \
                substring(pg_get_constraintdef(c.oid) from '\\[0,([0-9]*)\\)'), \
                (SELECT json_agg(a.attname) FROM pg_attribute a \
                 WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)), c.conname \
         FROM pg_constraint c \
         WHERE c.contype = 'c' AND c.conname LIKE 'raceguard\\_%\\_slots' AND ($1::oid = 0 OR c.conrelid = $1) \
           AND c.conrelid <> 0 AND c.coninhcount = 0 AND c.conislocal \
           AND NOT EXISTS (SELECT FROM cap WHERE cap.tgrelid = c.conrelid \
                           AND c.conname = 'raceguard_' || substr(cap.tgname, length('zz_raceguard_') + 1) || '_slots') \
         ORDER BY 2, 3",
        &[Param::Oid(table.unwrap_or(Oid::INVALID))],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        // A CHECK that is just being dropped says nothing any more.
        let Some(guard) = row.get::<Option<&str>>(2)? else { continue };
        let (table, shown): (Oid, &str) = (row.get(0)?, row.get(1)?);
        let columns: Vec<String> = row
            .get::<Option<&str>>(4)?
            .and_then(|list| serde_json::from_str(list).ok())
            .unwrap_or_default();
        let slots = match row.get::<Option<&str>>(3)? {
            Some("") => Some(i64::from(i32::MAX)),
            Some(end) => end.parse::<i64>().ok().map(|end| end - 1),
            None => None,
        };
        let found = left_over(table, shown, guard, row.get(5)?, slots, &columns)?;
        findings.push(found.at(table, guard));
    }
    Ok(findings)
}

fn left_over(
    oid: Oid,
    shown: &str,
    guard: &str,
    check: &str,
    slots: Option<i64>,
    columns: &[String],
) -> Result<Finding, Report> {
    let mut index = None;
    for column in columns {
        if let Some(found) = indexes(oid, column, IndexForm::Slots)?.into_iter().next() {
            index = Some((column, found));
            break;
        }
    }
    let detail = |rest: &str| {
        format!("CHECK \"{check}\" of a cap stands without the cap's trigger: rows get no slot, and the CHECK refuses them. {rest}")
    };
    let (Some((column, index)), Some(slots)) = (index, slots) else {
        let text = detail("No index of the cap is left that would tell its key.");
        return Ok(Finding::error("check_orphaned", text)
            .remedy(format!("ALTER TABLE {shown} DROP CONSTRAINT {}", identifier(check))));
    };
    let mut options = Map::new();
    options.insert("slot_column".to_owned(), json!(column));
    options.insert("slots".to_owned(), json!(slots));
    options.insert("key".to_owned(), json!(index.key));
    options.extend(index.predicate.map(|predicate| ("predicate".to_owned(), json!(predicate))));
    let call = add_call(&crate::cap::KIND, shown, guard, &options);
    let text = detail(&format!(
        "Index {} tells its key: the call puts the cap up again. To do without it, drop the CHECK.",
        index.qualified
    ));
    Ok(Finding::error("check_orphaned", text).remedy(call))
}
