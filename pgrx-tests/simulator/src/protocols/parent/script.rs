//! What a session does: children that it writes, parents that it swaps itself.

use super::answers::{part, update, Bump, ParentSession};
use super::mutants::Mutant;
use super::{is_parent, Parents, CHILDREN, PARENTS};
use crate::engine::session::Failure;
use crate::parent::notes::Notes;
use crate::parent::protocol::move_all;
use crate::server::sql::Order;
use std::cell::{Cell, RefCell};

/// A statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statement {
    /// A child of this parent is put in.
    Child(i64),
    /// The client moves the version of this parent itself.
    Swap(i64),
    /// The client deletes this parent, and puts it again as it was.
    Replace(i64),
    /// SET CONSTRAINTS ALL IMMEDIATE, and DEFERRED again.
    Immediate,
    Savepoint,
    RollbackTo,
    /// COMMIT or ROLLBACK.
    End,
}

struct Client<'a> {
    case: &'a Parents,
    session: &'a ParentSession<'a>,
    notes: RefCell<Notes<()>>,
    children: Cell<u16>,
}

/// Runs a script, as a client does that goes on after errors.
pub fn run(case: &Parents, session: &ParentSession, script: &[Statement]) {
    let client =
        Client { case, session, notes: RefCell::new(Notes::new()), children: Cell::new(0) };
    let mut rest = script.iter();
    let mut open = false;
    while let Some(statement) = rest.next() {
        if !std::mem::replace(&mut open, true) {
            session.begin(case.level);
            session.aside(|w| w.monitor.opens(session.id));
        }
        match statement {
            Statement::Savepoint => {
                session.savepoint();
                session.aside(|w| w.monitor.opens(session.id));
            }
            Statement::RollbackTo => client.undo(),
            Statement::End => {
                client.end();
                open = false;
            }
            statement => {
                let done = session.attempt(|| client.statement(*statement));
                client.judge(&done);
                if done.is_err() && session.has_savepoint() {
                    client.undo();
                } else if done.is_err() {
                    client.finish(false);
                    open = false;
                    rest.by_ref().find(|statement| **statement == Statement::End);
                }
            }
        }
        if !open {
            session.forget((rest.len(), client.children.get()));
        }
    }
}

impl Client<'_> {
    fn judge(&self, done: &Result<(), Failure>) {
        let may = self.case.may_deadlock;
        self.session.judge(match done {
            Err(Failure::Deadlock) if !may => Err("a deadlock over parents".to_owned()),
            _ => Ok(()),
        });
    }

    fn undo(&self) {
        let sub = part(self.session);
        self.session.aside(|w| w.monitor.undoes(self.session.id));
        self.session.rollback_to_savepoint(Order::default());
        self.session.aside(|w| w.monitor.opens(self.session.id));
        let mut notes = self.notes.borrow_mut();
        match self.case.mutant {
            Some(Mutant::NotesUndone) => {}
            Some(Mutant::ForgetsUndone) => {
                notes.abort(sub);
                drop(notes.take(0));
            }
            _ => notes.abort(sub),
        }
    }

    fn statement(&self, statement: Statement) -> Result<(), Failure> {
        match statement {
            Statement::Child(parent) => self.child(parent)?,
            Statement::Swap(parent) => {
                if update(self.session, parent, None)? {
                    self.session.aside(|w| w.monitor.swaps(self.session.id, parent));
                }
            }
            Statement::Replace(parent) => self.replace(parent)?,
            Statement::Immediate => self.settle()?,
            _ => {}
        }
        self.session.next_command();
        Ok(())
    }

    fn child(&self, parent: i64) -> Result<(), Failure> {
        let number = self.children.get();
        self.children.set(number + 1);
        let row = 100 * (self.session.id as u16 + 1) + number;
        self.session.insert(CHILDREN, row, [row.into(), parent, 0], |_| None)?;
        self.session.aside(|w| w.monitor.writes_child(self.session.id, parent));
        if self.case.mutant == Some(Mutant::EachRow) {
            self.session.next_command();
            return update(self.session, parent, None).map(drop);
        }
        let sub = part(self.session);
        let noted = self.notes.borrow_mut().note(&[parent as u8], sub, || Ok(()));
        noted.map_err(|_| Failure::Refused)
    }

    fn replace(&self, parent: i64) -> Result<(), Failure> {
        let snapshot = self.session.statement_snapshot();
        let found = self.session.lock_row(&snapshot, |version| is_parent(version, parent))?;
        let Some(tid) = found else { return Ok(()) };
        let values = self.session.aside(|w| w.server.store.versions[&tid].values);
        self.session.take_out(tid);
        self.session.next_command();
        self.session.insert(PARENTS, parent as u16, values, |_| None).map(drop)
    }

    /// The deferred trigger.
    fn settle(&self) -> Result<(), Failure> {
        self.session.next_command();
        let mut notes = self.notes.borrow_mut();
        let (session, case) = (self.session, self.case);
        move_all(&mut Bump { session, case, notes: &mut notes, done: Vec::new() })
    }

    fn end(&self) {
        if self.session.choose("commits or rolls back", 2) == 1 {
            return self.finish(false);
        }
        if self.case.mutant == Some(Mutant::AfterCommit) {
            self.finish_keeping_notes();
            self.session.begin(self.case.level);
        }
        let settled = self.session.attempt(|| self.settle());
        self.judge(&settled);
        self.finish(settled.is_ok());
    }

    fn finish_keeping_notes(&self) {
        self.session.commit_telling(Order::default(), |w| w.monitor.ends(self.session.id, true));
    }

    fn finish(&self, commits: bool) {
        *self.notes.borrow_mut() = Notes::new();
        let ends = |w: &mut crate::engine::session::World<_>| {
            let monitor: &mut super::monitor::ParentMonitor = &mut w.monitor;
            monitor.ends(self.session.id, commits);
        };
        match commits {
            true => self.session.commit_telling(Order::default(), ends),
            false => {
                self.session.aside(ends);
                self.session.rollback(Order::default());
            }
        }
    }
}
