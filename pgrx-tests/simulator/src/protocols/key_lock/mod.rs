//! The key lock: `src/guard/held.rs` and `src/key_lock/protocol.rs`, with what its triggers do around them.

mod answers;
mod cases;
mod monitor;
mod mutants;
mod script;

pub use cases::KeyLock;

use crate::server::locks::Tag;
use crate::server::store::Version;

/// The table with the key lock; a row has a key.
const TABLE: u8 = 0;

/// Its key, where the version is one of a row of the table.
fn key_of(version: &Version) -> Option<i64> {
    (version.table == TABLE).then_some(version.values[0])
}

const KEY: &str = "key";

fn key_tag(key: u32) -> Tag {
    Tag { kind: KEY, table: TABLE, number: key.into() }
}

fn table_tag() -> Tag {
    Tag { kind: "all keys", table: TABLE, number: 0 }
}
