//! How one foreign key reaches the counters of its parent: statements that run with the rights of the parent's owner.

use crate::guard::child_key::{Followed, KeyDatums};
use crate::guard::settling;
use crate::number::counter_reports::{
    beyond, no_counter, no_keeper, not_allowed, suppressed, CounterName,
};
use crate::number::counter_rule::{covers, Counted, KEEPER_ATTACHMENT, KEEPER_FUNCTION};
use crate::number::rule::integer;
use crate::pg::alloc::fallibly;
use crate::pg::column::read_integer;
use crate::pg::direct_column::{Change, DirectColumn};
use crate::pg::direct_plan::DirectTarget;
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key;
use crate::pg::key_bytes;
use crate::pg::memory::exhausted;
use crate::pg::open_table::open_table;
use crate::pg::owner::{acting_as, may_update};
use crate::pg::relation::Table;
use crate::pg::statement::{self, Cell, Moment, Sight, Statement};
use crate::pg::table_watch::{lock_for_writing, Watch};
use crate::pg::text::quote_ident;
use crate::pg::trigger::find_all;
use crate::pg::trigger_shape::Fires;
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use pgrx::pg_sys::{self, Datum, Oid};
use std::collections::HashMap;
use std::rc::Rc;

/// What a counter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastGiven {
    /// The number given last; the lowest of all where the column is NULL.
    pub number: i64,
    /// The largest number that the column holds.
    pub largest: i64,
}

/// The statements of one foreign key and counter.
pub struct CounterPath {
    followed: Followed,
    name: CounterName,
    owner: Oid,
    child_owner: Oid,
    attno: i16,
    /// The largest number that the column holds.
    largest: i64,
    /// Where the trigger fires that keeps others from writing the column.
    kept: Fires,
    look: Statement,
    lock: Statement,
    lock_at_once: Statement,
    raise: Statement,
    /// Where an UPDATE of the counter comes to that.
    direct: Option<DirectColumn>,
    watches: [Watch; 2],
}

/// Paths kept before all are let go.
const KEPT: usize = 64;

type Paths = HashMap<(u32, i16), Rc<CounterPath>>;

thread_local! {
    /// Never dropped: freeing statements while the backend exits helps no one.
    static PATHS: ManuallyDrop<RefCell<Paths>> = Default::default();
}

impl CounterPath {
    /// That of a rule, inside `spi::connected`. 55000 where nobody keeps others from writing the column, 42501 if the child's owner
    /// may not do by hand what his table's triggers would do: anyone may attach a trigger function to a table of his own.
    pub fn of(counted: &Counted) -> Result<Rc<CounterPath>, Report> {
        if let Some(known) = CounterPath::known(counted)? {
            return Ok(known);
        }
        let path = Rc::new(CounterPath::open(counted)?);
        let replaced = PATHS.with(|paths| {
            let mut paths = paths.borrow_mut();
            let many = paths.len() >= KEPT;
            let all = if many { core::mem::take(&mut *paths) } else { HashMap::new() };
            (paths.insert(place_of(counted), path.clone()), all)
        });
        // Frees what nobody uses any more, with the map no longer borrowed.
        drop(replaced);
        path.check(counted)?;
        Ok(path)
    }

    /// The same where it was asked for before; needs no connection.
    pub fn known(counted: &Counted) -> Result<Option<Rc<CounterPath>>, Report> {
        // What others have changed of the parent reaches the watches.
        lock_for_writing(counted.foreign_key.parent)?;
        let known = PATHS.with(|paths| paths.borrow().get(&place_of(counted)).cloned());
        let known = known.filter(|path| path.is_of(counted));
        known.iter().try_for_each(|path| path.check(counted))?;
        Ok(known)
    }

    fn check(&self, counted: &Counted) -> Result<(), Report> {
        match covers(self.kept, counted.fires) {
            true => check_rights(self.child_owner, self.owner, self.attno, &self.name),
            false => Err(no_keeper(&self.name)),
        }
    }

    fn is_of(&self, counted: &Counted) -> bool {
        self.followed.is(&counted.foreign_key)
            && self.followed.parent == counted.foreign_key.parent
            && !self.watches.iter().any(Watch::is_outdated)
    }

