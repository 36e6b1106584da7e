//! A cap that is asked for, and its objects as DDL.

use crate::cap::protocol::Fill;
use crate::cap::rule::{Options, ATTACHMENT, FULL_ATTACHMENT, FULL_FUNCTION, FUNCTION};
use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::attachment::{Attachment, Events};
use crate::guard::index::index_name;
use crate::guard::numbered_index::{self, StandingIndex};
use crate::guard::outcome::Mode;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Put};
use crate::guard::wanted::Wanted;
use crate::pg::error::Report;
use crate::pg::numbered_index::IndexForm;
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use crate::pg::trigger::Timing;
use pgrx::pg_sys;

/// What a trigger is that may change a row after the guard.
const BEFORE_UPDATE: Attachment = Attachment::of_rows("", Timing::Before, Events::UPDATE);

/// A cap as the owner asked for it, texts in Postgres's canonical form.
#[derive(Clone)]
pub struct Cap {
    pub key: String,
    /// How many columns the key has.
    pub parts: usize,
    pub slots: i32,
    pub column: String,
    /// Its type as SQL writes it.
    pub column_type: String,
    pub predicate: Option<String>,
    pub fill: Fill,
    pub mode: Mode,
    pub guard: String,
}

impl Cap {
    /// The triggers' arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.column.clone(), format!("slots={}", self.slots)];
        if self.fill != Fill::Lowest {
            arguments.push(format!("fill={}", self.fill.name()));
        }
        arguments.extend(self.mode.argument());
        arguments
    }

    /// What the triggers' arguments say.
    pub fn options(&self) -> Options<'_> {
        let Cap { column, fill, mode, .. } = self;
        Options { column, slots: self.slots.into(), fill: *fill, mode: *mode }
    }

    /// The guard that is wanted, with the key and predicate of the index.
    pub fn wanted(&self) -> Wanted<'_> {
        let mut arguments = self.arguments();
        arguments.extend(shown(&self.key, self.predicate.as_deref()));
        Wanted { guard: &self.guard, attachment: &ATTACHMENT, arguments, keyed: false, fault: None }
    }

    /// What the number of rows is about, for messages.
    pub fn per_key(&self) -> String {
        match self.key.as_str() {
            "(1)" => String::new(),
            key => format!(" per key ({key})"),
        }
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
        let (slot, type_name) = match self.column_type.as_str() {
            "bigint" => (column, "int8range"),
            "smallint" => (format!("{column}::int"), "int4range"),
            _ => (column, "int4range"),
        };
        let numbered = format!("({slot} <@ {}::{type_name}) IS TRUE", range(self.slots.into()));
        match &self.predicate {
            Some(predicate) => format!("CHECK ({numbered} OR ({predicate}) IS NOT TRUE)"),
            None => format!("CHECK ({numbered})"),
        }
    }

    /// Tables that inherit from the target inherit no trigger that would give their rows a slot, so
    /// they must not inherit the CHECK either. Partitions inherit both.
    pub fn add_check(&self, target: &Target, not_valid: &str) -> Result<String, Report> {
        let (table, name) = (&target.qualified, identifier(&self.check_name()));
        let (check, own) = (self.check(), if target.has_heirs()? { " NO INHERIT" } else { "" });
        Ok(format!("ALTER TABLE {table} ADD CONSTRAINT {name} {check}{own}{not_valid}"))
    }

    /// The CHECK that stands under this guard's name.
    pub fn standing_check(&self, target: &Target) -> Result<Option<Check>, Report> {
        standing_check(target.oid, &self.guard, self.slots.into())
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

    pub fn create_trigger(&self, target: &Target, put: Put) -> Result<String, Report> {
        let (name, _) = self.trigger_names()?;
        let events = "BEFORE INSERT OR UPDATE";
        Ok(trigger::statement(put, target, &name, events, FUNCTION, &self.arguments()))
    }

    /// Without WHEN (NEW.slot = 0), which Postgres would read anew for every statement: 0.9 us of a
    /// single-row INSERT, against 0.25 us for queueing and firing the trigger. In bulk the queue
    /// takes 14 bytes per row, as a foreign key's does.
    pub fn create_full_trigger(&self, target: &Target, put: Put) -> Result<String, Report> {
        let (_, name) = self.trigger_names()?;
        let events = match self.full_attachment(target)?.events {
            Events::INSERT => "AFTER INSERT",
            _ => "AFTER INSERT OR UPDATE",
        };
        Ok(trigger::statement(put, target, &name, events, FULL_FUNCTION, &self.arguments()))
    }

    /// How the trigger that refuses slot 0 has to be attached: where another BEFORE UPDATE trigger fires
    /// after the guard and may write any slot, for UPDATE too.
    pub fn full_attachment(&self, target: &Target) -> Result<Attachment, Report> {
        let (name, _) = self.trigger_names()?;
        full_attachment(target.oid, &name)
    }

    /// The index that rules this cap already, if the table has one.
    pub fn index(&self, target: &Target) -> Result<Option<StandingIndex>, Report> {
        self.wanted_index().standing(target)
    }

    /// 55000 if another index stands that the guard would take for its own.
    pub fn refuse_other_indexes(&self, target: &Target) -> Result<(), Report> {
        self.wanted_index().refuse_others(target)
    }

    fn wanted_index(&self) -> numbered_index::WantedIndex<'_> {
        let (column, key) = (&self.column, &self.key);
        let predicate = self.predicate.as_deref();
        numbered_index::WantedIndex { form: IndexForm::Slots, column, key, predicate }
    }
}

