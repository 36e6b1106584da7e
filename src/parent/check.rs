//! What can be wrong with a parent version beyond its trigger.

use crate::guard::arguments::{identifier, literal};
use crate::guard::finding::Finding;
use crate::guard::kind::Inspected;
use crate::guard::target::column_of;
use crate::guard::trigger::{self, Existing};
use crate::parent::install::used_key;
use crate::parent::rule::{
    BUMP_ATTACHMENT, BUMP_FUNCTION, FUNCTION, TRUNCATE_ATTACHMENTS, TRUNCATE_FUNCTION,
};
use crate::pg::error::Report;
use crate::pg::spi::{run, Param};
use crate::pg::statement::run_kept;
use crate::version::rule as version;
use pgrx::pg_sys::Oid;

/// The foreign key that the guard follows.
struct FollowedKey {
    name: String,
    parent: Oid,
    /// `schema.parent`, quoted where it has to be.
    shown: String,
}

/// The foreign key, the parent's version guard, and the other triggers.
pub fn check(inspected: &Inspected) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let [name] = guard.arguments.as_slice() else {
        return Ok(vec![Finding::error(
            "arguments_invalid",
            "Its one argument has to name a foreign key of the table, so every row is refused. Put the triggers up anew with raceguard.drop_guard and raceguard.add_parent_version.".to_owned(),
        )]);
    };
    let Some(key) = used_key(guard.table, guard)? else {
        return foreign_key_lost(inspected, name).map(|finding| vec![finding]);
    };
    let key = foreign_key(key)?;
    let mut findings = Vec::new();
    let call = call(guard, &key.shown, &key.name, false);
    if !trigger::stands(key.parent, version::FUNCTION)? {
        findings.push(parent_unguarded(&key)?);
    }
    findings.extend(companions(inspected, &call)?);
    Ok(findings)
}

fn foreign_key(constraint: Oid) -> Result<FollowedKey, Report> {
    let rows = run_kept(
        "SELECT conname, confrelid, confrelid::regclass FROM pg_constraint WHERE oid = $1",
        &[Param::Oid(constraint)],
    )?;
    let Some(row) = rows.first() else {
        let (name, shown) = (String::new(), String::new());
        return Ok(FollowedKey { name, parent: Oid::INVALID, shown });
    };
    Ok(FollowedKey { name: row.get(0)?, parent: row.get(1)?, shown: row.get(2)? })
}

/// The foreign key of that name, whether it is enforced or not.
fn named(child: Oid, name: &str) -> Result<Option<(Oid, bool)>, Report> {
    let rows = run_kept(
        "SELECT oid, to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' \
         FROM pg_constraint c WHERE conrelid = $1 AND contype = 'f' AND conname = $2::name",
        &[Param::Oid(child), Param::Text(name)],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some((row.get(0)?, row.get(1)?)))
}

/// The guard finds no foreign key that it could follow.
fn foreign_key_lost(inspected: &Inspected, name: &str) -> Result<Finding, Report> {
    let guard = &inspected.guard;
    if let Some((_, false)) = named(guard.table, name)? {
        let detail = format!(
            "Foreign key \"{name}\" is NOT ENFORCED: it proves no parent, so every row is refused."
        );
        let (table, key) = (&guard.qualified, identifier(name));
        return Ok(Finding::error("foreign_key_not_enforced", detail)
            .remedy(format!("ALTER TABLE {table} ALTER CONSTRAINT {key} ENFORCED")));
    }
    foreign_key_missing(inspected, name)
}

fn call(guard: &Existing, parent: &str, key: &str, replace: bool) -> String {
    format!(
        "SELECT raceguard.add_parent_version({}, {}, foreign_key => {}{})",
        literal(&guard.qualified),
        literal(parent),
        literal(key),
        if replace { ", replace => true" } else { "" }
    )
}

