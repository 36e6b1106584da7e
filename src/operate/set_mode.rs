//! `set_mode`: whether a guard refuses, or only logs what it would have refused.

use crate::errors;
use crate::guard::arguments::{one_of, required};
use crate::guard::kind::{Inspected, Modes};
use crate::guard::outcome::Mode;
use crate::guard::partitions::refuse_inherited_guard;
use crate::guard::target::Target;
use crate::operate::find_guard::{existing, no_such_guard};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path};

function_entry!(raceguard_set_mode, crate::operate::set_mode::set_mode);

/// `raceguard.set_mode(target, guard, mode)`: lets a guard that stands enforce, or observe: then it logs what it
/// would have refused, and a key lock tells who would have waited. Serves the guard that is put on a live table
/// whose writers nobody knows all of.
///
/// Raises 22023 for another mode, 42704 with the guards there are, 42501 unless the caller owns the table, 0A000
/// for a guard that has one mode only or comes from the root of a partition, 55000 for one that is not attached
/// as it has to be, 23514 for a cap whose rows are too many, 40001 at REPEATABLE READ and above where the table has
/// changed since the snapshot, 22004.
fn set_mode(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            let target = Target::owned(call, 0)?;
            let guard = required(call.name(1)?, "guard")?;
            let name = required(call.text(2)?, "mode")?;
            let mode = Mode::named(one_of(&name, "mode", &Mode::NAMES)?).unwrap_or(Mode::Enforce);
            change(&target, &guard, mode)?;
            Ok(Value::Void)
        })
    })
}

fn change(target: &Target, guard: &str, mode: Mode) -> Result<(), Report> {
    let (kind, standing) = existing(target, guard)?;
    let (lock, change) = match kind.modes {
        Modes::Changed { lock, change } => (lock, change),
        Modes::Fixed(reason) => {
            return Err(Report::error(
                errors::UNSUPPORTED,
                format_args!(
                    "guard \"{guard}\" of table \"{}\" has no other mode than enforce",
                    target.name
                ),
            )
            .detail(format_args!("{reason}"))
            .hint(format_args!("raceguard.drop_guard takes it off."))
            .table(target.oid)
            .constraint(&standing.trigger))
        }
    };
    refuse_inherited_guard(target, kind.function)?;
    target.lock(lock)?;
    // Someone else may have changed or dropped it meanwhile.
    let (now, standing) = existing(target, guard)?;
    if now.function != kind.function {
        return Err(no_such_guard(target, guard)?);
    }
    let (name, table) = (mode.name(), &target.name);
    let whole = Inspected::new(kind, standing.clone())?.is_whole()?;
    if whole && Mode::of_arguments(&standing.arguments) == mode {
        tell(
            Level::Notice,
            format_args!(
                "guard \"{guard}\" of table \"{table}\" is in mode {name} already, nothing to do"
            ),
            None,
        );
        return Ok(());
    }
    change(target, &standing, mode)?;
    tell(
        Level::Notice,
        format_args!("guard \"{guard}\" of table \"{table}\" is in mode {name} now"),
        None,
    );
    Ok(())
}
