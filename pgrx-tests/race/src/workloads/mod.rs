//! The workloads that the guards have to survive, by guard.

pub mod atomic;
pub mod cap;
pub mod cap_writes;
pub mod cascade;
pub mod cooldown;
pub mod key_lock;
pub mod key_rules;
pub mod modes;
pub mod number;
pub mod parent;
pub mod replaced;
pub mod retry;
pub mod swap;
pub mod total;
pub mod uniqueness;
pub mod version;

use crate::language::Workload;

pub fn all() -> Vec<Workload> {
    [
        version::all(),
        key_lock::all(),
        key_rules::all(),
        cap::all(),
        cap_writes::all(),
        cascade::all(),
        cooldown::all(),
        modes::all(),
        number::all(),
        parent::all(),
        replaced::all(),
        atomic::all(),
        swap::all(),
        total::all(),
        retry::all(),
        uniqueness::all(),
    ]
    .concat()
}
