//! Writing what was noted: one UPDATE for each parent, in the order of table and primary key, so that two
//! settlements over the same parents wait for each other but do not deadlock.

use crate::guard::child_key::rebuilt;
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key::is_deferrable;
use crate::pg::key_bytes::{self, Rebuilt};
use crate::pg::memory;
use crate::pg::numeric;
use crate::pg::snapshot;
use crate::pg::spi::{connected, under_present_snapshot};
use crate::pg::table_watch::lock_for_writing;
use crate::total::amount::{Amount, NUMERIC};
use crate::total::faults;
use crate::total::known;
use crate::total::ledger::DueAccount;
use crate::total::parent::{DueAmount, TotalParent, TotalPath, Unwritten};
use crate::total::reports;
use crate::total::session::{self, NoteSource, SourceKind, PARENT_PREFIX, PREFIX};
use crate::total::sums;
use pgrx::pg_sys::{Datum, Oid};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

type DueTotal = DueAccount<NoteSource, Amount>;

/// Where a parent stands in the order of writes: table, primary key, column.
type TaskPlace = (u32, String, i16);

/// What is to be done to one parent row.
struct Task {
    place: TaskPlace,
    work: Work,
    accounts: Vec<usize>,
}

enum Work {
    /// Adds to the total, through a foreign key.
    Add { origin: usize, key: Vec<u8>, sum: DueAmount },
    /// Counts what stands under it.
    Count,
    /// Sees that it has a total.
    Expect,
}

/// Writes what is due: everything that was noted, or only what no deferred settlement comes for. What triggers on
/// the parents note meanwhile is written too.
pub fn settle(all: bool) -> Result<(), Report> {
    if !session::begin(all) {
        return Ok(());
    }
    let mut due = take(all)?;
    // Mostly one row of one parent was written, which is known.
    if let [noted] = due.as_slice()
        && settle_directly(noted)?
    {
        // An index of the parent may run anything.
        due = take(all)?;
    }
    if !due.is_empty() {
        connected(|| {
            let mut settlement = SettlementRun::default();
            while !due.is_empty() {
                settlement.write(core::mem::take(&mut due))?;
                due = take(all)?;
            }
            Ok(())
        })?;
    }
    session::end();
    Ok(())
}

/// What is due.
fn take(all: bool) -> Result<Vec<DueTotal>, Report> {
    let mut due = session::take(all)?;
    drop_zeros(&mut due)?;
    Ok(due)
}

/// Settles one note by what an earlier settlement has found, past the executor; whether that could be done.
fn settle_directly(noted: &DueTotal) -> Result<bool, Report> {
    let found = session::origin(noted.source.origin, |o| (o.key.clone(), o.column));
    let Some((followed, column)) = found.filter(|_| noted.source.kind != SourceKind::Parent) else {
        return Ok(false);
    };
    lock_for_writing(followed.parent)?;
    let Some(parent) = known::parent((followed.parent.to_u32(), column)) else { return Ok(false) };
    let Some(path) = known::path(&followed, &parent) else { return Ok(false) };
    if !path.is_allowed(&parent)? {
        return Ok(false);
    }
    let Some(amount) = amount_of(&parent, &noted.amounts)? else { return Ok(false) };
    if !path.add_directly(&parent, &values_of(&path, &noted.key)?, amount)? {
        return Ok(false);
    }
    session::settled(noted.account)?;
    Ok(true)
}

/// Children whose parents were not there when they were settled, and now that nothing can be written any more are:
/// under a deferred foreign key another session may commit a parent between the settlement and the check of the last
/// of them; at REPEATABLE READ a foreign key to a partitioned table finds parents that the transaction does not see.
/// Parents that went are not there, and nobody misses what they counted.
fn look_again() -> Result<(), Report> {
    if !session::begin(true) {
        return Ok(());
    }
    let mut due = session::take(true)?;
    drop_zeros(&mut due)?;
    let outcome = match due.is_empty() {
        true => Ok(()),
        false => connected(|| under_present_snapshot(|| refuse_present(due))),
    };
    session::end();
    outcome
}

/// Elsewhere the foreign key was checked, and has locked its parent, before anything was settled.
fn may_come_late(noted: &DueTotal) -> Result<bool, Report> {
    match session::origin(noted.source.origin, |origin| origin.key.constraint) {
        Some(constraint) => Ok(snapshot::is_kept() || catch(|| is_deferrable(constraint))?),
        None => Ok(false),
    }
}

fn refuse_present(due: Vec<DueTotal>) -> Result<(), Report> {
    let mut settlement = SettlementRun::default();
    for noted in due.iter().filter(|noted| noted.source.kind != SourceKind::Parent) {
        if !may_come_late(noted)? {
            continue;
        }
        let Some((parent, path)) = settlement.way(noted.source.origin)? else { continue };
        if sum_of(&parent, &noted.amounts)?.is_none() {
            continue;
        }
        if path.look(&parent, &values_of(&path, &noted.key)?)?.is_some() {
            return Err(faults::came_late(parent.oid, &parent.column));
        }
    }
    Ok(())
}