/// Key and predicate as errors show them beside the trigger's arguments.
pub fn shown(key: &str, predicate: Option<&str>) -> impl Iterator<Item = String> {
    let predicate = predicate.map(|predicate| format!("predicate={predicate}"));
    core::iter::once(format!("key={key}")).chain(predicate)
}

/// How the trigger that refuses slot 0 has to be attached beside a cap's trigger of that name: where another
/// BEFORE UPDATE trigger fires after it and may write any slot, for UPDATE too.
pub fn full_attachment(table: pg_sys::Oid, trigger: &str) -> Result<Attachment, Report> {
    let later = run_kept(
        "SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid \
         JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE (t.tgrelid = $1 OR t.tgrelid IN (SELECT relid FROM pg_partition_tree($1))) \
           AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgname > $2::name \
           AND (t.tgtype & $3) = $3 AND n.nspname <> 'raceguard' LIMIT 1",
        &[Param::Oid(table), Param::Text(trigger), Param::Int(BEFORE_UPDATE.kind().into())],
    )?;
    let events = match later.is_empty() {
        true => Events::INSERT,
        false => Events::INSERT.or(Events::UPDATE),
    };
    Ok(Attachment { events, ..FULL_ATTACHMENT })
}

/// The type of the slot column; one that is missing will be added as integer.
pub fn slot_column_type(target: &Target, name: &str, slots: i32) -> Result<String, Report> {
    let Some(column) = target.column(name)? else { return Ok("integer".to_owned()) };
    let integer = matches!(column.type_name.as_str(), "smallint" | "integer" | "bigint");
    if !integer || column.generated || column.not_null {
        return Err(Report::error(
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
        .column(name));
    }
    if column.type_name == "smallint" && slots > i16::MAX as i32 {
        return Err(Report::error(
            errors::OUT_OF_RANGE,
            format_args!("{slots} slots do not fit into smallint column \"{name}\""),
        )
        .detail(format_args!("A smallint holds numbers up to {}.", i16::MAX))
        .hint(format_args!("Make the column an integer first, or allow fewer slots."))
        .table(target.oid)
        .column(name));
    }
    Ok(column.type_name)
}

/// A cap's CHECK as it stands.
pub struct Check {
    /// One that is NOT ENFORCED (Postgres 18) stands for nothing.
    pub enforced: bool,
    /// Whether it is known to hold for all rows.
    pub valid: bool,
    /// Whether it allows as many slots as the cap that was asked for: DROP EXTENSION ... CASCADE
    /// leaves a CHECK behind.
    pub as_many: bool,
    /// Whether it refuses the rows of tables that inherit from the guarded one.
    pub inherited: bool,
}

/// The numbers that the CHECK allows, as a literal.
fn range(slots: i64) -> String {
    // The last int has no successor to stand as the range's end.
    let end = if slots < i32::MAX.into() { (slots + 1).to_string() } else { String::new() };
    format!("'[0,{end})'")
}

/// The CHECK that stands under a guard's name on a table.
pub fn standing_check(
    table: pg_sys::Oid,
    guard: &str,
    slots: i64,
) -> Result<Option<Check>, Report> {
    let rows = run_kept(
        "SELECT convalidated, position($3 IN pg_get_constraintdef(c.oid)) > 0 \
                AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false', \
                NOT connoinherit AND EXISTS (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent \
                                             WHERE i.inhparent = c.conrelid AND p.relkind = 'r'), \
                to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' \
         FROM pg_constraint c WHERE conrelid = $1 AND contype = 'c' AND conname = $2::name",
        &[Param::Oid(table), Param::Text(&check_name(guard)), Param::Text(&range(slots))],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    // One that is just being dropped says nothing any more.
    let as_many = row.get::<Option<bool>>(1)?.unwrap_or(false);
    Ok(Some(Check { valid: row.get(0)?, as_many, inherited: row.get(2)?, enforced: row.get(3)? }))
}

/// The guard's CHECK constraint.
pub fn check_name(guard: &str) -> String {
    format!("raceguard_{guard}_slots")
}

pub fn drop_check(target: &Target, guard: &str) -> String {
    let (table, name) = (&target.qualified, identifier(&check_name(guard)));
    format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
}
