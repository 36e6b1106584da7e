//! Race harness of raceguard: seeded workloads from many real sessions, and the invariants that no
//! interleaving may break. See README.md beside this crate.

pub mod checks;
pub mod cli;
mod client;
pub mod faults;
pub mod history;
pub mod language;
pub mod report;
pub mod rng;
pub mod run;
pub mod selftest;
mod session;
mod shrink;
pub mod suite;
pub mod workloads;
