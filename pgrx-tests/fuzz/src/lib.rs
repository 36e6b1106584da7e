//! Random statements in random transaction states, nothing of which may crash the server, raise an
//! internal error, hang, or leave a lock behind. What a round consists of is a `Play`: this crate's own is
//! in main.rs, that of an attacker in the crate raceguard-hostile. See README.md beside this crate.

pub mod calls;
pub mod cli;
pub mod ddl;
pub mod draw;
pub mod judge;
pub mod keys;
pub mod model;
pub mod play;
pub mod round;
pub mod session;
mod shrink;
pub mod steps;
pub mod values;
pub mod world;
pub mod writes;
