//! A number guard that is asked for, its objects as DDL, and the one that stands.

use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::index::index_name;
use crate::guard::kept_column::refuse_kept;
use crate::guard::numbered_index::{self, indexes, StandingIndex};
use crate::guard::standing_rows::primary_key_columns;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, Put};
use crate::guard::wanted::{Compared, Wanted};
use crate::number::counter_definition::Counter;
use crate::number::counter_rows::StandingCounters;
use crate::number::rule::{largest, parse, Options, ATTACHMENT, FUNCTION, START};
use crate::pg::error::Report;
use crate::pg::numbered_index::IndexForm;
use crate::pg::spi::{one, Param};
use crate::pg::statement::run_kept;
use pgrx::pg_sys::Oid;

/// A number guard as the owner asked for it, the key in Postgres's canonical form.
pub struct NumberGuard {
    pub key: String,
    /// How many columns the key has.
    pub parts: usize,
    pub column: String,
    /// Its type as SQL writes it.
    pub column_type: String,
    pub start: i64,
    pub counter: Option<Counter>,
    pub guard: String,
}

impl NumberGuard {
    /// The trigger's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.column.clone()];
        if self.start != START {
            arguments.push(format!("start={}", self.start));
        }
        arguments.extend(self.counter.iter().flat_map(Counter::arguments));
        arguments
    }

    fn options(&self) -> Options<'_> {
        let counter = self.counter.as_ref().map(|c| (c.column.as_str(), c.foreign_key.as_str()));
        Options { column: &self.column, start: self.start, counter, pending: false }
    }

    /// Where the number given last is kept, for messages.
    pub fn counted_in(&self) -> String {
        match &self.counter {
            Some(counter) => {
                let (column, parent) = (&counter.column, &counter.parent.name);
                format!(", the last in column \"{column}\" of \"{parent}\"")
            }
            None => String::new(),
        }
    }

    /// The statement that adds the counter, where it is missing.
    pub fn add_counter(&self) -> Result<Option<String>, Report> {
        let Some(counter) = &self.counter else { return Ok(None) };
        let missing = counter.parent.column(&counter.column)?.is_none();
        Ok(missing.then(|| counter.add_column(&self.column_type, self.start)))
    }

    /// What is wrong with the triggers of its counter.
    pub fn counter_fault(&self, target: &Target) -> Result<Option<String>, Report> {
        match &self.counter {
            Some(counter) => counter.fault(target, &self.guard, self.start),
            None => Ok(None),
        }
    }

    /// What is wrong with the trigger that writes its counter.
    pub fn counter_writer_fault(&self, target: &Target) -> Result<Option<String>, Report> {
        match &self.counter {
            Some(counter) => counter.writer_fault(target, &self.guard),
            None => Ok(None),
        }
    }

    /// The statements that make the triggers of its counter stand.
    pub fn counter_triggers(&self, target: &Target) -> Result<Vec<String>, Report> {
        match &self.counter {
            Some(counter) => counter.triggers(target, &self.guard, self.start),
            None => Ok(Vec::new()),
        }
    }

    /// Its counter and the rows that this counts.
    pub fn counters<'a>(
        &'a self,
        target: &'a Target,
    ) -> Result<Option<StandingCounters<'a>>, Report> {
        match &self.counter {
            Some(counter) => StandingCounters::of(target, counter, &self.column),
            None => Ok(None),
        }
    }

    /// How many counters are below a number that stands.
    pub fn counters_behind(&self, target: &Target) -> Result<i64, Report> {
        let Some(counter) = &self.counter else { return Ok(0) };
        if target.column(&self.column)?.is_none()
            || counter.parent.column(&counter.column)?.is_none()
        {
            return Ok(0);
        }
        self.counters(target)?.map_or(Ok(0), |counters| counters.behind())
    }

    /// The guard that is wanted, with the key of the index.
    pub fn wanted(&self) -> Wanted<'_> {
        let mut arguments = self.arguments();
        arguments.push(shown(&self.key));
        Wanted { guard: &self.guard, attachment: &ATTACHMENT, arguments, keyed: false, fault: None }
    }

    /// What is numbered, for messages.
    pub fn per_key(&self) -> String {
        match self.key.as_str() {
            "(1)" => String::new(),
            key => format!(" per key ({key})"),
        }
    }

    pub fn trigger_name(&self) -> Result<String, Report> {
        trigger::trigger_name(&self.guard, "")
    }

    pub fn add_column(&self, target: &Target) -> String {
        let (table, column) = (&target.qualified, identifier(&self.column));
        format!("ALTER TABLE {table} ADD COLUMN {column} {}", self.column_type)
    }

    pub fn create_index(&self, target: &Target, concurrently: &str) -> String {
        format!(
            "CREATE UNIQUE INDEX {concurrently}{} ON {} ({}, {})",
            identifier(&index_name(target, &self.guard)),
            target.qualified,
            self.key,
            identifier(&self.column),
        )
    }

    /// `name` is the trigger's, `more` what its arguments say besides.
    pub fn create_trigger(&self, target: &Target, name: &str, more: &[&str], put: Put) -> String {
        let events = ATTACHMENT.when().to_string();
        let mut arguments = self.arguments();
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        trigger::statement(put, target, name, &events, FUNCTION, &arguments)
    }

    /// Which rows have no number and should have one.
    pub fn is_open(&self) -> String {
        format!("{} IS NULL AND ROW({}) IS NOT NULL", identifier(&self.column), self.key)
    }

    /// The suffix of the indexes of rows that have no number yet, which stand while a plan is carried out.
    pub fn open_suffix(&self) -> String {
        format!("{}_open", self.guard)
    }

    /// An index of the rows that have no number yet, in the order in which they get one.
    pub fn create_open_index(&self, leaf: &Target, concurrently: &str) -> Result<String, Report> {
        let order = primary_key_columns(leaf)?.unwrap_or_else(|| identifier(&self.column));
        Ok(format!(
            "CREATE INDEX {concurrently}{} ON {} ({order}) WHERE {}",
            identifier(&index_name(leaf, &self.open_suffix())),
            leaf.qualified,
            self.is_open(),
        ))
    }

    /// What such an index is called, as `schema.index`.
    pub fn open_name(&self, leaf: &Target) -> String {
        let schema = leaf.qualified.strip_suffix(&identifier(&leaf.name)).unwrap_or_default();
        format!("{schema}{}", identifier(&index_name(leaf, &self.open_suffix())))
    }

    /// The indexes of rows that have no number yet, as `schema.index`.
    pub fn open_indexes(&self, target: &Target) -> Result<Vec<String>, Report> {
        let mut found = Vec::new();
        for leaf in target.leaves()? {
            found.extend(self.open_index(&leaf)?);
        }
        Ok(found)
    }

    pub fn open_index(&self, leaf: &Target) -> Result<Option<String>, Report> {
        one(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                  JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE i.indrelid = $1 AND i.indisvalid AND c.relname = $2::name",
            &[Param::Oid(leaf.oid), Param::Text(&index_name(leaf, &self.open_suffix()))],
        )
    }

    /// Its index.
    pub fn index(&self) -> numbered_index::WantedIndex<'_> {
        let (column, key) = (&self.column, &self.key);
        numbered_index::WantedIndex { form: IndexForm::Numbers, column, key, predicate: None }
    }
}

