//! The parents a transaction still has to bump, following its subtransactions.
//!
//! No Postgres in here: subtransactions are numbers that grow, as Postgres numbers them. What
//! happened since subtransaction n began, in it or in those inside it, released or not, bears n or
//! a higher number, and what happened before a lower one. So a rollback of n undoes the newest
//! entries down to n, and nothing has to be done when a savepoint is released.

use std::collections::HashMap;
use std::rc::Rc;

/// A set of keys in which a rollback to a savepoint forgets what came after it: keys noted since
/// then are gone, keys handled since then have to be handled again.
pub struct Notes<S> {
    entries: Vec<Entry<S>>,
    index: HashMap<Rc<[u8]>, usize>,
    /// Entries to handle; may name entries that are gone or handled, `take` skips those.
    unhandled: Vec<usize>,
    /// Which entry was handled in which subtransaction, oldest first.
    handled: Vec<(usize, u32)>,
    /// The entry noted last: runs of children of one parent find it without hashing.
    last: Option<usize>,
    /// The subtransaction in which a bump was scheduled that has not begun.
    scheduled: Option<u32>,
    /// The subtransaction in which a bump is under way.
    running: Option<u32>,
}

struct Entry<S> {
    key: Rc<[u8]>,
    source: S,
    /// The subtransaction that noted it.
    sub: u32,
    handled: bool,
}

impl<S: Copy> Notes<S> {
    pub fn new() -> Notes<S> {
        Notes {
            entries: Vec::new(),
            index: HashMap::new(),
            unhandled: Vec::new(),
            handled: Vec::new(),
            last: None,
            scheduled: None,
            running: None,
        }
    }

    /// Notes a key once; one that was handled already stays handled.
    #[inline]
    pub fn note(&mut self, key: &[u8], source: S, sub: u32) {
        if let Some(entry) = self.last.and_then(|i| self.entries.get(i)) {
            if *entry.key == *key {
                return;
            }
        }
        self.last = Some(match self.index.get(key) {
            Some(found) => *found,
            None => self.add(key, source, sub),
        });
    }

    fn add(&mut self, key: &[u8], source: S, sub: u32) -> usize {
        let key: Rc<[u8]> = key.into();
        let place = self.entries.len();
        self.index.insert(key.clone(), place);
        self.unhandled.push(place);
        self.entries.push(Entry { key, source, sub, handled: false });
        place
    }

    /// Everything not handled yet; it counts as handled by subtransaction `sub` from now on.
    pub fn take(&mut self, sub: u32) -> Vec<(S, Rc<[u8]>)> {
        let mut taken = Vec::new();
        for place in core::mem::take(&mut self.unhandled) {
            if let Some(entry) = self.entries.get_mut(place).filter(|e| !e.handled) {
                entry.handled = true;
                self.handled.push((place, sub));
                taken.push((entry.source, entry.key.clone()));
            }
        }
        taken
    }

    /// Whether anything is left to handle.
    pub fn any_left(&self) -> bool {
        self.unhandled.iter().any(|place| self.entries.get(*place).is_some_and(|e| !e.handled))
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
        while let Some(entry) = self.entries.pop_if(|e| e.sub >= sub) {
            self.index.remove(&entry.key);
        }
        self.last = None;
        while let Some((place, _)) = self.handled.pop_if(|h| h.1 >= sub) {
            if let Some(entry) = self.entries.get_mut(place) {
                entry.handled = false;
                self.unhandled.push(place);
            }
        }
        let kept = self.entries.len();
        while self.unhandled.pop_if(|place| *place >= kept).is_some() {}
        for state in [&mut self.scheduled, &mut self.running] {
            if state.is_some_and(|s| s >= sub) {
                *state = None;
            }
        }
    }
}

#[cfg(test)]
#[path = "parent_notes_tests.rs"]
mod tests;
