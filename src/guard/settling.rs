//! Tells a guard's own write of a parent's column, a total or a counter, from everybody else's.
//!
//! While the column is written, the first UPDATE that changes its column is the guard's own ([`claim`]). Should
//! another trigger of the parent get in between, its write is taken for that, and the guard's own is refused: the
//! statement fails, and nothing has slipped through. The row that was claimed is known by where its old version
//! lies, so other guards of the parent can tell as well ([`is_own`]).

use crate::errors;
use crate::pg::distribution;
use crate::pg::error::Report;
use crate::pg::per_backend::PerBackend;
use crate::pg::relation::{name_of, root_of};
use crate::pg::trigger::Firing;
use core::cell::Cell;
use core::fmt::Arguments;
use pgrx::pg_sys::Oid;

/// The write under way.
#[derive(Clone, Copy)]
struct Settling {
    /// The topmost table of the parent's tree, and the name of the column as a number.
    root: Oid,
    column: u64,
    /// Table and place of the row that was claimed.
    row: Option<(Oid, (u32, u16))>,
    /// What the column was to become, as a number that tells values apart.
    value: u64,
    /// Whether an UPDATE has come that leaves the column as it is.
    unchanged: bool,
    /// Whether the same UPDATE moves the row's version on.
    moves_version: bool,
}

static CURRENT: PerBackend<Cell<Option<Settling>>> = PerBackend::new(Cell::new(None));

/// Ends the write when dropped, after an error too.
pub struct Settlement(Option<Settling>);

/// A guard's column is written, until the result is dropped; `moves_version` if the row's version is as well.
pub fn begin(parent: Oid, column: &str, moves_version: bool) -> Settlement {
    let (root, column) = (root_of(parent), name_hash(column));
    let settling = Settling { root, column, row: None, value: 0, unchanged: false, moves_version };
    Settlement(CURRENT.replace(Some(settling)))
}

impl Drop for Settlement {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// FNV-1a: names are compared by it, in memory that needs no allocation.
pub fn name_hash(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Whether an UPDATE that changes a column is the guard's own; the first one that asks is. `value` stands for what it
/// makes of the column. Plain frames.
#[cold]
pub fn claim(firing: Firing, column: &str, value: u64) -> bool {
    let Some(settling) = CURRENT.get() else { return false };
    let place = (firing.table().oid(), firing.old().place());
    let is_own = settling.root == root_of(place.0)
        && settling.column == name_hash(column)
        && settling.row.is_none_or(|row| row == place);
    if is_own {
        CURRENT.set(Some(Settling { row: Some(place), value, ..settling }));
    }
    is_own
}

/// What the guard's own UPDATE of a row was to make of a column; `None` of another's. Plain frames.
#[inline]
pub fn claimed(firing: Firing, column: &str) -> Option<u64> {
    let settling = CURRENT.get()?;
    let place = (firing.table().oid(), firing.old().place());
    let is_own = settling.row == Some(place) && settling.column == name_hash(column);
    is_own.then_some(settling.value)
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

/// Whether an UPDATE that fires a row trigger writes nothing but such a column, and the guard wrote it. Plain frames.
#[inline]
pub fn is_own(firing: Firing) -> bool {
    CURRENT.get().is_some_and(|settling| {
        !settling.moves_version
            && settling.row == Some((firing.table().oid(), firing.old().place()))
    })
}

/// Whether such a column, and nothing else of the row, is being written at the moment.
#[inline]
pub fn is_under_way() -> bool {
    CURRENT.get().is_some_and(|settling| !settling.moves_version && settling.row.is_some())
}

/// Which trigger functions do nothing about a guard's own write of its column.
static QUIET: PerBackend<Cell<Option<IsQuiet>>> = PerBackend::new(Cell::new(None));

type IsQuiet = fn(&str) -> bool;

/// Has [`is_quiet`] know the functions of every kind of guard.
pub fn ask_who_is_quiet(is_quiet: IsQuiet) {
    QUIET.set(Some(is_quiet));
}

/// Whether a trigger function of raceguard's does nothing about an UPDATE that [`is_own`] of a guard: such an UPDATE need
/// not go by it.
pub fn is_quiet(function: &str) -> bool {
    QUIET.get().is_some_and(|is_quiet| is_quiet(function))
}

/// What moves the versions of parents whose children this transaction has written; it takes along the totals that are
/// settled at COMMIT.
static VERSIONS: PerBackend<Cell<Option<MoveVersions>>> = PerBackend::new(Cell::new(None));

type MoveVersions = fn() -> Result<(), Report>;

/// `move_versions` is what a settlement at COMMIT begins with. Plain frames.
#[inline]
pub fn begins_with(move_versions: MoveVersions) {
    VERSIONS.set(Some(move_versions));
}

/// Has versions moved together with the totals that are due.
pub fn move_versions() -> Result<(), Report> {
    VERSIONS.get().map_or(Ok(()), |move_versions| move_versions())
}

/// 428C9: the column belongs to a guard, for this reason. Plain frames.
pub fn not_yours(firing: Firing, column: &str, reason: Arguments, hint: Arguments) -> Report {
    let root = distribution::logical(root_of(firing.table().oid()));
    Report::error(
        errors::GENERATED_ALWAYS,
        format_args!(
            "column \"{column}\" of \"{}\" can only be written by its guard",
            name_of(root)
        ),
    )
    .detail(reason)
    .hint(hint)
    .table(root)
    .column(column)
    .constraint(firing.definition().logical_name().as_str())
}
