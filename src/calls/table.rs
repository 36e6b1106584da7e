//! A table as the calls need it: columns, primary key, version guard, prepared statements.

use crate::calls::keyed_table::no_primary_key;
use crate::calls::statement::Shape;
use crate::errors;
use crate::guards::version::{parse, ClientSends};
use crate::pg::call::{input, json, output};
use crate::pg::error::{catch, Report};
use crate::pg::open::open_table;
use crate::pg::plan::Plan;
use crate::pg::primary_key::{key_columns, KeyColumn};
use crate::pg::relation::{self, Table};
use crate::pg::text::{quote_ident, PgText};
use crate::pg::value::Kind;
use crate::pg::watch::{lock_for_writing, Watch};
use crate::pg::{jsonb, record};
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use pgrx::pg_sys::{Datum, Oid};
use std::collections::HashMap;
use std::rc::Rc;

/// What the calls know about a table.
pub struct Described {
    pub oid: Oid,
    pub name: String,
    /// How statements name it: without the tables that inherit from it, to which neither its key
    /// nor its guard extends; a partitioned table with its partitions, to which both do.
    pub reference: String,
    pub row_type: Oid,
    pub columns: Vec<Field>,
    pub key: Vec<KeyColumn>,
    /// The key's columns as Postgres shows them in errors, quoted where they need it.
    key_columns: String,
    pub guard: Option<Guard>,
    plans: RefCell<HashMap<Shape, Rc<Plan>>>,
    watch: Watch,
}

/// A column.
pub struct Field {
    pub name: String,
    pub attno: i16,
    pub type_oid: Oid,
    typmod: i32,
}

/// The table's version guard.
pub struct Guard {
    pub attno: i16,
    pub column: String,
    pub kind: Kind,
    pub sends: ClientSends,
    /// A guard that does not fire would leave the version as it is.
    pub enabled: bool,
}

/// The values of a primary key, and the key as Postgres shows one: `(id)=(42)`.
pub struct Key {
    pub values: Vec<Datum>,
    pub shown: String,
}

/// Statements kept per table; an application that changes ever other sets of columns starts anew
/// after so many.
const MOST_PLANS: usize = 100;

thread_local! {
    /// Never dropped: freeing statements while the backend exits helps no one.
    static TABLES: ManuallyDrop<RefCell<HashMap<u32, Rc<Described>>>> = Default::default();
}

/// Describes a table, from the cache where that is current. Runs inside `spi::connected`.
pub fn describe(oid: Oid) -> Result<Rc<Described>, Report> {
    lock_for_writing(oid)?;
    let known = TABLES.with(|tables| tables.borrow().get(&oid.to_u32()).cloned());
    if let Some(table) = known.filter(|table| !table.watch.is_outdated()) {
        return Ok(table);
    }
    let table = Rc::new(build(oid)?);
    // Tables that changed or went free their statements, outside the borrow.
    let outdated: Vec<_> = TABLES.with(|tables| {
        let mut tables = tables.borrow_mut();
        let replaced = tables.insert(oid.to_u32(), table.clone());
        let outdated = tables.extract_if(|_, table| table.watch.is_outdated());
        outdated.map(|(_, table)| table).chain(replaced).collect()
    });
    drop(outdated);
    Ok(table)
}

fn build(oid: Oid) -> Result<Described, Report> {
    let watch = Watch::new(oid)?;
    if !catch(|| relation::exists(oid))? {
        return Err(Report::error(
            errors::UNDEFINED_TABLE,
            format_args!("table with OID {} does not exist", oid.to_u32()),
        )
        .detail(format_args!("It was dropped, or the number never named a table."))
        .hint(format_args!("Name the table, for example 'orders'.")));
    }
    let open = open_table(oid)?;
    let table = open.table();
    let Some(key) = key_columns(table)? else {
        return Err(no_primary_key(table));
    };
    let key_names = key.iter().map(|k| catch(|| quote_ident(&k.name)));
    let key_names = key_names.collect::<Result<Vec<_>, _>>()?;
    let only = if table.is_partitioned() { "" } else { "ONLY " };
    Ok(Described {
        oid,
        name: table.name().to_owned(),
        reference: format!("{only}{}", catch(|| table.qualified_name())?),
        row_type: table.row_type(),
        guard: guard(table)?,
        columns: columns(table),
        key_columns: key_names.iter().map(PgText::as_str).collect::<Vec<_>>().join(", "),
        key,
        plans: RefCell::default(),
        watch,
    })
}

fn columns(table: Table) -> Vec<Field> {
    let columns = (1..=table.column_count()).filter_map(|attno| table.column(attno));
    columns
        .map(|column| Field {
            name: table.column_name(column.attno).to_owned(),
            attno: column.attno,
            type_oid: column.type_oid,
            typmod: column.typmod,
        })
        .collect()
}

/// The table's version guard, for calls that need no primary key.
pub fn guard_of(oid: Oid) -> Result<Option<Guard>, Report> {
    guard(open_table(oid)?.table())
}

