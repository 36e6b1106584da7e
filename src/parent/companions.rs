//! The triggers that go with the one that notes parents: one bumps them, two see a TRUNCATE.

use crate::guard::arguments::{identifier, literal};
use crate::guard::attachment::Attachment;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, Put};
use crate::parent::rule::{
    guard_of_bump, BUMP, BUMP_ATTACHMENT, BUMP_FUNCTION, DUE_FUNCTION, TRUNCATE, TRUNCATED,
    TRUNCATE_ATTACHMENTS, TRUNCATE_FUNCTION,
};
use crate::pg::error::{tell, Level, Report};
use crate::pg::spi::{one, run, Param};
use pgrx::pg_sys::Oid;

/// The events of the guard's own trigger, and of the one that bumps.
pub const EVENTS: &str = "AFTER INSERT OR UPDATE OR DELETE";

/// What is wrong with the triggers beside a guard's own.
pub fn companion_fault(child: Oid, standing: &Existing) -> Result<Option<String>, Report> {
    let bumps = trigger::existing_on(child, BUMP_FUNCTION)?;
    let truncates = trigger::existing_on(child, TRUNCATE_FUNCTION)?;
    let key = standing.arguments.first();
    let missing = if !bumps.iter().any(|t| t.deferred && t.is_sound(&BUMP_ATTACHMENT)) {
        Some(&BUMP_ATTACHMENT)
    } else {
        TRUNCATE_ATTACHMENTS.iter().find(|wanted| {
            !truncates.iter().any(|t| t.arguments.first() == key && t.is_sound(wanted))
        })
    };
    Ok(missing.map(|m| format!("no trigger executed raceguard.{} {m}", m.function)))
}

/// The statements that make them stand beside a guard's own trigger of that name. None does anything before
/// that one stands.
pub fn companion_statements(
    child: &Target,
    parent: &Target,
    name: &str,
    key: &str,
) -> Result<Vec<String>, Report> {
    let [truncate, truncated] = [TRUNCATE, TRUNCATED].map(|c| format!("{name}{c}"));
    let mut statements = bump_statements(child, parent, name, key)?;
    let standing = trigger::existing(child, TRUNCATE_FUNCTION)?;
    let [before, after] = &TRUNCATE_ATTACHMENTS;
    for (name, timing, attachment) in [(truncated, "AFTER", after), (truncate, "BEFORE", before)] {
        let standing = standing.iter().find(|t| t.trigger == name);
        if let Some(standing) = standing.filter(|t| is_of(t, attachment, key)) {
            statements.extend(standing.off.iter().cloned());
            continue;
        }
        let create = |put: Put| {
            format!(
                "{} TRIGGER {} {timing} TRUNCATE ON {} FOR EACH STATEMENT \
                 EXECUTE FUNCTION raceguard.{TRUNCATE_FUNCTION}({})",
                put.words(),
                identifier(&name),
                child.qualified,
                literal(key)
            )
        };
        statements.extend(trigger::put_up(child, standing, &name, create)?);
    }
    Ok(statements)
}

/// Whether a trigger is attached as it has to be, for that foreign key.
fn is_of(standing: &Existing, attachment: &Attachment, key: &str) -> bool {
    attachment.fits(standing.shape) && standing.arguments.first().is_none_or(|named| named == key)
}

