//! Bypasses: guards that this session's transaction may pass, opened by `raceguard.bypass`.
//!
//! A bypass holds for the role that opened it, and ends with the transaction or subtransaction it was
//! opened in, however that ends. It is no setting: whoever may write could SET one.

use crate::pg::advisory_lock::subtransaction_number;
use crate::pg::alloc::is_exiting;
use crate::pg::error::{catch, Report};
use crate::pg::memory::{own, push};
use crate::pg::owner::current_role;
use crate::pg::per_backend::PerBackend;
use crate::pg::transaction_end::{self, Listener};
use crate::pg::trigger::Firing;
use core::cell::{Cell, RefCell};
use pgrx::pg_sys::Oid;

/// An open bypass.
pub struct Bypass {
    pub table: Oid,
    /// The guard's name in the view `raceguard.guards`.
    pub guard: String,
    /// The guard's triggers, those of partitions included.
    pub triggers: Vec<Oid>,
}

struct Open {
    bypass: Bypass,
    role: Oid,
    subtransaction: u32,
}

static OPEN: PerBackend<RefCell<Vec<Open>>> = PerBackend::new(RefCell::new(Vec::new()));

/// How many there are: what guards look at for each row.
static COUNT: PerBackend<Cell<usize>> = PerBackend::new(Cell::new(0));

static LISTENS: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));

static LISTENER: Listener = Listener {
    before_commit: || Ok(()),
    ended: || keep_only(|_| false),
    rolled_back: |sub| keep_only(|open| open.subtransaction != sub),
    released: |sub| keep_only(|open| open.subtransaction != sub),
};

fn keep_only(keep: impl Fn(&Open) -> bool) {
    if COUNT.get() != 0 && !is_exiting() {
        let mut open = OPEN.borrow_mut();
        open.retain(keep);
        COUNT.set(open.len());
    }
}

/// Opens a bypass for the current role until the current (sub)transaction ends.
pub fn open(bypass: Bypass) -> Result<(), Report> {
    if !LISTENS.get() {
        catch(|| transaction_end::listen(&LISTENER))?;
        LISTENS.set(true);
    }
    let open = Open { bypass, role: current_role(), subtransaction: subtransaction_number() };
    let is_open = |other: &Open| {
        other.bypass.table == open.bypass.table
            && other.bypass.guard == open.bypass.guard
            && (other.role, other.subtransaction) == (open.role, open.subtransaction)
    };
    let mut all = OPEN.borrow_mut();
    if !all.iter().any(is_open) {
        push(&mut all, open)?;
    }
    COUNT.set(all.len());
    Ok(())
}

/// Ends the open bypasses of a table, or all.
pub fn end(table: Option<Oid>) {
    keep_only(|open| table.is_some_and(|table| open.bypass.table != table));
}

/// The open bypasses: table, and guard as the view `raceguard.guards` names it.
pub fn opened() -> Result<Vec<(Oid, String)>, Report> {
    let mut opened = Vec::new();
    for Open { bypass, .. } in OPEN.borrow().iter() {
        push(&mut opened, (bypass.table, own(&bypass.guard)?))?;
    }
    Ok(opened)
}

/// Whether the write that fires a guard passes it. Plain frames.
#[inline]
pub fn covers(firing: Firing) -> bool {
    COUNT.get() != 0 && is_open(firing)
}

#[cold]
fn is_open(firing: Firing) -> bool {
    let (trigger, role) = (firing.definition().id(), current_role());
    OPEN.borrow().iter().any(|open| open.role == role && open.bypass.triggers.contains(&trigger))
}
