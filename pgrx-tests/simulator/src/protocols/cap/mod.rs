//! The cap: `src/cap/protocol.rs`, with what its triggers do around it.

mod answers;
mod cases;
mod monitor;
mod mutants;
mod script;

pub use cases::Cap;

use crate::server::locks::Tag;
use crate::server::store::Version;

/// The table with the cap; a row has a key and a slot.
const TABLE: u8 = 0;

/// What the unique index (key, slot) WHERE slot > 0 has of a version.
fn entry(version: &Version) -> Option<(i64, i64)> {
    let [key, slot, _] = version.values;
    (version.table == TABLE && slot > 0).then_some((key, slot))
}

const SLOT: &str = "slot";

fn slot_tag(key: i64, slot: i64) -> Tag {
    Tag { kind: SLOT, table: TABLE, number: key * 1000 + slot }
}

fn table_tag() -> Tag {
    Tag { kind: "all slots", table: TABLE, number: 0 }
}
