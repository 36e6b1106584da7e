//! What application SQL calls.

mod arguments;
mod cooldown;
mod key_locks;
mod keyed_table;
mod lock_rows;
mod retry;
mod slots;
mod stated_version;
mod stock;
mod take;
mod version;
