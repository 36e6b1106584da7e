//! A table as the calls need it: columns, primary key, version guard, prepared statements.
//!
//! **What a description depends on.** The table's definition, its triggers and its name: a relcache
//! invalidation of the table, or a renamed schema, makes it outdated ([`Watch`]). It is looked up under
//! the lock of a writer, so others cannot change the table while a call goes on; what the call itself
//! runs can, and [`Described::key`] and [`Described::fields`] compare the types before they hand a value
//! to a statement that was prepared for the old ones. The statements belong to the description and go
//! with it; what else they depend on (operators, functions, row security, the role, the types of what
//! they return) Postgres watches itself.

use crate::errors;
use crate::pg::convert::{input, output};
use crate::pg::distribution::{self, Location};
use crate::pg::error::{catch, Report};
use crate::pg::json_record::{self, Fields, NamedValue};
use crate::pg::jsonb::{Json, Member};
use crate::pg::memory::{here, Memory};
use crate::pg::open_table::{no_table, open_table};
use crate::pg::prepared::Prepared;
use crate::pg::primary_key::{key_columns, PrimaryKeyColumn};
use crate::pg::relation::{self, Table};
use crate::pg::table_watch::{lock_for_writing, Watch};
use crate::pg::text::{quote_ident, PgText};
use crate::rows::form::Form;
use crate::version::standing::VersionGuard;
use core::cell::RefCell;
use core::fmt::Write;
use core::mem::ManuallyDrop;
use pgrx::pg_sys::{Datum, Oid};
use std::collections::HashMap;
use std::rc::Rc;

/// What the calls know about a table.
pub struct Described {
    pub oid: Oid,
    pub name: String,
    /// How statements name it: without the tables that inherit from it, to which neither its key
    /// nor its guard extends; a partitioned table with its partitions, to which both do, and a
    /// hypertable with its chunks.
    pub reference: String,
    /// Where its rows lie, if another extension has spread them.
    place: Option<Location>,
    pub row_type: Oid,
    pub columns: Vec<Field>,
    pub key: Vec<PrimaryKeyColumn>,
    /// The key's columns as Postgres shows them in errors, quoted where they need it.
    key_columns: String,
    pub guard: Option<VersionGuard>,
    plans: RefCell<HashMap<Form, Rc<Prepared>>>,
    kept: RefCell<HashMap<String, Rc<Prepared>>>,
    watch: Watch,
}

/// A column.
pub struct Field {
    pub name: String,
    pub attno: i16,
    pub type_oid: Oid,
    pub typmod: i32,
    /// Whether an UPDATE may set it; not where it is generated or GENERATED ALWAYS AS IDENTITY.
    pub writable: bool,
}

/// The values of a primary key. `Copy`: there may be as many as the caller likes, in Postgres's memory.
#[derive(Clone, Copy)]
pub struct RowKey<'m> {
    pub values: &'m [Datum],
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
        return Err(no_table(oid));
    }
    let open = open_table(oid)?;
    let table = open.table();
    let Some(key) = key_columns(table)? else {
        return Err(no_primary_key(table));
    };
    let place = catch(|| distribution::of(oid))?;
    let key_names = key.iter().map(|k| catch(|| quote_ident(&k.name)));
    let key_names = key_names.collect::<Result<Vec<_>, _>>()?;
    Ok(Described {
        oid,
        name: table.name().to_owned(),
        place,
        reference: catch(|| match place.is_some_and(|place| place.is_divided()) {
            true => table.qualified_name(),
            false => table.rows(),
        })?
        .as_str()
        .to_owned(),
        row_type: table.row_type(),
        guard: VersionGuard::of(table)?,
        columns: columns(table),
        key_columns: key_names.iter().map(PgText::as_str).collect::<Vec<_>>().join(", "),
        key,
        plans: RefCell::default(),
        kept: RefCell::default(),
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
            writable: table.is_writable(column.attno),
        })
        .collect()
}

impl Described {
    /// A column by name, or 42703 with the table's columns.
    pub fn column(&self, name: &str) -> Result<&Field, Report> {
        self.columns.iter().find(|c| c.name == name).ok_or_else(|| {
            let columns: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
            errors::no_such_column(&self.name, self.oid, name, &columns.join(", "))
        })
    }

    /// Whether Citus keeps its rows in shards, to which it sends the statements.
    pub fn on_nodes(&self) -> bool {
        self.place.is_some_and(|place| place.is_shell())
    }

    /// Whether a row, as it is read here, tells in which table it lies and who wrote it: not one of a shard, nor one of a
    /// compressed chunk.
    pub fn shows_origin(&self) -> bool {
        !self.place.is_some_and(|place| place.is_shell() || place.is_divided())
    }

    /// Whether an UPDATE may set a column.
    pub fn is_writable(&self, attno: i16) -> bool {
        self.field(attno).is_some_and(|field| field.writable)
    }

    /// A column by number.
    pub fn field(&self, attno: i16) -> Option<&Field> {
        self.columns.iter().find(|c| c.attno == attno)
    }

