//! The kinds of guard there are. Nothing else knows them by heart.

use crate::guard::arguments::one_of;
use crate::guard::kind::Kind;
use crate::pg::error::Report;
use crate::{cap, cooldown, key_lock, number, parent, total, version};

/// Every kind of guard.
pub static KINDS: [&Kind; 7] = [
    &version::KIND,
    &key_lock::KIND,
    &cap::KIND,
    &cooldown::KIND,
    &number::KIND,
    &parent::KIND,
    &total::KIND,
];

/// The kind whose guards are triggers of this function.
pub fn kind_of(function: &str) -> Option<&'static Kind> {
    KINDS.into_iter().find(|kind| kind.function == function)
}

/// The function of the guard that has triggers of this function beside its own.
pub fn function_beside(companion: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| kind.companions.contains(&companion)).map(|kind| kind.function)
}

/// Whether a trigger function does nothing about another guard's own write of its column.
pub fn is_quiet(function: &str) -> bool {
    KINDS.into_iter().any(|kind| kind.quiet.contains(&function))
}

/// The kind that an argument `kind` names, or 22023 with the list.
pub fn kind_named(name: &str) -> Result<&'static Kind, Report> {
    match KINDS.into_iter().find(|kind| kind.name == name) {
        Some(kind) => Ok(kind),
        None => one_of(name, "kind", &KINDS.map(|kind| kind.name)).map(|_| KINDS[0]),
    }
}
