//! Parents, and the ways to them, as an earlier settlement of the session has found them.
//!
//! One is used again only while its tables have not changed: whoever asks has locked the parent for writing, as the child
//! is by whoever wrote it, so what others have committed has reached the watches. Roles and rights have no watch: they are
//! asked anew ([`TotalPath::is_allowed`]).

use crate::guard::child_key::Followed;
use crate::total::parent::{TotalParent, TotalPath};
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use std::rc::Rc;

/// What is kept by two numbers, in the order in which it came: of few, comparing all takes less than to hash one.
type Few<T> = Vec<((u32, i16), T)>;

#[derive(Default)]
struct KnownParents {
    /// By table and column.
    parents: Few<Rc<TotalParent>>,
    /// By foreign key and the parent's column.
    paths: Few<(Rc<TotalParent>, Rc<TotalPath>)>,
}

/// Entries kept before all are let go: a session sees few tables.
const KEPT: usize = 64;

fn find<T>(few: &Few<T>, place: (u32, i16)) -> Option<&T> {
    few.iter().find(|(of, _)| *of == place).map(|(_, kept)| kept)
}

/// Keeps something, and returns what was kept in its place.
fn keep<T>(few: &mut Few<T>, place: (u32, i16), kept: T) -> Option<T> {
    match few.iter_mut().find(|(of, _)| *of == place) {
        Some((_, former)) => Some(core::mem::replace(former, kept)),
        None => {
            few.push((place, kept));
            None
        }
    }
}

thread_local! {
    /// Never dropped: freeing statements while the backend exits helps no one.
    static KNOWN: ManuallyDrop<RefCell<KnownParents>> = Default::default();
}

fn with<T>(body: impl FnOnce(&mut KnownParents) -> T) -> T {
    KNOWN.with(|known| body(&mut known.borrow_mut()))
}

/// The parent, which is locked for writing.
pub fn parent(place: (u32, i16)) -> Option<Rc<TotalParent>> {
    with(|known| find(&known.parents, place).filter(|parent| !parent.is_outdated()).cloned())
}

pub fn keep_parent(place: (u32, i16), parent: &Rc<TotalParent>) {
    let replaced = with(|known| match known.parents.len() < KEPT {
        true => (keep(&mut known.parents, place, parent.clone()), KnownParents::default()),
        false => (None, core::mem::take(known)),
    });
    // Dropped with nothing borrowed: it takes back its watches.
    drop(replaced);
}

/// The way by this foreign key to this very description of the parent.
pub fn path(followed: &Followed, parent: &Rc<TotalParent>) -> Option<Rc<TotalPath>> {
    with(|known| {
        let place = (followed.constraint.to_u32(), parent.attno);
        let (of, path) = find(&known.paths, place)?;
        let is_it = Rc::ptr_eq(of, parent)
            && !path.is_outdated()
            && path.followed.child == followed.child
            && path.followed.columns == followed.columns;
        is_it.then(|| path.clone())
    })
}

pub fn keep_path(parent: &Rc<TotalParent>, path: &Rc<TotalPath>) {
    let place = (path.followed.constraint.to_u32(), parent.attno);
    let replaced = with(|known| match known.paths.len() < KEPT {
        true => {
            let kept = (parent.clone(), path.clone());
            (keep(&mut known.paths, place, kept), KnownParents::default())
        }
        false => (None, core::mem::take(known)),
    });
    drop(replaced);
}
