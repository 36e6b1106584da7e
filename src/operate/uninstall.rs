//! `CALL uninstall`: takes all guards of the database off, so that DROP EXTENSION goes through.

use crate::errors;
use crate::guard::arguments::{identifier, literal, required};
use crate::guard::kind::Kind;
use crate::guard::old_snapshot::refuse_old_guards;
use crate::guard::target::Target;
use crate::guard::trigger;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::memory::push;
use crate::pg::spi::{connected, one, pinned_search_path, run};
use crate::registry::{kind_of, KINDS};

function_entry!(raceguard_uninstall, crate::operate::uninstall::uninstall);

/// `CALL raceguard.uninstall(dry_run, drop_columns)`: takes off every guard, and the event triggers that run
/// raceguard's functions, in one transaction; a NOTICE shows each statement. By default it only shows them.
/// DROP EXTENSION is left to the caller. Serves whoever wants to be rid of it all.
///
/// Raises 42501 before anything is dropped unless the caller is a superuser or owns all of it, with the first
/// table in name order, 22004, 40001 at REPEATABLE READ and above where the table has changed since the
/// snapshot, and what the statements raise.
fn uninstall(call: Call) -> Result<Value, Report> {
    let dry_run = required(call.bool(0), "dry_run")?;
    let drop_columns = required(call.bool(1), "drop_columns")?;
    connected(|| {
        pinned_search_path(|| {
            refuse_old_guards()?;
            let tables = tables()?;
            let event_triggers = event_triggers()?;
            // These first: they look at what is dropped.
            for statement in &event_triggers {
                carry_out(dry_run, statement, || run(statement, &[]).map(drop))?;
            }
            let mut count = event_triggers.len();
            for pass in [TakeOff::First, TakeOff::Others, TakeOff::LeftOver] {
                for table in &tables {
                    count += take_off(table, pass, dry_run, drop_columns)?;
                }
            }
            tell_the_end(dry_run, count)?;
            Ok(Value::Void)
        })
    })
}

/// Shows a statement, and carries it out unless it is only to be shown.
fn carry_out(
    dry_run: bool,
    statement: &str,
    action: impl FnOnce() -> Result<(), Report>,
) -> Result<(), Report> {
    tell(Level::Notice, format_args!("{statement};"), None);
    match dry_run {
        true => Ok(()),
        false => action(),
    }
}

/// The statements that drop the event triggers that run raceguard's functions, and then those functions that
/// were made for one; 42501 unless the caller may.
fn event_triggers() -> Result<Vec<String>, Report> {
    let rows = run(
        "SELECT e.evtname, pg_has_role(e.evtowner, 'USAGE'), \
                CASE WHEN NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass \
                                      AND d.objid = p.oid AND d.deptype = 'e') \
                     THEN p.oid::regprocedure::text END \
         FROM pg_event_trigger e \
         JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = 'raceguard' ORDER BY e.evtname",
        &[],
    )?;
    let (mut statements, mut functions) = (Vec::new(), Vec::new());
    for row in rows {
        let name: &str = row.get(0)?;
        if !row.get::<bool>(1)? {
            return Err(Report::error(
                errors::INSUFFICIENT_PRIVILEGE,
                format_args!("must be owner of event trigger {name}"),
            )
            .detail(format_args!("It runs a function of raceguard's, and has to go with it."))
            .hint(format_args!("Call raceguard.uninstall as a superuser.")));
        }
        push(&mut statements, format!("DROP EVENT TRIGGER {}", identifier(name)))?;
        if let Some(function) = row.get::<Option<&str>>(2)? {
            let drop = format!("DROP FUNCTION {function}");
            if !functions.contains(&drop) {
                push(&mut functions, drop)?;
            }
        }
    }
    statements.extend(functions);
    Ok(statements)
}

/// The tables with triggers of raceguard's, by name; 42501 unless the caller owns them all.
fn tables() -> Result<Vec<Target>, Report> {
    let rows = run(
        "SELECT DISTINCT n.nspname, c.relname, c.oid FROM pg_trigger t \
         JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace \
         WHERE f.nspname = 'raceguard' AND t.tgparentid = 0 ORDER BY 1, 2",
        &[],
    )?;
    let mut tables = Vec::with_capacity(rows.len());
    for row in rows {
        tables.push(Target::of(row.get(2)?)?);
    }
    for table in &tables {
        table.require_owner()?;
    }
    Ok(tables)
}

/// What is taken off when: a parent version needs the version guard of its parent, and what is left of a
/// guard whose own trigger somebody dropped is known when all guards are gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TakeOff {
    First,
    Others,
    LeftOver,
}

