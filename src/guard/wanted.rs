//! A guard that is asked for, compared with the one that stands.

use crate::errors;
use crate::guard::arguments::literal;
use crate::guard::attachment::Attachment;
use crate::guard::key::{recanonical_key, recanonical_predicate};
use crate::guard::outcome::Mode;
use crate::guard::target::Target;
use crate::guard::trigger::{enable, Existing, MEANWHILE};
use crate::pg::error::{tell, Level, Report};
use crate::pg::text::Abridged;
use crate::pg::trigger::LONGEST_ARGUMENTS;

/// What the owner asked for.
pub struct Wanted<'a> {
    /// The guard's name: the trigger is named after it.
    pub guard: &'a str,
    pub attachment: &'a Attachment,
    pub arguments: Vec<String>,
    /// Whether the first argument is a key.
    pub keyed: bool,
    /// What is wrong with the rest of the guard that stands.
    pub fault: Option<String>,
}

impl Wanted<'_> {
    /// What keeps a standing guard of the same definition from its work.
    fn fault(&self, standing: &Existing) -> Option<String> {
        match self.attachment.fits(standing.shape) {
            true => self.fault.clone(),
            false => Some(format!("its trigger was not {}", self.attachment)),
        }
    }
}

/// A guard that stands, compared with the one that is wanted.
pub struct Compared {
    pub standing: Existing,
    /// All of its definition, as errors show it.
    pub definition: Vec<String>,
    pub same: bool,
}

/// What to do about a guard that may already stand.
#[derive(Debug, PartialEq)]
pub enum Plan {
    Create,
    /// The same guard stands already: nothing to do.
    Keep(Existing),
    /// The same guard stands, but is disabled somewhere: [`enable`] it.
    Enable(Existing),
    /// The same guard stands, but this is wrong with it: to be replaced.
    Mend(Existing, String),
    /// Another one stands and may be replaced.
    Replace(Existing),
}

impl Plan {
    /// The trigger's name where nothing has to be made, which is told; what is disabled is enabled.
    pub fn done(&self, target: &Target) -> Result<Option<String>, Report> {
        match self {
            Plan::Keep(standing) => {
                tell_of_same(target, standing);
                Ok(Some(standing.trigger.clone()))
            }
            Plan::Enable(standing) => {
                enable(target, standing)?;
                Ok(Some(standing.trigger.clone()))
            }
            Plan::Create | Plan::Mend(..) | Plan::Replace(_) => Ok(None),
        }
    }

    /// The guard that has to go; says what was wrong with it.
    pub fn replaced(self, target: &Target) -> Option<Existing> {
        let (standing, fault) = match self {
            Plan::Mend(standing, fault) => (standing, fault),
            Plan::Replace(standing) if standing.off.is_empty() => return Some(standing),
            Plan::Replace(standing) => (standing, "its trigger was disabled".to_owned()),
            Plan::Create | Plan::Keep(_) | Plan::Enable(_) => return None,
        };
        tell(
            Level::Warning,
            format_args!(
                "guard \"{}\" on table \"{}\" was not whole: {fault}",
                standing.guard(),
                target.name
            ),
            Some(format_args!("It is put up anew. {MEANWHILE}")),
        );
        Some(standing)
    }
}

/// Compares the guard that stands, if any, with the wanted one.
///
/// Re-running a migration must never loosen a guard: a difference is 42710 unless `replace`.
pub fn plan(
    target: &Target,
    standing: Option<Existing>,
    wanted: &Wanted,
    replace: bool,
) -> Result<Plan, Report> {
    let compared = standing.map(|standing| {
        let same = same_definition(target, &standing, wanted)?;
        Ok(Compared { definition: standing.arguments.clone(), standing, same })
    });
    decide(target, compared.transpose()?, wanted, replace)
}

