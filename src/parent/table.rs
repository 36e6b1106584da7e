//! A parent table as the bump needs it: its version guard, its key, its own parents, and the two
//! statements that look at a row and bump it.

use crate::errors;
use crate::guard::child_key::{rebuilt, Followed};
use crate::parent::rule as parent;
use crate::parent::session_notes::{self, Noted};
use crate::pg::alloc::fallibly;
use crate::pg::column::{Column, Storage};
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key::{self, ForeignKey, ForeignKeyColumn};
use crate::pg::key_bytes::{self, Rebuilt};
use crate::pg::memory::{self, here, Buffer};
use crate::pg::open_table::{try_open_table, OpenTable};
use crate::pg::owner::{acting_as, may_update};
use crate::pg::primary_key;
use crate::pg::relation::Table;
use crate::pg::statement::{self, Cell, Moment, Sight, Statement};
use crate::pg::table_watch::Watch;
use crate::pg::text::quote_ident;
use crate::pg::trigger;
use crate::pg::version_value::VersionKind;
use crate::total::carried::{CarriedTexts, CarriedTotal};
use crate::version::rule as version;
use pgrx::pg_sys::{self, Datum, Oid};
use std::sync::Arc;

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
    kind: VersionKind,
    sends: version::ClientSends,
    /// The columns of the primary key.
    identity: Vec<String>,
    /// The foreign keys through which a write to this table bumps others.
    above: Vec<Arc<Followed>>,
    above_columns: Vec<String>,
    watch: Watch,
}

/// A parent row as it was before this transaction.
pub struct ParentRow {
    pub version: Option<i64>,
    /// Its primary key: where it stands in the order of bumps.
    pub identity: Vec<u8>,
    /// The keys of its own parents.
    pub above: Vec<Noted>,
}

/// Which version a bump moves on from.
#[derive(Clone, Copy)]
pub enum BumpFrom {
    Version(Option<i64>),
    Any,
}

/// How one foreign key reaches the rows of its parent table.
pub struct Path {
    followed: Arc<Followed>,
    select: Statement,
    update: Statement,
    /// What finds a row, and the types of the parameters of `update`, those of the key first.
    condition: String,
    types: Vec<Oid>,
    watch: Watch,
}

impl Parent {
    /// `None` if the table was dropped or its guard is disabled.
    pub fn open(foreign_key: &Followed) -> Result<Option<Parent>, Report> {
        let watch = Watch::new(foreign_key.parent)?;
        let Some(open) = try_open_table(foreign_key.parent)? else {
            return Ok(None);
        };
        let table = open.table();
        let Some(guard) = catch(|| trigger::find(table, version::FUNCTION))? else {
            return Err(no_version_guard(&child_name(foreign_key.child)?, table));
        };
        if !guard.is_live_row_trigger() {
            return Ok(None);
        }
        let above = own_parents(table)?;
        let key = primary_key::key_columns(table)?.unwrap_or_default();
        here(|memory| {
            let rule = catch(|| version::build(guard, memory))??;
            Ok(Some(Parent {
                oid: table.oid(),
                name: table.name().to_owned(),
                owner: table.owner(),
                from: catch(|| table.rows())?.as_str().to_owned(),
                version: rule.column,
                version_name: quoted(rule.options.column)?,
                kind: rule.kind,
                sends: rule.options.client_sends,
                identity: key.iter().map(|c| quoted(&c.name)).collect::<Result<_, Report>>()?,
                above_columns: above
                    .iter()
                    .flat_map(|followed| &followed.columns)
                    .map(|c| quoted(table.column_name(c.attno)))
                    .collect::<Result<_, Report>>()?,
                above,
                watch,
            }))
        })
    }

    /// Whether the table has changed since it was opened: a trigger on a parent may do anything.
    pub fn is_outdated(&self) -> bool {
        self.watch.is_outdated()
    }
}

/// The foreign keys of a table's own parent version guards.
fn own_parents(table: Table) -> Result<Vec<Arc<Followed>>, Report> {
    here(|memory| {
        let keys = catch(|| {
            let live =
                || trigger::find_all(table, parent::FUNCTION).filter(|t| t.is_live_row_trigger());
            let mut keys = Buffer::new(memory, live().count());
            for definition in live() {
                keys.push(parent::build(definition, memory)?);
            }
            Ok(keys.into_slice())
        })??;
        let mut above = Vec::new();
        memory::reserve(&mut above, keys.len())?;
        for key in keys {
            let followed = fallibly(|| Followed::of(key));
            above.push(Arc::new(followed.map_err(|_| memory::exhausted(key.columns.len()))?));
        }
        Ok(above)
    })
}

