//! The invariants, each judged from the history of a round and the tables it left behind.

mod alone;
mod floor;
mod replies;
mod room;
mod tables;

pub use alone::{ALONE, NOBODY_INSIDE};
pub use floor::HAD_STOCK;
pub use replies::{SWALLOWED, UNEXPECTED, UNREFUSED, WAITED};
pub use room::{HAD_ROOM, NOT_THERE, TOO_MANY, WAITED_WITH_ROOM};
pub use tables::{LEAKED, VERSIONED};

use crate::history::{History, Violation};
use crate::language::{Invariant, Workload};
use crate::session::Session;

/// How long a backend whose connection broke may go on holding what it had.
const LINGERS: u64 = 1_000_000_000;

/// Everything a round broke. An Err is a failure to look, not a broken invariant.
pub fn check(
    workload: &Workload,
    history: &History,
    admin: &mut Session,
) -> Result<Vec<Violation>, String> {
    let mut broken = replies::check(workload, history);
    for (index, invariant) in workload.invariants.iter().enumerate() {
        match invariant {
            Invariant::Never { name, .. } => broken.extend(tables::never(name, index, history)),
            Invariant::Counted { name, sql } => {
                broken.extend(tables::counted(name, history, &admin.rows(sql)?))
            }
            Invariant::Touched { name, sql } => {
                broken.extend(tables::touched(name, history, &admin.rows(sql)?))
            }
            Invariant::Alone { escalates } => {
                broken.extend(alone::check(history));
                broken.extend(alone::refused_tries(workload, history, *escalates));
            }
            Invariant::Room { code, most, enough, period } => {
                let rule = room::Rule { code, most: *most, enough: *enough, period: *period };
                broken.extend(rule.check(workload, history));
            }
            Invariant::Stock { code, at_first } => {
                broken.extend(floor::check(workload, history, code, *at_first));
            }
            Invariant::Versioned { .. } => broken.extend(tables::versioned(index, history)),
        }
    }
    broken.extend(tables::no_leaked_locks(admin)?);
    Ok(broken)
}
