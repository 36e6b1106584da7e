//! The foreign key that an `add_*` is to follow: the one asked for, or the only one.

use crate::errors;
use crate::guard::arguments::literal;
use crate::guard::child_key::{over_periods, KeyWords};
use crate::guard::target::Target;
use crate::pg::error::Report;
use crate::pg::spi::{run, Param};

/// A foreign key of the child, as Postgres writes it.
pub struct ChildKey {
    pub name: String,
    pub definition: String,
    pub to_parent: bool,
    /// FOREIGN KEY (..., PERIOD ...), of Postgres 18.
    over_periods: bool,
}

/// The child's foreign keys. Those that Postgres derives for the partitions of a parent are left
/// out; one that is NOT ENFORCED (Postgres 18) proves nothing.
pub fn foreign_keys(child: &Target, parent: &Target) -> Result<Vec<ChildKey>, Report> {
    let rows = run(
        "SELECT c.conname, pg_get_constraintdef(c.oid), c.confrelid = $2, \
         to_jsonb(c)->>'conperiod' IS NOT DISTINCT FROM 'true' FROM pg_constraint c \
         LEFT JOIN pg_constraint above ON above.oid = c.conparentid \
         WHERE c.conrelid = $1 AND c.contype = 'f' AND above.conrelid IS DISTINCT FROM c.conrelid \
         AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' ORDER BY c.conname",
        &[Param::Oid(child.oid), Param::Oid(parent.oid)],
    )?;
    rows.iter()
        .map(|row| {
            Ok(ChildKey {
                name: row.get(0)?,
                definition: row.get::<Option<_>>(1)?.unwrap_or_default(),
                to_parent: row.get(2)?,
                over_periods: row.get(3)?,
            })
        })
        .collect()
}

/// The foreign key asked for, or the only one.
pub fn choose(
    child: &Target,
    parent: &Target,
    keys: &[ChildKey],
    asked: Option<String>,
    words: &KeyWords,
) -> Result<String, Report> {
    let to_parent: Vec<&ChildKey> = keys.iter().filter(|k| k.to_parent).collect();
    let found = match &asked {
        Some(asked) => to_parent.iter().find(|k| k.name == *asked),
        None if to_parent.len() > 1 => return Err(several(child, parent, &to_parent)),
        None => to_parent.first(),
    };
    if let Some(key) = found {
        if key.over_periods {
            return Err(over_periods(&key.name, &child.name, child.oid, words)
                .hint(format_args!("Give the child a foreign key to the one row that is meant.")));
        }
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

fn several(child: &Target, parent: &Target, keys: &[&ChildKey]) -> Report {
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

fn listed(keys: &[&ChildKey]) -> String {
    keys.iter().map(|k| format!("\"{}\" {}", k.name, k.definition)).collect::<Vec<_>>().join(", ")
}
