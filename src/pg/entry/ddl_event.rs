//! What an event trigger is told: the event, and the command as it was parsed.

use super::call::Call;
use crate::pg::base::encoding::utf8_cstr;
use crate::pg::base::error::Report;
use crate::pg::base::frames;
use crate::pg::base::list::{list_length, list_node};
use crate::pg::base::sqlstate;
use crate::pg::base::text::cstr;
use core::ffi::c_char;
use pgrx::pg_sys::{self, AlterTableType, NodeTag, ObjectType};

/// Whether the command is one that a call of raceguard's runs.
pub fn is_nested() -> bool {
    frames::entered() > 1
}

/// A command that has just been run, as far as it concerns guards.
#[derive(Debug)]
pub enum Ddl {
    /// The event `sql_drop`.
    Dropped,
    RenamedColumn {
        old: String,
        new: String,
    },
    RenamedConstraint {
        old: String,
        new: String,
    },
    /// ALTER TABLE with an action that may break a guard.
    Altered,
    /// CREATE OR REPLACE TRIGGER.
    ReplacedTrigger,
    /// Anything else.
    Other,
}

/// The command that fired an event trigger; 39P03 if the function was called otherwise.
pub fn ddl(call: Call) -> Result<Ddl, Report> {
    let context = call.context();
    // SAFETY: the context is NULL or a node; an event trigger's has the event and the command.
    unsafe {
        if context.is_null() || (*context).type_ != NodeTag::T_EventTriggerData {
            return Err(Report::error(
                sqlstate::EVENT_TRIGGER_PROTOCOL,
                format_args!("function was not called by an event trigger"),
            )
            .hint(format_args!("SELECT raceguard.protect_ddl('warn') makes the event triggers.")));
        }
        let data = &*(context as *const pg_sys::EventTriggerData);
        if cstr(data.event) == "sql_drop" {
            return Ok(Ddl::Dropped);
        }
        if data.parsetree.is_null() {
            return Ok(Ddl::Other);
        }
        match (*data.parsetree).type_ {
            NodeTag::T_RenameStmt => renamed(&*(data.parsetree as *const pg_sys::RenameStmt)),
            NodeTag::T_AlterTableStmt => {
                Ok(altered((*(data.parsetree as *const pg_sys::AlterTableStmt)).cmds))
            }
            NodeTag::T_CreateTrigStmt
                if (*(data.parsetree as *const pg_sys::CreateTrigStmt)).replace =>
            {
                Ok(Ddl::ReplacedTrigger)
            }
            _ => Ok(Ddl::Other),
        }
    }
}

/// # Safety
/// The statement is a parsed one.
unsafe fn renamed(statement: &pg_sys::RenameStmt) -> Result<Ddl, Report> {
    // SAFETY: both names are set for a column or constraint.
    let names = || unsafe { Ok((name(statement.subname)?, name(statement.newname)?)) };
    match statement.renameType {
        ObjectType::OBJECT_COLUMN => names().map(|(old, new)| Ddl::RenamedColumn { old, new }),
        ObjectType::OBJECT_TABCONSTRAINT => {
            names().map(|(old, new)| Ddl::RenamedConstraint { old, new })
        }
        ObjectType::OBJECT_TRIGGER => Ok(Ddl::Altered),
        _ => Ok(Ddl::Other),
    }
}

/// # Safety
/// NULL or a NUL-terminated text.
unsafe fn name(name: *const c_char) -> Result<String, Report> {
    if name.is_null() {
        return Ok(String::new());
    }
    // SAFETY: promised by the caller.
    unsafe { utf8_cstr(name.cast_mut()) }.map(str::to_owned)
}

/// Whether one of the actions may break a guard. What a command drops is told by `sql_drop`.
///
/// # Safety
/// A list of ALTER TABLE's actions.
unsafe fn altered(actions: *mut pg_sys::List) -> Ddl {
    // SAFETY: promised by the caller.
    let mut kinds = unsafe {
        (0..list_length(actions))
            .map(|n| (*(list_node(actions, n) as *const pg_sys::AlterTableCmd)).subtype)
    };
    match kinds.any(is_risky) {
        true => Ddl::Altered,
        false => Ddl::Other,
    }
}

fn is_risky(action: AlterTableType::Type) -> bool {
    matches!(
        action,
        AlterTableType::AT_AlterColumnType
            | AlterTableType::AT_SetNotNull
            | AlterTableType::AT_AlterConstraint
            | AlterTableType::AT_EnableReplicaTrig
            | AlterTableType::AT_EnableAlwaysTrig
            | AlterTableType::AT_DisableTrig
            | AlterTableType::AT_DisableTrigAll
            | AlterTableType::AT_DisableTrigUser
    )
}
