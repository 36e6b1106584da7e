//! The DDL that puts a guard on a table, changes it and takes it away.

mod arguments;
mod cap;
mod cap_rows;
mod cooldown;
mod definition;
mod drop_guard;
mod key;
mod key_lock;
mod partitions;
mod target;
mod trigger;
mod version;
