//! The workloads that the guards have to survive, by guard.

pub mod atomic;
pub mod cap;
pub mod cap_writes;
pub mod cascade;
pub mod cooldown;
pub mod key_lock;
pub mod parent;
pub mod retry;
pub mod swap;
pub mod uniqueness;
pub mod version;

use crate::language::Workload;

pub fn all() -> Vec<Workload> {
    [
        version::all(),
        key_lock::all(),
        cap::all(),
        cap_writes::all(),
        cascade::all(),
        cooldown::all(),
        parent::all(),
        atomic::all(),
        swap::all(),
        retry::all(),
        uniqueness::all(),
    ]
    .concat()
}
