//! `set_cap`: another number of slots for a cap that stands.

use super::arguments::{positive, required};
use super::cap::{slot_column_type, standing};
use super::cap_definition::{slot_indexes, Cap};
use super::cap_rows;
use super::target::Target;
use crate::errors;
use crate::guards::cap::{parse, Fill};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run, without_row_security};

function_entry!(raceguard_set_cap, crate::install::set_cap::set_cap);

/// `raceguard.set_cap(target, slots, guard)`: allows another number of rows per key. Returns the
/// trigger's name. Case D3.
///
/// Raises 23514 with the rows that stand above the new number, 42704 without such a cap, 42501 unless
/// the caller owns the table, 22023 and 22004.
fn set_cap(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let slots = positive(required(call.int(1), "slots")?, "slots")?;
            let guard = required(call.name(2)?, "guard")?;
            target.lock("ACCESS EXCLUSIVE")?;
            change(&target, slots, guard)
        })
    })
}

fn change(target: &Target, slots: i32, guard: String) -> Result<Value, Report> {
    let name = super::trigger::trigger_name(&guard, "")?;
    let Some(standing) = standing(target, &name)? else { return Err(no_cap(target, &guard)) };
    let Ok(options) = parse(
        standing
            .arguments
            .iter()
            .map(String::as_str)
            .filter(|a| !a.starts_with("key=") && !a.starts_with("predicate=")),
    ) else {
        return Err(no_cap(target, &guard));
    };
    if options.slots == slots as i64 {
        tell(
            Level::Notice,
            format_args!("guard \"{guard}\" on table \"{}\" allows {slots} rows per key already, nothing to do", target.name),
            None,
        );
        return Ok(Value::Text(name));
    }
    let Some(index) = slot_indexes(target.oid, options.column)?.into_iter().next() else {
        return Err(no_cap(target, &guard));
    };
    let cap = Cap {
        parts: index.parts,
        key: index.key,
        slots,
        column: options.column.to_owned(),
        column_type: slot_column_type(target, options.column, slots)?,
        predicate: index.predicate,
        fill: match options.fill {
            Fill::Lowest => "lowest".to_owned(),
            Fill::Append => "append".to_owned(),
        },
        guard,
    };
    without_row_security(|| cap_rows::refuse_above(target, &cap))?;
    // A cap that is being added step by step has none yet.
    if let Some(check) = cap.standing_check(target)? {
        run(&cap.drop_check(target), &[])?;
        run(&cap.add_check(target, if check.valid { "" } else { " NOT VALID" }), &[])?;
    }
    for statement in [cap.create_full_trigger(target)?, cap.create_trigger(target)?] {
        run(&statement.replacen("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1), &[])?;
    }
    tell(
        Level::Notice,
        format_args!(
            "guard \"{}\" on table \"{}\" allows {slots} rows per key instead of {}",
            cap.guard, target.name, options.slots
        ),
        None,
    );
    Ok(Value::Text(name))
}

fn no_cap(target: &Target, guard: &str) -> Report {
    Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{}\" has no cap named \"{guard}\"", target.name),
    )
    .detail(format_args!("There is no such trigger, or its index is missing."))
    .hint(format_args!("The view raceguard.guards lists the guards of all tables."))
    .table(target.oid)
}
