//! Whose counters are whose, and what is kept beside them, wherever they are.

use pgrx::pg_sys::Oid;

/// The key of a guard. No OID below 16384 is a guard's, so that no key is one of the marks above.
pub fn key(database: Oid, trigger: Oid) -> u64 {
    u64::from(database.to_u32()) << 32 | u64::from(trigger.to_u32())
}

/// The database of a key.
pub fn database_of(key: u64) -> u32 {
    (key >> 32) as u32
}

/// The trigger of a key; 0 for the place at which a database remembers its last reset.
pub fn trigger_of(key: u64) -> u32 {
    key as u32
}

/// What is kept beside the counters of all guards. In blocks it is the heading of the first; a later one has only when
/// it was made.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Heading {
    /// When counting began: when the server started, or shortly after.
    Made = 0,
    /// What was not counted because there was no place.
    Overflow,
    /// When places were last looked through for triggers that are gone.
    Swept,
    /// How many blocks there are besides the first.
    Blocks,
    /// Where there are no blocks: how many guards have counters, those that are gone among them.
    Guards,
}
