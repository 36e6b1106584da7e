//! What can be wrong with a key lock beyond its trigger.

use crate::guard::arguments::identifier;
use crate::guard::finding::Finding;
use crate::guard::inspected::add_call;
use crate::guard::key::unreadable;
use crate::guard::kind::{options, Inspected};
use crate::guard::trigger;
use crate::key_lock::install::fits;
use crate::key_lock::rule::{parse, FIRST_ATTACHMENT, FIRST_FUNCTION, FUNCTION};
use crate::pg::error::Report;
use pgrx::pg_sys::Oid;

/// The key, and the trigger that locks first.
pub fn check(inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let key = match parse(guard.arguments.iter().map(String::as_str)) {
        Ok(options) => options.key,
        Err(bad) => {
            return Ok(vec![Finding::error(
                "arguments_invalid",
                format!("\"{bad}\" is no key or option of a key lock, so every row is refused. Put the triggers up anew with raceguard.drop_guard and raceguard.add_key_lock."),
            )])
        }
    };
    let mut findings = Vec::new();
    if let Some(cause) = unreadable(guard.table, key)? {
        findings.push(Finding::error(
            "key_unreadable",
            format!("The key ({key}) cannot be read any more: {cause}. Every row is refused. Call raceguard.add_key_lock with the key as it reads now and replace => true."),
        ));
        return Ok(findings);
    }
    let first: Vec<_> = inspected.triggers_of(FIRST_FUNCTION).collect();
    match first.iter().find(|first| fits(first, &guard.arguments)) {
        Some(first) => findings.extend(inspected.companion_states(first)),
        None => {
            let (problem, what) = match first.is_empty() {
                true => ("companion_missing", "is there"),
                false => ("companion_attached_otherwise", "locks the guard's key that way"),
            };
            let detail = format!(
                "No trigger that executes raceguard.{FIRST_FUNCTION} {FIRST_ATTACHMENT} {what}: the table's own triggers read before the key is locked."
            );
            findings.push(Finding::error(problem, detail).remedy(inspected.call()));
        }
    }
    Ok(findings)
}

/// The trigger that locks first, without the guard that locks what the row has come to.
pub fn remains(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let mut findings = Vec::new();
    for first in trigger::without(table, FIRST_FUNCTION, FUNCTION)? {
        let options = options(&crate::key_lock::KIND, &first.arguments);
        let detail = format!(
            "Trigger \"{}\" of a key lock stands without the guard's own: a key that other triggers give the row is not locked. The call puts the guard up again; to do without it: DROP TRIGGER {} ON {}.",
            first.trigger,
            identifier(&first.trigger),
            first.qualified
        );
        let call = add_call(&crate::key_lock::KIND, &first.qualified, "key_lock", &options);
        let finding = Finding::error("trigger_missing", detail).remedy(call);
        findings.push(finding.at(first.table, "key_lock"));
    }
    Ok(findings)
}
