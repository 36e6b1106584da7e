//! `protect_ddl`: event triggers that follow what DDL renames under a guard, and tell of what it breaks, or refuse it.

mod follow;
mod judge;

use crate::errors;
use crate::guard::arguments::{one_of, required};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::ddl_event::{ddl, is_nested, Ddl};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, one, pinned_search_path, run, Param};

function_entry!(raceguard_protect_ddl, crate::operate::protect::protect_ddl);

function_entry!(raceguard_ddl_warn, crate::operate::protect::ddl_warn);

function_entry!(raceguard_ddl_error, crate::operate::protect::ddl_error);

/// What becomes of DDL that breaks a guard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnBreach {
    Warn,
    Error,
}

/// The event triggers: their names, the event, and the commands that they look at.
const TRIGGERS: [(&str, &str, &str); 2] = [
    ("raceguard_protect_ddl", "ddl_command_end", "'ALTER TABLE', 'ALTER TRIGGER', 'CREATE TRIGGER'"),
    (
        "raceguard_protect_drop",
        "sql_drop",
        "'ALTER TABLE', 'DROP DOMAIN', 'DROP EXTENSION', 'DROP FUNCTION', 'DROP INDEX', 'DROP OWNED', 'DROP SCHEMA', 'DROP TABLE', 'DROP TRIGGER', 'DROP TYPE'",
    ),
];

/// `raceguard.protect_ddl(mode)`: has DDL on guarded tables looked at from now on. A guard follows RENAME of the columns
/// and foreign keys that it names; what leaves a guard broken or off is a WARNING (`warn`) or refused (`error`); `off`
/// takes the event triggers away.
///
/// Raises 22023 for another mode, 42501 unless the caller is a superuser, whom Postgres asks for event triggers, 22004.
fn protect_ddl(call: Call) -> Result<Value, Report> {
    let mode = required(call.text(0)?, "mode")?;
    let mode = one_of(&mode, "mode", &["warn", "error", "off"])?;
    connected(|| {
        pinned_search_path(|| {
            require_superuser()?;
            for (name, _, _) in TRIGGERS {
                let standing = "SELECT FROM pg_event_trigger WHERE evtname = $1::name";
                if !run(standing, &[Param::Text(name)])?.is_empty() {
                    run(&format!("DROP EVENT TRIGGER {name}"), &[])?;
                }
            }
            if mode != "off" {
                for (name, event, tags) in TRIGGERS {
                    run(
                        &format!(
                            "CREATE EVENT TRIGGER {name} ON {event} WHEN TAG IN ({tags}) \
                             EXECUTE FUNCTION raceguard.ddl_{mode}()"
                        ),
                        &[],
                    )?;
                }
            }
            Ok(Value::Void)
        })
    })
}

fn require_superuser() -> Result<(), Report> {
    let rank = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    if one(rank, &[])? == Some(true) {
        return Ok(());
    }
    Err(Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!("must be superuser to have DDL looked at"),
    )
    .detail(format_args!("raceguard.protect_ddl makes event triggers, which Postgres lets superusers do alone."))
    .hint(format_args!(
        "Have a superuser call it once in this database. raceguard.check_guards finds afterwards what DDL has broken, for everybody."
    )))
}

/// `raceguard.ddl_warn()`, the event triggers' function in mode `warn`: the guards follow a rename, and a WARNING says
/// what the command has left broken or off. Raises 39P03 outside an event trigger.
fn ddl_warn(call: Call) -> Result<Value, Report> {
    look(call, OnBreach::Warn)
}

/// `raceguard.ddl_error()`, the event triggers' function in mode `error`: as [`ddl_warn`], but raises 55000 instead of
/// the WARNING, so that the command fails.
fn ddl_error(call: Call) -> Result<Value, Report> {
    look(call, OnBreach::Error)
}

fn look(call: Call, mode: OnBreach) -> Result<Value, Report> {
    let ddl = ddl(call)?;
    // raceguard's own calls leave a guard in pieces between two statements.
    if is_nested() || matches!(ddl, Ddl::Other) {
        return Ok(Value::Void);
    }
    connected(|| {
        pinned_search_path(|| {
            match ddl {
                Ddl::Other => {}
                Ddl::Dropped => judge::dropped(mode)?,
                Ddl::Altered => judge::altered(mode)?,
                Ddl::ReplacedTrigger => judge::replaced(mode)?,
                Ddl::RenamedColumn { old, new } => {
                    follow::column(&old, &new)?;
                    judge::altered(mode)?;
                }
                Ddl::RenamedConstraint { old, new } => {
                    follow::constraint(&old, &new)?;
                    judge::altered(mode)?;
                }
            }
            Ok(Value::Void)
        })
    })
}

/// What the event tells of a guard.
fn tell_or_refuse(mode: OnBreach, report: Broken) -> Result<(), Report> {
    let Broken { table, name, guard, detail } = report;
    if mode == OnBreach::Warn {
        tell(
            Level::Warning,
            format_args!("the command leaves guard \"{guard}\" of table \"{name}\" broken or off"),
            Some(format_args!("{detail}")),
        );
        return Ok(());
    }
    Err(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("the command would leave guard \"{guard}\" of table \"{name}\" broken or off"),
    )
    .detail(format_args!("{detail}"))
    .hint(format_args!(
        "Take the guard off with raceguard.drop_guard first, or mend it first if it was broken before; raceguard.protect_ddl('warn') lets such commands pass."
    ))
    .table(table))
}

/// A guard that a command breaks.
struct Broken {
    table: pgrx::pg_sys::Oid,
    name: String,
    guard: String,
    detail: String,
}
