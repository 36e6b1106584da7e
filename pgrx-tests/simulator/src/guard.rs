//! What the shipped guards share and has no Postgres in it.

#[path = "../../../src/guard/noted_keys.rs"]
pub mod noted_keys;
