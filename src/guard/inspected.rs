//! A guard that is being looked at: what of it holds for every kind, and the statements that mend it.

use crate::guard::arguments::{identifier, literal};
use crate::guard::attachment::Attachment;
use crate::guard::finding::Finding;
use crate::guard::kind::{definition, Inspected, Kind};
use crate::guard::trigger::{all, Existing};
use crate::pg::error::Report;
use serde_json::{Map, Value};
use std::rc::Rc;

impl Inspected {
    /// `guard` is a trigger of the kind's function.
    pub fn new(kind: &'static Kind, guard: Existing) -> Result<Inspected, Report> {
        let siblings = Rc::new(all(Some(guard.table))?);
        Inspected::among(kind, guard, siblings)
    }

    /// The same with what is known already of the triggers on its table.
    pub fn among(
        kind: &'static Kind,
        guard: Existing,
        siblings: Rc<Vec<Existing>>,
    ) -> Result<Inspected, Report> {
        let definition = definition(kind, guard.table, &guard.arguments)?;
        Ok(Inspected { kind, guard, definition, siblings })
    }

    /// The triggers on its table that execute a function of raceguard's.
    pub fn triggers_of<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a Existing> {
        self.siblings.iter().filter(move |sibling| sibling.function == function)
    }

    /// Whether the guard only logs.
    pub fn observes(&self) -> bool {
        self.guard.arguments.iter().any(|argument| argument == "mode=observe")
    }

    /// What keeps it from its work, whoever fires its trigger.
    pub fn faults(&self) -> Result<Vec<Finding>, Report> {
        let mut faults = Vec::new();
        if !self.kind.attachment.fits(self.guard.shape) {
            faults.push(self.attached_otherwise());
        }
        faults.extend((self.kind.check)(self)?);
        Ok(faults.into_iter().map(|fault| fault.at(self.guard.table, self.guard.guard())).collect())
    }

    /// Whether every part of it stands and does its work. Whether its trigger is enabled is another question.
    pub fn is_whole(&self) -> Result<bool, Report> {
        Ok(!self.faults()?.iter().any(Finding::is_error))
    }

    /// Everything that the catalogs say against it.
    pub fn findings(&self) -> Result<Vec<Finding>, Report> {
        let disabled = self.guard.off.iter().map(|enable| {
            let detail = format!(
                "The guard's trigger does not fire in ordinary sessions: {enable} undoes it. Rows written meanwhile were not guarded."
            );
            Finding::error("trigger_disabled", detail).remedy(enable.clone())
        });
        let mut findings: Vec<Finding> = disabled.collect();
        if self.observes() {
            let detail = "The guard logs what it would refuse, and refuses nothing.".to_owned();
            findings.push(Finding::info("observe", detail).remedy(self.in_mode("enforce")));
        }
        let mut located: Vec<Finding> = findings
            .into_iter()
            .map(|finding| finding.at(self.guard.table, self.guard.guard()))
            .collect();
        located.extend(self.faults()?);
        Ok(located)
    }

    fn attached_otherwise(&self) -> Finding {
        let detail = format!(
            "The trigger is not attached as {}: writes would pass it unseen, so it refuses them.",
            self.kind.attachment
        );
        Finding::error("trigger_attached_otherwise", detail)
            .remedy(self.trigger_with(&self.guard.arguments))
    }

    /// The call that puts the guard into a mode.
    pub fn in_mode(&self, mode: &str) -> String {
        let (table, guard) = (literal(&self.guard.qualified), literal(self.guard.guard()));
        format!("SELECT raceguard.set_mode({table}, {guard}, '{mode}')")
    }

    /// The statement that puts the trigger up with these arguments, and leaves it firing where it fires.
    pub fn trigger_with(&self, arguments: &[String]) -> String {
        self.guard.with(self.kind.attachment, arguments)
    }

    /// The `add_*` call that makes this guard; on a guard that stands it puts up what is missing.
    pub fn call(&self) -> String {
        self.call_on(&self.guard.qualified)
    }

    /// The same for another table.
    pub fn call_on(&self, table: &str) -> String {
        add_call(self.kind, table, self.guard.guard(), &self.definition)
    }

    /// What keeps another trigger of the guard, attached as it has to be, from firing where the guard's own does.
    pub fn companion_states(&self, companion: &Existing) -> Vec<Finding> {
        let name = &companion.trigger;
        if !companion.off.is_empty() {
            let off = companion.off.iter().map(|enable| {
                let detail = format!("Trigger \"{name}\", which belongs to the guard, is disabled: {enable} undoes it.");
                Finding::error("companion_disabled", detail).remedy(enable.clone())
            });
            return off.collect();
        }
        if companion.always == self.guard.always {
            return Vec::new();
        }
        let enable = if self.guard.always { "ENABLE ALWAYS" } else { "ENABLE" };
        let detail = format!(
            "Trigger \"{name}\" and the guard's own do not fire in the same sessions: one has ENABLE ALWAYS, the other not. Where session_replication_role is replica the guard does half its work, or refuses."
        );
        let remedy =
            format!("ALTER TABLE {} {enable} TRIGGER {}", self.guard.qualified, identifier(name));
        vec![Finding::warning("companion_state", detail).remedy(remedy)]
    }

    /// An option of the definition.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.definition.get(name).and_then(Value::as_str)
    }
}

impl Existing {
    /// The statement that puts the trigger up with these arguments, as it has to be attached, and leaves it
    /// firing where it fires.
    pub fn with(&self, attachment: &Attachment, arguments: &[String]) -> String {
        let (name, table) = (identifier(&self.trigger), &self.qualified);
        let timing = attachment.to_string();
        let (events, level) = timing.split_once(" FOR EACH ").unwrap_or((&timing, "ROW"));
        let arguments = arguments.iter().map(|a| literal(a)).collect::<Vec<_>>().join(", ");
        let create = format!(
            "CREATE OR REPLACE TRIGGER {name} {events} ON {table} FOR EACH {level} EXECUTE FUNCTION raceguard.{}({arguments})",
            attachment.function
        );
        match self.always {
            true => format!("{create}; ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"),
            false => create,
        }
    }
}

/// `SELECT raceguard.add_KIND(...)` with these options.
pub fn add_call(kind: &Kind, table: &str, guard: &str, options: &Map<String, Value>) -> String {
    let mut arguments = vec![literal(table)];
    let given = options.iter().filter(|(name, _)| kind.takes.contains(&name.as_str()));
    arguments.extend(given.map(|(name, value)| format!("{name} => {}", argument(value))));
    if kind.takes.contains(&"guard") {
        arguments.push(format!("guard => {}", literal(guard)));
    }
    format!("SELECT raceguard.add_{}({})", kind.name, arguments.join(", "))
}

fn argument(value: &Value) -> String {
    match value {
        Value::String(text) => literal(text),
        Value::Array(list) => {
            format!("ARRAY[{}]", list.iter().map(argument).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
