//! The objects of a cap as DDL, and a standing cap's definition read back from them.

use super::arguments::{identifier, quote_if_needed, LONGEST_NAME};
use super::target::Target;
use super::trigger::{self, Wanted};
use crate::guards::cap::{FULL_FUNCTION, FUNCTION};
use crate::pg::error::Report;
use crate::pg::key::bare;
use crate::pg::spi::{run, Param};
use pgrx::pg_sys;

/// A cap as the owner asked for it, texts in Postgres's canonical form.
pub struct Cap {
    pub key: String,
    /// How many columns the key has.
    pub parts: usize,
    pub slots: i32,
    pub column: String,
    /// Its type as SQL writes it.
    pub column_type: String,
    pub predicate: Option<String>,
    pub fill: String,
    pub guard: String,
}

impl Cap {
    /// The triggers' arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.column.clone(), format!("slots={}", self.slots)];
        if self.fill != "lowest" {
            arguments.push(format!("fill={}", self.fill));
        }
        arguments
    }

    /// What to compare a standing cap with: the arguments, and the key and predicate of the index.
    pub fn wanted(&self) -> Wanted<'_> {
        let mut arguments = self.arguments();
        arguments.push(format!("key={}", self.key));
        arguments.extend(self.predicate.as_ref().map(|p| format!("predicate={p}")));
        Wanted { guard: &self.guard, function: FUNCTION, arguments }
    }

    /// The predicate as a condition; TRUE without one.
    pub fn condition(&self) -> &str {
        self.predicate.as_deref().unwrap_or("TRUE")
    }

    /// The names of the trigger that chooses slots and of the one that refuses.
    pub fn trigger_names(&self) -> Result<(String, String), Report> {
        let full = trigger::trigger_name(&self.guard, "_full")?;
        Ok((trigger::trigger_name(&self.guard, "")?, full))
    }

    pub fn check_name(&self) -> String {
        check_name(&self.guard)
    }

    pub fn add_column(&self, target: &Target) -> String {
        let (table, column) = (&target.qualified, identifier(&self.column));
        format!("ALTER TABLE {table} ADD COLUMN {column} {}", self.column_type)
    }

    /// A row inside the predicate has a slot from 0 to `slots`. Postgres reads a CHECK from its
    /// stored text for every statement, so one short comparison stands here: per single-row INSERT
    /// it takes 0.75 us where `slot BETWEEN 0 AND n AND slot IS NOT NULL` takes 1.9 us (PG 15).
    pub fn check(&self) -> String {
        let column = identifier(&self.column);
        let (slot, range) = match self.column_type.as_str() {
            "bigint" => (column, "int8range"),
            "smallint" => (format!("{column}::int"), "int4range"),
            _ => (column, "int4range"),
        };
        let numbered = format!("({slot} <@ {}::{range}) IS TRUE", self.range());
        match &self.predicate {
            Some(predicate) => format!("CHECK ({numbered} OR ({predicate}) IS NOT TRUE)"),
            None => format!("CHECK ({numbered})"),
        }
    }

    /// The numbers that the CHECK allows, as a literal.
    fn range(&self) -> String {
        // The last int has no successor to stand as the range's end.
        let end = self.slots.checked_add(1).map(|end| end.to_string()).unwrap_or_default();
        format!("'[0,{end})'")
    }

    pub fn add_check(&self, target: &Target, not_valid: &str) -> String {
        let (table, name) = (&target.qualified, identifier(&self.check_name()));
        format!("ALTER TABLE {table} ADD CONSTRAINT {name} {}{not_valid}", self.check())
    }

    /// The CHECK that stands under this guard's name.
    pub fn standing_check(&self, target: &Target) -> Result<Option<Check>, Report> {
        let rows = run(
            "SELECT convalidated, position($3 IN pg_get_constraintdef(oid)) > 0 FROM pg_constraint \
             WHERE conrelid = $1 AND contype = 'c' AND conname = $2::name",
            &[
                Param::Oid(target.oid),
                Param::Text(&self.check_name()),
                Param::Text(&self.range()),
            ],
        )?;
        let says = |row: &[Option<String>], i: usize| row[i].as_deref() == Some("t");
        Ok(rows.first().map(|row| Check { valid: says(row, 0), as_many: says(row, 1) }))
    }

    pub fn drop_check(&self, target: &Target) -> String {
        drop_check(target, &self.guard)
    }

    pub fn create_index(&self, target: &Target, concurrently: &str) -> String {
        let column = identifier(&self.column);
        let predicate = match &self.predicate {
            Some(predicate) => format!("({predicate}) AND {column} > 0"),
            None => format!("{column} > 0"),
        };
        format!(
            "CREATE UNIQUE INDEX {concurrently}{} ON {} ({}, {column}) WHERE {predicate}",
            identifier(&index_name(target, &self.guard)),
            target.qualified,
            self.key,
        )
    }

    pub fn create_trigger(&self, target: &Target) -> Result<String, Report> {
        let (name, _) = self.trigger_names()?;
        let events = "BEFORE INSERT OR UPDATE";
        Ok(trigger::statement(target, &name, events, None, FUNCTION, &self.arguments()))
    }

    /// Without WHEN (NEW.slot = 0), which Postgres would read anew for every statement: 0.9 us of a
    /// single-row INSERT, against 0.25 us for queueing and firing the trigger. In bulk the queue
    /// takes 14 bytes per row, as a foreign key's does.
    pub fn create_full_trigger(&self, target: &Target) -> Result<String, Report> {
        let (_, name) = self.trigger_names()?;
        Ok(trigger::statement(
            target,
            &name,
            "AFTER INSERT",
            None,
            FULL_FUNCTION,
            &self.arguments(),
        ))
    }

    /// The index that rules this cap already, if the table has one.
    pub fn index(&self, target: &Target) -> Result<Option<SlotIndex>, Report> {
        let indexes = slot_indexes(target.oid, &self.column)?;
        Ok(indexes.into_iter().find(|i| i.key == self.key && i.predicate == self.predicate))
    }

    /// What a CREATE INDEX CONCURRENTLY of this cap that failed has left behind: an index that is not
    /// valid, and in the way of the next try. One that is just being built is none.
    pub fn failed_index(&self, target: &Target) -> Result<Option<String>, Report> {
        let rows = run(
            "SELECT format('%I.%I', n.nspname, c.relname) \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                  JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE i.indrelid = $1 AND NOT i.indisvalid AND c.relkind = 'i' AND c.relname = $2::name \
                   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p \
                                   WHERE p.index_relid = i.indexrelid)",
            &[Param::Oid(target.oid), Param::Text(&index_name(target, &self.guard))],
        )?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }
}

