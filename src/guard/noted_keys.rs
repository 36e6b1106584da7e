//! Keys that a transaction has noted, each once, in the order in which they came.
//!
//! No Postgres in here: subtransactions are numbers that grow, as Postgres numbers them. What
//! happened since subtransaction n began, in it or in those inside it, released or not, bears n or
//! a higher number, and what happened before a lower one. So a rollback of n undoes the newest
//! entries down to n, and nothing has to be done when a savepoint is released.
//!
//! How many keys there are the writer decides, so whatever grows here may fail to. What fails leaves
//! everything as it was.

use std::collections::TryReserveError;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// The keys, and what is known of each.
pub struct NotedKeys<T> {
    /// The keys, one behind the other.
    bytes: Vec<u8>,
    entries: Vec<KeyEntry<T>>,
    index: EntryIndex,
    /// The entry noted last: runs of children of one parent find it without hashing.
    last: Option<usize>,
}

struct KeyEntry<T> {
    /// Where its key begins in `bytes`; it ends where the next one begins.
    start: usize,
    hash: u64,
    /// The subtransaction that noted it.
    sub: u32,
    value: T,
}

/// A hash table of entry numbers, with linear probing. What is removed is always the newest: no
/// entry can have been placed behind it, so its place is simply free again.
#[derive(Default)]
struct EntryIndex {
    /// Entry numbers plus one; 0 is free. The length is a power of two, or 0.
    places: Vec<usize>,
}

impl EntryIndex {
    /// The entry that `is` the one looked for, or the free place where it would stand.
    fn find(&self, hash: u64, mut is: impl FnMut(usize) -> bool) -> Result<usize, usize> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(entry) = self.places.get(at).and_then(|place| place.checked_sub(1)) {
            if is(entry) {
                return Ok(entry);
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }

    fn put<T>(&mut self, at: usize, entries: &[KeyEntry<T>]) {
        if let Some(place) = self.places.get_mut(at) {
            *place = entries.len();
        }
    }

    /// Makes room for one more than `entries`, half of the places staying free.
    fn grow<T>(&mut self, entries: &[KeyEntry<T>]) -> Result<(), TryReserveError> {
        if (entries.len() + 1) * 2 <= self.places.len() {
            return Ok(());
        }
        let size = (self.places.len() * 2).max(16);
        let mut larger = EntryIndex::default();
        larger.places.try_reserve_exact(size)?;
        larger.places.resize(size, 0);
        // In the order in which they came, so that the newest can be removed first.
        for (i, entry) in entries.iter().enumerate() {
            if let Err(at) = larger.find(entry.hash, |_| false) {
                larger.put(at, &entries[..=i]);
            }
        }
        *self = larger;
        Ok(())
    }

    fn remove(&mut self, hash: u64, entry: usize) {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(place) = self.places.get_mut(at) {
            if *place == entry + 1 {
                *place = 0;
                return;
            }
            if *place == 0 {
                return;
            }
            at = (at + 1) & mask;
        }
    }
}

impl<T> NotedKeys<T> {
    pub const fn new() -> NotedKeys<T> {
        let index = EntryIndex { places: Vec::new() };
        NotedKeys { bytes: Vec::new(), entries: Vec::new(), index, last: None }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn key(&self, place: usize) -> &[u8] {
        let start = self.entries.get(place).map_or(self.bytes.len(), |e| e.start);
        let end = self.entries.get(place + 1).map_or(self.bytes.len(), |e| e.start);
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub fn get(&self, place: usize) -> Option<&T> {
        self.entries.get(place).map(|entry| &entry.value)
    }

    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.entries.get_mut(place).map(|entry| &mut entry.value)
    }

    /// The place of a key, or its hash for [`NotedKeys::add`].
    #[inline]
    pub fn find(&mut self, key: &[u8]) -> Result<usize, u64> {
        if let Some(last) = self.last.filter(|place| self.key(*place) == key) {
            return Ok(last);
        }
        let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(key);
        let same = |place: usize| self.entries[place].hash == hash && self.key(place) == key;
        let found = self.index.find(hash, same).map_err(|_| hash)?;
        self.last = Some(found);
        Ok(found)
    }

    /// Adds a key that is not there; its place.
    pub fn add(
        &mut self,
        key: &[u8],
        hash: u64,
        sub: u32,
        value: T,
    ) -> Result<usize, TryReserveError> {
        self.bytes.try_reserve(key.len())?;
        self.entries.try_reserve(1)?;
        self.index.grow(&self.entries)?;
        let place = self.entries.len();
        self.entries.push(KeyEntry { start: self.bytes.len(), hash, sub, value });
        self.bytes.extend_from_slice(key);
        if let Err(at) = self.index.find(hash, |_| false) {
            self.index.put(at, &self.entries);
        }
        self.last = Some(place);
        Ok(place)
    }

    /// Forgets the keys noted since subtransaction `sub` began.
    pub fn abort(&mut self, sub: u32) {
        while let Some(entry) = self.entries.pop_if(|e| e.sub >= sub) {
            self.index.remove(entry.hash, self.entries.len());
            self.bytes.truncate(entry.start);
        }
        self.last = None;
    }
}
