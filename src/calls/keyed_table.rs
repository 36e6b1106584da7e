//! A table whose rows a call names by their primary key, as jsonb objects.

use crate::errors::{self, Code};
use crate::install::arguments::{identifier, required};
use crate::pg::call::{input, output, Call};
use crate::pg::error::{catch, Report};
use crate::pg::open::open_table;
use crate::pg::primary_key::{key_columns, KeyColumn};
use crate::pg::relation::{self, Table};
use core::cmp::Ordering;
use pgrx::pg_sys::{Datum, Oid};
use serde_json::{Map, Value};

/// The table a call works on.
pub struct KeyedTable {
    pub oid: Oid,
    pub name: String,
    /// How statements name it: without the tables that inherit from it, to which its key does
    /// not extend; a partitioned table with its partitions, to which it does.
    pub reference: String,
    key: Vec<KeyColumn>,
}

/// One primary key, its values in Postgres's form.
#[derive(Clone)]
pub struct Key {
    values: Vec<Datum>,
    /// `(id)=(42)`
    pub shown: String,
}

impl KeyedTable {
    /// The table in argument `n`; `more` reads what else the call needs while it is open.
    pub fn of_argument<T>(
        call: Call,
        n: usize,
        more: impl FnOnce(Table) -> Result<T, Report>,
    ) -> Result<(KeyedTable, T), Report> {
        let oid = required(call.oid(n), "target")?;
        if catch(|| relation::exists(oid))? {
            let open = open_table(oid)?;
            let table = open.table();
            let Some(key) = key_columns(table)? else {
                return Err(no_primary_key(table));
            };
            let only = if table.is_partitioned() { "" } else { "ONLY " };
            let keyed = KeyedTable {
                oid,
                name: table.name().to_owned(),
                reference: format!("{only}{}", catch(|| table.qualified())?),
                key,
            };
            return Ok((keyed, more(table)?));
        }
        Err(Report::error(
            errors::UNDEFINED_TABLE,
            format_args!("table with OID {} does not exist", oid.to_u32()),
        )
        .detail(format_args!("It was dropped, or the number never named a table."))
        .hint(format_args!("Name the table, for example 'orders'.")))
    }

    /// A key from a jsonb object that has the key's columns and, if `besides` is given, that
    /// member; `argument` is named in errors.
    pub fn key(
        &self,
        object: &Value,
        besides: Option<&str>,
        argument: &str,
    ) -> Result<Key, Report> {
        let Value::Object(members) = object else {
            return Err(self.not_a_key(argument, format_args!("It is {}.", kind(object))));
        };
        let known =
            |name: &str| besides == Some(name) || self.key.iter().any(|column| column.name == name);
        if let Some(name) = members.keys().find(|name| !known(name)) {
            return Err(self.not_a_key(
                argument,
                format_args!("It has a member \"{name}\", which is no column of the primary key."),
            ));
        }
        let mut values = Vec::with_capacity(self.key.len());
        for column in &self.key {
            values.push(self.value(members, column, argument)?);
        }
        let shown = self.show(&values)?;
        Ok(Key { values, shown })
    }

    fn value(
        &self,
        members: &Map<String, Value>,
        column: &KeyColumn,
        argument: &str,
    ) -> Result<Datum, Report> {
        let name = &column.name;
        let text = match members.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(other) => {
                return Err(self.not_a_key(
                    argument,
                    format_args!("Its member \"{name}\" is {}.", kind(other)),
                ))
            }
            None => {
                return Err(self.not_a_key(argument, format_args!("It lacks a member \"{name}\".")))
            }
        };
        // Without the column's precision: a key of numeric(10,2) must not match what 1.005
        // rounds to.
        input(&text, column.type_oid, -1)
    }

    fn show(&self, values: &[Datum]) -> Result<String, Report> {
        let mut shown = Vec::with_capacity(values.len());
        for (column, value) in self.key.iter().zip(values) {
            shown.push(output(*value, column.type_oid)?);
        }
        Ok(format!("({})=({})", self.column_names(), shown.join(", ")))
    }

    pub fn has_key_column(&self, name: &str) -> bool {
        self.key.iter().any(|column| column.name == name)
    }

    fn column_names(&self) -> String {
        let names: Vec<&str> = self.key.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    }

    /// The condition that finds the row of a key whose values are the parameters from `$first`.
    pub fn condition(&self, first: usize) -> String {
        let tests = self.key.iter().enumerate().map(|(i, column)| {
            let name = identifier(&column.name);
            format!("{name} {} ${}", column.equals, first + i)
        });
        tests.collect::<Vec<_>>().join(" AND ")
    }

    /// The types of the parameters of [`KeyedTable::condition`].
    pub fn types(&self) -> Vec<Oid> {
        self.key.iter().map(|column| column.type_oid).collect()
    }

    /// The order of two keys in the primary key's index.
    pub fn order(&self, a: &Key, b: &Key) -> Result<Ordering, Report> {
        for (i, column) in self.key.iter().enumerate() {
            let order = column.order(a.values[i], b.values[i])?;
            if order != Ordering::Equal {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }

    /// Where a key stands, or belongs, in a list in key order.
    pub fn find<T>(
        &self,
        sorted: &[T],
        key: &Key,
        key_of: impl Fn(&T) -> &Key,
    ) -> Result<Result<usize, usize>, Report> {
        let (mut low, mut high) = (0, sorted.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.order(key_of(&sorted[middle]), key)? {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Ok(middle)),
            }
        }
        Ok(Err(low))
    }

    /// RG404 for keys that no row has, or none that the caller may see.
    pub fn no_such_row(&self, missing: &[&Key]) -> Report {
        let shown: Vec<&str> = missing.iter().map(|key| key.shown.as_str()).collect();
        let (row, key, hint) = match shown.len() {
            1 => ("row", "Key", "It was deleted, never existed, or is hidden by row security."),
            _ => {
                ("rows", "Keys", "They were deleted, never existed, or are hidden by row security.")
            }
        };
        errors::own(
            Code::Rg404,
            self.oid,
            format_args!("no such {row} in \"{}\"", self.name),
            Some(format_args!("{key} {} not found.", shown.join(", "))),
            format_args!("{hint}"),
            None,
        )
    }

    fn not_a_key(&self, argument: &str, problem: core::fmt::Arguments) -> Report {
        let members: Vec<String> =
            self.key.iter().map(|c| format!("\"{}\": ...", c.name)).collect();
        Report::error(
            errors::INVALID_PARAMETER,
            format_args!("argument \"{argument}\" does not name a row of \"{}\"", self.name),
        )
        .detail(problem)
        .hint(format_args!(
            "The primary key is ({}); write {{{}}}.",
            self.column_names(),
            members.join(", ")
        ))
        .table(self.oid)
    }
}

impl Key {
    /// The parameters of [`KeyedTable::condition`].
    pub fn values(&self) -> impl Iterator<Item = Option<Datum>> + '_ {
        self.values.iter().map(|value| Some(*value))
    }
}

pub fn no_primary_key(table: Table) -> Report {
    Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("\"{}\" has no primary key", table.name()),
    )
    .detail(format_args!(
        "The call names rows by primary key; a deferrable key, or one WITHOUT OVERLAPS, does not count."
    ))
    .hint(format_args!(
        "Add one with ALTER TABLE ... ADD PRIMARY KEY; for a view, name the table underneath."
    ))
    .table(table.oid())
}

/// What a JSON value is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
