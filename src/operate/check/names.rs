//! Triggers that have a guard's name and are none.

use crate::guard::finding::Finding;
use crate::guard::trigger::PREFIX;
use crate::pg::error::Report;
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;

/// Triggers under the names that guards have, with functions of somebody else: CREATE OR REPLACE TRIGGER puts them in a
/// guard's place, and leaves nothing that would tell of the guard.
pub fn taken(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let rows = run_kept(
        "SELECT t.tgrelid, t.tgname, p.oid::regprocedure FROM pg_trigger t \
         JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND n.nspname <> 'raceguard' \
           AND (starts_with(t.tgname::text, $2) OR starts_with(t.tgname::text, '!raceguard_')) \
           AND ($1::oid = 0 OR t.tgrelid = $1) ORDER BY 1, 2",
        &[Param::Oid(table.unwrap_or(Oid::INVALID)), Param::Text(PREFIX)],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let (name, executes): (&str, &str) = (row.get(1)?, row.get(2)?);
        let guard = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix("!raceguard_"));
        let detail = format!(
            "Trigger \"{name}\" has a guard's name and executes {executes}, which is none of raceguard's: a guard that it has taken the place of does its work no more. Rename or drop it, and add the guard again."
        );
        let finding = Finding::warning("name_taken", detail);
        findings.push(finding.at(row.get(0)?, guard.unwrap_or(name)));
    }
    Ok(findings)
}
