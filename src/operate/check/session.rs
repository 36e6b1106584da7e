//! What only this session knows.

use crate::guard::arguments::literal;
use crate::guard::bypass;
use crate::guard::finding::Finding;
use crate::pg::error::Report;
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;

/// Bypasses that this transaction has open, of one table or all.
pub fn open_bypasses(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let mut findings = Vec::new();
    for (place, guard) in bypass::opened()? {
        if table.is_some_and(|table| table != place) {
            continue;
        }
        let rows = run_kept("SELECT $1::regclass::text", &[Param::Oid(place)])?;
        let shown: String = rows.first().map_or(Ok(String::new()), |row| row.get(0))?;
        let detail = "This transaction passes the guard until it ends.".to_owned();
        let end = format!("SELECT raceguard.end_bypass({})", literal(&shown));
        findings.push(Finding::info("bypass_open", detail).remedy(end).at(place, &guard));
    }
    Ok(findings)
}
