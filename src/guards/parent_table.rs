//! A parent table as the bump needs it: its version guard, its key, its own parents, and the two
//! statements that look at a row and bump it.

use super::{parent, version};
use crate::errors;
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key::{self, ForeignKey};
use crate::pg::key_bytes::{self, Rebuilt, Shape};
use crate::pg::open::{try_open_table, OpenTable};
use crate::pg::owner::{acting_as, may_update};
use crate::pg::parent_set;
use crate::pg::primary_key;
use crate::pg::relation::{Column, Table};
use crate::pg::statement::{self, Moment, Sight, Statement};
use crate::pg::text::quote_ident;
use crate::pg::trigger;
use crate::pg::value::Kind;
use pgrx::pg_sys::{self, Datum, Oid};
use std::rc::Rc;

/// A parent table with an active version guard.
pub struct Parent {
    pub oid: Oid,
    name: String,
    owner: Oid,
    /// What stands after FROM and UPDATE: a foreign key refers to the table alone, or to all
    /// partitions.
    from: String,
    version: Column,
    version_name: String,
    kind: Kind,
    sends: version::ClientSends,
    /// The columns of the primary key.
    identity: Vec<String>,
    /// The foreign keys through which a write to this table bumps others.
    above: &'static [ForeignKey],
    above_columns: Vec<String>,
}

/// A parent row as it was before this transaction.
pub struct ParentRow {
    pub version: Option<i64>,
    /// Its primary key: where it stands in the order of bumps.
    pub identity: Vec<u8>,
    /// The keys of its own parents.
    pub above: Vec<(ForeignKey, Rc<[u8]>)>,
}

/// Which version a bump moves on from.
#[derive(Clone, Copy)]
pub enum From {
    Version(Option<i64>),
    Any,
}

/// How one foreign key reaches the rows of its parent table.
pub struct Path {
    foreign_key: ForeignKey,
    select: Statement,
    update: Statement,
}

impl Parent {
    /// `None` if the table was dropped or its guard is disabled. Memory: `above` lives as long as
    /// the SPI connection.
    pub fn open(foreign_key: ForeignKey) -> Result<Option<Parent>, Report> {
        let Some(open) = try_open_table(foreign_key.parent)? else {
            return Ok(None);
        };
        let table = open.table();
        let Some(guard) = catch(|| trigger::find(table, version::FUNCTION))? else {
            return Err(no_version_guard(&child_name(foreign_key)?, table));
        };
        if !guard.is_live_row_trigger() {
            return Ok(None);
        }
        let rule = catch(|| version::build(guard))??;
        let above = catch(|| own_parents(table))??;
        let key = primary_key::key_columns(table)?.unwrap_or_default();
        Ok(Some(Parent {
            oid: table.oid(),
            name: table.name().to_owned(),
            owner: table.owner(),
            from: from(table)?,
            version: rule.column,
            version_name: quoted(rule.options.column)?,
            kind: rule.kind,
            sends: rule.options.client_sends,
            identity: key.iter().map(|c| quoted(&c.name)).collect::<Result<_, Report>>()?,
            above,
            above_columns: above
                .iter()
                .flat_map(|f| f.columns)
                .map(|c| quoted(table.column_name(c.attno)))
                .collect::<Result<_, Report>>()?,
        }))
    }

    /// The version as the table's guard wants it stated.
    fn stated(&self) -> String {
        match self.sends {
            version::ClientSends::Next => {
                format!("{} OPERATOR(pg_catalog.+) 1", self.version_name)
            }
            version::ClientSends::Current => self.version_name.clone(),
        }
    }
}

/// The foreign keys of a table's own parent version guards. Plain frames.
fn own_parents(table: Table) -> Result<&'static [ForeignKey], Report> {
    let live = || trigger::find_all(table, parent::FUNCTION).filter(|t| t.is_live_row_trigger());
    let mut above = crate::pg::memory::Buffer::new(live().count());
    for definition in live() {
        above.push(parent::build(definition)?);
    }
    Ok(above.into_slice())
}

