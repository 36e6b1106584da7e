//! Writers who would have waited for a key, had the guard not only observed.

use crate::guard::locking::Seen;
use crate::guard::outcome;
use crate::pg::text::PgText;
use crate::pg::trigger::Firing;

/// The SQLSTATE of a wait that `lock_timeout` ends.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Tells of one. `key` as [`crate::pg::key::Key::describe`] shows it. Plain frames.
#[cold]
pub fn tell(firing: Firing, seen: Seen, key: Option<PgText>) {
    let why = match seen {
        Seen::Table => "past raceguard.max_key_locks, and other transactions have keys",
        _ => "another transaction has it",
    };
    let detail = match key {
        Some(key) => PgText::from_fmt(format_args!("Key {key}: {why}.")),
        None => PgText::from_fmt(format_args!("The key: {why}.")),
    };
    outcome::observed(firing, LOCK_NOT_AVAILABLE, detail.as_str());
}
