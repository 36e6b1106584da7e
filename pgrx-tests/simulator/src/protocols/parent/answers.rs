//! The protocol's questions, answered by the simulated server.

use super::monitor::ParentMonitor;
use super::mutants::Mutant;
use super::{is_parent, Parents, PARENTS};
use crate::engine::session::{Failure, Session, World};
use crate::parent::notes::Notes;
use crate::parent::protocol::{move_version, NotedParents, NotedRow};
use crate::server::transactions::{Level, Snapshot};

pub type ParentSession<'y> = Session<'y, ParentMonitor>;

/// The number under which a part of a transaction notes: it grows.
pub fn part(session: &ParentSession) -> u32 {
    session.aside(|w| w.server.transactions.current(session.id).map_or(0, |(_, xid)| xid.number()))
}

/// What the session's transaction has noted.
pub struct Bump<'a> {
    pub session: &'a ParentSession<'a>,
    pub case: &'a Parents,
    pub notes: &'a mut Notes<()>,
    pub done: Vec<i64>,
}

/// A parent that is due, with the version it had before the transaction.
pub struct Due {
    place: i64,
    row: i64,
    version: i64,
}

impl NotedParents for Bump<'_> {
    type Failure = Failure;
    type Noted = i64;
    type Due = Due;
    type Place = i64;

    fn take(&mut self) -> Result<Vec<i64>, Failure> {
        let taken = self.notes.take(part(self.session)).map_err(|_| Failure::Refused)?;
        Ok(taken.iter().filter_map(|((), key)| key.first().map(|byte| i64::from(*byte))).collect())
    }

    fn find(&mut self, noted: Vec<i64>) -> Result<Vec<Due>, Failure> {
        let mut found = Vec::new();
        for row in noted {
            // What is newest is found first, as the stack of keys has it.
            let seen = self.session.step("looks at a parent", |w| look(w, self.session.id, row, 0));
            if let Some(version) = seen {
                let any_order = self.case.mutant == Some(Mutant::InAnyOrder);
                let place = if any_order { found.len() as i64 } else { row };
                found.push(Due { place, row, version });
            }
        }
        Ok(found)
    }

    fn place(due: &Due) -> &i64 {
        &due.place
    }

    fn is_first(&mut self, due: &mut Due) -> Result<bool, Failure> {
        let first = !self.done.contains(&due.row);
        self.done.push(due.row);
        Ok(first)
    }

    fn write(&mut self, due: Due) -> Result<(), Failure> {
        move_version(&DueRow { session: self.session, case: self.case, due })
    }
}

/// A parent's version as of now; with `command` 0 without what this transaction has done.
fn look(world: &World<ParentMonitor>, session: usize, row: i64, command: u32) -> Option<i64> {
    let server = &world.server;
    let snapshot = Snapshot { command, ..server.transactions.latest(session) };
    let mut all = server.store.versions.values().filter(|version| is_parent(version, row));
    all.find(|version| server.shows(&snapshot, session, version)).map(|version| version.values[1])
}

struct DueRow<'a> {
    session: &'a ParentSession<'a>,
    case: &'a Parents,
    due: Due,
}

/// `UPDATE parents SET version = version + 1 WHERE id = row AND (any OR version = known)`.
pub fn update(session: &ParentSession, row: i64, wanted: Option<i64>) -> Result<bool, Failure> {
    let snapshot = session.statement_snapshot();
    let of = |version: &crate::server::store::Version| {
        is_parent(version, row) && wanted.is_none_or(|wanted| version.values[1] == wanted)
    };
    let Some(tid) = session.lock_row(&snapshot, of)? else { return Ok(false) };
    let values = session.aside(|w| w.server.store.versions[&tid].values);
    session.take_out(tid);
    let moved = [values[0], values[1] + 1, values[2]];
    let new = session.insert(PARENTS, row as u16, moved, |_| None)?;
    session.link(tid, new);
    session.next_command();
    Ok(true)
}

impl NotedRow for DueRow<'_> {
    type Failure = Failure;

    fn bump(&self, known: bool) -> Result<bool, Failure> {
        if !known && self.case.mutant == Some(Mutant::OneTry) {
            return Ok(true);
        }
        let any = !known || self.case.mutant == Some(Mutant::MovesTwice);
        update(self.session, self.due.row, (!any).then_some(self.due.version))
    }

    /// Above READ COMMITTED the look at what is there now is checked against the transaction's snapshot.
    fn is_unmoved(&self) -> Result<bool, Failure> {
        let id = self.session.id;
        let (before, now, kept) = self.session.step("looks whether it was moved", |w| {
            let command = w.server.transactions.command(id);
            let kept = w.server.transactions.level(id) == Level::RepeatableRead;
            let own = w.server.transactions.of_statement(id);
            let own = Snapshot { command: 0, ..own };
            let mut all = w.server.store.versions.values().filter(|v| is_parent(v, self.due.row));
            let in_snapshot = all.find(|v| w.server.shows(&own, id, v)).map(|v| v.values[1]);
            let before = look(w, id, self.due.row, 0);
            let changed = kept && in_snapshot != before;
            (before, look(w, id, self.due.row, command), changed)
        });
        match kept {
            true => Err(Failure::Serialization),
            false => Ok(before.is_some() && before == now),
        }
    }

    fn lock(&self) -> Result<bool, Failure> {
        if self.case.mutant == Some(Mutant::NeverLocks) {
            return Ok(true);
        }
        let snapshot = self.session.statement_snapshot();
        Ok(self.session.lock_row(&snapshot, |v| is_parent(v, self.due.row))?.is_some())
    }

    fn keeps_snapshot(&self) -> bool {
        self.case.level == Level::RepeatableRead
    }

    fn allow_cancel(&self) -> Result<(), Failure> {
        Ok(())
    }
}
