//! What application SQL calls.

mod arguments;
mod cooldown;
mod key_locks;
mod slots;
mod version;