/// The only other foreign key to a guarded parent may be the one that is meant, under another name.
fn foreign_key_missing(inspected: &Inspected, name: &str) -> Result<Finding, Report> {
    let guard = &inspected.guard;
    let rows = run(
        "SELECT c.conname, c.confrelid::regclass FROM pg_constraint c \
         LEFT JOIN pg_constraint above ON above.oid = c.conparentid \
         WHERE c.conrelid = $1 AND c.contype = 'f' AND above.conrelid IS DISTINCT FROM c.conrelid \
           AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' \
           AND to_jsonb(c)->>'conperiod' IS DISTINCT FROM 'true' \
           AND EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
                       JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'raceguard' \
                       WHERE t.tgrelid = c.confrelid AND p.proname = 'version_guard')",
        &[Param::Oid(guard.table)],
    )?;
    let used: Vec<Option<String>> = trigger::existing_on(guard.table, FUNCTION)?
        .into_iter()
        .map(|other| other.arguments.into_iter().next())
        .collect();
    let mut free = Vec::new();
    for row in &rows {
        let (key, parent): (String, &str) = (row.get(0)?, row.get(1)?);
        if !used.contains(&Some(key.clone())) {
            free.push((key, parent));
        }
    }
    let remedy = match free.as_slice() {
        [(key, parent)] => Some(call(guard, parent, key, true)),
        _ => None,
    };
    let what = match &remedy {
        Some(_) => {
            "The table's other foreign key to a guarded parent may be the same under a new name."
        }
        None => "Add the foreign key again, or take the guard off with raceguard.drop_guard.",
    };
    let detail =
        format!("Foreign key \"{name}\" was dropped or renamed, so every row is refused. {what}");
    Ok(Finding::error("foreign_key_missing", detail).remedy(remedy))
}

fn parent_unguarded(key: &FollowedKey) -> Result<Finding, Report> {
    let detail = format!(
        "Parent {} has no version guard any more, so every row is refused. Add it again with raceguard.add_version and the parent's version column.",
        key.shown
    );
    let column = column_of(key.parent, "version")?;
    let usual = column.is_some_and(|column| {
        column.not_null && matches!(column.type_name.as_str(), "smallint" | "integer" | "bigint")
    });
    let call = usual.then(|| format!("SELECT raceguard.add_version({})", literal(&key.shown)));
    Ok(Finding::error("parent_unguarded", detail).remedy(call))
}

/// The triggers that bump the parents, and that see a TRUNCATE.
fn companions(inspected: &Inspected, call: &str) -> Result<Vec<Finding>, Report> {
    let guard = &inspected.guard;
    let key = guard.arguments.first();
    // A foreign key that the guard followed before has one too.
    let bumps = || {
        inspected.triggers_of(BUMP_FUNCTION).filter(|t| t.deferred && BUMP_ATTACHMENT.fits(t.shape))
    };
    let bump = bumps().find(|t| t.arguments.first() == key).or(bumps().next());
    let mut wanted = vec![(&BUMP_ATTACHMENT, bump)];
    for attachment in &TRUNCATE_ATTACHMENTS {
        let found = inspected
            .triggers_of(TRUNCATE_FUNCTION)
            .find(|t| t.arguments.first() == key && attachment.fits(t.shape));
        wanted.push((attachment, found));
    }
    let mut findings = Vec::new();
    for (attachment, found) in wanted {
        match found {
            Some(companion) => findings.extend(inspected.companion_states(companion)),
            None => {
                let detail = format!(
                    "No trigger that belongs to the guard executes raceguard.{} {attachment}.",
                    attachment.function
                );
                findings.push(Finding::error("companion_missing", detail).remedy(call.to_owned()));
            }
        }
    }
    Ok(findings)
}

/// Triggers beside a guard's own that is gone.
pub fn remains(table: Option<Oid>) -> Result<Vec<Finding>, Report> {
    let mut findings = Vec::new();
    for left in trigger::without(table, TRUNCATE_FUNCTION, FUNCTION)? {
        // Both of a guard say the same; the one that fires before is told of.
        if !TRUNCATE_ATTACHMENTS[0].fits(left.shape) {
            continue;
        }
        let name = left.arguments.first().map_or("", String::as_str);
        let detail = format!(
            "Trigger \"{}\" of a parent version stands without the guard's own: writes of rows do not move the parent's version. The call puts the guard up again; to do without it, drop the trigger.",
            left.trigger
        );
        let key = named(left.table, name)?.map(|(key, _)| foreign_key(key)).transpose()?;
        let call = key.map(|key| call(&left, &key.shown, name, false));
        findings.push(
            Finding::error("trigger_missing", detail).remedy(call).at(left.table, "parent_version"),
        );
    }
    Ok(findings)
}
