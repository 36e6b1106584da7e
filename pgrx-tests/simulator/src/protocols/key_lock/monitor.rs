//! What has to hold while keys are locked.

use super::{key_of, KEY};
use crate::engine::session::Monitor;
use crate::key_lock::protocol::Locked;
use crate::server::transactions::{Snapshot, Xid};
use crate::server::Server;

/// A key on which a session relies until a part of its transaction has ended and let go of its locks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Owned {
    session: usize,
    /// All keys, where it is none.
    key: Option<Locked>,
    part: Xid,
}

impl Owned {
    fn covers(&self, key: Option<Locked>) -> bool {
        self.key.is_none() || key.is_none() || self.key == key
    }
}

#[derive(Clone, Hash)]
pub struct KeyMonitor {
    owned: Vec<Owned>,
    keys: Vec<i64>,
    sessions: usize,
    /// Whether every row was counted before it came.
    counts: bool,
    /// How many single locks a transaction has at most.
    limit: Option<usize>,
}

impl KeyMonitor {
    pub fn new(sessions: usize, counts: bool, limit: Option<usize>) -> KeyMonitor {
        KeyMonitor { owned: Vec::new(), keys: vec![1, 2], sessions, counts, limit }
    }

    fn forget_ended(&mut self, server: &Server) {
        self.owned.retain(|owned| !server.transactions.is_released(owned.part));
    }

    /// A session relies on a key, or on all.
    pub fn takes(
        &mut self,
        server: &Server,
        session: usize,
        key: Option<Locked>,
        part: Xid,
    ) -> Result<(), String> {
        self.forget_ended(server);
        if self.owned.iter().any(|owned| owned.session != session && owned.covers(key)) {
            return Err(format!("two transactions have {key:?} at once"));
        }
        let owned = Owned { session, key, part };
        if !self.owned.contains(&owned) {
            self.owned.push(owned);
            self.owned.sort_unstable();
        }
        Ok(())
    }

    /// A session is about to write a row of a key.
    pub fn writes(&self, session: usize, key: i64) -> Result<(), String> {
        let key = Some(Locked(key as u32));
        let has = |owned: &Owned| owned.session == session && owned.covers(key);
        match self.owned.iter().any(has) {
            true => Ok(()),
            false => Err(format!("a row of {key:?} is written without the key")),
        }
    }

    /// A session that has a key reads its rows.
    pub fn reads(
        &self,
        server: &Server,
        session: usize,
        snapshot: &Snapshot,
        key: i64,
    ) -> Result<(), String> {
        let mut versions = server.store.versions.values().filter(|v| key_of(v) == Some(key));
        let stale = |version| {
            server.stands(Some(session), version) != server.shows(snapshot, session, version)
        };
        match versions.any(stale) {
            true => Err(format!("who has key {key} reads other rows than stand")),
            false => Ok(()),
        }
    }
}

impl Monitor for KeyMonitor {
    fn before_step(&mut self, _: &Server, _: usize) {}

    fn after_step(&mut self, server: &Server) -> Result<(), String> {
        self.forget_ended(server);
        for session in 0..self.sessions {
            let locks = server.locks.count(session, KEY);
            if self.limit.is_some_and(|limit| locks > limit) {
                return Err(format!("a transaction has {locks} locks of keys"));
            }
        }
        for key in self.keys.iter().filter(|_| self.counts) {
            let stands = |v: &&_| key_of(v) == Some(*key) && server.stands(None, v);
            if server.store.versions.values().filter(stands).count() > 1 {
                return Err(format!("two rows of key {key}, each counted under its lock"));
            }
        }
        Ok(())
    }

    fn at_end(&self, server: &Server) -> Result<(), String> {
        match server.locks.is_empty() {
            true => Ok(()),
            false => Err("a lock was left behind".to_owned()),
        }
    }
}