/// The statements that make the deferred trigger stand, which no OR REPLACE makes anew. Where the guard follows
/// another foreign key now, a new one stands beside the one before, which has nothing to do any more: to drop
/// that, readers would have to wait.
fn bump_statements(
    child: &Target,
    parent: &Target,
    guard: &str,
    key: &str,
) -> Result<Vec<String>, Report> {
    let standing = bumps_of(child.oid, guard)?;
    let astray = remembering_others(child, parent)?;
    let names = |bump: &Existing| bump.arguments.first().is_some_and(|name| name == key);
    let fits = |bump: &&Existing| {
        bump.deferred
            && BUMP_ATTACHMENT.fits(bump.shape)
            && !(names(bump) && astray.contains(&bump.trigger))
    };
    let (fitting, others): (Vec<_>, Vec<_>) = standing.iter().partition(fits);
    // One without an argument serves any foreign key, but remembers no parent.
    let named = fitting.iter().find(|bump| names(bump));
    if let Some(own) = named.or(fitting.iter().find(|bump| bump.arguments.is_empty())) {
        return Ok(own.off.clone());
    }
    let mut statements: Vec<String> =
        others.iter().map(|bump| trigger::drop_statement(child, &bump.trigger)).collect();
    let name = identifier(&free_name(guard, &fitting));
    let (from, key) = (remembering(child, parent)?, literal(key));
    // The argument says whose parent is remembered.
    let remembered = if from.is_empty() { "" } else { &key };
    let table = &child.qualified;
    statements.push(format!(
        "CREATE CONSTRAINT TRIGGER {name} {EVENTS} ON {table}{from} \
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (raceguard.{DUE_FUNCTION}()) \
         EXECUTE FUNCTION raceguard.{BUMP_FUNCTION}({remembered})"
    ));
    if standing.iter().any(|bump| bump.always) {
        statements.push(format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"));
    }
    Ok(statements)
}

/// The triggers that bump for a guard's own trigger of that name: one for each foreign key that it has followed.
fn bumps_of(child: Oid, guard: &str) -> Result<Vec<Existing>, Report> {
    let mut bumps = trigger::existing_on(child, BUMP_FUNCTION)?;
    bumps.retain(|bump| guard_of_bump(&bump.trigger) == Some(guard));
    Ok(bumps)
}

/// `<guard>_bump`, or with a number where that is taken.
fn free_name(guard: &str, taken: &[&Existing]) -> String {
    let first = format!("{guard}{BUMP}");
    let numbered = (2..).map(|n| format!("{first}_{n}"));
    let mut names = core::iter::once(first.clone()).chain(numbered);
    names.find(|name| taken.iter().all(|bump| bump.trigger != *name)).unwrap_or(first)
}

/// The triggers of the child that remember another parent than this.
fn remembering_others(child: &Target, parent: &Target) -> Result<Vec<String>, Report> {
    let rows = run(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal AND tgconstrrelid NOT IN (0, $2)",
        &[Param::Oid(child.oid), Param::Oid(parent.oid)],
    )?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The clause by which the trigger that bumps remembers the parent. Postgres asks for the right to put
/// triggers on that.
fn remembering(child: &Target, parent: &Target) -> Result<String, Report> {
    let may = one::<bool>(
        "SELECT has_table_privilege(c.oid, 'TRIGGER') AND has_schema_privilege(c.relnamespace, 'USAGE') \
         FROM pg_class c WHERE c.oid = $1",
        &[Param::Oid(parent.oid)],
    )?;
    if may == Some(true) {
        return Ok(format!(" FROM {}", parent.qualified));
    }
    tell(
        Level::Notice,
        format_args!(
            "the guard on table \"{}\" will know its foreign key to \"{}\" by name alone",
            child.name, parent.name
        ),
        Some(format_args!(
            "With GRANT TRIGGER ON {} to the owner of the child, and the guard added anew, it also follows a foreign key that is renamed.",
            parent.qualified
        )),
    );
    Ok(String::new())
}

/// Drops a guard's triggers; companions that the owner dropped himself are not missed.
pub fn drop_all(child: &Target, trigger: &str) -> Result<(), Report> {
    trigger::drop(child, trigger)?;
    for bump in bumps_of(child.oid, trigger)? {
        trigger::drop(child, &bump.trigger)?;
    }
    for companion in [TRUNCATE, TRUNCATED] {
        let name = identifier(&format!("{trigger}{companion}"));
        child.run(&format!("DROP TRIGGER IF EXISTS {name} ON {}", child.qualified))?;
    }
    Ok(())
}
