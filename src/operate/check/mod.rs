//! `check_guards`: what lets a write pass unguarded, or makes it fail, and what mends it.
//!
//! Each kind of guard says what can be wrong with it (`Kind::check`, `Kind::check_rows`, `Kind::remains`); what
//! concerns guards of every kind, or none, stands here, a file to a family.

mod deep;
mod names;
mod order;
mod server;
mod session;
mod shards;
pub mod tables;

use crate::guard::arguments::required;
use crate::guard::finding::{Finding, Severity};
use crate::guard::kind::Inspected;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::operate::pieces;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::{input, text_datum};
use crate::pg::error::Report;
use crate::pg::result_set::return_nullable_rows;
use crate::pg::spi::{connected, one, pinned_search_path, Param};
use crate::registry::{kind_of, KINDS};
use pgrx::pg_sys::{Datum, Oid, NAMEOID};
use std::collections::BTreeMap;
use std::rc::Rc;

function_entry!(raceguard_check_guards, crate::operate::check::check_guards);

/// `raceguard.check_guards(target, deep)`: what is wrong with the guards of a table, or of all of them, as
/// `severity` (`error`: a write can pass unguarded, or must fail; `warning`: it soon may; `info`), `problem` (a name
/// that stays the same), `target`, `guard`, `detail`, and `remedy`, a statement that can be run and loses no data.
/// Reads catalogs; with `deep` also the tables, with the caller's rights. Errors first.
///
/// Raises 42P01 and 0A000 for what is no table, 22004.
fn check_guards(call: Call) -> Result<Value, Report> {
    let deep = required(call.bool(1), "deep")?;
    let findings = connected(|| {
        pinned_search_path(|| {
            let table = call.oid(0).map(root_of).transpose()?;
            let mut findings = catalogs(table)?;
            if deep {
                findings.extend(deep::findings(table)?);
            }
            Ok(findings)
        })
    })?;
    let mut rows = Vec::with_capacity(findings.len());
    for finding in &sorted(findings) {
        rows.push([
            Some(text_datum(finding.severity.name())?),
            Some(text_datum(finding.problem)?),
            finding.table.map(Datum::from),
            finding.guard.as_deref().map(|name| input(name, NAMEOID, -1)).transpose()?,
            Some(text_datum(&finding.detail)?),
            finding.remedy.as_deref().map(text_datum).transpose()?,
        ]);
    }
    return_nullable_rows(call, &rows)
}

/// The guards of a partition stand on its root, those of a shard or chunk on the table that clients name.
pub fn root_of(table: Oid) -> Result<Oid, Report> {
    let target = Target::of(table)?;
    if !target.is_partition {
        return pieces::of(table);
    }
    let root = one("SELECT pg_partition_root($1)::oid", &[Param::Oid(table)])?;
    pieces::of(root.unwrap_or(table))
}

/// The guards of one table, or of all but shards and chunks: their guards are those of the table that clients name.
pub fn standing(table: Option<Oid>) -> Result<Vec<Inspected>, Report> {
    let mut by_table: BTreeMap<u32, Vec<Existing>> = BTreeMap::new();
    for trigger in trigger::all(table)? {
        by_table.entry(trigger.table.to_u32()).or_default().push(trigger);
    }
    let mut guards = Vec::new();
    for (place, triggers) in by_table {
        if table.is_none() && pieces::of(Oid::from(place))? != Oid::from(place) {
            continue;
        }
        let triggers = Rc::new(triggers);
        for guard in triggers.iter() {
            if let Some(kind) = kind_of(&guard.function) {
                guards.push(Inspected::among(kind, guard.clone(), triggers.clone())?);
            }
        }
    }
    Ok(guards)
}

/// What the catalogs say.
pub fn catalogs(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let guards = standing(table)?;
    let mut findings = Vec::new();
    for guard in &guards {
        findings.extend(guard.findings()?);
    }
    findings.extend(tables::unguarded_children(&guards)?);
    findings.extend(tables::referenced(&guards)?);
    findings.extend(shards::findings(&guards)?);
    findings.extend(order::later_writers(&guards)?);
    findings.extend(names::taken(table)?);
    for kind in KINDS {
        for left in (kind.remains)(table)? {
            // A shard's parts have other names than its table's, and none of them is without its guard for that.
            let place = left.table.map(pieces::of).transpose()?;
            if place == left.table {
                findings.push(left);
            }
        }
    }
    if table.is_none() {
        findings.extend(server::findings(&guards)?);
    }
    findings.extend(session::open_bypasses(table)?);
    Ok(findings)
}

/// Errors first, then by table.
fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    let rank = |severity| match severity {
        Severity::Error => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    };
    findings.sort_by_key(|finding| (rank(finding.severity), finding.table.map(Oid::to_u32)));
    findings
}