/// Takes off what a pass takes of one table; how many statements that was.
fn take_off(
    table: &Target,
    pass: TakeOff,
    dry_run: bool,
    drop_columns: bool,
) -> Result<usize, Report> {
    let standing = standing(table)?;
    let guards = || standing.iter().filter(|(_, function)| kind_of(function).is_some());
    let mut count = 0;
    for (name, function) in &standing {
        let goes = match (kind_of(function), pass) {
            (Some(kind), TakeOff::First) => kind.counts_on_others,
            (Some(kind), TakeOff::Others) => !kind.counts_on_others,
            // In a dry run the guards stand, and take their companions along.
            (None, TakeOff::LeftOver) if dry_run => {
                let elsewhere = |kind: &&Kind| kind.on_others.contains(&function.as_str());
                !KINDS.iter().any(elsewhere)
                    && !guards().any(|(guard, _)| belongs(name, function, guard))
            }
            (_, TakeOff::LeftOver) => !dry_run,
            (None, _) => false,
        };
        if !goes {
            continue;
        }
        count += 1;
        if pass != TakeOff::LeftOver {
            let guard = name.strip_prefix(trigger::PREFIX).unwrap_or(name);
            let statement = drop_guard(table, guard, drop_columns);
            carry_out(dry_run, &statement, || remove(table, name, drop_columns))?;
        } else if let Some(guard) = remains_of(name, function) {
            let statement = drop_guard(table, guard, drop_columns);
            carry_out(dry_run, &statement, || remove_remains(table, guard, drop_columns))?;
        } else {
            let statement = format!("DROP TRIGGER {} ON {}", identifier(name), table.qualified);
            carry_out(dry_run, &statement, || trigger::drop(table, name))?;
        }
    }
    Ok(count)
}

/// Takes off the guard whose trigger has that name.
fn remove(table: &Target, trigger: &str, drop_columns: bool) -> Result<(), Report> {
    table.lock("ACCESS EXCLUSIVE")?;
    for guard in trigger::named(table, [trigger, trigger])? {
        if let Some(kind) = kind_of(&guard.function) {
            (kind.remove)(table, &guard, drop_columns)?;
        }
    }
    Ok(())
}

/// The guard of which a trigger is left whose own is gone, where more than the trigger may be left.
fn remains_of<'a>(name: &'a str, function: &str) -> Option<&'a str> {
    KINDS.into_iter().find_map(|kind| (kind.owner_of)(name, function))
}

fn remove_remains(table: &Target, guard: &str, drop_columns: bool) -> Result<(), Report> {
    table.lock("ACCESS EXCLUSIVE")?;
    for kind in KINDS {
        if (kind.remove_remains)(table, guard, drop_columns)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Names and functions of a table's triggers of raceguard's.
fn standing(table: &Target) -> Result<Vec<(String, String)>, Report> {
    let triggers = trigger::all(Some(table.oid))?;
    Ok(triggers.into_iter().map(|t| (t.trigger, t.function)).collect())
}

/// Whether drop_guard of a guard drops another trigger as well.
fn belongs(name: &str, function: &str, guard: &str) -> bool {
    let owner = remains_of(name, function);
    owner.is_some() && owner == guard.strip_prefix(trigger::PREFIX)
        || name.strip_prefix(guard).is_some_and(|rest| rest.starts_with('_'))
}

fn drop_guard(table: &Target, guard: &str, drop_columns: bool) -> String {
    let columns = if drop_columns { ", drop_column => true" } else { "" };
    format!(
        "SELECT raceguard.drop_guard({}, {}{columns})",
        literal(&table.qualified),
        literal(guard)
    )
}

fn tell_the_end(dry_run: bool, count: usize) -> Result<(), Report> {
    if let Some::<String>(others) = dependents()? {
        tell(
            Level::Warning,
            format_args!("other objects depend on raceguard: {others}"),
            Some(format_args!("Drop them before DROP EXTENSION raceguard.")),
        );
    }
    let (message, hint) = match (dry_run, count) {
        (_, 0) => ("no guards stand in this database", "DROP EXTENSION raceguard;"),
        (true, _) => (
            "nothing was dropped: these are the statements",
            "CALL raceguard.uninstall(dry_run => false); carries them out.",
        ),
        (false, _) => ("no guards are left in this database", "DROP EXTENSION raceguard;"),
    };
    tell(Level::Notice, format_args!("{message}"), Some(format_args!("{hint}")));
    Ok(())
}

/// What else DROP EXTENSION would ask CASCADE for.
fn dependents() -> Result<Option<String>, Report> {
    one(
        "WITH member AS ( \
           SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
           WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'raceguard') \
         SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ') \
         FROM pg_depend d JOIN member m ON (m.classid, m.objid) = (d.refclassid, d.refobjid) \
         WHERE d.deptype = 'n' AND d.classid NOT IN ('pg_trigger'::regclass, 'pg_event_trigger'::regclass) \
           AND (d.classid, d.objid) NOT IN (SELECT classid, objid FROM member) \
           AND (d.classid <> 'pg_rewrite'::regclass OR NOT EXISTS ( \
                SELECT FROM pg_rewrite r JOIN member v ON v.objid = r.ev_class \
                WHERE r.oid = d.objid AND v.classid = 'pg_class'::regclass))",
        &[],
    )
}
