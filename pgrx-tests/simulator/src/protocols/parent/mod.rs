//! The parent version: `src/parent/protocol.rs` and `notes.rs`, with what its triggers do around them.

mod answers;
mod cases;
mod monitor;
mod mutants;
mod script;

pub use cases::Parents;

use crate::server::store::Version;

/// Parents: a number and a version.
const PARENTS: u8 = 1;

/// Children: a number of their own, and that of their parent.
const CHILDREN: u8 = 2;

fn is_parent(version: &Version, number: i64) -> bool {
    version.table == PARENTS && version.values[0] == number
}
