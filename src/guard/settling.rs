//! Tells a guard's own write of a parent's total from everybody else's.
//!
//! While a total is written, the first UPDATE that changes its column is the guard's own ([`claim`]). Should
//! another trigger of the parent get in between, its write is taken for that, and the guard's own is refused: the
//! statement fails, and nothing has slipped through. The row that was claimed is known by where its old version
//! lies, so other guards of the parent can tell as well ([`is_own`]).

use crate::pg::per_backend::PerBackend;
use crate::pg::relation::root_of;
use crate::pg::trigger::Firing;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

/// The write under way.
#[derive(Clone, Copy)]
struct Settling {
    /// The topmost table of the parent's tree, and the name of the column as a number.
    root: Oid,
    column: u64,
    /// Table and place of the row that was claimed.
    row: Option<(Oid, (u32, u16))>,
    /// Whether an UPDATE has come that leaves the column as it is.
    unchanged: bool,
}

static CURRENT: PerBackend<Cell<Option<Settling>>> = PerBackend::new(Cell::new(None));

/// Ends the write when dropped, after an error too.
pub struct Settlement(Option<Settling>);

/// A total's column is written, until the result is dropped.
pub fn begin(parent: Oid, column: &str) -> Settlement {
    let (root, column) = (root_of(parent), name_hash(column));
    let settling = Settling { root, column, row: None, unchanged: false };
    Settlement(CURRENT.replace(Some(settling)))
}

impl Drop for Settlement {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// FNV-1a: names are compared by it, in memory that needs no allocation.
fn name_hash(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Whether an UPDATE that changes a column is the guard's own; the first one that asks is. Plain frames.
#[cold]
pub fn claim(firing: Firing, column: &str) -> bool {
    let Some(settling) = CURRENT.get() else { return false };
    let place = (firing.table().oid(), firing.old().place());
    let is_own = settling.root == root_of(place.0)
        && settling.column == name_hash(column)
        && settling.row.is_none_or(|row| row == place);
    if is_own {
        CURRENT.set(Some(Settling { row: Some(place), ..settling }));
    }
    is_own
}

/// An UPDATE leaves a column as it is. The guard's own never does, unless another trigger of the parent has put the
/// old value back: see [`is_undone`]. Plain frames.
#[inline]
pub fn see_unchanged(firing: Firing, column: &str) {
    let Some(settling) = CURRENT.get() else { return };
    if settling.root == root_of(firing.table().oid()) && settling.column == name_hash(column) {
        CURRENT.set(Some(Settling { unchanged: true, ..settling }));
    }
}

/// Whether the write under way has left the column as it was.
pub fn is_undone() -> bool {
    CURRENT.get().is_some_and(|settling| settling.row.is_none() && settling.unchanged)
}

/// Whether an UPDATE that fires a row trigger writes nothing but a total, and the guard wrote it. Plain frames.
#[inline]
pub fn is_own(firing: Firing) -> bool {
    CURRENT
        .get()
        .is_some_and(|settling| settling.row == Some((firing.table().oid(), firing.old().place())))
}

/// Whether a total is being written at the moment.
#[inline]
pub fn is_under_way() -> bool {
    CURRENT.get().is_some_and(|settling| settling.row.is_some())
}
