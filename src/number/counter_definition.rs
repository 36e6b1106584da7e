//! The counter of a number guard that is asked for, its objects as DDL, and the one that stands.

use crate::errors;
use crate::guard::arguments::{identifier, literal, LONGEST_NAME};
use crate::guard::child_key::over_periods;
use crate::guard::kept_column::{kept_by, refuse_kept};
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, PREFIX};
use crate::guard::wanted_trigger::{ConstraintTrigger, WantedTrigger};
use crate::number::counter_rule::{
    COUNTER, COUNTER_ATTACHMENT, COUNTER_FUNCTION, KEEPER_ATTACHMENT, KEEPER_FUNCTION, WORDS,
};
use crate::number::rule::{largest, parse, FUNCTION, START};
use crate::pg::error::Report;
use crate::pg::spi::{one, run, Param};
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;

/// A counter as the owner asked for it, or as it stands.
pub struct Counter {
    pub parent: Target,
    pub column: String,
    pub foreign_key: String,
}

impl Counter {
    /// What the guard's arguments say of it.
    pub fn arguments(&self) -> [String; 2] {
        [format!("counter={}", self.column), format!("foreign_key={}", self.foreign_key)]
    }

    /// The trigger that writes it.
    pub fn writer(&self, guard: &str) -> Result<WantedTrigger, Report> {
        Ok(WantedTrigger {
            name: trigger::trigger_name(guard, COUNTER)?,
            attachment: COUNTER_ATTACHMENT,
            // The guard's own says everything.
            arguments: Vec::new(),
            constraint: Some(ConstraintTrigger {
                from: Some(self.parent.qualified.clone()),
                deferred_when: None,
            }),
        })
    }

    /// The parent's trigger that keeps others from writing it.
    pub fn keeper(&self, start: i64) -> Result<WantedTrigger, Report> {
        let standing = keeper(&self.parent, &self.column)?;
        let mut arguments = vec![self.column.clone()];
        if start != START {
            arguments.push(format!("start={start}"));
        }
        Ok(WantedTrigger {
            name: match standing {
                Some(standing) => standing.trigger,
                None => keepers_name(&self.column),
            },
            attachment: KEEPER_ATTACHMENT,
            arguments,
            constraint: None,
        })
    }

    /// The statements that make both triggers stand, the parent's first.
    pub fn triggers(&self, child: &Target, guard: &str, start: i64) -> Result<Vec<String>, Report> {
        let wanted = [(&self.parent, self.keeper(start)?), (child, self.writer(guard)?)];
        let mut statements = Vec::new();
        for (target, wanted) in wanted {
            statements.extend(wanted.statements(target, &of_counters(target)?)?);
        }
        Ok(statements)
    }

    /// What is wrong with the triggers of one that stands.
    pub fn fault(&self, child: &Target, guard: &str, start: i64) -> Result<Option<String>, Report> {
        match stands(&self.parent, &self.keeper(start)?)? {
            None => self.writer_fault(child, guard),
            fault => Ok(fault),
        }
    }

    /// What is wrong with the trigger that writes it.
    pub fn writer_fault(&self, child: &Target, guard: &str) -> Result<Option<String>, Report> {
        stands(child, &self.writer(guard)?)
    }

    pub fn add_column(&self, column_type: &str, start: i64) -> String {
        let (table, column) = (&self.parent.qualified, identifier(&self.column));
        let before = start - 1;
        format!("ALTER TABLE {table} ADD COLUMN {column} {column_type} NOT NULL DEFAULT {before}")
    }

    /// The counter of a guard that stands; `None` without one, and where its parent is not known any more.
    pub fn of(guard: &Existing) -> Result<Option<Counter>, Report> {
        let options = parse(guard.arguments.iter().map(String::as_str));
        let Some((column, foreign_key)) = options.ok().and_then(|options| options.counter) else {
            return Ok(None);
        };
        let Some(parent) = parent_of(guard, foreign_key)? else { return Ok(None) };
        Ok(Some(Counter {
            parent: Target::of(parent)?,
            column: column.to_owned(),
            foreign_key: foreign_key.to_owned(),
        }))
    }

