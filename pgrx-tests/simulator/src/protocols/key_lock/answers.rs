//! The protocol's questions, answered by the simulated server.

use super::monitor::KeyMonitor;
use super::mutants::Mutant;
use super::{key_of, key_tag, table_tag, KeyLock, TABLE};
use crate::engine::session::{Failure, Session};
use crate::guard::held::{Held, Locks, OnTrial, Seen};
use crate::key_lock::protocol::{InTheWay, Locked, Locker, Upserter};
use crate::server::locks::{Mode, Tag, Taken};
use crate::server::store::Tid;
use crate::server::transactions::{Snapshot, Xid};
use crate::server::Wait;

pub type KeySession<'y> = Session<'y, KeyMonitor>;

/// A writer, whichever key.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    pub session: &'a KeySession<'a>,
    pub case: &'a KeyLock,
    /// What the session remembers of its locks.
    pub held: &'a Held<u8>,
}

fn mode(shared: bool) -> Mode {
    match shared {
        true => Mode::Shared,
        false => Mode::Exclusive,
    }
}

impl Writer<'_> {
    pub fn is(&self, mutant: Mutant) -> bool {
        self.case.mutant == Some(mutant)
    }

    fn current(&self) -> (Xid, Xid) {
        let now = self.session.aside(|w| w.server.transactions.current(self.session.id));
        now.unwrap_or((Xid::BEFORE, Xid::BEFORE))
    }

    /// Whether a lock is only said to be taken.
    fn only_says(&self, tag: Tag, shared: bool) -> bool {
        let mutant = match shared {
            true => Mutant::NoTableLock,
            false => Mutant::EscalatesUnlocked,
        };
        tag == table_tag() && self.is(mutant)
    }

    /// From here on the session relies on the key.
    pub fn owns(&self, key: Option<Locked>) {
        let (_, part) = self.current();
        let id = self.session.id;
        self.session.judge(self.session.aside(|w| w.monitor.takes(&w.server, id, key, part)));
    }

    pub fn try_lock(&self, key: Locked) -> bool {
        let taken = match self.case.namespace {
            None => self.held.try_lock(self, TABLE, key.0),
            Some(namespace) => self.try_acquire(self.in_namespace(namespace, key.0 as i32), false),
        };
        if taken {
            self.owns(Some(key));
        }
        taken
    }

    /// As a guard that only observes, of a table with no namespace.
    pub fn observe(&self, key: Locked) {
        if self.held.observe(self, TABLE, key.0) == Seen::Free {
            self.owns(Some(key));
        }
    }
}

impl Locks for Writer<'_> {
    type Table = u8;
    type Tag = Tag;
    type Whose<'w> = ();
    type Failure = Failure;

    fn transaction(&self) -> u32 {
        match self.is(Mutant::OneTransaction) {
            true => 1,
            false => self.current().0.number() + 1,
        }
    }

    /// Counted anew in each transaction, as Postgres does.
    fn subtransaction(&self) -> u32 {
        let (whole, part) = self.current();
        match self.is(Mutant::OneSubtransaction) {
            true => 1,
            false => part.number() - whole.number() + 1,
        }
    }

    fn limit(&self) -> i32 {
        self.case.limit
    }

    fn whole(&self, _: u8) -> Tag {
        table_tag()
    }

    fn single(&self, _: u8, hash: u32) -> Tag {
        key_tag(hash)
    }

    fn in_namespace(&self, _: i32, key: i32) -> Tag {
        key_tag(key as u32)
    }

    /// The session's own table of locks: nobody else changes what it says.
    fn is_held(&self, tag: Tag, shared: bool) -> bool {
        let id = self.session.id;
        self.session.aside(|w| w.server.locks.is_held(id, tag, mode(shared)))
    }

    fn acquire(&self, tag: Tag, shared: bool, (): ()) -> Result<bool, Failure> {
        if self.only_says(tag, shared) {
            return Ok(true);
        }
        if tag == table_tag() && !shared && self.is(Mutant::SharesFirst) {
            self.session.lock(tag, Mode::Shared)?;
        }
        let new = self.session.lock(tag, mode(shared))?;
        Ok(new && !self.is(Mutant::Uncounted))
    }

    fn try_acquire(&self, tag: Tag, shared: bool) -> bool {
        if self.only_says(tag, shared) {
            return true;
        }
        self.session.try_lock(tag, mode(shared)) != Taken::NotAvailable
    }

    fn try_quietly(&self, tag: Tag, shared: bool) -> bool {
        self.try_acquire(tag, shared)
    }

    fn release(&self, tag: Tag, shared: bool) {
        if !self.is(Mutant::KeepsTrial) {
            self.session.unlock(tag, mode(shared));
        }
    }

    fn note_escalation(&self) {}
}

