//! The rule of a parent version: the foreign key that its triggers' argument names.
//!
//! A name says little about a foreign key: it may be renamed, and another one may take the name. So the
//! trigger that bumps remembers the parent (CREATE CONSTRAINT TRIGGER ... FROM), and a foreign key to
//! another table is not the one: then the only one that leads to that parent is. Where no trigger remembers
//! a parent (one written by hand, or by version 0.1.0) the name decides.

use crate::errors;
use crate::guard::attachment::{self, Attachment, Events, ForEach, EVERY_ROW};
use crate::guard::child_key::{self, KeyWords};
use crate::guard::kind::Rename;
use crate::guard::spread;
use crate::guard::trigger::existing_on;
use crate::pg::error::Report;
use crate::pg::foreign_key::ForeignKey;
use crate::pg::key::Runs;
use crate::pg::memory::Memory;
use crate::pg::rule_cache::{Cached, Last};
use crate::pg::spi::Param;
use crate::pg::statement::run_kept;
use crate::pg::trigger::{find_all, Definition, Timing};
use pgrx::pg_sys::Oid;

/// The trigger functions' names in SQL.
pub const FUNCTION: &str = "parent_version_guard";

pub const BUMP_FUNCTION: &str = "parent_version_bump";

pub const TRUNCATE_FUNCTION: &str = "parent_version_truncate";

/// What the names of the triggers that go with the guard's own add to its name.
pub const BUMP: &str = "_bump";
pub const TRUNCATE: &str = "_truncate";
pub const TRUNCATED: &str = "_truncated";

/// The function in the bump trigger's WHEN condition.
pub const DUE_FUNCTION: &str = "parent_version_due";

/// The trigger that notes the parents.
pub const ATTACHMENT: Attachment = Attachment::of_rows(FUNCTION, Timing::After, EVERY_ROW);

/// The trigger that bumps them. Without it the first does.
pub const BUMP_ATTACHMENT: Attachment =
    Attachment { condition: true, ..Attachment::of_rows(BUMP_FUNCTION, Timing::After, EVERY_ROW) };

/// The triggers that do both for TRUNCATE.
pub const TRUNCATE_ATTACHMENTS: [Attachment; 2] =
    [of_truncate(Timing::Before), of_truncate(Timing::After)];

pub const fn of_truncate(timing: Timing) -> Attachment {
    Attachment {
        level: ForEach::Statement,
        ..Attachment::of_rows(TRUNCATE_FUNCTION, timing, Events::TRUNCATE)
    }
}

/// The rules of [`FUNCTION`].
pub struct ParentRules;

impl Cached for ParentRules {
    type Rule<'r> = ForeignKey<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<ForeignKey<'r>, Report> {
        build(trigger, memory)
    }

    fn last() -> &'static Last<ParentRules> {
        static LAST: Last<ParentRules> = Last::new();
        &LAST
    }

    fn tables<'a>(rule: &'a ForeignKey) -> &'a [Oid] {
        rule.tables
    }

    fn runs(_: &ForeignKey) -> Runs {
        Runs::Nothing
    }
}

/// The rules of [`TRUNCATE_FUNCTION`].
pub struct TruncateRules;

impl Cached for TruncateRules {
    type Rule<'r> = ForeignKey<'r>;

    fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<ForeignKey<'r>, Report> {
        check_truncate(trigger)?;
        named_key(trigger, memory)
    }

    fn last() -> &'static Last<TruncateRules> {
        static LAST: Last<TruncateRules> = Last::new();
        &LAST
    }

    fn tables<'a>(rule: &'a ForeignKey) -> &'a [Oid] {
        rule.tables
    }

    fn runs(_: &ForeignKey) -> Runs {
        Runs::Nothing
    }
}

/// Builds the rule of the trigger that notes a row's parents: the foreign key that its argument names.
pub fn build<'r>(trigger: Definition, memory: Memory<'r>) -> Result<ForeignKey<'r>, Report> {
    attachment::check(trigger, &ATTACHMENT)?;
    check_truncate(trigger)?;
    let key = named_key(trigger, memory)?;
    let table = trigger.table();
    spread::check_parent(table, Some(trigger), spread::PARENT_VERSION, key.parent)?;
    Ok(key)
}

