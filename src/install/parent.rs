//! `add_parent_version`: the triggers by which a child moves its parent's version.

use super::arguments::{identifier, literal, required, LONGEST_NAME};
use super::partitions::{refuse_guarded_partitions, refuse_inherited_guard};
use super::target::Target;
use super::trigger::{self, Existing, Plan, Wanted, PREFIX};
use crate::errors;
use crate::guards::parent::{BUMP_FUNCTION, DUE_FUNCTION, FUNCTION, TRUNCATE_FUNCTION};
use crate::guards::version;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{connected, pinned_search_path, run, Param};

function_entry!(raceguard_add_parent_version, crate::install::parent::add_parent_version);

const GUARD: &str = "parent_version";
const EVENTS: &str = "AFTER INSERT OR UPDATE OR DELETE";
/// What the names of the triggers that go with the guard's own add to its name.
pub const COMPANIONS: [&str; 3] = ["_bump", "_truncate", "_truncated"];

/// A foreign key of the child, as Postgres writes it.
struct ForeignKey {
    name: String,
    definition: String,
    to_parent: bool,
}

/// `add_parent_version(child, parent, foreign_key, replace)`.
fn add_parent_version(call: Call) -> Result<Value, Report> {
    connected(|| {
        pinned_search_path(|| {
            required(call.oid(0), "child")?;
            required(call.oid(1), "parent")?;
            let replace = required(call.bool(3), "replace")?;
            let child = Target::owned(call, 0)?;
            let parent = Target::any(call, 1)?;
            let keys = foreign_keys(&child, &parent)?;
            let key = choose(&child, &parent, &keys, call.name(2)?)?;
            let column = version_column(&child, &parent)?;
            check_owner(&child, &parent, &column)?;
            install(&child, &parent, &keys, &key, &column, replace)
        })
    })
}

/// The child's foreign keys. Those that Postgres derives for the partitions of a parent are left
/// out; one that is NOT ENFORCED (Postgres 18) proves nothing.
fn foreign_keys(child: &Target, parent: &Target) -> Result<Vec<ForeignKey>, Report> {
    let rows = run(
        "SELECT c.conname, pg_get_constraintdef(c.oid), c.confrelid = $2 FROM pg_constraint c \
         LEFT JOIN pg_constraint above ON above.oid = c.conparentid \
         WHERE c.conrelid = $1 AND c.contype = 'f' AND above.conrelid IS DISTINCT FROM c.conrelid \
         AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' ORDER BY c.conname",
        &[Param::Oid(child.oid), Param::Oid(parent.oid)],
    )?;
    Ok(rows
        .into_iter()
        .map(|row| ForeignKey {
            name: row[0].clone().unwrap_or_default(),
            definition: row[1].clone().unwrap_or_default(),
            to_parent: row[2].as_deref() == Some("t"),
        })
        .collect())
}

/// The foreign key asked for, or the only one.
fn choose(
    child: &Target,
    parent: &Target,
    keys: &[ForeignKey],
    asked: Option<String>,
) -> Result<String, Report> {
    let to_parent: Vec<&ForeignKey> = keys.iter().filter(|k| k.to_parent).collect();
    let found = match &asked {
        Some(asked) => to_parent.iter().find(|k| k.name == *asked),
        None if to_parent.len() > 1 => return Err(several(child, parent, &to_parent)),
        None => to_parent.first(),
    };
    if let Some(key) = found {
        return Ok(key.name.clone());
    }
    let which = asked.map(|a| format!(" \"{a}\"")).unwrap_or_default();
    let report = Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{}\" has no foreign key{which} to \"{}\"", child.name, parent.name),
    )
    .table(child.oid);
    let report = match keys {
        [] => report.detail(format_args!("The table has no foreign keys.")),
        _ => report.detail(format_args!(
            "Its foreign keys are {}.",
            listed(&keys.iter().collect::<Vec<_>>())
        )),
    };
    Err(match to_parent.first() {
        Some(other) => report.hint(format_args!(
            "Write foreign_key => {}, for example.",
            literal(&other.name)
        )),
        None => report.hint(format_args!(
            "A row's parent is the row that its foreign key refers to: ALTER TABLE {} ADD FOREIGN KEY (...) REFERENCES {}.",
            child.qualified, parent.qualified
        )),
    })
}

fn several(child: &Target, parent: &Target, keys: &[&ForeignKey]) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("table \"{}\" has several foreign keys to \"{}\"", child.name, parent.name),
    )
    .detail(format_args!("They are {}.", listed(keys)))
    .hint(format_args!(
        "Choose one with foreign_key => {}.",
        literal(keys.first().map_or("", |k| &k.name))
    ))
    .table(child.oid)
}

fn listed(keys: &[&ForeignKey]) -> String {
    keys.iter().map(|k| format!("\"{}\" {}", k.name, k.definition)).collect::<Vec<_>>().join(", ")
}

/// The column of the parent's version guard.
fn version_column(child: &Target, parent: &Target) -> Result<String, Report> {
    let guard = trigger::existing(parent, version::FUNCTION)?;
    let column = guard.first().and_then(|g| g.arguments.first());
    column.cloned().ok_or_else(|| {
        Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!(
                "parent \"{}\" of table \"{}\" has no version guard",
                parent.name, child.name
            ),
        )
        .detail(format_args!(
            "A write to the child moves its parent's version, which the parent's guard has to know."
        ))
        .hint(format_args!(
            "Add it first: SELECT raceguard.add_version({});",
            literal(&parent.qualified)
        ))
        .table(parent.oid)
    })
}

