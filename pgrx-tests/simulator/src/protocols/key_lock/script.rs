//! What a session does: calls, and statements that fire the guard as its triggers do.

use super::answers::{KeySession, Upserting, Writer};
use super::mutants::Mutant;
use super::{key_of, KeyLock, TABLE};
use crate::engine::session::Failure;
use crate::guard::held::Held;
use crate::key_lock::protocol::{lock_all, lock_inserted, lock_two, Locked, Locker};
use crate::server::sql::Order;
use crate::server::store::{Tid, Version};
use crate::server::transactions::{Level, Snapshot};
use std::cell::Cell;

/// A statement, or a whole transaction's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statement {
    /// `lock_key`.
    Lock(u32),
    /// `try_lock_key`.
    TryLock(u32),
    /// A writer where the guard only observes.
    Observe(u32),
    /// `lock_keys`.
    LockMany(&'static [u32]),
    /// `lock_table_keys`.
    LockWhole,
    /// A row of a key, if a trigger that reads under the lock finds none.
    InsertIfNone(i64),
    /// An UPDATE that takes a row to another key, if a trigger finds none there.
    Move(u16, i64),
    /// An UPDATE that leaves the key as it is.
    Touch(u16),
    Delete(u16),
    /// INSERT of this row with this key ON CONFLICT DO UPDATE of the key.
    Upsert(u16, i64),
    Savepoint,
    RollbackTo,
    ReleaseSavepoint,
    /// COMMIT or ROLLBACK.
    End,
}

/// Runs a script, as a client does that goes on after errors.
pub fn run(case: &KeyLock, session: &KeySession, script: &[Statement]) {
    let held = Held::new();
    let client = Client { writer: Writer { session, case, held: &held }, rows: Cell::new(0) };
    let mut rest = script.iter();
    let mut open = false;
    while let Some(statement) = rest.next() {
        if !std::mem::replace(&mut open, true) {
            session.begin(Level::ReadCommitted);
        }
        match statement {
            Statement::Savepoint => session.savepoint(),
            Statement::RollbackTo => session.rollback_to_savepoint(client.order()),
            Statement::ReleaseSavepoint => session.release_savepoint(),
            Statement::End => {
                client.end();
                open = false;
            }
            statement => {
                let done = session.attempt(|| client.statement(*statement));
                client.judge(&done);
                if done.is_err() && session.has_savepoint() {
                    session.rollback_to_savepoint(client.order());
                } else if done.is_err() {
                    session.rollback(client.order());
                    open = false;
                    rest.by_ref().find(|statement| **statement == Statement::End);
                }
            }
        }
        if !open && !case.remembered {
            // Nothing is left of the transaction.
            session.forget((rest.len(), client.rows.get()));
        }
    }
}

struct Client<'a> {
    writer: Writer<'a>,
    rows: Cell<u16>,
}

/// Rows are told apart by a unique index.
fn identity(version: &Version) -> Option<(i64, i64)> {
    key_of(version).map(|_| (version.row.into(), 0))
}

fn locked(key: i64) -> Locked {
    Locked(key as u32)
}

