//! What application SQL calls.

mod key_locks;
mod slots;
mod version;
