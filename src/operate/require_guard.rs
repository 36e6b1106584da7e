//! `require_guard`: for migrations and start-up scripts that count on a guard.

use crate::errors;
use crate::guard::arguments::{one_of, required, LONGEST_NAME};
use crate::guard::kind::Inspected;
use crate::guard::target::Target;
use crate::operate::check::{root_of, standing, tables};
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::jsonb::{Json, JsonKind};
use crate::pg::memory::{self, here};
use crate::pg::spi::{connected, one, pinned_search_path, Param};
use crate::pg::text::Abridged;
use crate::registry::KINDS;
use pgrx::pg_sys::Oid;

function_entry!(raceguard_require_guard, crate::operate::require_guard::require_guard);

/// `raceguard.require_guard(target, kind, definition, guard)`: returns if a guard of that kind stands on the table,
/// whole, enabled and enforcing, and has every member of `definition` as it is given. `guard` names it where the
/// table has several.
///
/// Raises 55000 with the first difference, 22023 for an unknown kind or member, 22004.
fn require_guard(call: Call) -> Result<Value, Report> {
    let kind = required(call.text(1)?, "kind")?;
    let definition = required(call.json(2)?, "definition")?;
    let guard = call.name(3)?;
    let kind = known_kind(&kind, "kind")?;
    refuse_members(kind, &definition, "definition")?;
    connected(|| {
        pinned_search_path(|| {
            let target = Target::any(call, 0)?;
            let demand = Demand { table: target.oid, kind, definition: Some(definition), guard };
            let Some(reason) = demand.unmet()? else { return Ok(Value::Void) };
            let wanted = match &demand.guard {
                Some(name) => format!("guard \"{name}\""),
                None => "a guard".to_owned(),
            };
            Err(Report::error(
                errors::NOT_IN_PREREQUISITE_STATE,
                format_args!(
                    "table \"{}\" lacks {wanted} of kind \"{kind}\" as required",
                    target.name
                ),
            )
            .detail(format_args!("{}", Abridged(&reason)))
            .hint(format_args!(
                "raceguard.check_guards says what is wrong with the guards of a table, raceguard.guards lists them."
            ))
            .table(target.oid))
        })
    })
}

/// The name of a kind of guard, or 22023 with the list.
fn known_kind(kind: &str, argument: &str) -> Result<&'static str, Report> {
    let names = KINDS.map(|kind| kind.name);
    let known = one_of(kind, argument, &names)?;
    Ok(names.into_iter().find(|name| *name == known).unwrap_or_default())
}

/// 22023 for a definition that is none, or that has a member no guard of the kind has. `place` is where it stands.
pub fn refuse_members(kind: &str, definition: &Json, place: &str) -> Result<(), Report> {
    here(|memory| {
        let Some(names) = definition.names(memory)? else {
            return Err(Report::error(
                errors::INVALID_PARAMETER,
                format_args!("{place} must be an object, not {}", definition.kind()),
            )
            .detail(format_args!("Its members are those of \"definition\" in raceguard.guards."))
            .hint(format_args!("For example '{{\"unstated\": \"reject\"}}'.")));
        };
        let known = members(kind);
        let Some(unknown) = names.iter().find(|name| !known.contains(name)) else { return Ok(()) };
        Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!(
                "{place} has a member that no guard of kind \"{kind}\" has: \"{}\"",
                shortened(unknown)
            ),
        )
        .detail(format_args!("Its members are {}.", known.join(", ")))
        .hint(format_args!("Copy the definition from raceguard.guards or raceguard.manifest.")))
    })
}

/// As much of a name as one can have.
pub fn shortened(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

/// What a definition of this kind may say.
fn members(kind: &str) -> Vec<&'static str> {
    let Some(kind) = KINDS.into_iter().find(|known| known.name == kind) else { return Vec::new() };
    let mut members = vec![kind.first_argument];
    let others = kind.takes.iter().chain(&["mode"]);
    for other in others.filter(|other| **other != "guard") {
        if !members.contains(other) {
            members.push(other);
        }
    }
    members
}

/// A guard that has to stand.
pub struct Demand<'a> {
    pub table: Oid,
    pub kind: &'static str,
    pub definition: Option<Json<'a>>,
    pub guard: Option<String>,
}