    /// Another guard that counts in the same column.
    fn other(&self, child: &Target, guard: &str) -> Result<Option<Existing>, Report> {
        for other in trigger::referring(self.parent.oid, FUNCTION)? {
            let is_own = other.table == child.oid && other.guard() == guard;
            if !is_own && Counter::of(&other)?.is_some_and(|other| other.column == self.column) {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// 42710 where another guard counts in the column.
    pub fn refuse_others(&self, child: &Target, guard: &str) -> Result<(), Report> {
        match self.other(child, guard)? {
            Some(other) => Err(kept_by(&self.parent, &self.column, &other)),
            None => Ok(()),
        }
    }

    /// The statements that drop its triggers; that of the parent where nobody counts there afterwards.
    pub fn drop_statements(
        &self,
        child: &Target,
        guard: &str,
        next: Option<&Counter>,
    ) -> Result<Vec<String>, Report> {
        let name = trigger::trigger_name(guard, COUNTER)?;
        let mut statements = Vec::new();
        if of_counters(child)?.iter().any(|t| t.trigger == name) {
            statements.push(trigger::drop_statement(child, &name));
        }
        let stays = next
            .is_some_and(|next| next.parent.oid == self.parent.oid && next.column == self.column);
        if !stays && self.other(child, guard)?.is_none() {
            let keeper = keeper(&self.parent, &self.column)?;
            statements.extend(keeper.map(|k| trigger::drop_statement(&self.parent, &k.trigger)));
        }
        Ok(statements)
    }

    /// Drops its triggers; the parent's where no other guard counts there.
    pub fn drop(&self, child: &Target, guard: &str) -> Result<(), Report> {
        drop_writer(child, guard)?;
        if self.other(child, guard)?.is_some() {
            return Ok(());
        }
        match keeper(&self.parent, &self.column)? {
            Some(keeper) => trigger::drop(&self.parent, &keeper.trigger),
            None => Ok(()),
        }
    }
}

/// What is wrong with a trigger that is wanted.
fn stands(target: &Target, wanted: &WantedTrigger) -> Result<Option<String>, Report> {
    let sound = of_counters(target)?.iter().any(|t| wanted.is(t) && t.off.is_empty());
    let (name, table) = (&wanted.name, &target.name);
    Ok((!sound).then(|| format!("trigger \"{name}\" on \"{table}\" was off, missing or another")))
}

/// Drops the trigger that writes a guard's counter, if it is there.
pub fn drop_writer(child: &Target, guard: &str) -> Result<bool, Report> {
    let name = trigger::trigger_name(guard, COUNTER)?;
    let stands = of_counters(child)?.iter().any(|t| t.trigger == name);
    if stands {
        trigger::drop(child, &name)?;
    }
    Ok(stands)
}

/// The triggers that a table has for counters.
pub fn of_counters(target: &Target) -> Result<Vec<Existing>, Report> {
    let mut standing = trigger::all(Some(target.oid))?;
    standing.retain(|t| [COUNTER_FUNCTION, KEEPER_FUNCTION].contains(&t.function.as_str()));
    Ok(standing)
}

/// The trigger that keeps a column of the parent.
pub fn keeper(parent: &Target, column: &str) -> Result<Option<Existing>, Report> {
    let keeps = |t: &Existing| t.arguments.first().is_some_and(|first| first == column);
    Ok(trigger::existing(parent, KEEPER_FUNCTION)?.into_iter().find(keeps))
}

/// What the trigger that keeps a column is named: as far as the column's name fits. It sorts before the parent's other
/// guards, which tell the guard's own write by it.
fn keepers_name(column: &str) -> String {
    let mut name = format!("{PREFIX}keep_{column}");
    while name.len() > LONGEST_NAME {
        name.pop();
    }
    name
}

/// The parent of a guard: the one that the trigger beside it remembers, or that of its foreign key.
fn parent_of(guard: &Existing, foreign_key: &str) -> Result<Option<Oid>, Report> {
    one(
        "SELECT coalesce( \
           (SELECT tgconstrrelid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
            WHERE t.tgrelid = $1 AND t.tgconstrrelid <> 0 AND p.proname = $4::name AND t.tgname = $3::name), \
           (SELECT confrelid FROM pg_constraint WHERE conrelid = $1 AND contype = 'f' AND conname = $2::name))",
        &[
            Param::Oid(guard.table),
            Param::Text(foreign_key),
            Param::Text(&format!("{}{COUNTER}", guard.trigger)),
            Param::Text(COUNTER_FUNCTION),
        ],
    )
}

/// A foreign key by which a table's rows could be numbered.
pub struct NumberedKey {
    pub name: String,
    pub parent: Oid,
    /// The names of its columns.
    pub columns: Vec<String>,
    definition: String,
    over_periods: bool,
}

/// The enforced foreign keys of a table. Call it inside `pinned_search_path`.
pub fn numbered_keys(child: &Target) -> Result<Vec<NumberedKey>, Report> {
    let rows = run_kept(
        "SELECT c.conname, c.confrelid, pg_get_constraintdef(c.oid), \
                to_jsonb(c)->>'conperiod' IS NOT DISTINCT FROM 'true', \
                (SELECT json_agg(a.attname ORDER BY k.n)::text \
                 FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, n) JOIN pg_attribute a \
                      ON a.attrelid = c.conrelid AND a.attnum = k.attnum) \
         FROM pg_constraint c LEFT JOIN pg_constraint above ON above.oid = c.conparentid \
         WHERE c.conrelid = $1 AND c.contype = 'f' AND above.conrelid IS DISTINCT FROM c.conrelid \
           AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' ORDER BY c.conname",
        &[Param::Oid(child.oid)],
    )?;
    let mut keys = Vec::new();
    for row in &rows {
        let columns: Option<&str> = row.get(4)?;
        keys.push(NumberedKey {
            name: row.get(0)?,
            parent: row.get(1)?,
            definition: row.get::<Option<_>>(2)?.unwrap_or_default(),
            over_periods: row.get(3)?,
            columns: columns.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default(),
        });
    }
    Ok(keys)
}

/// The foreign key asked for, or the only one; `key` is the key that was given, and the names of the foreign keys whose columns
/// it is.
pub fn choose<'k>(
    child: &Target,
    keys: &'k [NumberedKey],
    asked: Option<&str>,
    key: Option<(&str, &[String])>,
) -> Result<&'k NumberedKey, Report> {
    let named: Vec<&NumberedKey> =
        keys.iter().filter(|found| asked.is_none_or(|asked| found.name == asked)).collect();
    if named.is_empty() {
        return Err(none(child, keys, asked));
    }
    let fits = |found: &&&NumberedKey| key.is_none_or(|(_, names)| names.contains(&found.name));
    let fitting: Vec<&NumberedKey> = named.iter().filter(fits).copied().collect();
    match (fitting.as_slice(), key) {
        ([found], _) if found.over_periods => {
            Err(over_periods(&found.name, &child.name, child.oid, &WORDS)
                .hint(format_args!("Give the child a foreign key to the one row that is meant.")))
        }
        ([found], _) => Ok(found),
        ([], Some((text, _))) => Err(other_key(child, text, &named)),
        (several, _) => Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!("table \"{}\" has several foreign keys", child.name),
        )
        .detail(format_args!("They are {}.", listed(several)))
        .hint(format_args!(
            "Choose the one that leads to the counter with foreign_key => {}.",
            literal(several.first().map_or("", |found| &found.name))
        ))
        .table(child.oid)),
    }
}

