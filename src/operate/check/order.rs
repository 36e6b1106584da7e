//! BEFORE triggers that fire after a guard and may write what it has judged.

use crate::guard::arguments::{identifier, LONGEST_NAME};
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::pg::error::Report;
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use crate::pg::trigger::Timing;
use serde_json::json;

/// The triggers after those that `$1` lists, on their tables or on a partition, which seem to write a judged column.
const LATER: &str =
    "WITH RECURSIVE judged AS MATERIALIZED ( \
       SELECT * FROM jsonb_to_recordset($1::jsonb) AS g(n int, place oid, name name, events int, judges text)), \
     place(n, at) AS ( \
       SELECT n, place FROM judged UNION \
       SELECT p.n, i.inhrelid FROM place p JOIN pg_inherits i ON i.inhparent = p.at \
              JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition), \
     later AS MATERIALIZED ( \
       SELECT g.n, g.judges, t.oid, t.tgname, t.tgrelid, t.tgargs, p.prosrc \
       FROM judged g JOIN place USING (n) \
            JOIN pg_trigger t ON t.tgrelid = place.at AND t.tgparentid = 0 \
            JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace s ON s.oid = p.pronamespace \
       WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgname > g.name AND s.nspname <> 'raceguard' \
         AND t.tgtype & 3 = 3 AND t.tgtype & g.events <> 0), \
     written AS ( \
       SELECT l.*, a.attname, regexp_replace(a.attname, '(\\W)', '\\\\\\1', 'g') AS pattern \
       FROM later l JOIN pg_attribute a ON a.attrelid = l.tgrelid AND a.attnum > 0 AND NOT a.attisdropped) \
     SELECT n, tgname, string_agg(attname, ', ' ORDER BY attname), \
            NOT EXISTS (SELECT FROM pg_trigger o WHERE o.tgrelid = w.tgrelid AND o.tgname = 'a_' || w.tgname), \
            tgrelid::regclass \
     FROM written w \
     WHERE judges ~ ('(^|\\W)' || pattern || '(\\W|$)') \
       AND (prosrc ~* ('new\\s*\\.\\s*\"?' || pattern || '\"?\\s*:?=') \
            OR encode(tgargs, 'escape') ~ ('(^|\\W|\\\\000)' || pattern || '(\\W|$)')) \
     GROUP BY n, tgname, tgrelid ORDER BY n, tgname, 5";

/// Postgres fires triggers in name order. Whether a function writes a column nobody can know; one that assigns
/// to `NEW.column` in its text, or is given the column's name, most likely does.
pub fn later_writers(guards: &[Inspected]) -> Result<Vec<Finding>, Report> {
    let judged =
        guards.iter().enumerate().filter(|(_, g)| g.kind.attachment.timing == Timing::Before);
    let list: Vec<serde_json::Value> = judged
        .map(|(n, guard)| {
            let texts = ["key", "predicate"].map(|name| guard.option(name).unwrap_or_default());
            let first = guard.guard.arguments.first().map_or("", String::as_str);
            json!({
                "n": n,
                "place": guard.guard.table.to_u32(),
                "name": guard.guard.trigger,
                "events": guard.kind.attachment.events.bits(),
                "judges": format!("{first} {} {}", texts[0], texts[1]),
            })
        })
        .collect();
    let rows = run_kept(LATER, &[Param::Text(&json!(list).to_string())])?;
    let mut findings = Vec::new();
    for row in &rows {
        let Some(guard) = guards.get(row.get::<usize>(0)?) else { continue };
        let (name, columns, free): (&str, &str, bool) = (row.get(1)?, row.get(2)?, row.get(3)?);
        // Of the guard's table, or of one of its partitions alone.
        let table: &str = row.get(4)?;
        let of = match table == guard.guard.qualified {
            true => String::new(),
            false => format!(" of partition {table}"),
        };
        let earlier = format!("a_{name}");
        let fits = free && earlier.len() <= LONGEST_NAME;
        let rename = fits.then(|| {
            format!(
                "ALTER TRIGGER {} ON {table} RENAME TO {}",
                identifier(name),
                identifier(&earlier)
            )
        });
        let detail = format!(
            "Trigger \"{name}\"{of} fires after the guard, in name order, and may change what it has judged: {columns}. Give it a name that sorts before \"{}\".",
            guard.guard.trigger
        );
        let finding = Finding::warning("later_trigger", detail).remedy(rename);
        findings.push(finding.at(guard.guard.table, guard.guard.guard()));
    }
    Ok(findings)
}