impl Demand<'_> {
    /// Why it is not met; `None` if it is. Of several guards that are meant one has to meet it.
    pub fn unmet(&self) -> Result<Option<String>, Report> {
        let guards = standing(Some(root_of(self.table)?))?;
        let mut reason = None;
        for guard in guards.iter().filter(|guard| self.means(guard)) {
            match self.difference(guard)? {
                None => return Ok(None),
                Some(difference) => reason = reason.or(Some(difference)),
            }
        }
        Ok(Some(reason.unwrap_or_else(|| {
            let names: Vec<String> = guards
                .iter()
                .map(|g| format!("\"{}\" ({})", g.guard.guard(), g.kind.name))
                .collect();
            match names.as_slice() {
                [] => "It has no guards at all.".to_owned(),
                names => format!("Its guards are {}.", names.join(", ")),
            }
        })))
    }

    fn means(&self, guard: &Inspected) -> bool {
        guard.kind.name == self.kind
            && self
                .guard
                .as_ref()
                .is_none_or(|name| *name == guard.guard.guard() || *name == guard.guard.trigger)
    }

    fn difference(&self, inspected: &Inspected) -> Result<Option<String>, Report> {
        let name = inspected.guard.guard();
        if let Some(definition) = &self.definition
            && let Some(difference) = other_definition(inspected, definition)?
        {
            return Ok(Some(format!("Guard \"{name}\": {difference}")));
        }
        if let Some(enable) = inspected.guard.off.first() {
            return Ok(Some(format!("Guard \"{name}\" is disabled: {enable} undoes it.")));
        }
        if inspected.observes() && !self.asks_for("mode")? {
            return Ok(Some(format!("Guard \"{name}\" only observes.")));
        }
        let mut faults = inspected.faults()?;
        faults.extend(tables::unguarded_children(core::slice::from_ref(inspected))?);
        let fault = faults.into_iter().find(|fault| fault.is_error());
        Ok(fault.map(|fault| format!("Guard \"{name}\" is not whole: {}", fault.detail)))
    }

    fn asks_for(&self, member: &str) -> Result<bool, Report> {
        let given = self.definition.as_ref().map(|given| given.member(member)).transpose()?;
        Ok(given.flatten().is_some())
    }
}

/// The first member that is not as the standing guard has it.
fn other_definition(inspected: &Inspected, wanted: &Json) -> Result<Option<String>, Report> {
    let standing = &inspected.definition;
    here(|memory| {
        for name in wanted.names(memory)?.unwrap_or_default() {
            let Some(value) = wanted.member(name)? else { continue };
            let stands = standing.get(*name).map(texts).or_else(|| default(inspected, name));
            let given = given(&value)?;
            if stands.clone().unwrap_or_default() != given
                && !(*name == "parent" && is_one_table(stands.as_deref(), &given)?)
            {
                let stands = stands.map_or("none".to_owned(), |texts| texts.join(", "));
                return Ok(Some(format!(
                    "\"{name}\" is {stands}, and {} is required.",
                    value.text()?.as_str()
                )));
            }
        }
        Ok(None)
    })
}

/// Whether two names are of one table.
fn is_one_table(standing: Option<&[String]>, given: &[String]) -> Result<bool, Report> {
    let (Some([standing]), [given]) = (standing, given) else { return Ok(false) };
    let same = one::<bool>(
        "SELECT to_regclass($1) = to_regclass($2)",
        &[Param::Text(standing), Param::Text(given)],
    )?;
    Ok(same == Some(true))
}

fn default(inspected: &Inspected, name: &str) -> Option<Vec<String>> {
    let defaults = inspected.kind.defaults.iter().chain(&[("mode", "enforce")]);
    defaults.filter(|(known, _)| *known == name).map(|(_, value)| vec![(*value).to_owned()]).next()
}

/// The values of a member of a standing definition as texts.
fn texts(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(list) => list.iter().flat_map(texts).collect(),
        other => vec![other.to_string()],
    }
}

/// The same of one that is given; none for null.
fn given(value: &Json) -> Result<Vec<String>, Report> {
    let mut texts = Vec::new();
    here(|memory| {
        match value.kind() {
            JsonKind::Null => {}
            JsonKind::Array => {
                let mut elements = value.elements(memory)?;
                while let Some(element) = elements.next()? {
                    let text = element.plain(memory)?.unwrap_or_default();
                    memory::push(&mut texts, memory::own(text)?)?;
                }
            }
            _ => texts.push(memory::own(value.plain(memory)?.unwrap_or_default())?),
        }
        Ok(texts)
    })
}
