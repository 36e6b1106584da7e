//! What a session does: statements, each of which fires the guard as its triggers do.

use super::answers::{CapSession, Moment, Writer};
use super::mutants::Mutant;
use super::{entry, Cap, TABLE};
use crate::cap::decision::{on_insert, on_update, Slot};
use crate::cap::hints::Hints;
use crate::cap::protocol::{choose, claim, Kept, Request};
use crate::cap::spare::Spares;
use crate::engine::session::Failure;
use crate::server::sql::Order;
use crate::server::transactions::Snapshot;
use std::cell::Cell;
use std::time::Instant;

/// A statement, or a whole transaction's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statement {
    /// So many rows of a key.
    Insert(i64, u8),
    /// A row of a key in a slot that the writer names.
    InsertAt(i64, i64),
    Delete(u16),
    /// An UPDATE that leaves key and slot as they are.
    Touch(u16),
    /// An UPDATE that takes the row to another key.
    Move(u16, i64),
    Savepoint,
    RollbackTo,
    ReleaseSavepoint,
    Rollback,
    /// COMMIT or ROLLBACK.
    End,
}

impl Statement {
    fn is_end(self) -> bool {
        matches!(self, Statement::Rollback | Statement::End)
    }
}

/// What a session remembers from one statement to the next.
pub struct Memory {
    pub hints: Hints,
    pub spares: Spares<i64, Moment>,
    pub spare_moment: Cell<Option<Moment>>,
    pub deletions: Cell<i64>,
    pub start: Instant,
    pub time: Cell<u64>,
    rows: Cell<u16>,
}

/// Runs a script, as a client does that goes on after errors.
pub fn run(case: &Cap, session: &CapSession, script: &[Statement]) {
    let memory = Memory {
        hints: Hints::new(),
        spares: Spares::new(),
        spare_moment: Cell::new(None),
        deletions: Cell::new(0),
        start: Instant::now(),
        time: Cell::new(0),
        rows: Cell::new(0),
    };
    let client = Client { case, session, memory };
    let mut rest = script.iter();
    let mut open = false;
    while let Some(statement) = rest.next() {
        if !std::mem::replace(&mut open, true) {
            session.begin(case.level(session.id));
        }
        match statement {
            Statement::Savepoint => session.savepoint(),
            Statement::RollbackTo => client.undo(),
            Statement::ReleaseSavepoint => session.release_savepoint(),
            ends if ends.is_end() => {
                client.end(*ends);
                open = false;
            }
            statement => {
                let done = session.attempt(|| client.statement(*statement));
                client.judge(*statement, &done);
                if done.is_err() && session.has_savepoint() {
                    client.undo();
                } else if done.is_err() {
                    client.end(Statement::Rollback);
                    open = false;
                    rest.by_ref().find(|statement| statement.is_end());
                }
            }
        }
        if !open && !case.remembers() {
            // Nothing is left of the transaction.
            session.forget((rest.len(), client.memory.rows.get()));
        }
    }
}

struct Client<'a> {
    case: &'a Cap,
    session: &'a CapSession<'a>,
    memory: Memory,
}

