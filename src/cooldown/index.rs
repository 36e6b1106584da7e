//! The index (key..., at) that a cooldown reads: found by its form, created, given up.

use crate::cooldown::definition::Cooldown;
use crate::cooldown::rule::{parse, FUNCTION};
use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::index::index_name;
use crate::guard::steps::{of_index, Step};
use crate::guard::target::Target;
use crate::guard::trigger;
use crate::pg::error::{catch, Report};
use crate::pg::instant::Clock;
use crate::pg::key::{self, Key};
use crate::pg::memory::{here, Memory};
use crate::pg::relation::Table;
use crate::pg::spi::{in_subtransaction, run, Param};
use crate::pg::text::PgText;
use crate::pg::time_index;
use pgrx::pg_sys::Oid;

/// The statement that creates the index on a table or a partition of it.
pub fn create_statement(target: &Target, cooldown: &Cooldown, concurrently: &str) -> String {
    let partial = cooldown.predicate.as_ref().map(|p| format!(" WHERE {p}")).unwrap_or_default();
    format!(
        "CREATE INDEX {concurrently}{} ON {} ({}, {}){partial}",
        identifier(&own_name(target, &cooldown.guard)),
        target.qualified,
        cooldown.key,
        identifier(&cooldown.at)
    )
}

/// The index that `add_cooldown` creates where none of the right shape stands.
fn own_name(target: &Target, guard: &str) -> String {
    index_name(target, &suffix(guard))
}

/// What the index's name adds to the table's.
fn suffix(guard: &str) -> String {
    format!("{guard}_idx")
}

/// The name under which a plan keeps the index of a cooldown until another has taken its place.
fn old_name(target: &Target, guard: &str) -> String {
    index_name(target, &format!("{guard}_old_idx"))
}

/// The index that a guard of this definition reads.
pub fn find_index(target: &Target, cooldown: &Cooldown) -> Result<Option<Oid>, Report> {
    let predicate = cooldown.predicate.as_deref();
    index_of(target, &cooldown.key, &cooldown.at, predicate)
}

/// Runs as the owner: to compile a key is to evaluate what is constant in it.
fn index_of(
    target: &Target,
    key: &str,
    at: &str,
    predicate: Option<&str>,
) -> Result<Option<Oid>, Report> {
    target.in_owners_name(|| find_index_of(target.oid, key, at, predicate))
}

fn find_index_of(
    oid: Oid,
    key: &str,
    at: &str,
    predicate: Option<&str>,
) -> Result<Option<Oid>, Report> {
    let find = |table: Table| {
        here(|memory| {
            let (key, predicate) = compile(table, key, predicate, memory)?;
            let found = table.column_named(at).and_then(|at| {
                let clock = Clock::of(at)?;
                time_index::find(table, &key, predicate, at, clock, memory)
            });
            Ok(found.map(|index| index.index()))
        })
    };
    catch(|| time_index::with_table(oid, find))?
}

/// Key and predicate of a cooldown, ready to be compared with those of indexes. Inside `catch`.
pub fn compile<'m>(
    table: Table,
    key: &str,
    predicate: Option<&str>,
    memory: Memory<'m>,
) -> Result<(Key<'m>, Option<Key<'m>>), Report> {
    let compiled =
        |text: &str| key::with_pinned_text(|| Ok(key::parse(table, text, memory)?.compile(table)));
    let key = compiled(key)?;
    let predicate = predicate.map(|p| {
        let condition = PgText::from_fmt(format_args!("({p})"));
        compiled(condition.as_str())
    });
    Ok((key, predicate.transpose()?))
}

/// The index of a name on a table, if it is there and valid.
struct NamedIndex {
    oid: Oid,
    /// Both quoted where they have to be.
    schema: String,
    name: String,
}

impl NamedIndex {
    fn qualified(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    fn rename(&self, name: &str) -> String {
        format!("ALTER INDEX {} RENAME TO {}", self.qualified(), identifier(name))
    }
}

fn named(target: &Target, name: &str) -> Result<Option<NamedIndex>, Report> {
    let rows = run(
        "SELECT c.oid, quote_ident(n.nspname), quote_ident(c.relname) FROM pg_index i \
         JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE i.indrelid = $1 AND i.indisvalid AND c.relname = $2::name",
        &[Param::Oid(target.oid), Param::Text(name)],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(NamedIndex { oid: row.get(0)?, schema: row.get(1)?, name: row.get(2)? }))
}

/// The name of another cooldown that reads an index.
fn reader(target: &Target, index: Oid, guard: &str) -> Result<Option<String>, Report> {
    for other in trigger::existing(target, FUNCTION)? {
        if other.guard() == guard {
            continue;
        }
        let Ok(options) = parse(other.arguments.iter().map(String::as_str)) else { continue };
        // A guard whose own columns are gone reads no index.
        let read =
            in_subtransaction(|| index_of(target, options.key, options.at, options.predicate))?;
        let read = match read {
            Err(report) if report.is(errors::INSUFFICIENT_PRIVILEGE) => return Err(report),
            read => read.ok().flatten(),
        };
        if read == Some(index) {
            return Ok(Some(other.guard().to_owned()));
        }
    }
    Ok(None)
}

/// Drops the index that `add_cooldown` made for a guard that is gone, unless another cooldown reads it: that one
/// then owns it.
pub fn give_up(target: &Target, guard: &str) -> Result<(), Report> {
    let Some(index) = named(target, &own_name(target, guard))? else { return Ok(()) };
    match reader(target, index.oid, guard)? {
        Some(other) => target.run(&index.rename(&own_name(target, &other)))?,
        None => target.run(&format!("DROP INDEX {}", index.qualified()))?,
    };
    Ok(())
}

/// The steps that build the index while others write, and the one that drops the index of another definition of
/// the guard, which makes room for it, when the guard has taken the new one.
pub fn steps(target: &Target, cooldown: &Cooldown) -> Result<(Vec<Step>, Option<Step>), Report> {
    let guard = &cooldown.guard;
    let mut old = named(target, &old_name(target, guard))?;
    let mut steps = Vec::new();
    let stands = |table: &Target| Ok(find_index(table, cooldown)?.is_some());
    if !stands(target)? {
        let mut tables = target.leaves()?;
        tables.extend(target.partitioned.then(|| target.clone()));
        for table in &tables {
            let Some(index) = named(table, &own_name(table, guard))? else { continue };
            if stands(table)? {
                continue;
            }
            if let Some(other) = reader(table, index.oid, guard)? {
                steps.push(of_name(index.rename(&own_name(table, &other))));
                continue;
            }
            let name = old_name(table, guard);
            steps.push(of_name(index.rename(&name)));
            if table.oid == target.oid {
                old = Some(NamedIndex { name: identifier(&name), ..index });
            }
        }
        let create = |table: &Target, how: &str| create_statement(table, cooldown, how);
        steps.extend(of_index(target, &suffix(guard), stands, create)?);
    }
    Ok((steps, old.map(|old| of_drop(target, &old))))
}

fn of_name(rename: String) -> Step {
    Step::new("SHARE UPDATE EXCLUSIVE", rename)
}

fn of_drop(target: &Target, index: &NamedIndex) -> Step {
    let index = index.qualified();
    match target.partitioned {
        true => Step::new("ACCESS EXCLUSIVE", format!("DROP INDEX {index}")),
        false => Step::alone("SHARE UPDATE EXCLUSIVE", format!("DROP INDEX CONCURRENTLY {index}")),
    }
}