impl Path {
    /// `None` if a table was dropped meanwhile. 42501 if the child's owner may not do by hand what
    /// his table's triggers would do: anyone may attach a trigger function to a table of his own.
    pub fn open(parent: &Parent, followed: Arc<Followed>) -> Result<Option<Path>, Report> {
        let foreign_key = followed.key();
        let watch = Watch::new(foreign_key.child)?;
        let (Some(child), Some(table)) =
            (try_open_table(foreign_key.child)?, try_open_table(foreign_key.parent)?)
        else {
            return Ok(None);
        };
        let handle = child.table();
        if !catch(|| foreign_key.stands(handle))? {
            return Err(changed_meanwhile(&child));
        }
        let owner = handle.owner();
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
        let select = format!("SELECT {columns} FROM {} WHERE {condition}", parent.from);
        let condition = condition.as_str().to_owned();
        let mut types: Vec<Oid> = foreign_key.columns.iter().map(|c| c.type_oid).collect();
        let select = acting_as(parent.owner, || statement::prepare(select, &types))?;
        types.extend([parent.version.type_oid, pg_sys::BOOLOID]);
        let update = updating(parent, &condition, types.clone(), None)?;
        Ok(Some(Path { followed, select, update, condition, types, watch }))
    }

    /// The parent table.
    pub fn parent(&self) -> Oid {
        self.followed.parent
    }

