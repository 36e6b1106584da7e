//! `add_cap`: slot column, CHECK, unique index and the triggers that choose the slot.

use super::arguments::{identifier, one_of, positive, quote_if_needed, required, LONGEST_NAME};
use super::cap_rows;
use super::key::{canonical_key, canonical_predicate};
use super::target::Target;
use super::trigger::{self, Existing, Plan, Wanted};
use crate::errors;
use crate::guards::cap::{FULL_FUNCTION, FUNCTION};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::key::bare;
use crate::pg::spi::{connected, pinned_search_path, run, Param};
use pgrx::pg_sys;

function_entry!(raceguard_add_cap, crate::install::cap::add_cap);

/// A cap as the owner asked for it, texts in Postgres's canonical form.
pub struct Cap {
    pub key: String,
    /// How many columns the key has.
    pub parts: usize,
    pub slots: i32,
    pub column: String,
    pub predicate: Option<String>,
    pub fill: String,
    pub guard: String,
}

impl Cap {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.column.clone(), format!("slots={}", self.slots)];
        if self.fill != "lowest" {
            arguments.push(format!("fill={}", self.fill));
        }
        arguments
    }

    /// The predicate as a condition; TRUE without one.
    pub fn condition(&self) -> &str {
        self.predicate.as_deref().unwrap_or("TRUE")
    }

    /// Postgres reads the CHECK anew for every statement, so it is no longer than it has to be.
    fn check(&self) -> String {
        let slot = identifier(&self.column);
        let (slots, predicate) = (self.slots, &self.predicate);
        match predicate {
            Some(predicate) => format!(
                "CHECK ({slot} BETWEEN 0 AND {slots} AND (({predicate}) IS NOT TRUE OR {slot} IS NOT NULL))"
            ),
            None => format!("CHECK ({slot} BETWEEN 0 AND {slots} AND {slot} IS NOT NULL)"),
        }
    }

    fn index_predicate(&self) -> String {
        let slot = identifier(&self.column);
        match &self.predicate {
            Some(predicate) => format!("({predicate}) AND {slot} > 0"),
            None => format!("{slot} > 0"),
        }
    }
}

/// `add_cap(target, key, slots, slot_column, predicate, fill, online, guard, replace)`.
fn add_cap(call: Call) -> Result<Value, Report> {
    connected(|| {
        let target = pinned_search_path(|| Target::owned(call, 0))?;
        let key = required(call.text(1)?, "key")?;
        let slots = positive(required(call.int(2), "slots")?, "slots")?;
        let column = required(call.name(3), "slot_column")?;
        let predicate = call.text(4)?;
        let fill = required(call.text(5)?, "fill")?;
        let fill = one_of(&fill, "fill", &["lowest", "append"])?.to_owned();
        let guard = required(call.name(7), "guard")?;
        let replace = required(call.bool(8), "replace")?;
        let mut parts = 0;
        let key = canonical_key(&target, &key, |_, key| {
            parts = key.parts.len();
            Ok(())
        })?;
        let predicate = predicate.map(|p| canonical_predicate(&target, &p)).transpose()?;
        let cap = Cap { key, parts, slots, column, predicate, fill, guard };
        pinned_search_path(|| install(&target, &cap, replace))
    })
}

fn install(target: &Target, cap: &Cap, replace: bool) -> Result<Value, Report> {
    let name = trigger::trigger_name(&cap.guard, "")?;
    let full_name = trigger::trigger_name(&cap.guard, "_full")?;
    target.lock("ACCESS EXCLUSIVE")?;
    let standing = trigger::existing(target, FUNCTION)?.into_iter().find(|t| t.trigger == name);
    let wanted = Wanted { guard: &cap.guard, function: FUNCTION, arguments: cap.arguments() };
    let standing = standing.map(|s| with_definition(target, s)).transpose()?;
    let wanted = Wanted { arguments: described(wanted.arguments, cap), ..wanted };
    match trigger::plan(target, standing, &wanted, replace)? {
        Plan::Keep(name) => return Ok(Value::Text(name)),
        Plan::Replace(_) => remove(target, &cap.guard, false)?,
        Plan::Create => {}
    }
    add_column(target, &cap.column)?;
    cap_rows::number(target, cap)?;
    run(
        &format!(
            "ALTER TABLE {} ADD CONSTRAINT {} {}",
            target.qualified,
            identifier(&check_name(&cap.guard)),
            cap.check()
        ),
        &[],
    )?;
    run(
        &format!(
            "CREATE UNIQUE INDEX {} ON {} ({}, {}) WHERE {}",
            identifier(&index_name(target, &cap.guard)),
            target.qualified,
            cap.key,
            identifier(&cap.column),
            cap.index_predicate()
        ),
        &[],
    )?;
    create_triggers(target, cap, &name, &full_name)?;
    tell(
        Level::Notice,
        format_args!(
            "table \"{}\" is guarded by trigger \"{name}\": at most {} rows per key ({})",
            target.name, cap.slots, cap.key
        ),
        None,
    );
    trigger::warn_of_later_triggers(target, &name)?;
    Ok(Value::Text(name))
}

