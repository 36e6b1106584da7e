//! A guard's arguments name columns and foreign keys; after a RENAME its triggers are put up with the new name.

use crate::guard::attachment::Attachment;
use crate::guard::kind::{Kind, Rename};
use crate::guard::target::{column_of, Target};
use crate::guard::trigger::{self, replace_arguments, Existing};
use crate::operate::protect::judge::altered_tables;
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use crate::registry::KINDS;
use pgrx::pg_sys::Oid;

/// A column was renamed, in a table and in those below it.
pub fn column(old: &str, new: &str) -> Result<(), Report> {
    for table in trees()? {
        let triggers = trigger::all(Some(table))?;
        if triggers.is_empty() {
            continue;
        }
        let Some(column) = column_of(table, new)? else { continue };
        let rename = Rename::Column { attno: column.attno, old, new };
        follow(triggers, &rename, old, new)?;
    }
    // Guards of other tables whose triggers were made FROM these.
    for table in altered_tables()? {
        for trigger in remembering(table)? {
            follow(vec![trigger], &Rename::ParentColumn { old, new }, old, new)?;
        }
    }
    Ok(())
}

/// The guards that remember a table as their parent.
fn remembering(parent: Oid) -> Result<Vec<Existing>, Report> {
    let rows = run_kept(
        "SELECT g.oid FROM pg_trigger s JOIN pg_proc p ON p.oid = s.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'raceguard' \
         JOIN pg_trigger g ON g.tgrelid = s.tgrelid AND g.oid <> s.oid AND g.tgparentid = 0 \
              AND starts_with(s.tgname, g.tgname || '_') \
         WHERE s.tgconstrrelid = $1 AND s.tgparentid = 0 ORDER BY g.oid",
        &[Param::Oid(parent)],
    )?;
    let mut guards = Vec::new();
    for row in &rows {
        guards.extend(trigger::of_oid(row.get(0)?)?);
    }
    Ok(guards)
}

/// A constraint was renamed.
pub fn constraint(old: &str, new: &str) -> Result<(), Report> {
    for table in trees()? {
        follow(trigger::all(Some(table))?, &Rename::Constraint { old, new }, old, new)?;
    }
    Ok(())
}

/// The tables of the command and those below them.
fn trees() -> Result<Vec<Oid>, Report> {
    let mut tables = Vec::new();
    for table in altered_tables()? {
        let rows = run_kept(
            "WITH RECURSIVE tree(oid) AS ( \
               SELECT $1::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid) \
             SELECT oid FROM tree ORDER BY oid",
            &[Param::Oid(table)],
        )?;
        for row in &rows {
            tables.push(row.get(0)?);
        }
    }
    Ok(tables)
}

fn follow(triggers: Vec<Existing>, rename: &Rename, old: &str, new: &str) -> Result<(), Report> {
    for trigger in triggers {
        let Some((kind, function)) = kind_and_function(&trigger) else { continue };
        let arguments = (kind.renamed)(trigger.table, &trigger.arguments, rename)?;
        // One that is narrowed refuses rows whatever it names.
        if arguments == trigger.arguments || trigger.shape.columns || trigger.shape.condition {
            continue;
        }
        let attachment = Attachment::of_shape(function, trigger.shape);
        replace_arguments(&Target::of(trigger.table)?, &trigger, &attachment, &arguments)?;
        if kind.function == function {
            tell(
                Level::Notice,
                format_args!(
                    "guard \"{}\" of table {} follows the new name of \"{old}\", \"{new}\"",
                    trigger.guard(),
                    trigger.qualified
                ),
                None,
            );
        }
    }
    Ok(())
}

/// The kind of guard that a trigger belongs to.
fn kind_and_function(trigger: &Existing) -> Option<(&'static Kind, &'static str)> {
    KINDS.into_iter().find_map(|kind| {
        let functions = core::iter::once(kind.function).chain(kind.companions.iter().copied());
        functions.filter(|function| *function == trigger.function).map(|f| (kind, f)).next()
    })
}