    /// The columns that a jsonb object names, and their values; 22023 if it is no object.
    pub fn fields<'m>(
        &self,
        argument: &str,
        json: Datum,
        memory: Memory<'m>,
    ) -> Result<(Vec<i16>, Fields<'m>), Report> {
        let members = self.members(argument, json, memory)?;
        let mut attnos = Vec::with_capacity(members.len());
        for (name, _) in members {
            attnos.push(self.column(name)?.attno);
        }
        Ok((attnos, self.populate(json, members, memory)?))
    }

    /// Reads an object as a row of the table; 55006 where a function that an earlier one called, a
    /// domain's for one, has changed the table since it was described.
    fn populate<'m>(
        &self,
        json: Datum,
        members: &[Member<'m>],
        memory: Memory<'m>,
    ) -> Result<Fields<'m>, Report> {
        if !self.watch.is_outdated() {
            // All of them are columns.
            let fields = members.iter().filter_map(|(name, value)| {
                let Field { attno, type_oid, typmod, .. } = *self.column(name).ok()?;
                Some(NamedValue { attno, type_oid, typmod, value: *value })
            });
            if let Some(fields) = json_record::read(fields, memory)? {
                return Ok(fields);
            }
        }
        let is_as_described = |attno: i16, type_oid: Option<Oid>| {
            self.field(attno).map(|field| field.type_oid) == type_oid
        };
        json_record::populate(self.row_type, json, memory, &is_as_described)?.ok_or_else(|| {
            Report::error(
                errors::OBJECT_IN_USE,
                format_args!("table \"{}\" was changed by the call itself", self.name),
            )
            .detail(format_args!(
                "A function that the call has to run, the CHECK of a domain for one, has altered its columns."
            ))
            .hint(format_args!("Change the table outside of such functions."))
            .table(self.oid)
        })
    }

    fn members<'m>(
        &self,
        argument: &str,
        json: Datum,
        memory: Memory<'m>,
    ) -> Result<&'m [Member<'m>], Report> {
        Json::of(json, memory)?.members(memory)?.ok_or_else(|| {
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

    /// The primary key that the argument `pk` states: every key column and nothing else, or 22023.
    pub fn key<'m>(
        &self,
        argument: &str,
        pk: Datum,
        memory: Memory<'m>,
    ) -> Result<RowKey<'m>, Report> {
        let named = self.members(argument, pk, memory)?;
        let names = &self.key_columns;
        let lacks = |k: &PrimaryKeyColumn| !named.iter().any(|(name, _)| *name == k.name);
        if named.len() != self.key.len() || self.key.iter().any(lacks) {
            return Err(Report::error(
                errors::INVALID_PARAMETER,
                format_args!(
                    "argument \"{argument}\" must name the primary key of \"{}\", and nothing else",
                    self.name
                ),
            )
            .detail(format_args!("The primary key is ({names})."))
            .hint(format_args!("Give one field for each column of the primary key."))
            .table(self.oid));
        }
        let fields = self.populate(pk, named, memory)?;
        let mut values = Vec::with_capacity(self.key.len());
        for column in &self.key {
            let field = self.column(&column.name)?;
            let Some(value) = fields.get(field.attno) else {
                return Err(Report::error(
                    errors::INVALID_PARAMETER,
                    format_args!("argument \"{argument}\" must not contain null"),
                )
                .detail(format_args!("No column of the primary key ({names}) is ever NULL."))
                .hint(format_args!("Give the key of an existing row."))
                .table(self.oid));
            };
            let value = match self.written(named, field, memory)? {
                Some(text) => input(text, field.type_oid, -1)?,
                None => value,
            };
            values.push(value);
        }
        catch(|| RowKey { values: memory.keep(&values) })
    }

    /// A key as Postgres shows one: `(id)=(42)`. Not after an error that was caught.
    pub fn shown(&self, key: &RowKey) -> Result<PgText, Report> {
        let text = catch(PgText::new)?;
        self.show(key, text)?;
        Ok(text)
    }

    /// [`Described::shown`], as a part of a text.
    pub fn show(&self, key: &RowKey, mut text: PgText) -> Result<(), Report> {
        let names = &self.key_columns;
        catch(|| {
            let _ = write!(text, "({names})=(");
        })?;
        here(|memory| {
            for (i, (column, value)) in self.key.iter().zip(key.values).enumerate() {
                let separator = if i == 0 { "" } else { ", " };
                let value = output(*value, column.type_oid, memory)?;
                catch(|| {
                    let _ = write!(text, "{separator}{value}");
                })?;
            }
            Ok(())
        })?;
        catch(|| {
            let _ = text.write_char(')');
        })
    }

    /// A key's value as it is written, where the column has a precision or length: 1.005 is no key of a
    /// `numeric(10,2)` and must not find the row of what it rounds to.
    fn written<'m>(
        &self,
        key: &[Member<'m>],
        field: &Field,
        memory: Memory<'m>,
    ) -> Result<Option<&'m str>, Report> {
        match key.iter().find(|(name, _)| *name == field.name) {
            Some((_, value)) if field.typmod >= 0 => value.plain(memory),
            _ => Ok(None),
        }
    }

    /// The prepared statement of a form, prepared at its first use from what `statement` writes.
    pub fn plan(
        &self,
        form: &Form,
        statement: impl FnOnce() -> (String, Vec<Oid>),
    ) -> Result<Rc<Prepared>, Report> {
        if let Some(plan) = self.plans.borrow().get(form) {
            return Ok(plan.clone());
        }
        let (sql, types) = statement();
        let plan = Rc::new(Prepared::new(&sql, &types)?);
        let mut plans = self.plans.borrow_mut();
        if plans.len() >= MOST_PLANS {
            plans.clear();
        }
        plans.insert(form.clone(), plan.clone());
        Ok(plan)
    }

    /// A prepared statement by its text, prepared at its first use.
    pub fn kept(&self, sql: String, types: &[Oid]) -> Result<Rc<Prepared>, Report> {
        if let Some(plan) = self.kept.borrow().get(&sql) {
            return Ok(plan.clone());
        }
        let plan = Rc::new(Prepared::new(&sql, types)?);
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_PLANS {
            kept.clear();
        }
        kept.insert(sql, plan.clone());
        Ok(plan)
    }
}

fn no_primary_key(table: Table) -> Report {
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
