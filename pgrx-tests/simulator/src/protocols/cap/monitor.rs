//! What has to hold of a cap.

use super::{entry, slot_tag, table_tag, SLOT};
use crate::engine::session::Monitor;
use crate::server::store::Version;
use crate::server::Server;

/// A call that looks for a slot.
#[derive(Clone, Copy, Hash)]
struct Call {
    key: i64,
    /// It begins with its first step.
    has_begun: bool,
    /// Whether all slots had rows at one moment of it, which nobody was taking out.
    was_full: bool,
    /// Whether no slot was free and unreserved at one moment since it began, or waited last.
    had_none: bool,
}

#[derive(Hash)]
pub struct CapMonitor {
    slots: i64,
    keys: Vec<i64>,
    calls: Vec<Option<Call>>,
}

/// The versions of a key in a slot.
fn of(server: &Server, key: i64, slot: i64) -> impl Iterator<Item = &Version> {
    server.store.versions.values().filter(move |version| entry(version) == Some((key, slot)))
}

/// Whether a slot has a row as far as a session is concerned: committed, or its own.
fn is_taken(server: &Server, session: usize, key: i64, slot: i64) -> bool {
    of(server, key, slot).any(|version| server.stands(Some(session), version))
}

/// Whether it has one that no other transaction is taking out of it.
fn stays_taken(server: &Server, session: usize, key: i64, slot: i64) -> bool {
    let all = &server.transactions;
    let of_others = |xid| all.is_running(xid) && !all.is_own(session, xid);
    is_taken(server, session, key, slot)
        && of(server, key, slot).filter(|v| server.stands(Some(session), v)).all(|version| {
            match version.xmax.filter(|xmax| of_others(*xmax)) {
                None => true,
                // Who puts a row into the slot in the same transaction keeps it taken, whether he commits or not.
                Some(xmax) => of(server, key, slot).any(|new| {
                    let of_same = new.xmin.session() == xmax.session();
                    of_same && all.is_running(new.xmin) && new.xmax.is_none()
                }),
            }
        })
}

fn is_reserved(server: &Server, session: usize, key: i64, slot: i64) -> bool {
    server.locks.is_held_by_another(session, slot_tag(key, slot))
        || server.locks.is_held_alone(table_tag()).is_some_and(|holder| holder != session)
}

impl CapMonitor {
    pub fn new(slots: i64, keys: Vec<i64>, sessions: usize) -> CapMonitor {
        CapMonitor { slots, keys, calls: vec![None; sessions] }
    }

    fn look(&mut self, server: &Server) {
        for (session, call) in self.calls.iter_mut().enumerate() {
            let Some(call) = call.as_mut().filter(|call| call.has_begun) else { continue };
            let mut slots = 1..=self.slots;
            call.was_full = call.was_full
                || slots.clone().all(|slot| stays_taken(server, session, call.key, slot));
            call.had_none = call.had_none
                || slots.all(|slot| {
                    is_taken(server, session, call.key, slot)
                        || is_reserved(server, session, call.key, slot)
                });
        }
    }

    pub fn begins(&mut self, session: usize, key: i64) {
        let call = Call { key, has_begun: false, was_full: false, had_none: false };
        self.calls[session] = Some(call);
    }

    pub fn ends(&mut self, session: usize) {
        self.calls[session] = None;
    }

    /// A session is about to wait for another.
    pub fn waits(&mut self, session: usize) -> Result<(), String> {
        let Some(call) = &mut self.calls[session] else { return Ok(()) };
        match std::mem::replace(&mut call.had_none, false) {
            true => Ok(()),
            false => Err("a writer waits though at every moment a slot was free".to_owned()),
        }
    }

    /// RG403.
    pub fn refuses(&self, session: usize) -> Result<(), String> {
        match &self.calls[session] {
            Some(call) if !call.was_full => {
                Err("a writer is refused though at no moment all slots were taken".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// A transaction is about to commit: which slots it has reserved.
    pub fn commits(&self, server: &Server, session: usize) -> Result<(), String> {
        let versions = || server.store.versions.values();
        let written = versions().filter(|v| server.transactions.is_own(session, v.xmin));
        let mut slots: Vec<(i64, i64)> = written.filter_map(entry).collect();
        slots.sort_unstable();
        slots.dedup();
        match server.locks.count(session, SLOT) > slots.len() {
            true => Err("a slot is still reserved in which there is no row".to_owned()),
            false => Ok(()),
        }
    }
}

impl Monitor for CapMonitor {
    fn before_step(&mut self, server: &Server, session: usize) {
        if let Some(call) = self.calls[session].as_mut().filter(|call| !call.has_begun) {
            call.has_begun = true;
            self.look(server);
        }
    }

    fn after_step(&mut self, server: &Server) -> Result<(), String> {
        self.look(server);
        for key in &self.keys {
            let of_key =
                |version: &&Version| version.values[0] == *key && server.stands(None, version);
            let rows = server.store.versions.values().filter(of_key).count() as i64;
            if rows > self.slots {
                return Err(format!(
                    "{rows} rows of key {key} are committed, in {} slots",
                    self.slots
                ));
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