fn listed(keys: &[&NumberedKey]) -> String {
    keys.iter().map(|k| format!("\"{}\" {}", k.name, k.definition)).collect::<Vec<_>>().join(", ")
}

/// 42704: no foreign key leads to a row with a counter.
fn none(child: &Target, keys: &[NumberedKey], asked: Option<&str>) -> Report {
    let which = asked.map(|asked| format!(" \"{asked}\"")).unwrap_or_default();
    let report = Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{}\" has no foreign key{which}", child.name),
    )
    .table(child.oid);
    match keys.first() {
        None => report.detail(format_args!("The table has no foreign keys.")).hint(format_args!(
            "A counter stands in the row that a foreign key refers to: ALTER TABLE {} ADD FOREIGN KEY (...) REFERENCES ...",
            child.qualified
        )),
        Some(first) => report
            .detail(format_args!("Its foreign keys are {}.", listed(&keys.iter().collect::<Vec<_>>())))
            .hint(format_args!("Write foreign_key => {}, for example.", literal(&first.name))),
    }
}

/// 22023: with a counter the key is the foreign key's columns.
fn other_key(child: &Target, key: &str, keys: &[&NumberedKey]) -> Report {
    Report::error(
        errors::INVALID_PARAMETER,
        format_args!("key of \"{}\" is not the columns of a foreign key", child.name),
    )
    .detail(format_args!(
        "A counter stands in the row that a foreign key refers to, so rows are numbered by its columns. The key is ({key}); the foreign keys are {}.",
        listed(keys)
    ))
    .hint(format_args!("Write the columns of one as the key, or NULL and foreign_key => '...'."))
    .table(child.oid)
}

/// The type of the counter; one that is missing will be added with the number column's.
pub fn counter_type(parent: &Target, name: &str, number_type: &str) -> Result<String, Report> {
    refuse_kept(parent, name, &[KEEPER_FUNCTION])?;
    let Some(found) = parent.column(name)? else { return Ok(number_type.to_owned()) };
    let unfit = |detail: &str, hint: &str| {
        Err(Report::error(
            errors::DATATYPE_MISMATCH,
            format_args!("column \"{name}\" of table \"{}\" cannot be a counter", parent.name),
        )
        .detail(format_args!("{detail}"))
        .hint(format_args!("{hint}"))
        .table(parent.oid)
        .column(name))
    };
    let another = "Name another column with counter => '...'; one that does not exist is added.";
    let rows = run(
        "SELECT a.attidentity <> '', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique \
                AND a.attnum = ANY (i.indkey::int2[])) \
         FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum = $2",
        &[Param::Oid(parent.oid), Param::Int(found.attno.into())],
    )?;
    let (identity, unique) = match rows.first() {
        Some(row) => (row.get(0)?, row.get(1)?),
        None => (false, false),
    };
    let Some(last) = largest(&found.type_name) else {
        return unfit(
            &format!("It is {}; a counter is smallint, integer or bigint.", found.type_name),
            another,
        );
    };
    if found.generated || identity {
        return unfit("Postgres gives the column its values.", another);
    }
    if unique {
        return unfit(
            "It is part of a unique index: its UPDATE would lock out foreign keys.",
            another,
        );
    }
    if largest(number_type).is_some_and(|number| number > last) {
        let detail = format!(
            "It is {}, and the number column is {number_type}: the counter could not follow.",
            found.type_name
        );
        return unfit(&detail, "Make it as wide as the number column first.");
    }
    if !found.not_null {
        let (table, column) = (&parent.qualified, identifier(name));
        let hint = format!("Write the number that was given last, or 0, where it has none, and ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL.");
        return unfit("It may be NULL, which tells no number.", &hint);
    }
    Ok(found.type_name)
}
