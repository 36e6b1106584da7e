//! The DDL that puts a guard on a table, changes it and takes it away.

pub mod arguments;
mod cap;
mod cap_rows;
mod cooldown;
mod definition;
mod drop_guard;
mod key;
mod key_lock;
mod parent;
mod partitions;
pub mod target;
mod trigger;
mod version;