/// [`plan`] for a guard that has been compared.
pub fn decide(
    target: &Target,
    compared: Option<Compared>,
    wanted: &Wanted,
    replace: bool,
) -> Result<Plan, Report> {
    refuse_long(target, &wanted.arguments)?;
    let Some(Compared { standing, definition, same }) = compared else {
        return Ok(Plan::Create);
    };
    if let (true, Some(fault)) = (same, wanted.fault(&standing)) {
        return Ok(Plan::Mend(standing, fault));
    }
    if same && !standing.off.is_empty() {
        return Ok(Plan::Enable(standing));
    }
    if same {
        return Ok(Plan::Keep(standing));
    }
    if replace {
        return Ok(Plan::Replace(standing));
    }
    Err(other_definition(target, &standing, &definition, wanted))
}

/// 42710, with the call that changes what differs.
fn other_definition(
    target: &Target,
    standing: &Existing,
    definition: &[String],
    wanted: &Wanted,
) -> Report {
    let report = Report::error(
        errors::DUPLICATE_OBJECT,
        format_args!(
            "guard \"{}\" on table \"{}\" already exists with another definition",
            wanted.guard, target.name
        ),
    )
    .detail(format_args!(
        "It is {}({}); asked for was {}({}).",
        standing.function,
        shown(definition),
        wanted.attachment.function,
        shown(&wanted.arguments)
    ))
    .table(target.oid)
    .constraint(&standing.trigger);
    let mode = Mode::of_arguments(&wanted.arguments);
    match same_arguments(&mode.in_arguments(definition), &wanted.arguments) {
        false => report.hint(format_args!("Pass replace => true to change it.")),
        true => report.hint(format_args!(
            "The mode is all that differs: SELECT raceguard.set_mode({}, {}, '{}');",
            literal(&target.qualified),
            literal(standing.guard()),
            mode.name()
        )),
    }
}

fn tell_of_same(target: &Target, standing: &Existing) {
    tell(
        Level::Notice,
        format_args!(
            "guard \"{}\" on table \"{}\" already exists with the same definition, nothing to do",
            standing.guard(),
            target.name
        ),
        None,
    );
}

/// 54000: Postgres writes a key longer than the caller did, so its trigger might never fire.
fn refuse_long(target: &Target, arguments: &[String]) -> Result<(), Report> {
    let bytes: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
    if bytes <= LONGEST_ARGUMENTS {
        return Ok(());
    }
    Err(Report::error(
        errors::LIMIT_EXCEEDED,
        format_args!("definition of a guard on \"{}\" is too long", target.name),
    )
    .detail(format_args!("It has {bytes} bytes, and may have {LONGEST_ARGUMENTS}."))
    .hint(format_args!("Move the expression into an IMMUTABLE function."))
    .table(target.oid))
}

/// Whether a guard stands as it is wanted. Key and predicate of the standing one are compared as Postgres
/// writes them today: an index, another version or a migration may have written them otherwise. Call it
/// inside `pinned_search_path`.
pub fn same_definition(
    target: &Target,
    standing: &Existing,
    wanted: &Wanted,
) -> Result<bool, Report> {
    let mut arguments = standing.arguments.clone();
    if wanted.keyed
        && let Some(key) = arguments.first_mut()
    {
        *key = recanonical_key(target.oid, key)?;
    }
    for argument in &mut arguments {
        if let Some(predicate) = argument.strip_prefix("predicate=") {
            *argument = format!("predicate={}", recanonical_predicate(target.oid, predicate)?);
        }
    }
    Ok(same_arguments(&arguments, &wanted.arguments))
}

/// The first argument counts by position, options in any order.
pub fn same_arguments(a: &[String], b: &[String]) -> bool {
    let sorted = |arguments: &[String]| {
        let mut options: Vec<String> = arguments.iter().skip(1).cloned().collect();
        options.sort();
        options
    };
    a.first() == b.first() && sorted(a) == sorted(b)
}

/// Arguments for people: a key may have a megabyte.
fn shown(arguments: &[String]) -> String {
    let few = arguments.iter().map(|a| literal(&Abridged(a).to_string()));
    few.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_compare_in_any_order() {
        let of = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert!(same_arguments(&of(&["v", "a=1", "b=2"]), &of(&["v", "b=2", "a=1"])));
        assert!(!same_arguments(&of(&["v", "a=1"]), &of(&["w", "a=1"])));
        assert!(!same_arguments(&of(&["v"]), &of(&["v", "a=1"])));
    }
}