    /// Whether the child has changed since the path was opened.
    pub fn is_outdated(&self) -> bool {
        self.watch.is_outdated()
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

    /// Locks the row as it is by now; false if it finds none, or waited for one that is gone.
    pub fn lock(&self, parent: &Parent, key: &[u8]) -> Result<bool, Report> {
        let values = self.values(key)?;
        let values: Vec<Option<Datum>> = values.iter().map(|v| Some(v.datum())).collect();
        let types = self.types.get(..values.len()).unwrap_or_default();
        let from = &parent.from;
        let lock = format!("SELECT 1 FROM {from} WHERE {} FOR NO KEY UPDATE", self.condition);
        let mut found = false;
        acting_as(parent.owner, || {
            statement::prepare(lock, types)?.lock(&values, |_| {
                found = true;
                Ok(())
            })
        })?;
        Ok(found)
    }

    fn look_at(
        &self,
        parent: &Parent,
        key: &[u8],
        moment: Moment,
        sight: Sight,
    ) -> Result<Option<ParentRow>, Report> {
        let values = self.values(key)?;
        let values: Vec<Option<Datum>> = values.iter().map(|v| Some(v.datum())).collect();
        let mut row = None;
        acting_as(parent.owner, || {
            self.select.select(&values, moment, sight, |columns| {
                row = Some(self.read(parent, columns)?);
                Ok(())
            })
        })?;
        Ok(row)
    }

    /// A row as [`Path::select`] returns it: the version, the identity, the keys of its own parents.
    fn read(&self, parent: &Parent, columns: &[Cell]) -> Result<ParentRow, Report> {
        let (version, columns) = columns.split_at_checked(1).unwrap_or_default();
        let identities = match parent.identity.len() {
            0 => self.followed.columns.len(),
            n => n,
        };
        let (identity, mut columns) = columns.split_at_checked(identities).unwrap_or_default();
        let version = match version {
            [cell] if cell.type_oid == parent.version.type_oid => cell,
            _ => return Err(parent.changed_meanwhile()),
        };
        let version = version
            .bytes
            .as_deref()
            .and_then(|bytes| key_bytes::split(bytes, Storage::of(parent.version)))
            .map(|(value, _)| parent.kind.read(value.datum()));
        let mut above = Vec::new();
        for followed in &parent.above {
            let Some((cells, rest)) = columns.split_at_checked(followed.columns.len()) else {
                return Err(parent.changed_meanwhile());
            };
            columns = rest;
            if !are_of(cells, &followed.columns) {
                return Err(parent.changed_meanwhile());
            }
            if cells.iter().all(|cell| cell.bytes.is_some()) {
                memory::push(&mut above, (followed.clone(), key_of(followed.constraint, cells)?))?;
            }
        }
        let mut key = Vec::new();
        for bytes in identity.iter().filter_map(|cell| cell.bytes.as_deref()) {
            memory::reserve(&mut key, bytes.len())?;
            key.extend_from_slice(bytes);
        }
        Ok(ParentRow { version, identity: key, above })
    }

    /// Moves the version of the row on, and adds to its total; false if there is no row with that key and version, or
    /// the total's bounds refuse it.
    pub fn bump(
        &self,
        parent: &Parent,
        key: &[u8],
        expected: BumpFrom,
        carried: Option<&CarriedTotal>,
    ) -> Result<bool, Report> {
        let values = self.values(key)?;
        let mut values: Vec<Option<Datum>> = values.iter().map(|v| Some(v.datum())).collect();
        values.extend(match expected {
            BumpFrom::Version(version) => {
                [version.map(|v| parent.kind.write(v)), Some(Datum::from(false))]
            }
            BumpFrom::Any => [None, Some(Datum::from(true))],
        });
        let Some(carried) = carried else {
            return acting_as(parent.owner, || Ok(self.update.modify(&values)? > 0));
        };
        let (mut types, (type_oid, amount)) = (self.types.clone(), carried.amount());
        types.push(type_oid);
        values.push(Some(amount));
        let texts = carried.texts(values.len());
        let update = updating(parent, &self.condition, types, Some(texts))?;
        carried.write(|| update.modify(&values))
    }

    fn values(&self, key: &[u8]) -> Result<Vec<Rebuilt>, Report> {
        let bytes = key.get(session_notes::PREFIX..).unwrap_or_default();
        // The bytes are whole, since the foreign key is the one they were noted by.
        rebuilt(&self.followed.columns, bytes).ok_or_else(|| memory::exhausted(key.len()))
    }
}

/// The statement that moves a version on, with what it takes along of a total:
/// `UPDATE orders SET version = version + 1, total = COALESCE(total, 0) + $4 WHERE id = $1 AND ($3 OR version = $2 ...)`.
fn updating(
    parent: &Parent,
    condition: &str,
    types: Vec<Oid>,
    carried: Option<CarriedTexts>,
) -> Result<Statement, Report> {
    let (from, version) = (&parent.from, &parent.version_name);
    let (set, bounds) = carried.map(|carried| (carried.set, carried.bounds)).unwrap_or_default();
    let keys = types.len() - if set.is_empty() { 2 } else { 3 };
    let (known, any) = (format!("${}", keys + 1), format!("${}", keys + 2));
    let update = format!(
        "UPDATE {from} SET {version} = {}{set} WHERE {condition} \
         AND ({any} OR {version} OPERATOR(pg_catalog.=) {known} OR ({version} IS NULL AND {known} IS NULL)){bounds}",
        parent.sends.stated(version),
    );
    acting_as(parent.owner, || statement::prepare(update, &types))
}

/// Whether the columns have the types that the foreign key was found with.
fn are_of(cells: &[Cell], columns: &[ForeignKeyColumn]) -> bool {
    cells.len() == columns.len()
        && cells.iter().zip(columns).all(|(cell, c)| cell.type_oid == c.type_oid)
}

/// The key that a row refers to by a foreign key.
fn key_of(constraint: Oid, cells: &[Cell]) -> Result<Vec<u8>, Report> {
    session_notes::key(constraint, cells.iter().filter_map(|cell| cell.bytes.as_deref()))
}

/// Notes the parent keys of all rows of a table, seen with its owner's rights.
pub fn each_key(table: Table, foreign_key: &ForeignKey) -> Result<(), Report> {
    let columns = foreign_key
        .columns
        .iter()
        .map(|c| quoted(table.column_name(c.attno)))
        .collect::<Result<Vec<String>, Report>>()?;
    let sql = format!(
        "SELECT DISTINCT {} FROM {} WHERE {} IS NOT NULL",
        columns.join(", "),
        catch(|| table.rows())?,
        columns.join(" IS NOT NULL AND ")
    );
    acting_as(table.owner(), || {
        let moment = Moment::take()?;
        statement::prepare(sql, &[])?.select(&[], moment, Sight::Now, |row| {
            if !are_of(row, foreign_key.columns) {
                return Err(in_use(table.name()).table(table.oid()));
            }
            session_notes::note_key(foreign_key, &key_of(foreign_key.constraint, row)?)
        })?;
        moment.done()
    })
}

fn quoted(name: &str) -> Result<String, Report> {
    Ok(catch(|| quote_ident(name))?.as_str().to_owned())
}

fn child_name(child: Oid) -> Result<String, Report> {
    Ok(try_open_table(child)?.map(|open| open.table().name().to_owned()).unwrap_or_default())
}

impl Parent {
    /// Its columns are no longer what they were when it was opened.
    fn changed_meanwhile(&self) -> Report {
        in_use(&self.name).table(self.oid)
    }
}

/// 55006: what was noted of a child's rows can no longer be followed to their parents.
fn changed_meanwhile(child: &OpenTable) -> Report {
    let child = child.table();
    in_use(child.name()).table(child.oid())
}

fn in_use(table: &str) -> Report {
    Report::error(
        errors::OBJECT_IN_USE,
        format_args!("table \"{table}\" was changed while parent versions were to be moved"),
    )
    .detail(format_args!(
        "A foreign key or its columns are no longer those by which rows written in this transaction refer to their parents."
    ))
    .hint(format_args!(
        "Change the table in a transaction of its own, or call SET CONSTRAINTS ALL IMMEDIATE before."
    ))
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
        "A write to the child bumps its parent on behalf of the child's owner, who needs UPDATE on column {}, and to whom no row security of the parent applies.",
        parent.version_name
    ))
    .hint(format_args!(
        "GRANT UPDATE ({}) ON {} to the owner of the child; under row security, let both tables have one owner.",
        parent.version_name,
        parent.from.trim_start_matches("ONLY ")
    ))
    .table(child.oid())
}
