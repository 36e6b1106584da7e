//! A parent table as a settlement needs it: its column and bounds, and the statements that write a total.

use crate::errors;
use crate::guard::child_key::Followed;
use crate::guard::settling;
use crate::pg::direct_column::{Change, DirectColumn};
use crate::pg::direct_plan::DirectTarget;
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key::{self, ForeignKeyColumn};
use crate::pg::key_bytes::Rebuilt;
use crate::pg::memory::{self, here};
use crate::pg::numeric;
use crate::pg::open_table::{try_open_table, OpenTable};
use crate::pg::owner::{acting_as, may_update};
use crate::pg::primary_key;
use crate::pg::relation::Table;
use crate::pg::spi::{pinned_search_path, pinned_text, Param};
use crate::pg::statement::{self, run_kept, Moment, Sight, Statement};
use crate::pg::table_watch::Watch;
use crate::pg::text::quote_ident;
use crate::total::bounds::{bounds_of, constant};
use crate::total::faults;
use crate::total::rule::COLUMN_FUNCTION;
use pgrx::pg_sys::{self, Datum, Oid};
use std::sync::Arc;

/// A parent table with the column of a total.
pub struct TotalParent {
    pub oid: Oid,
    pub owner: Oid,
    pub attno: i16,
    /// The column's name.
    pub column: String,
    /// The same, quoted where it has to be.
    pub quoted: String,
    pub column_type: Oid,
    /// Whether a numeric amount would be rounded in it.
    pub rounds: bool,
    /// What stands after FROM and UPDATE.
    pub from: String,
    pub at_most: Option<String>,
    pub at_least: Option<String>,
    pub starts_null: bool,
    /// The name of the CHECK.
    pub check: String,
    pub identity: Vec<IdentityColumn>,
    watch: Watch,
}

/// A column of a parent's primary key.
pub struct IdentityColumn {
    /// Quoted where it has to be.
    pub name: String,
    pub type_oid: Oid,
    /// The index's own equality, as an operator.
    pub equals: String,
}

/// What is to be added to a total.
#[derive(Clone, Copy)]
pub enum DueAmount {
    Integer(i128),
    Numeric(Datum),
}

impl DueAmount {
    pub fn numeric(self) -> Result<Datum, Report> {
        match self {
            DueAmount::Integer(amount) => numeric::of_integer(amount),
            DueAmount::Numeric(amount) => Ok(amount),
        }
    }

    pub fn plus(self, more: DueAmount) -> Result<DueAmount, Report> {
        if let (DueAmount::Integer(a), DueAmount::Integer(b)) = (self, more)
            && let Some(sum) = a.checked_add(b)
        {
            return Ok(DueAmount::Integer(sum));
        }
        Ok(DueAmount::Numeric(numeric::add(self.numeric()?, more.numeric()?)?))
    }

    pub fn is_zero(self) -> Result<bool, Report> {
        match self {
            DueAmount::Integer(amount) => Ok(amount == 0),
            DueAmount::Numeric(amount) => numeric::is_zero(amount),
        }
    }
}

/// A total that was not written.
pub enum Unwritten {
    /// There is no such row.
    Missing,
    /// A bound refuses it.
    Refused(RefusedTotal),
}

/// What a bound has refused: texts as Postgres shows them.
pub struct RefusedTotal {
    pub above: bool,
    pub total: String,
    pub bound: String,
    /// The row's primary key: `(id)=(42)`.
    pub key: String,
}

impl TotalParent {
    /// `None` if the table was dropped, 55000 if no trigger keeps others from writing the column.
    pub fn open(parent: Oid, attno: i16) -> Result<Option<TotalParent>, Report> {
        let watch = Watch::new(parent)?;
        let Some(open) = try_open_table(parent)? else { return Ok(None) };
        let table = open.table();
        let column = table.column_name(attno).to_owned();
        let Some(described) = table.column(attno) else {
            return Err(faults::changed_meanwhile(table));
        };
        let mut identity = Vec::new();
        for key in primary_key::key_columns(table)?.unwrap_or_default() {
            identity.push(IdentityColumn {
                name: quoted(&key.name)?,
                type_oid: key.type_oid,
                equals: key.equals,
            });
        }
        here(|memory| {
            let found = catch(|| bounds_of(table, &column, memory))?;
            let Some((keeper, bounds)) = found else {
                return Err(faults::no_keeper(table, &column));
            };
            Ok(Some(TotalParent {
                oid: parent,
                owner: table.owner(),
                attno,
                quoted: quoted(&column)?,
                column,
                column_type: described.type_oid,
                rounds: described.type_oid != pg_sys::NUMERICOID || described.typmod >= 0,
                from: catch(|| table.rows())?.as_str().to_owned(),
                at_most: bounds.at_most.map(str::to_owned),
                at_least: bounds.at_least.map(str::to_owned),
                starts_null: bounds.starts_null(),
                check: faults::check_name(faults::base_of(keeper)),
                identity,
                watch,
            }))
        })
    }