impl Path {
    /// `None` if a table was dropped meanwhile. 42501 if the child's owner may not do by hand what
    /// his table's triggers would do: anyone may attach a trigger function to a table of his own.
    pub fn open(parent: &Parent, foreign_key: ForeignKey) -> Result<Option<Path>, Report> {
        let (Some(child), Some(table)) =
            (try_open_table(foreign_key.child)?, try_open_table(foreign_key.parent)?)
        else {
            return Ok(None);
        };
        let owner = child.table().owner();
        if !may_update(owner, parent.oid, parent.owner, parent.version.attno)? {
            return Err(not_allowed(&child, parent));
        }
        let mut identity = parent.identity.clone();
        if identity.is_empty() {
            for column in foreign_key.columns {
                identity.push(quoted(table.table().column_name(column.parent_attno))?);
            }
        }
        let table = table.table();
        let condition = catch(|| foreign_key::condition(foreign_key, table))?;
        let columns = [&parent.version_name]
            .into_iter()
            .chain(&identity)
            .chain(&parent.above_columns)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let (from, version) = (&parent.from, &parent.version_name);
        let known = format!("${}", foreign_key.columns.len() + 1);
        let any = format!("${}", foreign_key.columns.len() + 2);
        let select = format!("SELECT {columns} FROM {from} WHERE {condition}");
        let update = format!(
            "UPDATE {from} SET {version} = {} WHERE {condition} \
             AND ({any} OR {version} OPERATOR(pg_catalog.=) {known} OR ({version} IS NULL AND {known} IS NULL))",
            parent.stated(),
        );
        let mut types: Vec<Oid> = foreign_key.columns.iter().map(|c| c.type_oid).collect();
        let select = acting_as(parent.owner, || statement::prepare(select, &types))?;
        types.extend([parent.version.type_oid, pg_sys::BOOLOID]);
        let update = acting_as(parent.owner, || statement::prepare(update, &types))?;
        Ok(Some(Path { foreign_key, select, update }))
    }

    /// The parent row with this key as it was before the transaction; `None` if it was not there:
    /// a row that the transaction itself inserted has a version nobody else has read.
    pub fn look(&self, parent: &Parent, key: &[u8]) -> Result<Option<ParentRow>, Report> {
        let moment = Moment::take()?;
        let row = self.look_at(parent, key, moment, Sight::BeforeThisTransaction)?;
        moment.done()?;
        Ok(row)
    }

    /// Whether the row is there, and its version is still the one it had before the transaction.
    pub fn is_unmoved(&self, parent: &Parent, key: &[u8]) -> Result<bool, Report> {
        let moment = Moment::take()?;
        let before = self.look_at(parent, key, moment, Sight::BeforeThisTransaction)?;
        let now = self.look_at(parent, key, moment, Sight::Now)?;
        moment.done()?;
        Ok(match (before, now) {
            (Some(before), Some(now)) => before.version == now.version,
            _ => false,
        })
    }

    fn look_at(
        &self,
        parent: &Parent,
        key: &[u8],
        moment: Moment,
        sight: Sight,
    ) -> Result<Option<ParentRow>, Report> {
        let values = self.values(key);
        let values: Vec<Option<Datum>> = values.iter().map(|v| Some(v.datum())).collect();
        let mut row = None;
        acting_as(parent.owner, || {
            self.select.select(&values, moment, sight, |columns| {
                row = Some(self.read(parent, columns));
            })
        })?;
        Ok(row)
    }

    fn read(&self, parent: &Parent, columns: &[Option<Vec<u8>>]) -> ParentRow {
        let mut columns = columns.iter();
        let version = columns
            .next()
            .and_then(|v| v.as_deref())
            .and_then(|bytes| key_bytes::split(bytes, Shape::of(parent.version)))
            .map(|(value, _)| parent.kind.read(value.datum()));
        let identities = match parent.identity.len() {
            0 => self.foreign_key.columns.len(),
            n => n,
        };
        let identity = columns.by_ref().take(identities).flatten().flatten();
        let identity = identity.copied().collect();
        let mut above = Vec::new();
        for foreign_key in parent.above {
            let values: Option<Vec<&Vec<u8>>> =
                columns.by_ref().take(foreign_key.columns.len()).map(|v| v.as_ref()).collect();
            if let Some(values) = values {
                above.push((*foreign_key, parent_set::key(*foreign_key, &values)));
            }
        }
        ParentRow { version, identity, above }
    }

