//! Table locks of a call that changes a child and its parent, taken so that no writer dies of it.
//!
//! A writer to the child has the child first and comes to the parent by the foreign key; one that deletes parents, or
//! writes to one and then to its children, has them the other way round. So no order of two locks suits both: whoever
//! waits for the second while it holds the first makes a deadlock with somebody, of which Postgres ends either. Here the
//! second wait is shorter than anybody's `deadlock_timeout`; when it runs out the first lock is given back, and both are
//! asked for again.

use crate::errors;
use crate::guard::target::Target;
use crate::pg::error::Report;
use crate::pg::guc::{deadlock_timeout, lock_timeout};
use crate::pg::spi::{in_subtransaction, with_lock_timeout};

const EXCLUSIVE: &str = "ACCESS EXCLUSIVE";

/// How often the first lock is given back. Where even that did not do, someone holds the second for long: then it is
/// waited for as by any other DDL.
const ATTEMPTS: u32 = 20;

/// Locks a child and then, if there is one, its parent until the transaction ends. 40001 as for [`Target::lock`], 55P03
/// when the session's `lock_timeout` has run out.
pub fn lock_tables(child: (&Target, &str), parent: Option<(&Target, &str)>) -> Result<(), Report> {
    let Some((parent, mode)) = parent else { return child.0.lock(child.1) };
    if parent.oid == child.0.oid {
        // A tree: the stronger of the two.
        return parent.lock(if child.1 == EXCLUSIVE { EXCLUSIVE } else { mode });
    }
    let (patience, own) = (deadlock_timeout() / 2, lock_timeout());
    let mut waited = 0;
    for _ in 0..ATTEMPTS {
        // Who waits no longer than that makes no deadlock.
        if patience == 0 || (own > 0 && own - waited <= patience) {
            break;
        }
        let mut has_child = false;
        let locked = in_subtransaction(|| {
            child.0.lock(child.1)?;
            has_child = true;
            with_lock_timeout(patience, || parent.lock(mode))
        })?;
        match locked {
            Err(report) if has_child && report.is(errors::LOCK_NOT_AVAILABLE) => waited += patience,
            locked => return locked,
        }
    }
    child.0.lock(child.1)?;
    parent.lock(mode)
}
