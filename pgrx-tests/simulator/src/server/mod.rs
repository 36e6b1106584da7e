//! As much of Postgres as the protocols meet: transactions, versions of rows, snapshots, locks.

pub mod locks;
pub mod sql;
pub mod store;
pub mod transactions;

use crate::engine::session::Offer;
use locks::{Locks, Mode, Tag};
use store::{Store, Tid, Version, Writers};
use transactions::{Snapshot, Transactions, Xid};

/// What a session waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// A lock that it has asked for.
    Lock(Tag, Mode),
    /// The end of a transaction, or of the part of it that has this number and is undone.
    End(Xid),
}

#[derive(Clone, Hash)]
pub struct Server {
    pub transactions: Transactions,
    pub store: Store,
    pub locks: Locks,
}

impl Server {
    pub fn new(sessions: usize) -> Server {
        Server {
            transactions: Transactions::new(sessions),
            store: Store::default(),
            locks: Locks::default(),
        }
    }

    /// Whether what a session waits for is there.
    pub fn is_there(&self, session: usize, wait: Wait) -> bool {
        match wait {
            Wait::Lock(tag, mode) => self.locks.is_held(session, tag, mode),
            Wait::End(xid) => self.transactions.is_released(xid),
        }
    }

    pub fn stop_waiting(&mut self, session: usize, wait: Wait) {
        if let Wait::Lock(tag, _) = wait {
            self.locks.stop_waiting(session, tag);
        }
    }

    /// For whom a session waits.
    fn blockers(&self, session: usize, offers: &[Option<Offer>]) -> Vec<usize> {
        match offers[session] {
            Some(Offer::Blocked(wait)) if !self.is_there(session, wait) => match wait {
                Wait::Lock(tag, mode) => self.locks.blockers(session, tag, mode),
                Wait::End(xid) => vec![xid.session()],
            },
            _ => Vec::new(),
        }
    }

    /// Whether a session waits for itself in the end: Postgres's detector would find it.
    pub fn is_in_a_circle(&self, session: usize, offers: &[Option<Offer>]) -> bool {
        let (mut seen, mut next) = (0u64, self.blockers(session, offers));
        while let Some(blocker) = next.pop() {
            if blocker == session {
                return true;
            }
            if blocker < offers.len() && seen & 1 << blocker == 0 {
                seen |= 1 << blocker;
                next.extend(self.blockers(blocker, offers));
            }
        }
        false
    }

    /// Whether a snapshot of a session shows a version.
    pub fn shows(&self, snapshot: &Snapshot, session: usize, version: &Version) -> bool {
        let own = |xid| self.transactions.is_own(session, xid);
        let came = match own(version.xmin) {
            true => version.cmin < snapshot.command,
            false => snapshot.committed.has(version.xmin),
        };
        came && match version.xmax {
            None => true,
            Some(xmax) if self.transactions.is_aborted(xmax) => true,
            Some(xmax) if own(xmax) => version.cmax >= snapshot.command,
            Some(xmax) => !snapshot.committed.has(xmax),
        }
    }

    /// Who is writing a version, as a dirty snapshot of a session tells; `None` if it does not show it.
    pub fn shows_dirtily(&self, session: usize, version: &Version) -> Option<Writers> {
        let all = &self.transactions;
        let (own, over) = (|xid| all.is_own(session, xid), |xid| all.is_committed(xid));
        if all.is_aborted(version.xmin) {
            return None;
        }
        if !own(version.xmin) && !over(version.xmin) {
            let going = version.xmax.is_some_and(|xmax| !all.is_aborted(xmax));
            return Some(Writers { arriving: Some(version.xmin), going, leaving: None });
        }
        let leaving = match version.xmax {
            None => None,
            Some(xmax) if all.is_aborted(xmax) => None,
            Some(xmax) if own(xmax) || over(xmax) => return None,
            running => running,
        };
        Some(Writers { arriving: None, going: false, leaving })
    }

    /// A version that is committed, or a session's own, and that nobody else has taken out by commit, nor the session.
    pub fn stands(&self, session: Option<usize>, version: &Version) -> bool {
        let sees = |xid| {
            self.transactions.is_committed(xid)
                || session.is_some_and(|s| self.transactions.is_own(s, xid))
        };
        sees(version.xmin) && !version.xmax.is_some_and(sees)
    }

    /// A row that was there before the sessions began.
    pub fn plant(&mut self, table: u8, row: u16, values: [i64; 3]) {
        let tid = Tid { session: u8::MAX, number: self.store.versions.len() as u8 };
        self.store.versions.insert(tid, Version::new(table, row, values, Xid::BEFORE, 0));
    }
}
