//! What this session remembers of caps.

use crate::cap::hints::Hints;
use crate::cap::spare::Spares;
use crate::pg::key::FEW;
use crate::pg::per_backend::PerBackend;
use crate::pg::snapshot::Standstill;
use crate::pg::transaction_end::listen_for_rollbacks;
use core::cell::Cell;
use pgrx::pg_sys::Oid;

/// A key that equals another one whose words are the same.
pub type ShortKey = [usize; FEW];

static HINTS: PerBackend<Hints> = PerBackend::new(Hints::new());

/// Whether anything may have been put there.
static LISTENING: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));

static SPARES: PerBackend<Spares<ShortKey, Standstill>> = PerBackend::new(Spares::new());

/// How far the slots of keys are taken; a rollback ends that.
pub fn hints() -> &'static Hints {
    static FORGET: fn() = || HINTS.forget_all();
    if !LISTENING.replace(true) {
        listen_for_rollbacks(&FORGET);
    }
    &HINTS
}

/// Forgets hints at the keys of one index: a row has left its slot.
pub fn forget(index: Oid) {
    if LISTENING.get() {
        HINTS.forget(index.to_u32());
    }
}

/// Free slots for the next row of a command.
#[inline]
pub fn spares() -> &'static Spares<ShortKey, Standstill> {
    &SPARES
}
