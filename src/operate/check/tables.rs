//! Tables beside a guarded one: those that inherit from it, and those that refer to it.

use crate::guard::attachment::Events;
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::pg::error::Report;
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use crate::pg::trigger::Timing;
use serde_json::json;

/// Tables that inherit from a guarded one, without a guard of the same kind: Postgres inherits no triggers.
pub fn unguarded_children(guards: &[Inspected]) -> Result<Vec<Finding>, Report> {
    let list: Vec<serde_json::Value> = guards
        .iter()
        .enumerate()
        .map(
            |(n, g)| json!({"n": n, "place": g.guard.table.to_u32(), "function": g.guard.function}),
        )
        .collect();
    let rows = run_kept(
        "WITH RECURSIVE kin(root, child) AS ( \
           SELECT i.inhparent, i.inhrelid FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent \
           WHERE p.relkind = 'r' \
           UNION SELECT k.root, i.inhrelid FROM kin k JOIN pg_inherits i ON i.inhparent = k.child) \
         SELECT g.n, k.child::regclass::text \
         FROM jsonb_to_recordset($1::jsonb) AS g(n int, place oid, function name) JOIN kin k ON k.root = g.place \
         WHERE NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
                           JOIN pg_namespace s ON s.oid = p.pronamespace \
                           WHERE t.tgrelid = k.child AND s.nspname = 'raceguard' AND p.proname = g.function) \
         ORDER BY 1, 2",
        &[Param::Text(&json!(list).to_string())],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let Some(guard) = guards.get(row.get::<usize>(0)?) else { continue };
        let child: &str = row.get(1)?;
        // The call names a foreign key, which no table inherits.
        let call = (!guard.kind.takes.is_empty()).then(|| guard.call_on(child));
        let detail = format!(
            "Table {child} inherits from the guarded one, but no trigger of its guard: its rows are not guarded. Guard it too, or end the inheritance."
        );
        let finding = Finding::error("child_unguarded", detail).remedy(call);
        findings.push(finding.at(guard.guard.table, guard.guard.guard()));
    }
    Ok(findings)
}

/// Guarded tables that foreign keys refer to: an UPDATE whose SET list names a column of a unique index, changed
/// or not, locks the row as if its key changed where a BEFORE UPDATE trigger stands.
pub fn referenced(guards: &[Inspected]) -> Result<Vec<Finding>, Report> {
    let before_update = |guard: &&Inspected| {
        let attachment = guard.kind.attachment;
        attachment.timing == Timing::Before && attachment.events.bits() & Events::UPDATE.bits() != 0
    };
    let tables: Vec<u32> =
        guards.iter().filter(before_update).map(|guard| guard.guard.table.to_u32()).collect();
    let rows = run_kept(
        "SELECT c.confrelid, string_agg(DISTINCT c.conrelid::regclass::text, ', ' ORDER BY c.conrelid::regclass::text) \
         FROM pg_constraint c \
         WHERE c.contype = 'f' AND c.conparentid = 0 \
           AND c.confrelid IN (SELECT value::oid FROM jsonb_array_elements_text($1::jsonb)) \
         GROUP BY 1 ORDER BY 1",
        &[Param::Text(&json!(tables).to_string())],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let from: &str = row.get(1)?;
        let detail = format!(
            "Rows are referred to from {from}. Where an UPDATE's SET list names a column of a unique index, though unchanged, Postgres locks the row FOR UPDATE, and inserts of rows that refer to it wait: leave such columns out of the SET list."
        );
        findings.push(Finding::info("referenced_by_foreign_keys", detail).at(row.get(0)?, ""));
    }
    Ok(findings)
}
