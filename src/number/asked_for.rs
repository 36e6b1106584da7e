//! The numbers that the arguments of `add_number` and `plan_number` describe.

use crate::errors;
use crate::guard::arguments::{identifier, required};
use crate::guard::key::canonical_key;
use crate::guard::spread;
use crate::guard::target::Target;
use crate::number::counter_definition::{
    choose, counter_type, numbered_keys, Counter, NumberedKey,
};
use crate::number::definition::{column_type, NumberGuard};
use crate::pg::call::Call;
use crate::pg::error::Report;
use crate::pg::spi::pinned_search_path;

/// The table, the numbers, and `replace`.
pub fn asked_for(call: Call) -> Result<(Target, NumberGuard, bool), Report> {
    let target = pinned_search_path(|| Target::owned(call, 0))?;
    let column = required(call.name(2)?, "number_column")?;
    let start = i64::from(required(call.int(3), "start")?);
    let guard = required(call.name(6)?, "guard")?;
    let replace = required(call.bool(7), "replace")?;
    let (AskedKey { key, parts, .. }, counter) = match (call.name(4)?, call.name(5)?) {
        (None, Some(_)) => return Err(no_counter_named(&target)),
        (None, None) => {
            // One key for all rows: they are numbered through.
            let key = call.text(1)?.unwrap_or_else(|| "(1)".to_owned());
            (asked_key(&target, &key, &[])?, None)
        }
        (Some(counter), foreign_key) => {
            let (key, counter) = counted_by(&target, call.text(1)?, counter, foreign_key)?;
            (key, Some(counter))
        }
    };
    let column_type = pinned_search_path(|| column_type(&target, &column, start))?;
    let numbers = NumberGuard { key, parts, column, column_type, start, counter, guard };
    numbers.trigger_name()?;
    pinned_search_path(|| check_counter(&target, &numbers))?;
    Ok((target, numbers, replace))
}

/// What a counter has to be, and what its triggers will be called.
fn check_counter(target: &Target, numbers: &NumberGuard) -> Result<(), Report> {
    let Some(counter) = &numbers.counter else { return Ok(()) };
    if counter.parent.oid == target.oid && counter.column == numbers.column {
        return Err(counts_itself(target, &counter.column));
    }
    if counter.column.is_empty() {
        return Err(no_counter_named(target));
    }
    counter_type(&counter.parent, &counter.column, &numbers.column_type)?;
    counter.refuse_others(target, &numbers.guard)?;
    // Names that do not fit are refused before anything is done.
    numbers.counter_triggers(target).map(drop)
}

/// A key in canonical form, how many columns it has, and the foreign keys whose columns it is.
struct AskedKey {
    key: String,
    parts: usize,
    of: Vec<String>,
}

fn asked_key(target: &Target, key: &str, keys: &[NumberedKey]) -> Result<AskedKey, Report> {
    let (mut parts, mut of) = (0, Vec::new());
    let key = canonical_key(target, key, |table, key| {
        parts = key.parts.len();
        for foreign_key in keys {
            let columns = &foreign_key.columns;
            if columns.len() == parts && columns.iter().all(|name| key.has_column(table, name)) {
                of.push(foreign_key.name.clone());
            }
        }
        spread::check_key(table, None, spread::NUMBER, key).map(drop)
    })?;
    Ok(AskedKey { key, parts, of })
}

/// The key of numbers with a counter, which is a foreign key's columns, and the counter.
fn counted_by(
    target: &Target,
    key: Option<String>,
    column: String,
    foreign_key: Option<String>,
) -> Result<(AskedKey, Counter), Report> {
    let keys = pinned_search_path(|| numbered_keys(target))?;
    let given = key.map(|key| asked_key(target, &key, &keys)).transpose()?;
    let asked = given.as_ref().map(|given| (given.key.as_str(), given.of.as_slice()));
    let chosen = choose(target, &keys, foreign_key.as_deref(), asked)?;
    let parent = pinned_search_path(|| {
        let parent = Target::of(chosen.parent)?;
        parent.require_owner()?;
        Ok(parent)
    })?;
    spread::refuse_parent(target.oid, spread::NUMBER, parent.oid)?;
    refuse_partition(&parent)?;
    let key = match given {
        Some(given) => given,
        None => {
            let columns: Vec<String> = chosen.columns.iter().map(|c| identifier(c)).collect();
            asked_key(target, &columns.join(", "), &keys)?
        }
    };
    Ok((key, Counter { parent, column, foreign_key: chosen.name.clone() }))
}

/// 0A000: a partition's column belongs to the partitioned table.
fn refuse_partition(parent: &Target) -> Result<(), Report> {
    if !parent.is_partition {
        return Ok(());
    }
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("parent \"{}\" is a partition", parent.name),
    )
    .detail(format_args!("Its column belongs to the partitioned table."))
    .hint(format_args!("Give the table a foreign key to the partitioned table."))
    .table(parent.oid))
}

/// 22023: a foreign key leads to a counter, which has no name.
fn no_counter_named(target: &Target) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!(
            "argument \"foreign_key\" is for numbers with a counter, which has to have a name"
        ),
    )
    .detail(format_args!("It leads to the row whose column keeps the number given last."))
    .hint(format_args!("Name that column with counter => '...', or leave the foreign key out."))
    .table(target.oid)
}

/// 22023: one column cannot be the number and the counter.
fn counts_itself(target: &Target, column: &str) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("column \"{column}\" cannot be number and counter"),
    )
    .detail(format_args!(
        "Table \"{}\" refers to itself: the counter of a row's key stands beside the row's own number.",
        target.name
    ))
    .hint(format_args!("Name another column with counter => '...'."))
    .table(target.oid)
    .column(column)
}
