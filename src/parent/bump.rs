//! Bumping the noted parents: ancestors first found, then all written in one order.
//!
//! A transaction holds no lock on a parent that would stop another's bump until it starts to bump,
//! and every transaction bumps in the order of (table, primary key). So two that touch the same
//! parents, or a chain of them, wait for each other but do not deadlock.

use crate::guard::child_key::Followed;
use crate::parent::session_notes::{self, Noted};
use crate::parent::table::{BumpFrom, Parent, Path};
use crate::pg::backoff::allow_cancel;
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key::ForeignKey;
use crate::pg::memory;
use crate::pg::relation::Table;
use crate::pg::snapshot::is_kept;
use crate::pg::spi::connected;
use crate::total::carried::CarriedTotal;
use crate::total::settle::SettlementRun;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// A table and the primary key of one of its rows: the order of bumps.
type Place = (u32, Vec<u8>);

/// A parent to bump, through one of the foreign keys that lead to it.
struct Due {
    place: Place,
    followed: Arc<Followed>,
    key: Vec<u8>,
    version: Option<i64>,
}

/// A parent table and the statements that reach its rows.
type Way = (Rc<Parent>, Rc<Path>);

/// What has been looked up and done since the bump began. A table that a trigger changes meanwhile is
/// looked up anew.
#[derive(Default)]
struct Bump {
    parents: HashMap<u32, Option<Rc<Parent>>>,
    paths: HashMap<u32, Rc<Path>>,
    seen: HashSet<Vec<u8>>,
    done: HashSet<Place>,
    totals: SettlementRun,
}

/// Bumps every noted parent that this transaction has not bumped yet. What triggers on the parents
/// note meanwhile is bumped too.
pub fn bump_all() -> Result<(), Report> {
    if !session_notes::begin() {
        return Ok(());
    }
    connected(|| {
        let mut bump = Bump::default();
        loop {
            let noted = session_notes::take()?;
            if noted.is_empty() {
                return Ok(());
            }
            for mut due in bump.find(noted)? {
                memory::reserve(&mut bump.done, 1)?;
                if bump.done.insert(core::mem::take(&mut due.place)) {
                    bump.write(due)?;
                }
            }
        }
    })?;
    session_notes::end();
    Ok(())
}

/// The same where something is noted: a settlement of totals begins with it.
pub fn bump_noted() -> Result<(), Report> {
    match session_notes::any_left() {
        true => bump_all(),
        false => Ok(()),
    }
}

/// Notes the parents of all rows of a table about to be truncated.
pub fn note_all(table: Table, foreign_key: &ForeignKey) -> Result<(), Report> {
    connected(|| crate::parent::table::each_key(table, foreign_key))
}

impl Bump {
    /// The rows to bump for the given keys, and their ancestors, in order; a row to which several
    /// keys lead more than once.
    fn find(&mut self, mut keys: Vec<Noted>) -> Result<Vec<Due>, Report> {
        let mut found = Vec::new();
        while let Some((followed, key)) = keys.pop() {
            memory::reserve(&mut self.seen, 1)?;
            if !self.seen.insert(memory::own_list(&key)?) {
                continue;
            }
            let Some((parent, path)) = self.way(&followed)? else {
                continue;
            };
            let Some(row) = path.look(&parent, &key)? else {
                continue;
            };
            memory::reserve(&mut keys, row.above.len())?;
            keys.extend(row.above);
            let place = (parent.oid.to_u32(), row.identity);
            memory::push(&mut found, Due { place, followed, key, version: row.version })?;
        }
        found.sort_unstable_by(|a: &Due, b| a.place.cmp(&b.place));
        Ok(found)
    }

    /// Bumps one row unless this transaction has done so: its version then differs from the one
    /// it had before the transaction.
    ///
    /// Mostly one statement does it, which insists on that version. If it finds nothing, the row
    /// is gone, or moved by this transaction, or by another since it was looked at. Only in the
    /// last case it is bumped from whatever version it has by then: insisting again would send the
    /// writers of a busy parent back to the end of its queue time after time.
    ///
    /// READ COMMITTED follows a row and not a key: a parent that another deletes and puts again while the UPDATE waits
    /// is another row, and the UPDATE finds nothing. Where that happens to the second one too, the row is locked first,
    /// as often as one is there, and bumped under its lock. Above READ COMMITTED either UPDATE has told of it by 40001.
    ///
    /// A total that is due at COMMIT through the same foreign key goes with it. Where its bounds refuse that, the
    /// settlement that follows tells.
    fn write(&mut self, due: Due) -> Result<(), Report> {
        let Some((parent, path)) = self.way(&due.followed)? else { return Ok(()) };
        let values = due.key.get(session_notes::PREFIX..).unwrap_or_default();
        let carried = CarriedTotal::find(&mut self.totals, &due.followed, values)?;
        let known = BumpFrom::Version(due.version);
        if path.bump(&parent, &due.key, known, carried.as_ref())?
            || !path.is_unmoved(&parent, &due.key)?
        {
            return Ok(());
        }
        let carries = carried.is_some();
        let bump_now = || -> Result<bool, Report> {
            Ok(path.bump(&parent, &due.key, BumpFrom::Any, carried.as_ref())?
                || (carries && path.bump(&parent, &due.key, BumpFrom::Any, None)?))
        };
        if bump_now()? || is_kept() {
            return Ok(());
        }
        while path.is_unmoved(&parent, &due.key)? {
            catch(allow_cancel)?;
            if path.lock(&parent, &due.key)? {
                bump_now()?;
                break;
            }
        }
        Ok(())
    }

    /// The parent table and the statements that reach it; `None` if it was dropped, or its version
    /// guard is disabled, so that no write moves its versions.
    fn way(&mut self, followed: &Arc<Followed>) -> Result<Option<Way>, Report> {
        let oid = followed.parent;
        let parent = match self.parents.get(&oid.to_u32()) {
            Some(None) => None,
            Some(Some(known)) if !known.is_outdated() => Some(known.clone()),
            _ => {
                let parent = Parent::open(followed)?.map(Rc::new);
                self.paths.retain(|_, path| path.parent() != oid);
                self.parents.insert(oid.to_u32(), parent.clone());
                parent
            }
        };
        let Some(parent) = parent else {
            return Ok(None);
        };
        let constraint = followed.constraint.to_u32();
        let known = self.paths.get(&constraint);
        if let Some(path) = known.filter(|path| !path.is_outdated()) {
            return Ok(Some((parent, path.clone())));
        }
        let Some(path) = Path::open(&parent, followed.clone())? else {
            return Ok(None);
        };
        let path = Rc::new(path);
        self.paths.insert(constraint, path.clone());
        Ok(Some((parent, path)))
    }
}
