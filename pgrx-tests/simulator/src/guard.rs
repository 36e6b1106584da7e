//! What the shipped guards share and has no Postgres in it.

#[expect(dead_code, reason = "what only the extension needs")]
#[path = "../../../src/guard/held.rs"]
pub mod held;
#[path = "../../../src/guard/noted_keys.rs"]
pub mod noted_keys;