/// The key as errors show it beside the trigger's arguments.
fn shown(key: &str) -> String {
    format!("key={key}")
}

/// A number guard whose trigger stands.
pub struct StandingNumbers {
    pub trigger: Existing,
    /// The index that ends with the number column.
    pub index: Option<StandingIndex>,
}

impl StandingNumbers {
    /// The guard of that name.
    pub fn find(target: &Target, guard: &str) -> Result<Option<StandingNumbers>, Report> {
        let name = trigger::trigger_name(guard, "")?;
        let found = trigger::existing(target, FUNCTION)?.into_iter().find(|t| t.trigger == name);
        found.map(StandingNumbers::of).transpose()
    }

    /// The guard of a trigger.
    pub fn of(trigger: Existing) -> Result<StandingNumbers, Report> {
        let index = match trigger.arguments.first() {
            Some(column) => indexes(trigger.table, column, IndexForm::Numbers)?.into_iter().next(),
            None => None,
        };
        Ok(StandingNumbers { trigger, index })
    }

    /// Whether rows get no number yet.
    pub fn is_pending(&self) -> bool {
        self.options().is_some_and(|options| options.pending)
    }

    fn options(&self) -> Option<Options<'_>> {
        parse(self.trigger.arguments.iter().map(String::as_str)).ok()
    }

    /// What it is by its trigger and its index; `None` where one says nothing.
    pub fn definition(&self, target: &Target) -> Result<Option<NumberGuard>, Report> {
        let (Some(options), Some(index)) = (self.options(), &self.index) else { return Ok(None) };
        let Some(column) = target.column(options.column)? else { return Ok(None) };
        Ok(Some(NumberGuard {
            key: index.key.clone(),
            parts: index.parts,
            column: options.column.to_owned(),
            column_type: column.type_name,
            start: options.start,
            counter: Counter::of(&self.trigger)?,
            guard: self.trigger.guard().to_owned(),
        }))
    }

    /// Compares it with a guard that is asked for. Call it inside `pinned_search_path`.
    pub fn compared(self, target: &Target, numbers: &NumberGuard) -> Result<Compared, Report> {
        let key = match &self.index {
            Some(index) => Some(index.canonical(target.oid)?.0),
            None => None,
        };
        let options = self.options().map(|options| Options { pending: false, ..options });
        let same = options == Some(numbers.options()) && key.as_ref() == Some(&numbers.key);
        let mut definition = self.trigger.arguments.clone();
        definition.extend(key.as_deref().map(shown));
        Ok(Compared { standing: self.trigger, definition, same })
    }
}

