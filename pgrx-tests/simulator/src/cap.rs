//! The shipped modules of the cap that have no Postgres in them.

#![expect(dead_code, reason = "what only the extension needs")]

#[path = "../../../src/cap/decision.rs"]
pub mod decision;
#[path = "../../../src/cap/hints.rs"]
pub mod hints;
#[path = "../../../src/cap/protocol.rs"]
pub mod protocol;
#[path = "../../../src/cap/spare.rs"]
pub mod spare;