    /// What writes the column past the executor, for rows found by a foreign key's columns.
    fn direct(
        &self,
        table: Table,
        key: &[ForeignKeyColumn],
    ) -> Result<Option<DirectColumn>, Report> {
        let (above, below) = self.conditions(&self.quoted);
        let condition = format!("(({above}) AND ({below}))");
        let is_bound = self.at_most.is_some() || self.at_least.is_some();
        DirectColumn::open(DirectTarget {
            table,
            key,
            attno: self.attno,
            keeper: COLUMN_FUNCTION,
            condition: is_bound.then_some(condition.as_str()),
            is_quiet: settling::is_quiet,
        })
    }

    fn is_numeric(&self) -> bool {
        self.column_type == pg_sys::NUMERICOID
    }

    /// Whether the table has changed since it was opened: a trigger on a parent may do anything.
    pub fn is_outdated(&self) -> bool {
        self.watch.is_outdated()
    }

    /// Whether a new total is within its upper and its lower bound, as conditions; NULL bounds do not bind.
    pub fn conditions(&self, total: &str) -> (String, String) {
        let condition = |bound: &Option<String>, operator: &str| match bound {
            Some(bound) => {
                format!("(({total}) OPERATOR(pg_catalog.{operator}) ({bound})) IS NOT FALSE")
            }
            None => "TRUE".to_owned(),
        };
        (condition(&self.at_most, "<="), condition(&self.at_least, ">="))
    }

    /// Whether the bounds' texts mean the same under every search_path: columns and digits, no operators and functions.
    /// The UPDATE fires the parent's triggers, which count on the session's own path, so only such bounds stand in it;
    /// a writer of the child must not have others run operators of his with the rights of the parent's owner.
    pub fn has_plain_bounds(&self) -> bool {
        [&self.at_most, &self.at_least].into_iter().flatten().all(|bound| is_plain(bound))
    }

    /// Total, bounds and whether `new` keeps them, for the SELECT list, and the primary key behind.
    pub fn judged(&self, new: &str) -> String {
        let (above, below) = self.conditions(new);
        let bound = |bound: &Option<String>| match bound {
            Some(bound) => format!("({bound})::pg_catalog.text"),
            None => "NULL::pg_catalog.text".to_owned(),
        };
        let mut list = format!(
            "{above}, {below}, {}::pg_catalog.text, {}, {}",
            self.quoted,
            bound(&self.at_most),
            bound(&self.at_least)
        );
        for column in &self.identity {
            list += &format!(", {}", column.name);
        }
        list
    }

    /// What a row of [`TotalParent::judged`] says: `None` if the bounds are kept.
    pub fn refused(&self, row: &[statement::Cell]) -> Result<Option<RefusedTotal>, Report> {
        let [above, below, total, at_most, at_least, key @ ..] = row else { return Ok(None) };
        let refused = |is_above: bool, bound: &statement::Cell| -> Result<_, Report> {
            Ok(Some(RefusedTotal {
                above: is_above,
                total: total.text()?.unwrap_or("0").to_owned(),
                bound: bound.text()?.unwrap_or_default().to_owned(),
                key: self.key_text(key)?,
            }))
        };
        match (above.is_true(), below.is_true()) {
            (true, true) => Ok(None),
            (false, _) => refused(true, at_most),
            (true, false) => refused(false, at_least),
        }
    }

    fn key_text(&self, cells: &[statement::Cell]) -> Result<String, Report> {
        let names: Vec<&str> = self.identity.iter().map(|column| column.name.as_str()).collect();
        let mut values = Vec::with_capacity(cells.len());
        for cell in cells {
            values.push(cell.shown()?.unwrap_or_else(|| "null".to_owned()));
        }
        Ok(format!("({})=({})", names.join(", "), values.join(", ")))
    }

    /// A row's primary key as one text: each value after its length, written the same under all settings.
    pub fn identity_of(&self, key: &[statement::Cell]) -> Result<String, Report> {
        match key.iter().any(|cell| is_styled(cell.type_oid)) {
            true => pinned_text(|| identity_text(key)),
            false => identity_text(key),
        }
    }

