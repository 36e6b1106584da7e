//! Bumping the noted parents: ancestors first found, then all written in the order of (table, primary key). The protocol
//! is [`crate::parent::protocol`].

use crate::guard::child_key::Followed;
use crate::parent::protocol::{move_all, move_version, NotedParents, NotedRow};
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
    connected(|| move_all(&mut Bump::default()))?;
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

impl NotedParents for Bump {
    type Failure = Report;
    type Noted = Noted;
    type Due = Due;
    type Place = Place;

    fn take(&mut self) -> Result<Vec<Noted>, Report> {
        session_notes::take()
    }

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
        Ok(found)
    }

    fn place(due: &Due) -> &Place {
        &due.place
    }

    fn is_first(&mut self, due: &mut Due) -> Result<bool, Report> {
        memory::reserve(&mut self.done, 1)?;
        Ok(self.done.insert(core::mem::take(&mut due.place)))
    }

    /// A total that is due at COMMIT through the same foreign key goes with it. Where its bounds refuse that, the
    /// settlement that follows tells.
    fn write(&mut self, due: Due) -> Result<(), Report> {
        let Some((parent, path)) = self.way(&due.followed)? else { return Ok(()) };
        let values = due.key.get(session_notes::PREFIX..).unwrap_or_default();
        let carried = CarriedTotal::find(&mut self.totals, &due.followed, values)?;
        move_version(&DueRow { parent: &parent, path: &path, due: &due, carried: carried.as_ref() })
    }
}

/// A row that is due, with a total that goes along.
struct DueRow<'a> {
    parent: &'a Parent,
    path: &'a Path,
    due: &'a Due,
    carried: Option<&'a CarriedTotal>,
}

impl NotedRow for DueRow<'_> {
    type Failure = Report;

    fn bump(&self, known: bool) -> Result<bool, Report> {
        let bump = |carried| {
            let from = if known { BumpFrom::Version(self.due.version) } else { BumpFrom::Any };
            self.path.bump(self.parent, &self.due.key, from, carried)
        };
        // From any version it is bumped without the total too, which its bounds may refuse.
        Ok(bump(self.carried)? || (!known && self.carried.is_some() && bump(None)?))
    }

    fn is_unmoved(&self) -> Result<bool, Report> {
        self.path.is_unmoved(self.parent, &self.due.key)
    }

    fn lock(&self) -> Result<bool, Report> {
        self.path.lock(self.parent, &self.due.key)
    }

    fn keeps_snapshot(&self) -> bool {
        is_kept()
    }

    fn allow_cancel(&self) -> Result<(), Report> {
        catch(allow_cancel)
    }
}

impl Bump {
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