/// An UPDATE that leaves the amount and the parent as they are has noted nothing in the end.
fn drop_zeros(due: &mut Vec<DueTotal>) -> Result<(), Report> {
    let mut outcome = Ok(());
    due.retain(|noted| {
        let sum = noted.amounts.iter().try_fold(0i128, |sum, amount| match amount {
            Amount::Int(n) => sum.checked_add(*n),
            _ => None,
        });
        if sum == Some(0) && outcome.is_ok() {
            outcome = session::settled(noted.account);
        }
        sum != Some(0)
    });
    outcome
}

/// A parent and the foreign key by which it is reached.
pub type TotalWay = (Rc<TotalParent>, Rc<TotalPath>);

/// What has been looked up since the settlement began. A table that a trigger changes meanwhile is looked up anew.
#[derive(Default)]
pub struct SettlementRun {
    parents: HashMap<(u32, i16), Option<Rc<TotalParent>>>,
    paths: HashMap<usize, Rc<TotalPath>>,
}

impl SettlementRun {
    fn write(&mut self, due: Vec<DueTotal>) -> Result<(), Report> {
        // Mostly one row of one parent was written: no order is to be kept.
        if let [noted] = due.as_slice()
            && noted.source.kind != SourceKind::Parent
        {
            let Some((parent, path)) = self.way(noted.source.origin)? else { return Ok(()) };
            let Some(sum) = amount_of(&parent, &noted.amounts)? else {
                return session::settled(noted.account);
            };
            let values = values_of(&path, &noted.key)?;
            return add(&parent, &path, &values, sum, &[noted.account]);
        }
        for task in self.tasks(due)? {
            self.carry_out(task)?;
        }
        Ok(())
    }

    /// What is to be done, in the order of places; a parent to which several keys lead once.
    fn tasks(&mut self, due: Vec<DueTotal>) -> Result<Vec<Task>, Report> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut counted: HashSet<TaskPlace> = HashSet::new();
        for noted in due {
            let accounts = memory::own_list(&[noted.account])?;
            let (place, work) = if noted.source.kind == SourceKind::Parent {
                let place = self.own_place(&noted)?;
                let counts = noted.amounts.iter().any(|amount| matches!(amount, Amount::Count));
                if counts {
                    memory::reserve(&mut counted, 1)?;
                    counted.insert(place.clone());
                }
                (place, if counts { Work::Count } else { Work::Expect })
            } else {
                let Some((parent, path)) = self.way(noted.source.origin)? else { continue };
                let Some(sum) = amount_of(&parent, &noted.amounts)? else {
                    session::settled(noted.account)?;
                    continue;
                };
                let values = values_of(&path, &noted.key)?;
                let Some(identity) = path.look(&parent, &values)? else {
                    session::miss_parent(look_again);
                    continue;
                };
                let place = (parent.oid.to_u32(), identity, parent.attno);
                (place, Work::Add { origin: noted.source.origin, key: noted.key, sum })
            };
            memory::push(&mut tasks, Task { place, work, accounts })?;
        }
        tasks.sort_by(|a, b| a.place.cmp(&b.place).then(a.work.rank().cmp(&b.work.rank())));
        merged(tasks, &counted)
    }

    /// The place of a parent's own note, which names it by its primary key.
    fn own_place(&self, noted: &DueTotal) -> Result<TaskPlace, Report> {
        let column = session::origin(noted.source.origin, |origin| origin.column);
        let identity = noted.key.get(PARENT_PREFIX..).unwrap_or_default();
        let identity = memory::own(&String::from_utf8_lossy(identity))?;
        Ok((noted.source.parent, identity, column.unwrap_or_default()))
    }

    fn carry_out(&mut self, task: Task) -> Result<(), Report> {
        let Task { place: (parent, identity, attno), work, accounts } = task;
        match work {
            Work::Add { origin, key, sum } => {
                let Some((parent, path)) = self.way(origin)? else { return Ok(()) };
                // Of a row whose amounts took each other away.
                if sum.is_zero()? {
                    return all_settled(&accounts);
                }
                let values = values_of(&path, &key)?;
                add(&parent, &path, &values, sum, &accounts)
            }
            Work::Count | Work::Expect => {
                let Some(parent) = self.parent(Oid::from(parent), attno)? else {
                    return all_settled(&accounts);
                };
                match work {
                    Work::Count => sums::count_row(&parent, &identity)?,
                    _ => sums::expect_total(&parent, &identity)?,
                }
                all_settled(&accounts)
            }
        }
    }

    fn parent(&mut self, oid: Oid, attno: i16) -> Result<Option<Rc<TotalParent>>, Report> {
        let place = (oid.to_u32(), attno);
        match self.parents.get(&place) {
            Some(None) => return Ok(None),
            Some(Some(known)) if !known.is_outdated() => return Ok(Some(known.clone())),
            _ => {}
        }
        lock_for_writing(oid)?;
        let mut parent = known::parent(place);
        if parent.is_none() {
            parent = TotalParent::open(oid, attno)?.map(Rc::new);
            parent.iter().for_each(|parent| known::keep_parent(place, parent));
        }
        self.parents.insert(place, parent.clone());
        self.paths.retain(|_, path| path.followed.parent != oid);
        Ok(parent)
    }

    /// The parent table and the statements that reach it; `None` if a table was dropped.
    pub fn way(&mut self, origin: usize) -> Result<Option<TotalWay>, Report> {
        let Some((followed, column)) = session::origin(origin, |o| (o.key.clone(), o.column))
        else {
            return Ok(None);
        };
        let Some(parent) = self.parent(followed.parent, column)? else { return Ok(None) };
        if let Some(path) = self.paths.get(&origin).filter(|path| !path.is_outdated()) {
            return Ok(Some((parent, path.clone())));
        }
        let path = match known::path(&followed, &parent) {
            Some(path) if path.is_allowed(&parent)? => path,
            _ => {
                let Some(path) = TotalPath::open(&parent, followed)? else { return Ok(None) };
                let path = Rc::new(path);
                known::keep_path(&parent, &path);
                path
            }
        };
        self.paths.insert(origin, path.clone());
        Ok(Some((parent, path)))
    }
}

