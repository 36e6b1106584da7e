//! The lock manager: locks that last to the end of a (sub)transaction, and queues for them.

use crate::server::transactions::Xid;
use std::collections::BTreeMap;

/// What a lock stands for: a kind, a table, a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag {
    pub kind: &'static str,
    pub table: u8,
    pub number: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Goes with itself.
    Shared,
    Exclusive,
}

impl Mode {
    fn conflicts(self, other: Mode) -> bool {
        self == Mode::Exclusive || other == Mode::Exclusive
    }
}

/// A lock that a session has, once for each time that a part of its transaction took it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Held {
    session: usize,
    mode: Mode,
    owner: Xid,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Asked {
    session: usize,
    mode: Mode,
    owner: Xid,
}

#[derive(Clone, Default, Hash)]
struct Lock {
    held: Vec<Held>,
    queue: Vec<Asked>,
}

/// What came of asking for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Taken {
    New,
    /// The session had it already.
    Again,
    NotAvailable,
}

#[derive(Clone, Default, Hash)]
pub struct Locks {
    locks: BTreeMap<Tag, Lock>,
}

impl Lock {
    fn has(&self, session: usize, mode: Mode) -> bool {
        self.held.iter().any(|held| held.session == session && held.mode == mode)
    }

    fn is_free_for(&self, session: usize, mode: Mode) -> bool {
        self.held.iter().all(|held| held.session == session || !held.mode.conflicts(mode))
    }

    fn take(&mut self, session: usize, mode: Mode, owner: Xid) {
        self.held.push(Held { session, mode, owner });
        // The order does not matter.
        self.held.sort();
    }

    /// Hands the lock on to those who wait, the first first (`ProcLockWakeup`).
    fn wake(&mut self) {
        let mut at = 0;
        while let Some(asked) = self.queue.get(at).copied() {
            let ahead = self.queue[..at].iter().any(|other| other.mode.conflicts(asked.mode));
            if !ahead && self.is_free_for(asked.session, asked.mode) {
                self.queue.remove(at);
                self.take(asked.session, asked.mode, asked.owner);
            } else {
                at += 1;
            }
        }
    }
}

impl Locks {
    /// Takes a lock if nobody has it in a mode that conflicts, or waits for it in one (`LockAcquireExtended`).
    pub fn try_take(&mut self, session: usize, tag: Tag, mode: Mode, owner: Xid) -> Taken {
        let lock = self.locks.entry(tag).or_default();
        let again = lock.has(session, mode);
        let waited_for = lock.queue.iter().any(|asked| asked.mode.conflicts(mode));
        if !again && (waited_for || !lock.is_free_for(session, mode)) {
            return Taken::NotAvailable;
        }
        lock.take(session, mode, owner);
        if again {
            Taken::Again
        } else {
            Taken::New
        }
    }

    /// Goes to the end of the queue; in front of those whom a lock that the session has keeps waiting (`ProcSleep`).
    pub fn ask(&mut self, session: usize, tag: Tag, mode: Mode, owner: Xid) {
        let lock = self.locks.entry(tag).or_default();
        let asked = Asked { session, mode, owner };
        let own: Vec<Mode> =
            lock.held.iter().filter(|h| h.session == session).map(|h| h.mode).collect();
        let kept = |other: &Asked| own.iter().any(|own| own.conflicts(other.mode));
        let at = lock.queue.iter().position(kept).unwrap_or(lock.queue.len());
        lock.queue.insert(at, asked);
        lock.wake();
    }

    pub fn stop_waiting(&mut self, session: usize, tag: Tag) {
        if let Some(lock) = self.locks.get_mut(&tag) {
            lock.queue.retain(|asked| asked.session != session);
            lock.wake();
        }
        self.forget_free();
    }

    pub fn is_held(&self, session: usize, tag: Tag, mode: Mode) -> bool {
        self.locks.get(&tag).is_some_and(|lock| lock.has(session, mode))
    }

    /// Whether somebody else has a lock.
    pub fn is_held_by_another(&self, session: usize, tag: Tag) -> bool {
        self.locks.get(&tag).is_some_and(|l| l.held.iter().any(|held| held.session != session))
    }

    /// Who has a lock exclusively.
    pub fn is_held_alone(&self, tag: Tag) -> Option<usize> {
        let mut held = self.locks.get(&tag)?.held.iter();
        held.find(|held| held.mode == Mode::Exclusive).map(|held| held.session)
    }

    pub fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    /// How many locks of a kind a session has.
    pub fn count(&self, session: usize, kind: &str) -> usize {
        let of_kind = self.locks.iter().filter(|(tag, _)| tag.kind == kind);
        of_kind.filter(|(_, lock)| lock.held.iter().any(|h| h.session == session)).count()
    }

    /// Gives back what this part of the transaction took last (`LockRelease`).
    pub fn release(&mut self, session: usize, tag: Tag, mode: Mode, owner: Xid) {
        if let Some(lock) = self.locks.get_mut(&tag) {
            let one = Held { session, mode, owner };
            if let Some(at) = lock.held.iter().position(|held| *held == one) {
                lock.held.remove(at);
            }
            lock.wake();
        }
        self.forget_free();
    }

    /// Lets go of all that these parts of transactions have.
    pub fn release_all(&mut self, owners: &[Xid]) {
        for lock in self.locks.values_mut() {
            lock.held.retain(|held| !owners.contains(&held.owner));
            lock.wake();
        }
        self.forget_free();
    }

    fn forget_free(&mut self) {
        self.locks.retain(|_, lock| !lock.held.is_empty() || !lock.queue.is_empty());
    }

    /// For whom a session waits that asks for a lock.
    pub fn blockers(&self, session: usize, tag: Tag, mode: Mode) -> Vec<usize> {
        let Some(lock) = self.locks.get(&tag) else { return Vec::new() };
        let holders = lock.held.iter().filter(|h| h.session != session && h.mode.conflicts(mode));
        let ahead = lock.queue.iter().take_while(|asked| asked.session != session);
        let ahead = ahead.filter(|asked| asked.mode.conflicts(mode));
        holders.map(|held| held.session).chain(ahead.map(|asked| asked.session)).collect()
    }
}