fn create_triggers(target: &Target, cap: &Cap, name: &str, full_name: &str) -> Result<(), Report> {
    let arguments = cap.arguments();
    trigger::create(target, name, "BEFORE INSERT OR UPDATE", None, FUNCTION, &arguments)?;
    let when = format!("NEW.{} = 0", identifier(&cap.column));
    trigger::create(target, full_name, "AFTER INSERT", Some(&when), FULL_FUNCTION, &arguments)
}

fn add_column(target: &Target, name: &str) -> Result<(), Report> {
    let Some(column) = target.column(name)? else {
        run(&format!("ALTER TABLE {} ADD COLUMN {} int", target.qualified, identifier(name)), &[])?;
        return Ok(());
    };
    let integer = matches!(column.type_name.as_str(), "smallint" | "integer" | "bigint");
    if integer && !column.generated && !column.not_null {
        return Ok(());
    }
    Err(Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!("column \"{name}\" of table \"{}\" cannot hold slots", target.name),
    )
    .detail(format_args!(
        "A slot column is smallint, integer or bigint, accepts NULL and is not generated."
    ))
    .hint(format_args!(
        "Name another column with slot_column => '...'; one that does not exist is added."
    ))
    .table(target.oid)
    .column(name))
}

/// The guard's CHECK constraint.
pub fn check_name(guard: &str) -> String {
    format!("raceguard_{guard}_slots")
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

/// The arguments with key and predicate, which live in the index, for comparison.
fn described(mut arguments: Vec<String>, cap: &Cap) -> Vec<String> {
    arguments.push(format!("key={}", cap.key));
    arguments.extend(cap.predicate.as_ref().map(|p| format!("predicate={p}")));
    arguments
}

/// A standing guard with the key and predicate of its index.
fn with_definition(target: &Target, mut standing: Existing) -> Result<Existing, Report> {
    let column = standing.arguments.first().cloned().unwrap_or_default();
    standing.arguments.extend(index_definition(target.oid, &column)?);
    Ok(standing)
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
fn index_definition(table: pg_sys::Oid, column: &str) -> Result<Vec<String>, Report> {
    let rows = run(
        "SELECT (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, false), ', ' ORDER BY k) \
                 FROM generate_series(1, i.indnkeyatts - 1) k), \
                pg_get_expr(i.indpred, i.indrelid, false) \
         FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
              AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND a.attname = $2::name AND i.indisunique AND i.indisvalid \
               AND i.indpred IS NOT NULL ORDER BY i.indexrelid LIMIT 1",
        &[Param::Oid(table), Param::Text(column)],
    )?;
    let Some(row) = rows.into_iter().next() else { return Ok(Vec::new()) };
    let mut definition = vec![format!("key={}", row[0].clone().unwrap_or_default())];
    let predicate = row[1].clone().unwrap_or_default();
    let own = format!("({} > 0)", quote_if_needed(column)?);
    if predicate != own {
        let inner = predicate
            .strip_prefix('(')
            .and_then(|p| p.strip_suffix(&format!(" AND {own})")))
            .unwrap_or(&predicate);
        definition.push(format!("predicate={}", bare(inner)));
    }
    Ok(definition)
}

/// Takes a cap's objects away; the column and its numbers stay unless `drop_column`.
pub fn remove(target: &Target, guard: &str, drop_column: bool) -> Result<(), Report> {
    let name = trigger::trigger_name(guard, "")?;
    let standing = trigger::existing(target, FUNCTION)?.into_iter().find(|t| t.trigger == name);
    let column = standing.and_then(|s| s.arguments.into_iter().next());
    for suffix in ["", "_full"] {
        let name = trigger::trigger_name(guard, suffix)?;
        run(&format!("DROP TRIGGER IF EXISTS {} ON {}", identifier(&name), target.qualified), &[])?;
    }
    run(
        &format!(
            "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
            target.qualified,
            identifier(&check_name(guard))
        ),
        &[],
    )?;
    drop_index(target, guard, column.as_deref())?;
    if let (true, Some(column)) = (drop_column, column) {
        run(
            &format!(
                "ALTER TABLE {} DROP COLUMN IF EXISTS {}",
                target.qualified,
                identifier(&column)
            ),
            &[],
        )?;
    }
    Ok(())
}

/// Drops the cap's index, by its structure: it may have been renamed.
fn drop_index(target: &Target, guard: &str, column: Option<&str>) -> Result<(), Report> {
    let rows = run(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.indnkeyatts - 1] \
         WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NOT NULL \
               AND (a.attname = $2::name OR c.relname = $3::name) ORDER BY 1",
        &[
            Param::Oid(target.oid),
            Param::OptText(column),
            Param::Text(&index_name(target, guard)),
        ],
    )?;
    for row in rows {
        run(&format!("DROP INDEX {}", row[0].clone().unwrap_or_default()), &[])?;
    }
    Ok(())
}