    /// Runs `write`, which writes the column of one row, in the owner's name, and tells how many rows it has written.
    /// 55000 where a trigger of the parent has put the old total back.
    pub fn writing(&self, write: impl FnOnce() -> Result<u64, Report>) -> Result<u64, Report> {
        self.writing_with_version(false, write)
    }

    /// The same of a write that may move the row's version on.
    pub fn writing_with_version(
        &self,
        moves_version: bool,
        write: impl FnOnce() -> Result<u64, Report>,
    ) -> Result<u64, Report> {
        let _settlement = settling::begin(self.oid, &self.column, moves_version);
        let written = acting_as(self.owner, write)?;
        match written > 0 && settling::is_undone() {
            true => Err(faults::suppressed(self.oid, &self.column)),
            false => Ok(written),
        }
    }
}

fn identity_text(key: &[statement::Cell]) -> Result<String, Report> {
    let mut identity = String::new();
    for cell in key {
        let value = cell.shown()?.unwrap_or_default();
        memory::reserve(&mut identity, value.len() + 20)?;
        identity += &format!("{}:{value}", value.len());
    }
    Ok(identity)
}

/// Whether the text of a type's values depends on settings, so that two texts of one row may differ.
pub fn is_styled(type_oid: Oid) -> bool {
    !matches!(
        type_oid,
        pg_sys::INT2OID
            | pg_sys::INT4OID
            | pg_sys::INT8OID
            | pg_sys::NUMERICOID
            | pg_sys::TEXTOID
            | pg_sys::VARCHAROID
            | pg_sys::UUIDOID
    )
}

/// How one foreign key reaches the rows of a parent.
pub struct TotalPath {
    pub followed: Arc<Followed>,
    look: Statement,
    add: Statement,
    judge: Statement,
    /// Where an UPDATE of the column comes to that.
    direct: Option<DirectColumn>,
    child_owner: Oid,
    watch: Watch,
}

impl TotalPath {
    /// `None` if a table was dropped meanwhile. 42501 if the child's owner may not do by hand what his table's triggers
    /// would do: anyone may attach a trigger function to a table of his own.
    pub fn open(
        parent: &TotalParent,
        followed: Arc<Followed>,
    ) -> Result<Option<TotalPath>, Report> {
        let foreign_key = followed.key();
        let watch = Watch::new(foreign_key.child)?;
        let (Some(child), Some(table)) =
            (try_open_table(foreign_key.child)?, try_open_table(foreign_key.parent)?)
        else {
            return Ok(None);
        };
        let handle = child.table();
        if !catch(|| foreign_key.stands(handle))? {
            return Err(faults::changed_meanwhile(handle));
        }
        if !may_update(handle.owner(), parent.oid, parent.owner, parent.attno)? {
            return Err(not_allowed(&child, &table, parent));
        }
        let condition = catch(|| foreign_key::condition(foreign_key, table.table()))?;
        let mut types: Vec<Oid> = foreign_key.columns.iter().map(|c| c.type_oid).collect();
        let (from, total) = (&parent.from, &parent.quoted);
        let identity: Vec<&str> = parent.identity.iter().map(|c| c.name.as_str()).collect();
        let look = format!("SELECT {} FROM {from} WHERE {condition}", identity.join(", "));
        let look = acting_as(parent.owner, || statement::prepare(look, &types))?;
        let new = format!(
            "COALESCE({total}, 0) OPERATOR(pg_catalog.+) ${}",
            foreign_key.columns.len() + 1
        );
        let bounds = match parent.has_plain_bounds() {
            true => {
                let (above, below) = parent.conditions(&new);
                format!(" AND {above} AND {below}")
            }
            false => String::new(),
        };
        let add = format!("UPDATE {from} SET {total} = {new} WHERE {condition}{bounds}");
        let judge = format!(
            "SELECT {} FROM {from} WHERE {condition} FOR NO KEY UPDATE",
            parent.judged(&new)
        );
        let direct = parent.direct(table.table(), foreign_key.columns)?;
        types.push(pg_sys::NUMERICOID);
        let add = acting_as(parent.owner, || statement::prepare(add, &types))?;
        let judge =
            pinned_search_path(|| acting_as(parent.owner, || statement::prepare(judge, &types)))?;
        let child_owner = handle.owner();
        Ok(Some(TotalPath { followed, look, add, judge, direct, child_owner, watch }))
    }

    /// Whether the child has changed since the path was opened.
    pub fn is_outdated(&self) -> bool {
        self.watch.is_outdated()
    }

    /// Whether the child's owner may still write the total.
    pub fn is_allowed(&self, parent: &TotalParent) -> Result<bool, Report> {
        may_update(self.child_owner, parent.oid, parent.owner, parent.attno)
    }

