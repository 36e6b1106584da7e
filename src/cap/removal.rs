//! Taking a cap off a table, or what is left of one.

use crate::cap::definition::{check_name, drop_check};
use crate::cap::rule::{FULL_FUNCTION, FUNCTION};
use crate::cap::standing::refuse_inherited_check;
use crate::guard::numbered_index::indexes;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, PREFIX};
use crate::pg::error::Report;
use crate::pg::numbered_index::IndexForm;
use crate::pg::spi::{run, Param};

/// Whether something stands of a cap whose own trigger somebody dropped: the trigger that refuses, or
/// the CHECK.
pub fn has_remains(target: &Target, guard: &str) -> Result<bool, Report> {
    let full = trigger::trigger_name(guard, "_full")?;
    Ok(trigger::exists(target, &full)? || has_check(target, guard)?)
}

fn has_check(target: &Target, guard: &str) -> Result<bool, Report> {
    let rows = run(
        "SELECT FROM pg_constraint \
         WHERE conrelid = $1 AND contype = 'c' AND conname = $2::name AND conislocal",
        &[Param::Oid(target.oid), Param::Text(&check_name(guard))],
    )?;
    Ok(!rows.is_empty())
}

/// The slot column, as either of the cap's triggers names it.
fn slot_column(target: &Target, guard: &str) -> Result<Option<String>, Report> {
    for (function, suffix) in [(FUNCTION, ""), (FULL_FUNCTION, "_full")] {
        let name = trigger::trigger_name(guard, suffix)?;
        let found = trigger::existing(target, function)?.into_iter().find(|t| t.trigger == name);
        if let Some(standing) = found {
            return Ok(standing.arguments.into_iter().next());
        }
    }
    Ok(None)
}

/// Takes a cap off a table, given its trigger.
pub fn remove_guard(target: &Target, guard: &Existing, drop_column: bool) -> Result<(), Report> {
    remove(target, guard.guard(), drop_column)
}

/// Takes off what is left of a cap whose own trigger somebody dropped; false if nothing is.
pub fn remove_remains(target: &Target, guard: &str, drop_column: bool) -> Result<bool, Report> {
    if !has_remains(target, guard)? {
        return Ok(false);
    }
    remove(target, guard, drop_column)?;
    Ok(true)
}

/// Takes a cap's triggers and CHECK away.
pub fn remove_rule(target: &Target, guard: &str) -> Result<(), Report> {
    for suffix in ["", "_full"] {
        let name = trigger::trigger_name(guard, suffix)?;
        if trigger::exists(target, &name)? {
            trigger::drop(target, &name)?;
        }
    }
    if has_check(target, guard)? {
        refuse_inherited_check(target, guard)?;
        target.run(&drop_check(target, guard))?;
    }
    Ok(())
}

/// Takes a cap's objects away; the column and its numbers stay unless `drop_column`.
pub fn remove(target: &Target, guard: &str, drop_column: bool) -> Result<(), Report> {
    let column = slot_column(target, guard)?;
    remove_rule(target, guard)?;
    let ended = column
        .as_deref()
        .map(|column| indexes(target.oid, column, IndexForm::Slots))
        .transpose()?;
    for index in ended.unwrap_or_default() {
        target.run(&format!("DROP INDEX {}", index.qualified))?;
    }
    if let (true, Some(column)) = (drop_column, column) {
        target.drop_column(&column)?;
    }
    Ok(())
}

/// The cap that leaves a trigger which refuses slot 0.
pub fn owner_of<'a>(trigger: &'a str, function: &str) -> Option<&'a str> {
    let is_companion = function == FULL_FUNCTION;
    trigger.strip_prefix(PREFIX)?.strip_suffix("_full").filter(|_| is_companion)
}