fn guard(table: Table) -> Result<Option<Guard>, Report> {
    let Some((arguments, enabled)) = table.guard_trigger("version_guard")? else {
        return Ok(None);
    };
    // Arguments that are no rule, or name a column that is gone, make the guard itself refuse every
    // write, with an error that says what is wrong; here such a guard counts as none.
    let Ok(options) = parse(arguments.iter().map(String::as_str)) else {
        return Ok(None);
    };
    let column = catch(|| table.column_named(options.column))?;
    let Some((column, kind)) = column.and_then(|c| Some((c, Kind::of_version(c)?))) else {
        return Ok(None);
    };
    Ok(Some(Guard {
        attno: column.attno,
        column: options.column.to_owned(),
        kind,
        sends: options.client_sends,
        enabled,
    }))
}

impl Described {
    /// A column by name, or 42703 with the table's columns.
    pub fn column(&self, name: &str) -> Result<&Field, Report> {
        self.columns.iter().find(|c| c.name == name).ok_or_else(|| {
            let columns: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
            Report::error(
                errors::UNDEFINED_COLUMN,
                format_args!("column \"{name}\" of table \"{}\" does not exist", self.name),
            )
            .detail(format_args!("The table's columns are {}.", columns.join(", ")))
            .hint(format_args!("Check the spelling; upper-case names keep their case here."))
            .table(self.oid)
            .column(name)
        })
    }

    /// A column by number.
    pub fn field(&self, attno: i16) -> Option<&Field> {
        self.columns.iter().find(|c| c.attno == attno)
    }

    /// The columns that a jsonb object names, and their values; 22023 if it is no object.
    pub fn fields(
        &self,
        argument: &str,
        json: Datum,
    ) -> Result<(Vec<i16>, record::Fields), Report> {
        let mut attnos = Vec::new();
        for name in self.names(argument, json)? {
            attnos.push(self.column(name)?.attno);
        }
        Ok((attnos, record::populate(self.row_type, json)?))
    }

    fn names(&self, argument: &str, json: Datum) -> Result<&'static [&'static str], Report> {
        jsonb::object_keys(json)?.ok_or_else(|| {
            Report::error(
                errors::INVALID_PARAMETER,
                format_args!("argument \"{argument}\" must be a JSON object"),
            )
            .detail(format_args!(
                "Each field is a column of table \"{}\" with its value.",
                self.name
            ))
            .hint(format_args!(
                "Write it like {{\"column\": value}}, and not as an array, a scalar or quoted JSON."
            ))
            .table(self.oid)
        })
    }

    /// The primary key that `pk` states: every key column and nothing else, or 22023.
    pub fn key(&self, pk: Datum) -> Result<Key, Report> {
        let named = self.names("pk", pk)?;
        let names = &self.key_columns;
        let lacks = |k: &KeyColumn| !named.contains(&k.name.as_str());
        if named.len() != self.key.len() || self.key.iter().any(lacks) {
            return Err(Report::error(
                errors::INVALID_PARAMETER,
                format_args!(
                    "argument \"pk\" must name the primary key of \"{}\", and nothing else",
                    self.name
                ),
            )
            .detail(format_args!("The primary key is ({names})."))
            .hint(format_args!("Give one field for each column of the primary key."))
            .table(self.oid));
        }
        let fields = record::populate(self.row_type, pk)?;
        let plain = self.key_as_text(pk)?;
        let mut values = Vec::with_capacity(self.key.len());
        let mut shown = Vec::with_capacity(self.key.len());
        for column in &self.key {
            let field = self.column(&column.name)?;
            let Some(value) = fields.get(field.attno) else {
                return Err(Report::error(
                    errors::INVALID_PARAMETER,
                    format_args!("argument \"pk\" must not contain null"),
                )
                .detail(format_args!("No column of the primary key ({names}) is ever NULL."))
                .hint(format_args!("Give the key of an existing row."))
                .table(self.oid));
            };
            let value = match plain.as_ref().and_then(|json| scalar(&json[&field.name])) {
                Some(text) if field.typmod >= 0 => input(&text, field.type_oid, -1)?,
                _ => value,
            };
            values.push(value);
            shown.push(output(value, field.type_oid)?);
        }
        Ok(Key { values, shown: format!("({names})=({})", shown.join(", ")) })
    }

    /// The key as text, where a column has a precision or length: 1.005 is no key of a
    /// `numeric(10,2)` and must not find the row of what it rounds to.
    fn key_as_text(&self, pk: Datum) -> Result<Option<serde_json::Value>, Report> {
        let modified = |k: &KeyColumn| self.column(&k.name).is_ok_and(|field| field.typmod >= 0);
        match self.key.iter().any(modified) {
            true => json(pk).map(Some),
            false => Ok(None),
        }
    }

    /// The prepared statement of a shape, prepared at its first use.
    pub fn plan(&self, shape: &Shape) -> Result<Rc<Plan>, Report> {
        if let Some(plan) = self.plans.borrow().get(shape) {
            return Ok(plan.clone());
        }
        let (sql, types) = shape.statement(self);
        let plan = Rc::new(Plan::prepare(&sql, &types)?);
        let mut plans = self.plans.borrow_mut();
        if plans.len() >= MOST_PLANS {
            plans.clear();
        }
        plans.insert(shape.clone(), plan.clone());
        Ok(plan)
    }
}

/// A JSON value as a type's input function takes it; `None` for what is no scalar.
fn scalar(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
