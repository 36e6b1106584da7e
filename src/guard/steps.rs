//! What an `add_*` does, as steps for a table that is in use: each with the lock that it takes, so that no
//! writer waits for longer than a moment.

use crate::guard::index::failed_index;
use crate::guard::target::Target;
use crate::guard::trigger::{put_up, Put};
use crate::guard::wanted::Plan;
use crate::pg::call::{Call, Value};
use crate::pg::convert::text_datum;
use crate::pg::error::Report;
use crate::pg::memory;
use crate::pg::result_set::return_rows;
use pgrx::pg_sys::Datum;

/// One step.
pub struct Step {
    pub ddl: String,
    /// The strongest table lock that it takes.
    pub lock: &'static str,
    /// Whether Postgres refuses it inside a transaction block.
    pub alone: bool,
}

impl Step {
    pub fn new(lock: &'static str, ddl: String) -> Step {
        Step { ddl, lock, alone: false }
    }

    /// A step that Postgres refuses inside a transaction block.
    pub fn alone(lock: &'static str, ddl: String) -> Step {
        Step { ddl, lock, alone: true }
    }
}

/// Returns steps as the rows of a function declared `RETURNS TABLE (step int, ddl text, lock_mode text,
/// own_transaction boolean)`.
pub fn return_steps(call: Call, steps: &[Step]) -> Result<Value, Report> {
    let mut rows = Vec::new();
    memory::reserve(&mut rows, steps.len())?;
    for (i, step) in steps.iter().enumerate() {
        rows.push([
            Datum::from(i as i32 + 1),
            text_datum(&step.ddl)?,
            text_datum(step.lock)?,
            Datum::from(step.alone),
        ]);
    }
    return_rows(call, &rows)
}

/// The steps that make a guard's own trigger stand, as `add_*` does.
pub fn of_trigger(
    plan: &Plan,
    target: &Target,
    name: &str,
    create: impl Fn(Put) -> String,
) -> Result<Vec<Step>, Report> {
    let statements = match plan {
        Plan::Keep(_) => Vec::new(),
        Plan::Create => put_up(target, None, name, create)?,
        Plan::Enable(standing) => standing.off.clone(),
        Plan::Mend(standing, _) | Plan::Replace(standing) => {
            put_up(target, Some(standing), name, create)?
        }
    };
    Ok(of_triggers(statements))
}

/// Steps that create, enable or drop triggers.
pub fn of_triggers(statements: Vec<String>) -> Vec<Step> {
    let step = |ddl: String| {
        // One that gives way to another under a new name, or cannot be replaced where it stands.
        let lock = match ddl.starts_with("DROP ") {
            true => "ACCESS EXCLUSIVE",
            false => "SHARE ROW EXCLUSIVE",
        };
        Step::new(lock, ddl)
    };
    statements.into_iter().map(step).collect()
}

/// The steps that build an index while others write. An index of that name that an earlier try has left behind,
/// not valid, goes first. `create` writes the statement, given the table, the index's name and what stands
/// between CREATE INDEX and the name.
pub fn of_index(
    target: &Target,
    suffix: &str,
    stands: impl Fn(&Target) -> Result<bool, Report>,
    create: impl Fn(&Target, &str) -> String,
) -> Result<Vec<Step>, Report> {
    let mut steps = Vec::new();
    // CONCURRENTLY works on leaves only; the index of the root then takes theirs over.
    for table in target.leaves()? {
        if stands(&table)? {
            continue;
        }
        let concurrently = |ddl| Step::alone("SHARE UPDATE EXCLUSIVE", ddl);
        if let Some(index) = failed_index(&table, suffix)? {
            steps.push(concurrently(format!("DROP INDEX CONCURRENTLY {index}")));
        }
        steps.push(concurrently(create(&table, "CONCURRENTLY ")));
    }
    if target.partitioned {
        steps.push(Step::new("SHARE", create(target, "")));
    }
    Ok(steps)
}