impl Locker for Writer<'_> {
    type Failure = Failure;

    fn lock(&self, key: Locked) -> Result<(), Failure> {
        match self.case.namespace {
            None => self.held.lock(self, TABLE, key.0, ())?,
            Some(namespace) => self.held.lock_in_namespace(self, namespace, key.0 as i32, ())?,
        }
        self.owns(Some(key));
        Ok(())
    }

    fn lock_whole(&self) -> Result<(), Failure> {
        self.held.lock_whole(self, TABLE, ())?;
        self.owns(None);
        Ok(())
    }

    fn would_escalate(&self, more: usize) -> bool {
        let escalates = self.case.namespace.is_none() && self.held.would_escalate(self, more);
        escalates && !self.is(Mutant::EscalatesMidway)
    }

    fn is_last(&self, Locked(key): Locked) -> bool {
        match self.case.namespace {
            None => self.held.is_last(self, TABLE, key),
            Some(namespace) => self.held.is_last_in_namespace(self, namespace, key as i32),
        }
    }

    fn holds(&self, Locked(key): Locked) -> bool {
        match self.case.namespace {
            None => self.held.holds(self, TABLE, key),
            Some(namespace) => self.is_held(self.in_namespace(namespace, key as i32), false),
        }
    }
}

/// A writer of one row that may be there.
pub struct Upserting<'a> {
    pub writer: Writer<'a>,
    pub statement: Snapshot,
    /// Which row is unique.
    pub row: u16,
}

/// What stands in the way of a row.
type Conflict = Result<Option<Tid>, Xid>;

impl Upserting<'_> {
    /// Who writes such a row, or has written it (`check_exclusion_or_unique_constraint`).
    fn conflict(&self) -> Conflict {
        let id = self.writer.session.id;
        self.writer.session.step("looks for a row in the way", |w| {
            let versions = w.server.store.versions.iter().filter(|(_, v)| v.row == self.row);
            for (tid, version) in versions {
                if let Some(writers) = w.server.shows_dirtily(id, version) {
                    return match writers.arriving.or(writers.leaving) {
                        Some(xid) => Err(xid),
                        None => Ok(Some(*tid)),
                    };
                }
            }
            Ok(None)
        })
    }

    /// The row in the way, once nobody else writes it.
    pub fn in_the_way(&self) -> Result<Option<Tid>, Failure> {
        loop {
            match self.conflict() {
                Ok(found) => return Ok(found),
                Err(xid) => {
                    self.writer.session.wait("who writes the row", Wait::End(xid), |_| ())?;
                }
            }
        }
    }
}

impl Upserter for Upserting<'_> {
    type Failure = Failure;
    type Row = Tid;
    type Moment = u32;
    type Trial = OnTrial<Tag>;

    fn now(&self) -> u32 {
        match self.writer.is(Mutant::NothingEnds) {
            true => 0,
            false => {
                self.writer.session.step("asks for the moment", |w| w.server.transactions.ended())
            }
        }
    }

    fn find(&self) -> Option<Tid> {
        if self.writer.is(Mutant::KeyBeforeRow) {
            return None;
        }
        self.in_the_way().unwrap_or_else(|failure| self.writer.session.raise(failure))
    }

    fn lock_row(&self, row: Tid) -> Result<InTheWay, Failure> {
        let session = self.writer.session;
        let locked = session.lock_version(&self.statement, row)?;
        Ok(match locked {
            None => InTheWay::Gone,
            Some(row) => {
                let old = session.aside(|w| key_of(&w.server.store.versions[&row]));
                InTheWay::Locked(old.map(|key| Locked(key as u32)))
            }
        })
    }

    fn looked(&self) {}

    fn lock_on_trial(&self, key: Locked) -> Result<OnTrial<Tag>, Failure> {
        let Writer { held, case, .. } = self.writer;
        let trial = match case.namespace {
            None => held.lock_on_trial(&self.writer, TABLE, key.0, ())?,
            Some(namespace) => {
                held.lock_in_namespace(&self.writer, namespace, key.0 as i32, ())?;
                OnTrial::alone(self.writer.in_namespace(namespace, key.0 as i32))
            }
        };
        Ok(trial)
    }

    fn give_back(&self, trial: OnTrial<Tag>) {
        self.writer.held.give_back(&self.writer, trial);
    }
}
