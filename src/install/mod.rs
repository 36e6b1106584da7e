//! The DDL that puts a guard on a table, changes it and takes it away.

pub mod arguments;
pub mod cap;
pub mod cap_definition;
mod cap_plan;
mod cap_rows;
mod cooldown;
mod definition;
mod drop_guard;
mod key;
mod key_lock;
mod parent;
mod partitions;
mod set_cap;
pub mod target;
pub mod trigger;
mod version;
