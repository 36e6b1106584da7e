//! What sessions send: transactions, savepoints, and rows that are put in, changed and taken out.

use crate::engine::session::{Failure, Monitor, Session, World};
use crate::server::locks::{Mode, Tag, Taken};
use crate::server::store::{Tid, Version};
use crate::server::transactions::{Level, Snapshot, Transactions, Xid};
use crate::server::Wait;

/// What can be got wrong in the server itself, to see whether it would be noticed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Order {
    /// Locks are let go before what was done under them can be seen.
    pub releases_first: bool,
}

impl<M: Monitor> Session<'_, M> {
    pub fn begin(&self, level: Level) {
        self.aside(|w| w.server.transactions.begin(self.id, level));
    }

    pub fn savepoint(&self) {
        self.aside(|w| w.server.transactions.open(self.id));
    }

    pub fn release_savepoint(&self) {
        self.aside(|w| w.server.transactions.merge(self.id));
    }

    /// Whether a savepoint is open.
    pub fn has_savepoint(&self) -> bool {
        self.aside(|w| w.server.transactions.depth(self.id) > 1)
    }

    /// Rolls back to the innermost savepoint, which stays.
    pub fn rollback_to_savepoint(&self, order: Order) {
        self.end(order, "rolls back to the savepoint", |s, w| w.undo_innermost(s), |_| ());
        self.savepoint();
    }

    pub fn commit(&self, order: Order) {
        self.commit_telling(order, |_| ());
    }

    /// As [`Session::commit`]; the invariants are told at the moment at which it can be seen.
    pub fn commit_telling(&self, order: Order, tell: impl FnOnce(&mut World<M>)) {
        self.end(order, "commits", |session, all| all.end_all(session, true), tell);
    }

    pub fn rollback(&self, order: Order) {
        self.end(order, "rolls back", |session, all| all.end_all(session, false), |_| ());
    }

    /// The end can be seen first, and locks are let go after that.
    fn end(
        &self,
        order: Order,
        what: &str,
        end: impl Fn(usize, &mut Transactions) -> Vec<Xid>,
        tell: impl FnOnce(&mut World<M>),
    ) {
        if order.releases_first {
            self.sure_step("lets go of its locks", |w| {
                let parts = end(self.id, &mut w.server.transactions.clone());
                w.server.locks.release_all(&parts);
            });
        }
        let parts = self.sure_step(what, |w| {
            tell(w);
            end(self.id, &mut w.server.transactions)
        });
        self.sure_step("lets go of its locks", |w| {
            w.server.locks.release_all(&parts);
            w.server.transactions.release(&parts);
        });
    }

    /// The part of the transaction that takes locks now.
    fn owner(&self) -> Xid {
        self.aside(|w| w.server.transactions.current(self.id).map_or(Xid::BEFORE, |(_, xid)| xid))
    }

    pub fn try_lock(&self, tag: Tag, mode: Mode) -> Taken {
        let owner = self.owner();
        let what = match mode {
            Mode::Shared => "tries to share a lock",
            Mode::Exclusive => "tries to lock",
        };
        self.step(what, |w| {
            w.tell(self.id, format_args!("{tag:?}"));
            w.server.locks.try_take(self.id, tag, mode, owner)
        })
    }

    /// Waits for a lock where it has to: whether it is a new one.
    pub fn lock(&self, tag: Tag, mode: Mode) -> Result<bool, Failure> {
        match self.lock_or_ask(tag, mode) {
            Taken::NotAvailable => {
                self.wait("a lock", Wait::Lock(tag, mode), |_| ())?;
                Ok(true)
            }
            taken => Ok(taken == Taken::New),
        }
    }

    /// Takes a lock, or goes to the end of its queue.
    pub fn lock_or_ask(&self, tag: Tag, mode: Mode) -> Taken {
        let owner = self.owner();
        self.step("locks", |w| {
            w.tell(self.id, format_args!("{tag:?}"));
            let taken = w.server.locks.try_take(self.id, tag, mode, owner);
            if taken == Taken::NotAvailable {
                w.server.locks.ask(self.id, tag, mode, owner);
            }
            taken
        })
    }

    pub fn unlock(&self, tag: Tag, mode: Mode) {
        let owner = self.owner();
        self.step("gives back", |w| {
            w.tell(self.id, format_args!("{tag:?}"));
            w.server.locks.release(self.id, tag, mode, owner);
        });
    }

    /// The snapshot of a statement.
    pub fn statement_snapshot(&self) -> Snapshot {
        self.step("takes a snapshot", |w| w.server.transactions.of_statement(self.id))
    }

    /// Puts a row in; its entry in a unique index waits for who is writing an equal one, and 23505 where one stands
    /// (`_bt_doinsert`).
    pub fn insert(
        &self,
        table: u8,
        row: u16,
        values: [i64; 3],
        unique: impl Fn(&Version) -> Option<(i64, i64)>,
    ) -> Result<Tid, Failure> {
        loop {
            let put = self.step("puts a row in", |w| {
                w.tell(self.id, format_args!("{values:?}"));
                let (xid, command) =
                    (w.server.transactions.writer(self.id), w.server.transactions.command(self.id));
                let version = Version::new(table, row, values, xid, command);
                if let Some(key) = unique(&version) {
                    for other in w.server.store.versions.values() {
                        if unique(other) != Some(key) {
                            continue;
                        }
                        if let Some(writers) = w.server.shows_dirtily(self.id, other) {
                            return Err(writers.arriving.or(writers.leaving));
                        }
                    }
                }
                Ok(w.server.store.put(self.id, version))
            });
            match put {
                Ok(tid) => return Ok(tid),
                Err(Some(xid)) => self.wait("who writes an equal key", Wait::End(xid), |_| ())?,
                Err(None) => return Err(Failure::Duplicate),
            }
        }
    }

    /// Locks the newest version of a row that the statement's snapshot shows, for an UPDATE or DELETE
    /// (`GetTupleForTrigger`); `None` if the row is gone.
    pub fn lock_row(
        &self,
        snapshot: &Snapshot,
        of: impl Fn(&Version) -> bool,
    ) -> Result<Option<Tid>, Failure> {
        let found = self.aside(|w| {
            let all = w.server.store.versions.iter();
            all.filter(|(_, v)| of(v) && w.server.shows(snapshot, self.id, v))
                .map(|(tid, _)| *tid)
                .next()
        });
        let Some(mut tid) = found else { return Ok(None) };
        loop {
            let seen = self.step("locks a row", |w| self.look_at(w, snapshot, tid, &of));
            match seen {
                Row::Locked => return Ok(Some(tid)),
                Row::Gone => return Ok(None),
                Row::Changed => return Err(Failure::Serialization),
                Row::Newer(next) => tid = next,
                Row::Written(xid) => self.wait("who writes the row", Wait::End(xid), |_| ())?,
            }
        }
    }

    /// Locks a version that a dirty look has found (`ExecOnConflictUpdate`); `None` if it is not the newest any more.
    pub fn lock_version(&self, snapshot: &Snapshot, tid: Tid) -> Result<Option<Tid>, Failure> {
        loop {
            match self.step("locks a row", |w| self.look_at(w, snapshot, tid, |_| true)) {
                Row::Locked => return Ok(Some(tid)),
                Row::Gone | Row::Newer(_) | Row::Changed => return Ok(None),
                Row::Written(xid) => self.wait("who writes the row", Wait::End(xid), |_| ())?,
            }
        }
    }

    fn look_at(
        &self,
        world: &mut World<M>,
        snapshot: &Snapshot,
        tid: Tid,
        of: impl Fn(&Version) -> bool,
    ) -> Row {
        let server = &mut world.server;
        let version = server.store.versions[&tid];
        let kept = server.transactions.level(self.id) == Level::RepeatableRead;
        if !of(&version) {
            return Row::Gone;
        }
        match version.xmax {
            Some(xmax) if server.transactions.is_committed(xmax) => match version.next {
                _ if kept && !snapshot.committed.has(xmax) => Row::Changed,
                Some(next) => Row::Newer(next),
                None => Row::Gone,
            },
            Some(xmax) if server.transactions.is_own(self.id, xmax) => Row::Gone,
            Some(xmax) if !server.transactions.is_aborted(xmax) => Row::Written(xmax),
            _ => match version.locker.filter(|xid| server.transactions.is_running(*xid)) {
                Some(locker) if server.transactions.is_own(self.id, locker) => Row::Locked,
                Some(locker) => Row::Written(locker),
                None => {
                    let xid = server.transactions.writer(self.id);
                    if let Some(version) = server.store.versions.get_mut(&tid) {
                        version.locker = Some(xid);
                    }
                    Row::Locked
                }
            },
        }
    }

    /// Takes out a version that the session has locked.
    pub fn take_out(&self, tid: Tid) {
        self.step("takes a version out", |w| {
            let xid = w.server.transactions.writer(self.id);
            let command = w.server.transactions.command(self.id);
            if let Some(version) = w.server.store.versions.get_mut(&tid) {
                (version.xmax, version.cmax, version.next) = (Some(xid), command, None);
            }
        });
    }

    /// Makes a version the successor of one that the session has locked.
    pub fn link(&self, old: Tid, new: Tid) {
        self.aside(|w| {
            if let Some(version) = w.server.store.versions.get_mut(&old) {
                version.next = Some(new);
            }
        });
    }

    pub fn next_command(&self) {
        self.aside(|w| w.server.transactions.next_command(self.id));
    }
}

/// What becomes of looking at a version that is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Row {
    Locked,
    Gone,
    Newer(Tid),
    /// Since the transaction's snapshot.
    Changed,
    Written(Xid),
}