/// The triggers write the parent on behalf of the child's owner: he must be allowed to.
fn check_owner(child: &Target, parent: &Target, column: &str) -> Result<(), Report> {
    let rows = run(
        "SELECT pg_has_role(c.relowner, p.relowner, 'USAGE') \
             OR has_column_privilege(c.relowner, p.oid, $3, 'UPDATE'), \
             c.relowner::regrole::text \
         FROM pg_class c, pg_class p WHERE c.oid = $1 AND p.oid = $2",
        &[Param::Oid(child.oid), Param::Oid(parent.oid), Param::Text(column)],
    )?;
    let row = rows.first();
    if row.and_then(|r| r[0].as_deref()) == Some("t") {
        return Ok(());
    }
    let owner = row.and_then(|r| r[1].clone()).unwrap_or_default();
    Err(Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!(
            "the owner of table \"{}\" may not update the version of \"{}\"",
            child.name, parent.name
        ),
    )
    .detail(format_args!(
        "A write to the child bumps its parent on behalf of the child's owner, {owner}."
    ))
    .hint(format_args!("GRANT UPDATE ({}) ON {} TO {owner};", identifier(column), parent.qualified))
    .table(parent.oid)
    .column(column))
}

fn install(
    child: &Target,
    parent: &Target,
    keys: &[ForeignKey],
    key: &str,
    column: &str,
    replace: bool,
) -> Result<Value, Report> {
    child.lock("SHARE ROW EXCLUSIVE")?;
    refuse_inherited_guard(child, FUNCTION)?;
    refuse_guarded_partitions(child, FUNCTION)?;
    let guards = trigger::existing(child, FUNCTION)?;
    let standing = guards.iter().find(|g| competes(g, keys, key)).cloned();
    let guard = match &standing {
        Some(standing) => guard_of(&standing.trigger).to_owned(),
        None => free_name(&guards, &parent.name),
    };
    let wanted = Wanted { guard: &guard, function: FUNCTION, arguments: vec![key.to_owned()] };
    match trigger::plan(child, standing, &wanted, replace)? {
        Plan::Keep(name) => return Ok(Value::Text(name)),
        Plan::Replace(standing) => drop_all(child, &standing.trigger)?,
        Plan::Create => {}
    }
    let name = trigger::trigger_name(&guard, "")?;
    trigger::create(child, &name, EVENTS, None, FUNCTION, &wanted.arguments)?;
    create_companions(child, &name, key)?;
    tell(
        Level::Notice,
        format_args!(
            "a write to table \"{}\" moves column \"{column}\" of its parent in \"{}\", by trigger \"{name}\" through foreign key \"{key}\"",
            child.name, parent.name
        ),
        None,
    );
    Ok(Value::Text(name))
}

/// Whether a standing guard is the one asked for or one to be replaced by it: it uses the same
/// foreign key, another to the same parent, or one that is no longer there.
fn competes(guard: &Existing, keys: &[ForeignKey], key: &str) -> bool {
    let used = guard.arguments.first().map_or("", String::as_str);
    used == key || keys.iter().find(|k| k.name == used).is_none_or(|k| k.to_parent)
}

fn guard_of(trigger: &str) -> &str {
    trigger.strip_prefix(PREFIX).unwrap_or(trigger)
}

/// The guard's name: plain for the first parent of a table, with the parent's name for others.
fn free_name(guards: &[Existing], parent: &str) -> String {
    let taken = |name: &str| guards.iter().any(|g| guard_of(&g.trigger) == name);
    if !taken(GUARD) {
        return GUARD.to_owned();
    }
    // The longest companion and a number have to fit behind it.
    let mut end =
        parent.len().min(LONGEST_NAME - PREFIX.len() - GUARD.len() - 1 - "_truncated".len() - 3);
    while !parent.is_char_boundary(end) {
        end -= 1;
    }
    let base = format!("{GUARD}_{}", &parent[..end]);
    let numbered = (2..100).map(|n| format!("{base}_{n}"));
    core::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(base)
}

fn create_companions(child: &Target, name: &str, key: &str) -> Result<(), Report> {
    let [bump, truncate, truncated] = COMPANIONS.map(|c| identifier(&format!("{name}{c}")));
    let (table, key) = (&child.qualified, literal(key));
    run(
        &format!(
            "CREATE CONSTRAINT TRIGGER {bump} {EVENTS} ON {table} \
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (raceguard.{DUE_FUNCTION}()) \
             EXECUTE FUNCTION raceguard.{BUMP_FUNCTION}()"
        ),
        &[],
    )?;
    for (name, timing) in [(truncate, "BEFORE"), (truncated, "AFTER")] {
        run(
            &format!(
                "CREATE TRIGGER {name} {timing} TRUNCATE ON {table} \
                 FOR EACH STATEMENT EXECUTE FUNCTION raceguard.{TRUNCATE_FUNCTION}({key})"
            ),
            &[],
        )?;
    }
    Ok(())
}

/// Drops a guard's triggers; companions that the owner dropped himself are not missed.
pub fn drop_all(child: &Target, trigger: &str) -> Result<(), Report> {
    trigger::drop(child, trigger)?;
    for companion in COMPANIONS {
        let name = identifier(&format!("{trigger}{companion}"));
        run(&format!("DROP TRIGGER IF EXISTS {name} ON {}", child.qualified), &[])?;
    }
    Ok(())
}