    /// The primary key of the parent with these key values, as text; `None` if there is no such row.
    pub fn look(&self, parent: &TotalParent, values: &[Rebuilt]) -> Result<Option<String>, Report> {
        let values: Vec<Option<Datum>> = values.iter().map(|v| Some(v.datum())).collect();
        let mut found = None;
        acting_as(parent.owner, || {
            let moment = Moment::take()?;
            self.look.select(&values, moment, Sight::Now, |row| {
                found = Some(parent.identity_of(row)?);
                Ok(())
            })?;
            moment.done()
        })?;
        Ok(found)
    }

    /// Adds to the parent's total past the executor; whether that could be done.
    pub fn add_directly(
        &self,
        parent: &TotalParent,
        values: &[Rebuilt],
        amount: DueAmount,
    ) -> Result<bool, Report> {
        let Some(direct) = &self.direct else { return Ok(false) };
        let change = match amount {
            amount if parent.is_numeric() => Change::AddNumeric(amount.numeric()?),
            DueAmount::Integer(amount) => Change::Add(amount),
            DueAmount::Numeric(_) => return Ok(false),
        };
        let mut key = [Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
        for (to, from) in key.iter_mut().zip(values) {
            *to = from.datum();
        }
        acting_as(parent.owner, || direct.write(&key[..values.len()], change))
    }

    /// Adds to the parent's total, within its bounds. Where the row that the statement sees does not allow it, the
    /// row is locked first and judged as it is by then: another transaction may just have made room.
    pub fn add(
        &self,
        parent: &TotalParent,
        values: &[Rebuilt],
        amount: Datum,
    ) -> Result<Result<(), Unwritten>, Report> {
        let mut values: Vec<Option<Datum>> = values.iter().map(|v| Some(v.datum())).collect();
        values.push(Some(amount));
        if parent.has_plain_bounds() && parent.writing(|| self.add.modify(&values))? > 0 {
            return Ok(Ok(()));
        }
        let judged = self.judge(parent, &values)?;
        match judged {
            None => Ok(Err(Unwritten::Missing)),
            Some(Some(refused)) => Ok(Err(Unwritten::Refused(refused))),
            Some(None) if parent.writing(|| self.add.modify(&values))? > 0 => Ok(Ok(())),
            Some(None) => Err(faults::suppressed(parent.oid, &parent.column)),
        }
    }

    /// Locks the row and judges it as it is by then, with an amount behind the key's values: `None` if there is no such
    /// row, else what its bounds refuse.
    pub fn judge(
        &self,
        parent: &TotalParent,
        values: &[Option<Datum>],
    ) -> Result<Option<Option<RefusedTotal>>, Report> {
        let mut judged = None;
        pinned_search_path(|| {
            acting_as(parent.owner, || {
                self.judge.lock(values, |row| {
                    judged = Some(parent.refused(row)?);
                    Ok(())
                })
            })
        })?;
        Ok(judged)
    }
}

/// Whether the text of a bound is a column's name or a number.
fn is_plain(bound: &str) -> bool {
    if bound.starts_with('\'') {
        return constant(bound).is_some();
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    match bound.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(name) => !name.contains('"'),
        None => !bound.is_empty() && bound.chars().all(word),
    }
}

pub fn quoted(name: &str) -> Result<String, Report> {
    Ok(catch(|| quote_ident(name))?.as_str().to_owned())
}

/// A type as a cast names it under every search_path; by this name a character is not cut to one.
pub fn type_text(type_oid: Oid) -> Result<String, Report> {
    let sql = "SELECT quote_ident(n.nspname) || '.' || quote_ident(t.typname) \
               FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = $1";
    let rows = pinned_search_path(|| run_kept(sql, &[Param::Oid(type_oid)]))?;
    rows.first().map_or(Ok(String::new()), |row| row.get(0))
}

/// 42501: the guard must not do what the owner of its table may not.
fn not_allowed(child: &OpenTable, table: &OpenTable, parent: &TotalParent) -> Report {
    let child = child.table();
    Report::error(
        errors::INSUFFICIENT_PRIVILEGE,
        format_args!(
            "the owner of table \"{}\" may not update the total of \"{}\"",
            child.name(),
            table.table().name()
        ),
    )
    .detail(format_args!(
        "A write to the child keeps its parent's total on behalf of the child's owner, who needs UPDATE on column {}, and to whom no row security of the parent applies.",
        parent.quoted
    ))
    .hint(format_args!(
        "GRANT UPDATE ({}) ON {} to the owner of the child; under row security, let both tables have one owner.",
        parent.quoted,
        parent.from.trim_start_matches("ONLY ")
    ))
    .table(child.oid())
}