    fn open(counted: &Counted) -> Result<CounterPath, Report> {
        let key = &counted.foreign_key;
        let watches = [Watch::new(key.child)?, Watch::new(key.parent)?];
        let (child, parent) = (open_table(key.child)?, open_table(key.parent)?);
        let (child, table) = (child.table(), parent.table());
        let column = table.column_name(counted.attno).to_owned();
        let Some(kind) = table.column(counted.attno).and_then(integer) else {
            return Err(no_counter(key.parent, table.name(), &column));
        };
        let kept = catch(|| {
            find_all(table, KEEPER_FUNCTION)
                .filter(|keeper| keeper.argument(0) == column)
                .filter(|keeper| KEEPER_ATTACHMENT.fits(keeper.shape()))
                .fold(Fires::NEVER, |fires, keeper| fires.or(keeper.fires()))
        })?;
        let followed = fallibly(|| Followed::of(key)).map_err(|_| exhausted(key.columns.len()))?;
        let (from, quoted, condition) =
            catch(|| (table.rows(), quote_ident(&column), foreign_key::condition(*key, table)))?;
        let name = CounterName {
            parent: key.parent,
            table: table.name().to_owned(),
            quoted: quoted.as_str().to_owned(),
            column,
            qualified: catch(|| table.qualified_name())?.as_str().to_owned(),
            child: child.name().to_owned(),
        };
        check_rights(child.owner(), table.owner(), counted.attno, &name)?;
        let (from, quoted, condition) = (from.as_str(), quoted.as_str(), condition.as_str());
        let number = format!("${}", key.columns.len() + 1);
        let look = format!("SELECT {quoted}::pg_catalog.int8 FROM {from} WHERE {condition}");
        let raise = format!(
            "UPDATE {from} SET {quoted} = {number} WHERE {condition} \
             AND ({quoted} OPERATOR(pg_catalog.<) {number}) IS NOT FALSE"
        );
        let mut types: Vec<Oid> = key.columns.iter().map(|c| c.type_oid).collect();
        let owner = table.owner();
        let prepare =
            |sql: String, types: &[Oid]| acting_as(owner, || statement::prepare(sql, types));
        let lock = prepare(format!("{look} FOR NO KEY UPDATE"), &types)?;
        let lock_at_once = prepare(format!("{look} FOR NO KEY UPDATE NOWAIT"), &types)?;
        let look = prepare(look, &types)?;
        types.push(pg_sys::INT8OID);
        Ok(CounterPath {
            followed,
            name,
            owner,
            child_owner: child.owner(),
            attno: counted.attno,
            largest: kind.max(),
            kept,
            look,
            lock,
            lock_at_once,
            raise: prepare(raise, &types)?,
            direct: direct(table, counted)?,
            watches,
        })
    }

    fn values(&self, values: &KeyDatums) -> Vec<Option<Datum>> {
        values.iter().take(self.followed.columns.len()).map(|value| Some(*value)).collect()
    }

    /// Reads the counter of the row with these key values, as it stands or once it is locked.
    pub fn look(&self, values: &KeyDatums) -> Result<Option<LastGiven>, Report> {
        let mut found = None;
        acting_as(self.owner, || {
            let moment = Moment::take()?;
            self.look.select(&self.values(values), moment, Sight::Now, |row| {
                found = Some(self.read(row));
                Ok(())
            })?;
            moment.done()
        })?;
        Ok(found)
    }

    /// Locks the row with these key values past the executor and reads its counter; `None` where that cannot be done.
    pub fn lock_directly(
        &self,
        values: &KeyDatums,
        waits: bool,
    ) -> Result<Option<LastGiven>, Report> {
        let Some(direct) = &self.direct else { return Ok(None) };
        let key = &values[..self.followed.columns.len()];
        let found = acting_as(self.owner, || direct.lock(key, waits))?;
        Ok(found.map(|number| self.last(number)))
    }

    /// Writes a number into the counter of the row past the executor; whether that could be done.
    pub fn raise_directly(&self, values: &KeyDatums, number: i64) -> Result<bool, Report> {
        let Some(direct) = &self.direct else { return Ok(false) };
        let key = &values[..self.followed.columns.len()];
        acting_as(self.owner, || direct.write(key, Change::Raise(number)))
    }

    /// Locks the row with these key values and reads its counter.
    pub fn lock(&self, values: &KeyDatums, waits: bool) -> Result<Option<LastGiven>, Report> {
        let mut found = None;
        let lock = if waits { &self.lock } else { &self.lock_at_once };
        acting_as(self.owner, || {
            lock.lock(&self.values(values), |row| {
                found = Some(self.read(row));
                Ok(())
            })
        })?;
        Ok(found)
    }

    fn read(&self, row: &[Cell]) -> LastGiven {
        let number = row
            .first()
            .filter(|cell| cell.type_oid == pg_sys::INT8OID)
            .and_then(|cell| key_bytes::split(cell.bytes.as_deref()?, cell.storage))
            .map(|(value, _)| read_integer(value.datum(), pg_sys::INT8OID));
        self.last(number)
    }

    fn last(&self, number: Option<i64>) -> LastGiven {
        LastGiven { number: number.unwrap_or(i64::MIN), largest: self.largest }
    }

    /// Writes a number into the counter of the row, which is lower and locked. 22003 past the last one that it holds, 55000
    /// where a trigger of the parent keeps it as it was.
    pub fn raise(&self, values: &KeyDatums, number: i64) -> Result<(), Report> {
        if number > self.largest {
            return Err(beyond(&self.name, number, self.largest));
        }
        let mut values = self.values(values);
        values.push(Some(Datum::from(number)));
        let _settlement = settling::begin(self.followed.parent, &self.name.column, false);
        let written = acting_as(self.owner, || self.raise.modify(&values))?;
        match written > 0 && !settling::is_undone() {
            true => Ok(()),
            false => Err(suppressed(&self.name)),
        }
    }
}

/// What locks and writes the counter past the executor.
fn direct(table: Table, counted: &Counted) -> Result<Option<DirectColumn>, Report> {
    DirectColumn::open(DirectTarget {
        table,
        key: counted.foreign_key.columns,
        attno: counted.attno,
        keeper: KEEPER_FUNCTION,
        condition: None,
        is_quiet: settling::is_quiet,
    })
}

fn place_of(counted: &Counted) -> (u32, i16) {
    (counted.foreign_key.constraint.to_u32(), counted.attno)
}

/// 42501 where the owner of the child may not do by hand what his table's triggers would do.
fn check_rights(
    child_owner: Oid,
    owner: Oid,
    attno: i16,
    name: &CounterName,
) -> Result<(), Report> {
    match may_update(child_owner, name.parent, owner, attno)? {
        true => Ok(()),
        false => Err(not_allowed(name)),
    }
}