/// 55000 if one of the triggers for TRUNCATE is off or missing: TRUNCATE would leave the parents as they
/// are. A table may do without either.
pub fn check_truncate(trigger: Definition) -> Result<(), Report> {
    let stands = |timing: &Attachment| {
        find_all(trigger.table(), TRUNCATE_FUNCTION)
            .any(|t| timing.fits(t.shape()) && t.argument(0) == trigger.argument(0))
    };
    let [before, after] = &TRUNCATE_ATTACHMENTS;
    let fires = |timing| attachment::companion(trigger, timing, Events::TRUNCATE).origin;
    let off = match (stands(before), stands(after)) {
        (false, false) => return Ok(()),
        _ if !trigger.fires().origin => return Ok(()),
        _ if !fires(before) => before,
        _ if !fires(after) => after,
        _ => return Ok(()),
    };
    let (name, table) = (trigger.logical_name(), trigger.table());
    Err(Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "guard \"{name}\" on table \"{}\" would not see a TRUNCATE",
            errors::known_as(table)
        ),
    )
    .detail(format_args!(
        "No trigger that executes raceguard.{TRUNCATE_FUNCTION} {off} for this foreign key is enabled."
    ))
    .hint(format_args!(
        "Call raceguard.add_parent_version again: it puts up what is missing."
    ))
    .table(table.oid())
    .constraint(name.as_str()))
}

/// The foreign key by which a trigger finds a row's parent. Plain frames.
pub fn named_key<'r>(trigger: Definition, memory: Memory<'r>) -> Result<ForeignKey<'r>, Report> {
    if trigger.argument_count() != 1 {
        return Err(errors::wrong_argument(
            trigger.name(),
            trigger.table(),
            format_args!("The one argument must name a foreign key of the table."),
        ));
    }
    child_key::find(trigger, trigger.argument(0), remembered_parent(trigger), &WORDS, memory)
}

/// What errors say of a parent version.
pub const WORDS: KeyWords = KeyWords {
    call: "add_parent_version",
    purpose: "whose version could move",
    one: "version could be moved",
    second: "",
};

/// The parent of the guard to which a trigger belongs, as the trigger that bumps remembers it: the one with
/// the same argument. Two guards have the same where a foreign key took another's name before it was guarded;
/// then the names of their triggers tell them apart.
fn remembered_parent(trigger: Definition) -> Option<Oid> {
    let mut bumps = find_all(trigger.table(), BUMP_FUNCTION)
        .filter(|bump| bump.argument_count() == 1 && bump.argument(0) == trigger.argument(0));
    let first = bumps.next()?;
    let name = trigger.logical_name();
    let name = name.as_str();
    let guard = [TRUNCATED, TRUNCATE].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let is_own = |bump: &Definition| guard_of_bump(bump.logical_name().as_str()) == Some(guard);
    let bump = match bumps.next() {
        Some(second) => [first, second].into_iter().chain(bumps).find(is_own)?,
        None => first,
    };
    bump.referenced()
}

/// The name of the guard's own trigger for which a trigger bumps, by that one's name: `<guard>_bump`, or
/// `<guard>_bump_2` and so on where the guard was made to follow another foreign key.
pub fn guard_of_bump(name: &str) -> Option<&str> {
    let unnumbered = match name.rsplit_once('_') {
        Some((rest, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => rest,
        _ => name,
    };
    unnumbered.strip_suffix(BUMP)
}

/// The arguments after a rename of the foreign key: as they are where the trigger that bumps remembers the parent, and
/// no other foreign key leads there.
pub fn renamed(table: Oid, arguments: &[String], rename: &Rename) -> Result<Vec<String>, Report> {
    let mut arguments = arguments.to_vec();
    if let (Rename::Constraint { old, new }, Some(key)) = (rename, arguments.first_mut()) {
        let bumps = existing_on(table, BUMP_FUNCTION)?;
        let remembered = bumps.iter().any(|bump| bump.arguments.first() == Some(key));
        if key == old && (!remembered || is_one_of_several(table, new)?) {
            *key = (*new).to_owned();
        }
    }
    Ok(arguments)
}

/// Whether a foreign key is not the only one of its table to its parent: to remember that does not tell which it is.
fn is_one_of_several(table: Oid, name: &str) -> Result<bool, Report> {
    let rows = run_kept(
        "SELECT FROM pg_constraint c JOIN pg_constraint o ON o.conrelid = c.conrelid AND o.confrelid = c.confrelid \
         WHERE c.conrelid = $1 AND c.contype = 'f' AND c.conname = $2::name AND o.contype = 'f' AND o.oid <> c.oid \
           AND to_jsonb(o)->>'conenforced' IS DISTINCT FROM 'false' LIMIT 1",
        &[Param::Oid(table), Param::Text(name)],
    )?;
    Ok(!rows.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bump_trigger_tells_its_guard() {
        let guard = "zz_raceguard_parent_version";
        for (name, of) in [
            ("zz_raceguard_parent_version_bump", Some(guard)),
            ("zz_raceguard_parent_version_bump_2", Some(guard)),
            ("zz_raceguard_parent_version_bump_10", Some(guard)),
            ("zz_raceguard_parent_version", None),
            ("zz_raceguard_parent_version_2", None),
            ("zz_raceguard_parent_version_bumper", None),
            ("mine", None),
        ] {
            assert_eq!(guard_of_bump(name), of, "{name}");
        }
    }
}