    /// Moves the version of the row on; false if there is no row with that key and version.
    pub fn bump(&self, parent: &Parent, key: &[u8], from: From) -> Result<bool, Report> {
        let values = self.values(key);
        let mut values: Vec<Option<Datum>> = values.iter().map(|v| Some(v.datum())).collect();
        values.extend(match from {
            From::Version(version) => {
                [version.map(|v| parent.kind.write(v)), Some(Datum::from(false))]
            }
            From::Any => [None, Some(Datum::from(true))],
        });
        acting_as(parent.owner, || Ok(self.update.modify(&values)? > 0))
    }

    fn values(&self, key: &[u8]) -> Vec<Rebuilt> {
        let mut rest = key.get(parent_set::PREFIX..).unwrap_or_default();
        let mut values = Vec::with_capacity(self.foreign_key.columns.len());
        for column in self.foreign_key.columns {
            if let Some((value, after)) = key_bytes::split(rest, column.shape) {
                values.push(value);
                rest = after;
            }
        }
        values
    }
}

/// Notes the parent keys of all rows of a table, seen with its owner's rights.
pub fn each_key(table: Table, foreign_key: &'static ForeignKey) -> Result<(), Report> {
    let columns = foreign_key
        .columns
        .iter()
        .map(|c| quoted(table.column_name(c.attno)))
        .collect::<Result<Vec<String>, Report>>()?;
    let sql = format!(
        "SELECT DISTINCT {} FROM {} WHERE {} IS NOT NULL",
        columns.join(", "),
        from(table)?,
        columns.join(" IS NOT NULL AND ")
    );
    acting_as(table.owner(), || {
        let moment = Moment::take()?;
        statement::prepare(sql, &[])?.select(&[], moment, Sight::Now, |row| {
            let values: Vec<&Vec<u8>> = row.iter().flatten().collect();
            parent_set::note_key(foreign_key, &parent_set::key(*foreign_key, &values));
        })?;
        moment.done()
    })
}

fn from(table: Table) -> Result<String, Report> {
    let name = catch(|| table.qualified_name())?;
    let only = if table.is_partitioned() { "" } else { "ONLY " };
    Ok(format!("{only}{name}"))
}

fn quoted(name: &str) -> Result<String, Report> {
    Ok(catch(|| quote_ident(name))?.as_str().to_owned())
}

fn child_name(foreign_key: ForeignKey) -> Result<String, Report> {
    Ok(try_open_table(foreign_key.child)?
        .map(|open| open.table().name().to_owned())
        .unwrap_or_default())
}

/// 55000: a parent that has no version to move.
pub fn no_version_guard(child: &str, parent: Table) -> Report {
    let name = parent.name();
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("parent \"{name}\" of table \"{child}\" has no version guard"),
    )
    .detail(format_args!(
        "A write to \"{child}\" moves its parent's version, which the parent's guard has to know."
    ))
    .hint(format_args!(
        "Call raceguard.add_version for \"{name}\" first, or drop the guard parent_version of \"{child}\"."
    ))
    .table(parent.oid())
}

/// 42501: the guard must not do what the owner of its table may not.
fn not_allowed(child: &OpenTable, parent: &Parent) -> Report {
    let child = child.table();
    Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!(
            "the owner of table \"{}\" may not update the version of \"{}\"",
            child.name(),
            parent.name
        ),
    )
    .detail(format_args!(
        "A write to the child bumps its parent on behalf of the child's owner, who needs UPDATE on column {}.",
        parent.version_name
    ))
    .hint(format_args!(
        "GRANT UPDATE ({}) ON {} to the owner of the child.",
        parent.version_name,
        parent.from.trim_start_matches("ONLY ")
    ))
    .table(child.oid())
}
