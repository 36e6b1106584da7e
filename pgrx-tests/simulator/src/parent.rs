//! The shipped modules of the parent version that have no Postgres in them.

#[path = "../../../src/parent/notes.rs"]
#[allow(dead_code, reason = "when a bump is scheduled is the extension's")]
pub mod notes;
#[path = "../../../src/parent/protocol.rs"]
pub mod protocol;
