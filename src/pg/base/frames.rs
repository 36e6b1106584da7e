//! How many of raceguard's entries are on the stack: what one of them may be using is freed only when
//! there is none.
//!
//! A guard runs other people's code (the functions of a key, the triggers behind a write), which may
//! fire it again under a definition that was replaced meanwhile. The outer call goes on with the rule
//! it has read, so a replaced rule waits until the outermost entry returns.
//!
//! An entry that an ERROR jumps over never returns. Whoever catches the ERROR rolls a subtransaction
//! back, and with it come back the number of entries that stood when it began; where nobody catches
//! it, the transaction ends. A number that is too high only frees later.

use super::per_backend::PerBackend;
use core::cell::{Cell, UnsafeCell};

/// The number of entries, and [`PENDING`].
static ENTERED: PerBackend<Cell<u32>> = PerBackend::new(Cell::new(0));
/// Something waits to be freed.
const PENDING: u32 = 1 << 31;

type Free = fn();

/// What frees it.
static FREE: PerBackend<Cell<Option<Free>>> = PerBackend::new(Cell::new(None));

/// Open subtransactions, each with the number of entries when it began.
static BEGUN: PerBackend<UnsafeCell<Vec<(u32, u32)>>> =
    PerBackend::new(UnsafeCell::new(Vec::new()));

fn begun() -> &'static mut Vec<(u32, u32)> {
    // SAFETY: a backend has one thread, and no function below calls another while it holds the
    // reference.
    unsafe { &mut *BEGUN.get() }
}

/// An entry begins.
#[inline]
pub fn enter() {
    ENTERED.set(ENTERED.get().wrapping_add(1));
}

/// An entry ends. If it was the outermost and something waits, that is freed.
#[inline]
pub fn leave() {
    let left = ENTERED.get().wrapping_sub(1);
    ENTERED.set(left);
    if left == PENDING {
        free();
    }
}

#[cold]
fn free() {
    ENTERED.set(ENTERED.get() & !PENDING);
    if let Some(free) = FREE.get() {
        free();
    }
}

/// Calls `free` when the outermost entry ends, or the transaction.
pub fn when_left(free: Free) {
    FREE.set(Some(free));
    ENTERED.set(ENTERED.get() | PENDING);
}

/// The number of entries, for [`put_back`].
pub fn entered() -> u32 {
    ENTERED.get() & !PENDING
}

/// Puts the number of entries back, for one that outlives the transaction it began in.
pub fn put_back(entries: u32) {
    ENTERED.set((ENTERED.get() & PENDING) | entries);
}

/// A subtransaction begins.
pub fn subtransaction_begins(id: u32) {
    let begun = begun();
    if begun.try_reserve(1).is_ok() {
        begun.push((id, entered()));
    }
}

/// A subtransaction ends; a rollback has jumped over what was entered in it.
pub fn subtransaction_ends(id: u32, rolled_back: bool) {
    while let Some((begun, entries)) = begun().pop_if(|b| b.0 >= id) {
        if rolled_back && begun == id {
            put_back(entries);
        }
    }
}

/// The transaction ends, and everything that was entered in it.
pub fn transaction_ends() {
    begun().clear();
    let pending = ENTERED.replace(0) & PENDING;
    if pending != 0 {
        free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FREED: PerBackend<Cell<bool>> = PerBackend::new(Cell::new(false));

    #[test]
    fn entries_that_a_rollback_jumped_over_no_longer_count() {
        transaction_ends();
        enter();
        subtransaction_begins(2);
        enter();
        subtransaction_begins(3);
        enter();
        when_left(|| FREED.set(true));
        // An ERROR in the third entry, caught around subtransaction 2.
        subtransaction_ends(3, true);
        assert_eq!(entered(), 2);
        subtransaction_ends(2, true);
        assert_eq!(entered(), 1);
        assert!(!FREED.get());
        leave();
        assert!(FREED.get());
        // One that began unseen changes nothing, and a release does not either.
        enter();
        subtransaction_ends(9, true);
        subtransaction_begins(10);
        enter();
        subtransaction_ends(10, false);
        assert_eq!(entered(), 2);
        transaction_ends();
        assert_eq!(entered(), 0);
    }
}
