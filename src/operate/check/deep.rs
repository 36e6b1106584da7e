//! The rows that stand: read with the caller's rights. Where the owner's code has to run (a key, a predicate) it
//! runs in the owner's name if the caller has his rights.

use crate::errors;
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::guard::target::Target;
use crate::operate::check::standing;
use crate::pg::error::Report;
use crate::pg::spi::{in_subtransaction, one, without_row_security, Param};
use pgrx::pg_sys::Oid;

pub fn findings(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let mut findings = Vec::new();
    for guard in standing(table)? {
        let target = Target::of(guard.guard.table)?;
        let looked = in_subtransaction(|| {
            without_row_security(|| (guard.kind.check_rows)(&target, &guard))
        })?;
        let found = match looked {
            Ok(found) => found,
            Err(report) if report.is(errors::INSUFFICIENT_PRIVILEGE) => {
                vec![unreadable(&target, &report)?]
            }
            // A guard whose parts are missing has been told of; its rows cannot be judged.
            Err(report) if report.is_in_class(b"42") || report.is_in_class(b"22") => {
                vec![not_looked(&report)]
            }
            Err(report) => return Err(report),
        };
        findings.extend(found.into_iter().map(|f| located(f, &guard)));
    }
    Ok(findings)
}

fn located(finding: Finding, guard: &Inspected) -> Finding {
    finding.at(guard.guard.table, guard.guard.guard())
}

fn unreadable(target: &Target, report: &Report) -> Result<Finding, Report> {
    let grant = one(
        "SELECT format('GRANT SELECT ON %s TO %s', c.oid::regclass, current_user::regrole) FROM pg_class c \
         WHERE c.oid = $1 AND NOT has_table_privilege(c.oid, 'SELECT')",
        &[Param::Oid(target.oid)],
    )?;
    let detail = format!("Its rows were not looked at: {}.", report.message_text());
    Ok(Finding::warning("rows_unreadable", detail).remedy(grant))
}

fn not_looked(report: &Report) -> Finding {
    let detail = format!("Its rows could not be looked at: {}.", report.message_text());
    Finding::warning("rows_unreadable", detail)
}
