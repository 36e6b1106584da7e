//! Versions of rows, and what an index says of them.

use crate::server::transactions::Xid;
use std::collections::BTreeMap;

/// Where a version lies, numbered by who put it there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tid {
    pub session: u8,
    pub number: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version {
    pub table: u8,
    /// Which row it is one of.
    pub row: u16,
    pub values: [i64; 3],
    pub xmin: Xid,
    pub cmin: u32,
    pub xmax: Option<Xid>,
    pub cmax: u32,
    /// Who has locked it to write it.
    pub locker: Option<Xid>,
    /// What an UPDATE made of it.
    pub next: Option<Tid>,
}

impl Version {
    pub fn new(table: u8, row: u16, values: [i64; 3], xmin: Xid, cmin: u32) -> Version {
        Version { table, row, values, xmin, cmin, xmax: None, cmax: 0, locker: None, next: None }
    }
}

/// Who writes a version that a dirty snapshot shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Writers {
    pub arriving: Option<Xid>,
    /// Whether who puts it in has taken it out again.
    pub going: bool,
    pub leaving: Option<Xid>,
}

/// All versions. Every one has an entry in every index: no update is HOT.
#[derive(Clone, Default, Hash)]
pub struct Store {
    pub versions: BTreeMap<Tid, Version>,
}

impl Store {
    /// Puts a version where its session puts the next.
    pub fn put(&mut self, session: usize, version: Version) -> Tid {
        let session = session as u8;
        let number = self.versions.keys().filter(|tid| tid.session == session).count() as u8;
        let tid = Tid { session, number };
        self.versions.insert(tid, version);
        tid
    }

    /// The entries of an index at one moment, in its order.
    pub fn index<K: Ord>(&self, entry: impl Fn(&Version) -> Option<K>) -> Vec<(K, Tid)> {
        let mut entries: Vec<(K, Tid)> =
            self.versions.iter().filter_map(|(tid, v)| Some((entry(v)?, *tid))).collect();
        entries.sort();
        entries
    }
}
