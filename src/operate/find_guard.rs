//! A guard as it stands, whatever its kind, by its name.

use crate::errors;
use crate::guard::kind::Kind;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::pg::error::Report;
use crate::pg::spi::{one, Param};
use crate::registry::kind_of;

/// The guard of that name in the view `raceguard.guards`, or whose trigger has it.
pub fn find(target: &Target, guard: &str) -> Result<Option<(&'static Kind, Existing)>, Report> {
    let names = [&trigger::trigger_name(guard, "")?, guard];
    let found = trigger::named(target, names)?.into_iter();
    Ok(found.filter_map(|standing| Some((kind_of(&standing.function)?, standing))).next())
}

/// As [`find`]; 42704 with the guards there are.
pub fn existing(target: &Target, guard: &str) -> Result<(&'static Kind, Existing), Report> {
    match find(target, guard)? {
        Some(found) => Ok(found),
        None => Err(no_such_guard(target, guard)?),
    }
}

/// 42704, with the guards there are.
pub fn no_such_guard(target: &Target, guard: &str) -> Result<Report, Report> {
    let standing: Option<String> = one(
        "SELECT string_agg(guard, ', ' ORDER BY guard) FROM raceguard.guards WHERE target = $1",
        &[Param::Oid(target.oid)],
    )?;
    let report = Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{}\" has no guard \"{guard}\"", target.name),
    );
    Ok(match standing {
        Some(names) => report.detail(format_args!("Its guards are {names}.")),
        None => report.detail(format_args!("It has no guards at all.")),
    }
    .hint(format_args!("The view raceguard.guards lists the guards of all tables."))
    .table(target.oid))
}