/// The type of the number column; one that is missing will be added as integer.
pub fn column_type(target: &Target, name: &str, start: i64) -> Result<String, Report> {
    refuse_kept(target, name, &[FUNCTION])?;
    let Some(column) = target.column(name)? else { return Ok("integer".to_owned()) };
    let Some(last) = largest(&column.type_name).filter(|_| !column.generated) else {
        return Err(unfit(target, name)
            .detail(format_args!(
                "A number column is smallint, integer or bigint, and not generated."
            ))
            .hint(format_args!(
                "Name another column with number_column => '...'; one that does not exist is added."
            )));
    };
    if column.has_default || is_identity(target.oid, name)? {
        let (table, column) = (&target.qualified, identifier(name));
        return Err(unfit(target, name)
            .detail(format_args!(
                "It has a default, which would state the number of every row that states none."
            ))
            .hint(format_args!(
                "Drop it first: ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT; DROP IDENTITY for an identity column."
            )));
    }
    if start > last {
        return Err(Report::error(
            errors::OUT_OF_RANGE,
            format_args!("number {start} does not fit into {} column \"{name}\"", column.type_name),
        )
        .detail(format_args!("Its type holds numbers up to {last}."))
        .hint(format_args!("Make the column a bigint first, or start at a smaller number."))
        .table(target.oid)
        .column(name));
    }
    Ok(column.type_name)
}

fn unfit(target: &Target, name: &str) -> Report {
    Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!("column \"{name}\" of table \"{}\" cannot hold numbers", target.name),
    )
    .table(target.oid)
    .column(name)
}

/// Whether a column is GENERATED AS IDENTITY.
pub fn is_identity(table: Oid, name: &str) -> Result<bool, Report> {
    let rows = run_kept(
        "SELECT FROM pg_attribute WHERE attrelid = $1 AND attname = $2::name AND attidentity <> ''",
        &[Param::Oid(table), Param::Text(name)],
    )?;
    Ok(!rows.is_empty())
}

/// 0A000 if rows are told apart into partitions by their number: those of one key then stand in several.
pub fn refuse_partition_key(target: &Target, column: &str) -> Result<(), Report> {
    let by_number: Option<String> = one(
        "SELECT string_agg(t.partrelid::regclass::text, ', ' ORDER BY t.partrelid::regclass::text) \
         FROM pg_partitioned_table t JOIN pg_attribute a ON a.attrelid = t.partrelid AND a.attname = $2::name \
         WHERE t.partrelid IN (SELECT relid FROM pg_partition_tree($1)) AND a.attnum = ANY (t.partattrs::int2[])",
        &[Param::Oid(target.oid), Param::Text(column)],
    )?;
    let Some(by_number) = by_number else { return Ok(()) };
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("table \"{}\" is partitioned by its numbers", target.name),
    )
    .detail(format_args!(
        "The partition key of {by_number} has column \"{column}\", which has no value before its partition is found."
    ))
    .hint(format_args!("Partition by columns of the key."))
    .table(target.oid)
    .column(column))
}