/// A cap's CHECK as it stands.
pub struct Check {
    /// Whether it is known to hold for all rows.
    pub valid: bool,
    /// Whether it allows as many slots as the cap that was asked for: DROP EXTENSION ... CASCADE
    /// leaves a CHECK behind.
    pub as_many: bool,
}

/// The guard's CHECK constraint.
pub fn check_name(guard: &str) -> String {
    format!("raceguard_{guard}_slots")
}

pub fn drop_check(target: &Target, guard: &str) -> String {
    let (table, name) = (&target.qualified, identifier(&check_name(guard)));
    format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
}

/// The guard's unique index: `<table>_<guard>`, the table's name shortened to fit.
pub fn index_name(target: &Target, guard: &str) -> String {
    let mut table = target.name.as_str();
    while table.len() + guard.len() + 1 > LONGEST_NAME {
        let mut end = table.len().saturating_sub(1);
        while !table.is_char_boundary(end) {
            end -= 1;
        }
        table = &table[..end];
    }
    format!("{table}_{guard}")
}

/// A unique index of a cap's shape.
pub struct SlotIndex {
    /// `schema.index`, quoted.
    pub qualified: String,
    pub key: String,
    /// How many columns the key has.
    pub parts: usize,
    pub predicate: Option<String>,
}

/// The valid unique indexes that end with a column and hold its values above 0.
pub fn slot_indexes(table: pg_sys::Oid, column: &str) -> Result<Vec<SlotIndex>, Report> {
    let rows = run(
        "SELECT format('%I.%I', n.nspname, c.relname), \
                (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, false), ', ' ORDER BY k) \
                 FROM generate_series(1, i.indnkeyatts - 1) k), \
                pg_get_expr(i.indpred, i.indrelid, false), i.indnkeyatts - 1 \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
              JOIN pg_namespace n ON n.oid = c.relnamespace \
              JOIN pg_attribute a ON a.attrelid = i.indrelid \
                                 AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND a.attname = $2::name AND i.indnkeyatts > 1 \
               AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NOT NULL \
         ORDER BY i.indexrelid",
        &[Param::Oid(table), Param::Text(column)],
    )?;
    let own = format!("({} > 0)", quote_if_needed(column)?);
    let last = format!(" AND {own})");
    let indexes = rows.into_iter().filter_map(|row| {
        let stored = row[2].as_deref()?;
        let predicate = match stored.strip_prefix('(').and_then(|p| p.strip_suffix(&last)) {
            _ if stored == own => None,
            Some(rest) => Some(bare(rest).to_owned()),
            None => return None,
        };
        let parts = row[3].as_deref()?.parse().ok()?;
        Some(SlotIndex { qualified: row[0].clone()?, key: row[1].clone()?, parts, predicate })
    });
    Ok(indexes.collect())
}

/// `key=` and `predicate=` of a cap, given its other options.
pub fn key_and_predicate(
    table: pg_sys::Oid,
    options: &serde_json::Map<String, serde_json::Value>,
) -> Result<Vec<String>, Report> {
    match options.get("slot_column").and_then(|c| c.as_str()) {
        Some(column) => index_definition(table, column),
        None => Ok(Vec::new()),
    }
}

/// Key and predicate as they stand in the index that ends with the slot column.
pub fn index_definition(table: pg_sys::Oid, column: &str) -> Result<Vec<String>, Report> {
    let Some(index) = slot_indexes(table, column)?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let mut definition = vec![format!("key={}", index.key)];
    definition.extend(index.predicate.map(|p| format!("predicate={p}")));
    Ok(definition)
}
