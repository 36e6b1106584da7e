//! What a command has left of the guards of its tables.

use crate::guard::finding::Finding;
use crate::operate::check::{root_of, standing};
use crate::operate::protect::{tell_or_refuse, Broken, OnBreach};
use crate::pg::error::Report;
use crate::pg::spi::{run_before, Param};
use crate::pg::statement::run_kept;
use crate::registry::{kind_of, KINDS};
use pgrx::pg_sys::Oid;
use std::collections::BTreeSet;

/// The tables that the command has altered, a trigger's and a constraint's among them.
pub fn altered_tables() -> Result<Vec<Oid>, Report> {
    let rows = run_kept(
        "SELECT DISTINCT c.oid FROM pg_event_trigger_ddl_commands() d \
              LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid \
              LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid \
              JOIN pg_class c ON c.oid = CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid \
                                              ELSE coalesce(k.conrelid, t.tgrelid) END \
         WHERE c.relkind IN ('r', 'p') ORDER BY 1",
        &[],
    )?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// After ALTER TABLE, ALTER TRIGGER and RENAME.
pub fn altered(mode: OnBreach) -> Result<(), Report> {
    for table in roots(with_children(altered_tables()?)?)? {
        judge(table, mode)?;
    }
    Ok(())
}

/// These tables, and those with guards whose triggers were made FROM one of them.
fn with_children(mut tables: Vec<Oid>) -> Result<Vec<Oid>, Report> {
    let mut children = Vec::new();
    for table in &tables {
        let rows = run_kept(
            "SELECT DISTINCT t.tgrelid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
             JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'raceguard' \
             WHERE t.tgconstrrelid = $1",
            &[Param::Oid(*table)],
        )?;
        for row in &rows {
            children.push(row.get::<Oid>(0)?);
        }
    }
    tables.extend(children);
    Ok(tables)
}

fn roots(tables: Vec<Oid>) -> Result<Vec<Oid>, Report> {
    let mut roots = BTreeSet::new();
    for table in tables {
        roots.insert(root_of(table)?.to_u32());
    }
    Ok(roots.into_iter().map(Oid::from).collect())
}

/// The errors that the catalogs show for one table.
fn judge(table: Oid, mode: OnBreach) -> Result<(), Report> {
    let mut findings = Vec::new();
    for guard in standing(Some(table))? {
        findings.extend(guard.findings()?);
    }
    for kind in KINDS {
        findings.extend((kind.remains)(Some(table))?);
    }
    for finding in findings.into_iter().filter(Finding::is_error) {
        let name = name_of(table)?;
        let guard = finding.guard.unwrap_or_default();
        tell_or_refuse(mode, Broken { table, name, guard, detail: finding.detail })?;
    }
    Ok(())
}

fn name_of(table: Oid) -> Result<String, Report> {
    let rows = run_kept("SELECT relname FROM pg_class WHERE oid = $1", &[Param::Oid(table)])?;
    rows.first().map_or(Ok(String::new()), |row| row.get(0))
}

/// After a command that has dropped something: columns, constraints, triggers and indexes of tables that stay.
pub fn dropped(mode: OnBreach) -> Result<(), Report> {
    let rows = run_kept(
        "SELECT d.object_type, d.objid, c.oid FROM pg_event_trigger_dropped_objects() d \
              LEFT JOIN pg_class c ON c.relkind IN ('r', 'p') AND c.oid = \
                   CASE WHEN d.object_type = 'table column' THEN d.objid \
                        WHEN d.object_type IN ('table constraint', 'trigger') \
                        THEN to_regclass(format('%I.%I', d.address_names[1], d.address_names[2]))::oid END \
         WHERE NOT d.is_temporary AND d.object_type IN ('table column', 'table constraint', 'trigger', 'index') \
         ORDER BY 1, 2",
        &[],
    )?;
    let mut tables = Vec::new();
    for row in &rows {
        let (kind, object): (&str, Oid) = (row.get(0)?, row.get(1)?);
        let table = match (kind, row.get::<Option<Oid>>(2)?) {
            ("index", _) => indexed_table(object)?,
            ("trigger", Some(table)) => {
                guard_dropped(object, table, mode)?;
                Some(table)
            }
            (_, table) => table,
        };
        tables.extend(table.filter(|table| !tables.contains(table)));
    }
    for table in roots(with_children(tables)?)? {
        judge(table, mode)?;
    }
    Ok(())
}

/// The table of an index that the command has dropped, if it stays.
fn indexed_table(index: Oid) -> Result<Option<Oid>, Report> {
    let rows =
        run_before("SELECT indrelid FROM pg_index WHERE indexrelid = $1", &[Param::Oid(index)])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let table: Oid = row.get(0)?;
    let stays = run_kept(
        "SELECT FROM pg_class WHERE oid = $1 AND relkind IN ('r', 'p')",
        &[Param::Oid(table)],
    )?;
    Ok((!stays.is_empty()).then_some(table))
}

/// A guard's own trigger was dropped: a version guard leaves nothing else that could tell.
fn guard_dropped(trigger: Oid, table: Oid, mode: OnBreach) -> Result<(), Report> {
    match trigger_before(trigger)? {
        Some((name, function)) => guard_gone(table, (&name, &function), "is dropped", mode),
        None => Ok(()),
    }
}

/// After CREATE OR REPLACE TRIGGER: a trigger of raceguard's may execute somebody else's function now.
pub fn replaced(mode: OnBreach) -> Result<(), Report> {
    let rows = run_kept(
        "SELECT t.oid, t.tgrelid, p.oid::regprocedure FROM pg_event_trigger_ddl_commands() d \
         JOIN pg_trigger t ON t.oid = d.objid JOIN pg_proc p ON p.oid = t.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE d.classid = 'pg_trigger'::regclass AND n.nspname <> 'raceguard' ORDER BY 1",
        &[],
    )?;
    for row in &rows {
        let (trigger, table): (Oid, Oid) = (row.get(0)?, row.get(1)?);
        let Some((name, function)) = trigger_before(trigger)? else { continue };
        let executes = format!("executes {} now", row.get::<&str>(2)?);
        guard_gone(table, (&name, &function), &executes, mode)?;
        judge(root_of(table)?, mode)?;
    }
    Ok(())
}

/// Name and function of a trigger of raceguard's as it was before the command; clones are left out.
fn trigger_before(trigger: Oid) -> Result<Option<(String, String)>, Report> {
    let rows = run_before(
        "SELECT t.tgname, p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE t.oid = $1 AND n.nspname = 'raceguard' AND t.tgparentid = 0",
        &[Param::Oid(trigger)],
    )?;
    rows.first().map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// What became of a guard's own trigger; what becomes of another trigger of its, the guard's rule tells.
fn guard_gone(
    table: Oid,
    (name, function): (&str, &str),
    what: &str,
    mode: OnBreach,
) -> Result<(), Report> {
    if kind_of(function).is_none() {
        return Ok(());
    }
    let guard = name.strip_prefix(crate::guard::trigger::PREFIX).unwrap_or(name).to_owned();
    let detail = format!("Its trigger \"{name}\" {what}: writes are no longer guarded.");
    tell_or_refuse(mode, Broken { table, name: name_of(table)?, guard, detail })
}
