//! A total as it stands: what of its definition is not in the arguments of its own trigger.

use crate::guard::kind::Named;
use crate::guard::target::Target;
use crate::guard::trigger;
use crate::pg::error::Report;
use crate::total::bounds;
use crate::total::definition::{keeper, OwnedBounds};
use crate::total::removal::parent_of;
use crate::total::rule::FUNCTION;
use pgrx::pg_sys::Oid;

/// What of a total's definition does not stand in the arguments of its own trigger: the parent, and its bounds.
pub fn elsewhere(table: Oid, arguments: &[String]) -> Result<Vec<Named>, Report> {
    let Some(guard) = trigger::existing_on(table, FUNCTION)?
        .into_iter()
        .find(|guard| guard.arguments == arguments)
    else {
        return Ok(Vec::new());
    };
    let Some(parent) = parent_of(&guard)?.map(Target::of).transpose()? else {
        return Ok(Vec::new());
    };
    let mut named = vec![("parent", parent.qualified.clone())];
    let column = guard.arguments.first().map_or("", String::as_str);
    if let Some(bounds) = bounds_of(&parent, column)? {
        named.extend(bounds.at_most.map(|bound| ("at_most", bound)));
        named.extend(bounds.at_least.map(|bound| ("at_least", bound)));
    }
    Ok(named)
}

/// The bounds that the parent's trigger says.
pub fn bounds_of(parent: &Target, name: &str) -> Result<Option<OwnedBounds>, Report> {
    let found = keeper(parent, name)?;
    let bounds = found
        .as_ref()
        .and_then(|found| bounds::parse(found.arguments.iter().map(String::as_str)).ok());
    Ok(bounds.map(|bounds| OwnedBounds {
        at_most: bounds.at_most.map(str::to_owned),
        at_least: bounds.at_least.map(str::to_owned),
    }))
}
