//! The shipped module of the key lock that has no Postgres in them.

#![expect(dead_code, reason = "what only the extension needs")]

#[path = "../../../src/key_lock/protocol.rs"]
pub mod protocol;