impl Client<'_> {
    fn order(&self) -> Order {
        Order { releases_first: self.case.mutant == Some(Mutant::ReleasesFirst) }
    }

    fn undo(&self) {
        self.session.rollback_to_savepoint(self.order());
        self.memory.hints.forget_all();
    }

    fn end(&self, statement: Statement) {
        let commits = match statement {
            Statement::Rollback => false,
            _ => self.session.choose("commits or rolls back", 2) == 0,
        };
        if commits {
            let id = self.session.id;
            let verdict = self.session.aside(|w| w.monitor.commits(&w.server, id));
            self.session.judge(verdict);
            self.session.commit(self.order());
        } else {
            self.session.rollback(self.order());
            self.memory.hints.forget_all();
        }
    }

    fn statement(&self, statement: Statement) -> Result<(), Failure> {
        match statement {
            Statement::Insert(key, rows) => self.insert(key, None, rows),
            Statement::InsertAt(key, slot) => self.insert(key, Some(slot), 1),
            Statement::Delete(row) => self.delete(row),
            Statement::Touch(row) => self.update(row, None),
            Statement::Move(row, key) => self.update(row, Some(key)),
            _ => Ok(()),
        }
    }

    /// Judges how a statement has ended.
    fn judge(&self, statement: Statement, done: &Result<(), Failure>) {
        let id = self.session.id;
        self.session.aside(|w| w.monitor.ends(id));
        self.session.next_command();
        let named = matches!(statement, Statement::InsertAt(..));
        self.session.judge(match done {
            Err(Failure::Duplicate) if !named => {
                Err("23505 for a slot that the guard chose".to_owned())
            }
            Err(Failure::Deadlock) if !self.case.may_deadlock => {
                Err("a deadlock where nobody holds what others need".to_owned())
            }
            _ => Ok(()),
        });
    }

    fn insert(&self, key: i64, given: Option<i64>, rows: u8) -> Result<(), Failure> {
        let snapshot = match self.case.snapshots() {
            true => self.session.statement_snapshot(),
            false => self.session.aside(|w| w.server.transactions.latest(self.session.id)),
        };
        let mut unplaced = false;
        for number in 0..rows {
            let row = 1000 * (self.session.id as u16 + 1) + self.memory.rows.get();
            self.memory.rows.set(self.memory.rows.get() + 1);
            let slot = self.place(key, on_insert(false, given, None), snapshot, number > 0)?;
            let slot = slot.unwrap_or(0);
            unplaced |= slot == 0;
            self.session.insert(TABLE, row, [key, slot, 0], entry)?;
            if slot == 0 {
                // What the AFTER trigger will say is decided.
                break;
            }
        }
        if unplaced && self.case.mutant != Some(Mutant::Unrefused) {
            return Err(self.refused());
        }
        Ok(())
    }

    fn refused(&self) -> Failure {
        let id = self.session.id;
        let verdict = self.session.aside(|w| w.monitor.refuses(id));
        self.session.judge(verdict);
        Failure::Refused
    }

    fn delete(&self, row: u16) -> Result<(), Failure> {
        let snapshot = self.session.statement_snapshot();
        if let Some(tid) = self.session.lock_row(&snapshot, |v| v.row == row)? {
            self.session.take_out(tid);
            self.memory.deletions.set(self.memory.deletions.get() + 1);
        }
        Ok(())
    }

    fn update(&self, row: u16, to: Option<i64>) -> Result<(), Failure> {
        let snapshot = self.session.statement_snapshot();
        let Some(tid) = self.session.lock_row(&snapshot, |v| v.row == row)? else { return Ok(()) };
        let [old_key, old, rest] = self.session.aside(|w| w.server.store.versions[&tid].values);
        let key = to.unwrap_or(old_key);
        let stays = key == old_key;
        if !stays {
            self.memory.hints.forget(1);
        }
        let decision = on_update(false, stays, false, Some(old), Some(old));
        let Some(slot) = self.place(key, decision, snapshot, true)? else {
            return Err(self.refused());
        };
        self.session.take_out(tid);
        let new = self.session.insert(TABLE, row, [key, slot, rest], entry)?;
        self.session.link(tid, new);
        Ok(())
    }

    /// As `settle` in `src/cap/guard.rs`.
    fn place(
        &self,
        key: i64,
        decision: Slot,
        statement: Snapshot,
        keeps: bool,
    ) -> Result<Option<i64>, Failure> {
        match self.case.remembers() {
            true => self.place_from::<1>(key, decision, statement, keeps),
            false => self.place_from::<64>(key, decision, statement, keeps),
        }
    }

    fn place_from<const FROM: i64>(
        &self,
        key: i64,
        decision: Slot,
        statement: Snapshot,
        keeps: bool,
    ) -> Result<Option<i64>, Failure> {
        let (session, case, memory) = (self.session, self.case, &self.memory);
        let writer = Writer::<FROM> { session, case, key, statement, memory };
        let kept = Kept { spare: memory.spares.take(1), keeps };
        let preferred = match decision {
            Slot::Keep(slot) => return Ok(Some(slot)),
            Slot::Given(slot) => {
                claim(&writer, slot)?;
                return Ok(Some(slot));
            }
            Slot::Prefer(slot) => Some(slot),
            _ => None,
        };
        session.aside(|w| w.monitor.begins(session.id, key));
        choose(&writer, Request { preferred, waits: true, kept })
    }
}
