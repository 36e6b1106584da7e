//! Bumping the noted parents: ancestors first found, then all written in one order.
//!
//! A transaction holds no lock on a parent that would stop another's bump until it starts to bump,
//! and every transaction bumps in the order of (table, primary key). So two that touch the same
//! parents, or a chain of them, wait for each other but do not deadlock.

use super::parent_table::{From, Parent, Path};
use crate::pg::error::Report;
use crate::pg::foreign_key::ForeignKey;
use crate::pg::parent_set;
use crate::pg::relation::Table;
use crate::pg::spi::connected;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

/// A table and the primary key of one of its rows: the order of bumps.
type Place = (u32, Vec<u8>);

/// A parent to bump, through the foreign key by which it was found first.
struct Target {
    foreign_key: ForeignKey,
    key: Rc<[u8]>,
    version: Option<i64>,
}

/// A parent table and the statements that reach its rows.
type Way = (Rc<Parent>, Rc<Path>);

/// What has been looked up and done since the bump began.
#[derive(Default)]
struct Bump {
    parents: HashMap<u32, Option<Rc<Parent>>>,
    paths: HashMap<u32, Rc<Path>>,
    seen: HashSet<Rc<[u8]>>,
    done: HashSet<Place>,
}

/// Bumps every noted parent that this transaction has not bumped yet. What triggers on the parents
/// note meanwhile is bumped too.
pub fn bump_all() -> Result<(), Report> {
    if !parent_set::begin() {
        return Ok(());
    }
    connected(|| {
        let mut bump = Bump::default();
        loop {
            let noted = parent_set::take();
            if noted.is_empty() {
                return Ok(());
            }
            let found = bump.find(noted.into_iter().map(|(f, k)| (*f, k)).collect())?;
            for (place, target) in found {
                if bump.done.insert(place) {
                    bump.write(target)?;
                }
            }
        }
    })?;
    parent_set::end();
    Ok(())
}

/// Notes the parents of all rows of a table about to be truncated.
pub fn note_all(table: Table, foreign_key: &'static ForeignKey) -> Result<(), Report> {
    connected(|| super::parent_table::each_key(table, foreign_key))
}

impl Bump {
    /// The rows to bump for the given keys, and their ancestors, in order.
    fn find(
        &mut self,
        mut keys: Vec<(ForeignKey, Rc<[u8]>)>,
    ) -> Result<BTreeMap<Place, Target>, Report> {
        let mut found = BTreeMap::new();
        while let Some((foreign_key, key)) = keys.pop() {
            if !self.seen.insert(key.clone()) {
                continue;
            }
            let Some((parent, path)) = self.way(foreign_key)? else {
                continue;
            };
            let Some(row) = path.look(&parent, &key)? else {
                continue;
            };
            keys.extend(row.above);
            found.entry((parent.oid.to_u32(), row.identity)).or_insert(Target {
                foreign_key,
                key,
                version: row.version,
            });
        }
        Ok(found)
    }

    /// Bumps one row unless this transaction has done so: its version then differs from the one
    /// it had before the transaction.
    ///
    /// Mostly one statement does it, which insists on that version. If it finds nothing, the row
    /// is gone, or moved by this transaction, or by another since it was looked at. Only in the
    /// last case it is bumped from whatever version it has by then: insisting again would send the
    /// writers of a busy parent back to the end of its queue time after time.
    fn write(&mut self, target: Target) -> Result<(), Report> {
        let Some((parent, path)) = self.way(target.foreign_key)? else { return Ok(()) };
        if !path.bump(&parent, &target.key, From::Version(target.version))?
            && path.is_unmoved(&parent, &target.key)?
        {
            path.bump(&parent, &target.key, From::Any)?;
        }
        Ok(())
    }

    /// The parent table and the statements that reach it; `None` if it was dropped, or its version
    /// guard is disabled, so that no write moves its versions.
    fn way(&mut self, foreign_key: ForeignKey) -> Result<Option<Way>, Report> {
        let oid = foreign_key.parent;
        let parent = match self.parents.get(&oid.to_u32()) {
            Some(known) => known.clone(),
            None => {
                let parent = Parent::open(foreign_key)?.map(Rc::new);
                self.parents.insert(oid.to_u32(), parent.clone());
                parent
            }
        };
        let Some(parent) = parent else {
            return Ok(None);
        };
        let constraint = foreign_key.constraint.to_u32();
        if let Some(path) = self.paths.get(&constraint) {
            return Ok(Some((parent, path.clone())));
        }
        let Some(path) = Path::open(&parent, foreign_key)? else {
            return Ok(None);
        };
        let path = Rc::new(path);
        self.paths.insert(constraint, path.clone());
        Ok(Some((parent, path)))
    }
}