impl Client<'_> {
    fn order(&self) -> Order {
        Order { releases_first: self.writer.is(Mutant::ReleasesFirst) }
    }

    fn end(&self) {
        let session = self.writer.session;
        match session.choose("commits or rolls back", 2) {
            0 => session.commit(self.order()),
            _ => session.rollback(self.order()),
        }
    }

    /// Judges how a statement has ended.
    fn judge(&self, done: &Result<(), Failure>) {
        self.writer.session.next_command();
        self.writer.session.judge(match done {
            Err(Failure::Deadlock) if !self.writer.case.may_deadlock => {
                Err("a deadlock where keys are locked in order".to_owned())
            }
            Err(Failure::Duplicate) => Err("23505 from rows that nobody has twice".to_owned()),
            _ => Ok(()),
        });
    }

    fn statement(&self, statement: Statement) -> Result<(), Failure> {
        match statement {
            Statement::Lock(key) => self.writer.lock(Locked(key)),
            Statement::TryLock(key) => {
                self.writer.try_lock(Locked(key));
                Ok(())
            }
            Statement::Observe(key) => {
                self.writer.observe(Locked(key));
                Ok(())
            }
            Statement::LockMany(keys) => self.lock_many(keys),
            Statement::LockWhole => self.writer.lock_whole(),
            Statement::InsertIfNone(key) => self.insert_if_none(key),
            Statement::Move(row, key) => self.update(row, Some(key)),
            Statement::Touch(row) => self.update(row, None),
            Statement::Delete(row) => self.delete(row),
            Statement::Upsert(row, key) => self.upsert(row, key),
            _ => Ok(()),
        }
    }

    fn lock_many(&self, keys: &[u32]) -> Result<(), Failure> {
        let mut keys: Vec<Locked> = keys.iter().copied().map(Locked).collect();
        if self.writer.is(Mutant::AsGiven) {
            return keys.into_iter().try_for_each(|key| self.writer.lock(key));
        }
        lock_all(&self.writer, &mut keys)
    }

    /// Whether a trigger that fires after the guard's sees no row of a key.
    fn finds_none(&self, key: i64, before: Option<Snapshot>) -> bool {
        let session = self.writer.session;
        let snapshot = before.unwrap_or_else(|| session.statement_snapshot());
        let (none, verdict) = session.step("counts the rows of a key", |w| {
            let of_key = |v: &&Version| key_of(v) == Some(key);
            let mut versions = w.server.store.versions.values().filter(of_key);
            let none = !versions.any(|v| w.server.shows(&snapshot, session.id, v));
            (none, w.monitor.reads(&w.server, session.id, &snapshot, key))
        });
        session.judge(verdict);
        none
    }

    /// The snapshot by which a trigger reads, where it is wrongly taken before the lock.
    fn too_early(&self) -> Option<Snapshot> {
        self.writer.is(Mutant::SnapshotFirst).then(|| self.writer.session.statement_snapshot())
    }

    fn put(&self, row: u16, key: i64) -> Result<Tid, Failure> {
        let session = self.writer.session;
        session.judge(session.aside(|w| w.monitor.writes(session.id, key)));
        session.insert(TABLE, row, [key, 0, 0], identity)
    }

    fn insert_if_none(&self, key: i64) -> Result<(), Failure> {
        let row = 1000 * (self.writer.session.id as u16 + 1) + self.rows.get();
        self.rows.set(self.rows.get() + 1);
        let before = self.too_early();
        lock_inserted(&self.writer, || None::<Upserting>, locked(key))?;
        if self.finds_none(key, before) {
            self.put(row, key)?;
        }
        Ok(())
    }

    /// As `lock_written` in `src/key_lock/guard.rs`.
    fn lock_updated(&self, old: i64, new: i64) -> Result<(), Failure> {
        let (old, new) = (locked(old), locked(new));
        if old == new {
            return self.writer.lock(new);
        }
        if self.writer.is(Mutant::OldKeyFirst) {
            self.writer.lock(old)?;
            return self.writer.lock(new);
        }
        let old = (!self.writer.is(Mutant::NewKeyOnly)).then_some(old);
        lock_two(&self.writer, old, Some(new))
    }

    /// A row that is locked, or `None` if it is gone.
    fn locked_row(&self, row: u16) -> Result<Option<(Tid, i64)>, Failure> {
        let session = self.writer.session;
        let snapshot = session.statement_snapshot();
        let found = session.lock_row(&snapshot, |v| v.row == row)?;
        Ok(found.map(|tid| (tid, session.aside(|w| w.server.store.versions[&tid].values[0]))))
    }

    fn update(&self, row: u16, to: Option<i64>) -> Result<(), Failure> {
        let Some((tid, old)) = self.locked_row(row)? else { return Ok(()) };
        let new = to.unwrap_or(old);
        self.lock_updated(old, new)?;
        if old == new || self.finds_none(new, None) {
            self.replace(tid, row, old, new)?;
        }
        Ok(())
    }

    fn replace(&self, tid: Tid, row: u16, old: i64, new: i64) -> Result<(), Failure> {
        self.take_out(tid, old);
        let next = self.put(row, new)?;
        self.writer.session.link(tid, next);
        Ok(())
    }

    fn take_out(&self, tid: Tid, key: i64) {
        let session = self.writer.session;
        session.judge(session.aside(|w| w.monitor.writes(session.id, key)));
        session.take_out(tid);
    }

    fn delete(&self, row: u16) -> Result<(), Failure> {
        let Some((tid, key)) = self.locked_row(row)? else { return Ok(()) };
        self.writer.lock(locked(key))?;
        self.take_out(tid, key);
        Ok(())
    }

    /// The guard for INSERT, then as ExecInsert and ExecOnConflictUpdate, with the guard for UPDATE.
    fn upsert(&self, row: u16, key: i64) -> Result<(), Failure> {
        let session = self.writer.session;
        let statement = session.statement_snapshot();
        let (writer, new) = (self.writer, locked(key));
        let upserting = || Upserting { writer, statement, row };
        lock_inserted(&writer, || Some(upserting()), new)?;
        writer.owns(Some(new));
        loop {
            let Some(tid) = upserting().in_the_way()? else {
                match self.put(row, key) {
                    Err(Failure::Duplicate) => continue,
                    put => return put.map(|_| ()),
                }
            };
            let Some(tid) = session.lock_version(&statement, tid)? else { continue };
            let old = session.aside(|w| w.server.store.versions[&tid].values[0]);
            self.lock_updated(old, key)?;
            return self.replace(tid, row, old, key);
        }
    }
}
