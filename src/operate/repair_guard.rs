//! `repair_guard`: runs the remedies that `check_guards` names for a guard.

use crate::guard::arguments::required;
use crate::guard::finding::{Finding, Severity};
use crate::guard::target::Target;
use crate::operate::check::{catalogs, standing};
use crate::operate::find_guard::no_such_guard;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::convert::text_datum;
use crate::pg::error::{tell, Level, Report};
use crate::pg::result_set::return_set;
use crate::pg::spi::{connected, pinned_search_path, run};

function_entry!(raceguard_repair_guard, crate::operate::repair_guard::repair_guard);

/// The most remedies of one call: each look at the guard takes longer the more is wrong with it.
const MOST: usize = 50;

/// `raceguard.repair_guard(target, guard)`: runs the remedies of `check_guards`'s errors and warnings for one guard, and
/// returns the statements that it ran. Where it observes is left as it is.
///
/// Raises 42704 without such a guard, 42501 unless the caller owns the table, 22004, 40001 at REPEATABLE READ
/// and above where the table has changed since the snapshot, and what the statements raise.
fn repair_guard(call: Call) -> Result<Value, Report> {
    let ran = connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let guard = required(call.name(1)?, "guard")?;
            target.refuse_old_view()?;
            let guard = known(&target, guard)?;
            let mut ran: Vec<String> = Vec::new();
            // One statement may mend several things, so each look finds what is left.
            while let Some(next) = next_remedy(catalogs(Some(target.oid))?, &guard, &ran) {
                if ran.len() == MOST {
                    tell_of_rest(&target, &guard);
                    break;
                }
                carry_out(&target, &next)?;
                ran.push(next);
            }
            Ok(ran)
        })
    })?;
    let statements: Vec<_> = ran.iter().map(|sql| text_datum(sql)).collect::<Result<_, _>>()?;
    return_set(call, &statements)
}

fn tell_of_rest(target: &Target, guard: &str) {
    tell(
        Level::Warning,
        format_args!(
            "guard \"{guard}\" of table \"{}\" needs more than the {MOST} statements that one call runs",
            target.name
        ),
        Some(format_args!("Call raceguard.repair_guard again to go on.")),
    );
}

/// How the remedies begin that switch to the table's owner by themselves for as long as they run his code: raceguard's
/// calls and Postgres's commands on indexes. They look for the caller's rights on a schema and on a parent.
const SWITCHING: [&str; 3] = ["SELECT raceguard.", "CREATE INDEX ", "REINDEX INDEX "];

/// Casts, CHECKs and keys are the owner's code: they run with his rights, not the caller's.
fn carry_out(target: &Target, remedy: &str) -> Result<(), Report> {
    if SWITCHING.iter().any(|beginning| remedy.starts_with(beginning)) {
        return run(remedy, &[]).map(drop);
    }
    match remedy.starts_with("CREATE OR REPLACE TRIGGER ") {
        true => target.run(remedy),
        false => target.alter_as_owner(remedy),
    }
}

/// The guard's name; its trigger's will do.
fn known(target: &Target, guard: String) -> Result<String, Report> {
    for standing in standing(Some(target.oid))? {
        if standing.guard.guard() == guard || standing.guard.trigger == guard {
            return Ok(standing.guard.guard().to_owned());
        }
    }
    let left = catalogs(Some(target.oid))?;
    match left.iter().any(|finding| finding.guard.as_ref() == Some(&guard)) {
        true => Ok(guard),
        false => Err(no_such_guard(target, &guard)?),
    }
}

fn next_remedy(findings: Vec<Finding>, guard: &str, ran: &[String]) -> Option<String> {
    let of_guard = findings.into_iter().filter(|finding| {
        finding.severity != Severity::Info && finding.guard.as_deref() == Some(guard)
    });
    of_guard.filter_map(|finding| finding.remedy).find(|remedy| !ran.contains(remedy))
}