impl Work {
    /// Of several things to do to one row, the amounts come first.
    fn rank(&self) -> u8 {
        match self {
            Work::Add { .. } => 0,
            Work::Expect => 1,
            Work::Count => 2,
        }
    }
}

/// Amounts of one parent are added up; those of a parent that is counted are not needed.
fn merged(tasks: Vec<Task>, counted: &HashSet<TaskPlace>) -> Result<Vec<Task>, Report> {
    let mut merged: Vec<Task> = Vec::new();
    memory::reserve(&mut merged, tasks.len())?;
    for task in tasks {
        if matches!(task.work, Work::Add { .. }) && counted.contains(&task.place) {
            all_settled(&task.accounts)?;
            continue;
        }
        let same = merged.last_mut().filter(|last| last.place == task.place);
        if let Some(Task { work: Work::Add { sum, .. }, accounts, .. }) = same
            && let Work::Add { sum: more, .. } = &task.work
        {
            *sum = sum.plus(*more)?;
            memory::reserve(accounts, task.accounts.len())?;
            accounts.extend(task.accounts);
            continue;
        }
        merged.push(task);
    }
    Ok(merged)
}

pub fn values_of(path: &TotalPath, key: &[u8]) -> Result<Vec<Rebuilt>, Report> {
    let bytes = key.get(PREFIX..).unwrap_or_default();
    rebuilt(&path.followed.columns, bytes).ok_or_else(|| memory::exhausted(key.len()))
}

/// The sum as a numeric value; `None` for zero.
pub fn sum_of(parent: &TotalParent, amounts: &[Amount]) -> Result<Option<Datum>, Report> {
    if parent.rounds && amounts.iter().any(|amount| matches!(amount, Amount::Numeric(_))) {
        return Err(faults::would_round(parent.oid, &parent.column));
    }
    let mut sum: Option<Datum> = None;
    for amount in amounts {
        let value = match amount {
            Amount::Int(n) => numeric::of_integer(*n)?,
            Amount::Numeric(bytes) => match key_bytes::split(bytes, NUMERIC) {
                // The sum is a value of Postgres's own, which outlives the bytes.
                Some((value, _)) => numeric::add(value.datum(), numeric::of_integer(0)?)?,
                None => return Err(memory::exhausted(bytes.len())),
            },
            Amount::New | Amount::Count => continue,
        };
        sum = Some(match sum {
            Some(sum) => numeric::add(sum, value)?,
            None => value,
        });
    }
    match sum {
        Some(sum) if numeric::is_zero(sum)? => Ok(None),
        sum => Ok(sum),
    }
}

/// The sum, as an integer where all amounts are; `None` for zero.
fn amount_of(parent: &TotalParent, amounts: &[Amount]) -> Result<Option<DueAmount>, Report> {
    let integer = amounts.iter().try_fold(0i128, |sum, amount| match amount {
        Amount::Int(n) => sum.checked_add(*n),
        _ => None,
    });
    match integer {
        Some(n) => Ok((n != 0).then_some(DueAmount::Integer(n))),
        None => Ok(sum_of(parent, amounts)?.map(DueAmount::Numeric)),
    }
}

/// Adds to a total. A parent that is not there keeps what was noted for it: it may come yet.
fn add(
    parent: &TotalParent,
    path: &TotalPath,
    values: &[Rebuilt],
    sum: DueAmount,
    accounts: &[usize],
) -> Result<(), Report> {
    if path.add_directly(parent, values, sum)? {
        return all_settled(accounts);
    }
    let sum = sum.numeric()?;
    match path.add(parent, values, sum)? {
        Ok(()) => all_settled(accounts),
        Err(Unwritten::Missing) => {
            session::miss_parent(look_again);
            Ok(())
        }
        Err(Unwritten::Refused(refused)) => {
            let child = Some(path.followed.child);
            Err(reports::refused(parent, child, &refused, &numeric::shown(sum)?)?)
        }
    }
}

fn all_settled(accounts: &[usize]) -> Result<(), Report> {
    accounts.iter().try_for_each(|account| session::settled(*account))
}
