//! The parents a transaction still has to bump, following its subtransactions.
//!
//! No Postgres in here; [`NotedKeys`] says how it follows subtransactions.

use crate::guard::noted_keys::NotedKeys;
use std::collections::TryReserveError;

/// A set of keys in which a rollback to a savepoint forgets what came after it: keys noted since
/// then are gone, keys handled since then have to be handled again.
pub struct Notes<S> {
    keys: NotedKeys<NoteEntry<S>>,
    /// Entries to handle; may name entries that are gone or handled, `take` skips those.
    unhandled: Vec<usize>,
    /// Which entry was handled in which subtransaction, oldest first.
    handled: Vec<(usize, u32)>,
    /// The subtransaction in which a bump was scheduled that has not begun.
    scheduled: Option<u32>,
    /// The subtransaction in which a bump is under way.
    running: Option<u32>,
}

#[derive(Clone, Copy)]
struct NoteEntry<S> {
    source: S,
    handled: bool,
}

impl<S: Copy> Notes<S> {
    pub const fn new() -> Notes<S> {
        Notes {
            keys: NotedKeys::new(),
            unhandled: Vec::new(),
            handled: Vec::new(),
            scheduled: None,
            running: None,
        }
    }

    /// Notes a key once; one that was handled already stays handled. `source` is asked for a new one.
    #[inline]
    pub fn note(
        &mut self,
        key: &[u8],
        sub: u32,
        source: impl FnOnce() -> Result<S, TryReserveError>,
    ) -> Result<(), TryReserveError> {
        if let Err(hash) = self.keys.find(key) {
            // Room for all of them, so that a rollback can put back any of them.
            let all = self.keys.len() + 1;
            self.unhandled.try_reserve(all.saturating_sub(self.unhandled.len()))?;
            let place =
                self.keys.add(key, hash, sub, NoteEntry { source: source()?, handled: false })?;
            self.unhandled.push(place);
        }
        Ok(())
    }

    /// Everything not handled yet, each with a copy of its key; it counts as handled by subtransaction
    /// `sub` from now on. After a failure `sub` is to be rolled back.
    pub fn take(&mut self, sub: u32) -> Result<Vec<(S, Vec<u8>)>, TryReserveError> {
        let mut taken = Vec::new();
        taken.try_reserve(self.unhandled.len())?;
        self.handled.try_reserve(self.unhandled.len())?;
        for i in 0..self.unhandled.len() {
            let place = self.unhandled[i];
            let mut key = Vec::new();
            key.try_reserve_exact(self.keys.key(place).len())?;
            key.extend_from_slice(self.keys.key(place));
            if let Some(entry) = self.keys.get_mut(place).filter(|e| !e.handled) {
                entry.handled = true;
                taken.push((entry.source, key));
                self.handled.push((place, sub));
            }
        }
        self.unhandled.clear();
        Ok(taken)
    }

    /// Whether anything is left to handle.
    pub fn any_left(&self) -> bool {
        self.unhandled.iter().any(|place| self.keys.get(*place).is_some_and(|e| !e.handled))
    }

    /// Asks for a bump to be scheduled: true unless one is scheduled or under way.
    pub fn schedule(&mut self, sub: u32) -> bool {
        if self.will_be_handled() {
            return false;
        }
        self.scheduled = Some(sub);
        true
    }

    /// Whether a scheduled or running bump is going to see what is noted now.
    pub fn will_be_handled(&self) -> bool {
        self.scheduled.is_some() || self.running.is_some()
    }

    /// A bump begins; false if one is under way, which then does this one's work.
    pub fn begin(&mut self, sub: u32) -> bool {
        if self.running.is_some() {
            return false;
        }
        self.scheduled = None;
        self.running = Some(sub);
        true
    }

    pub fn end(&mut self) {
        self.running = None;
    }

    /// Subtransaction `sub` was rolled back.
    pub fn abort(&mut self, sub: u32) {
        self.keys.abort(sub);
        while let Some((place, _)) = self.handled.pop_if(|h| h.1 >= sub) {
            if let Some(entry) = self.keys.get_mut(place) {
                entry.handled = false;
                self.unhandled.push(place);
            }
        }
        let kept = self.keys.len();
        while self.unhandled.pop_if(|place| *place >= kept).is_some() {}
        for state in [&mut self.scheduled, &mut self.running] {
            if state.is_some_and(|s| s >= sub) {
                *state = None;
            }
        }
    }
}

#[cfg(test)]
#[path = "notes_tests.rs"]
mod tests;
