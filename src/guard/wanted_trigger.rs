//! Triggers that a guard has beside its own, as they are asked for.

use crate::guard::arguments::{identifier, literal};
use crate::guard::attachment::Attachment;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing, Put};
use crate::pg::error::Report;

/// A trigger that a guard needs beside its own.
pub struct WantedTrigger {
    pub name: String,
    pub attachment: Attachment,
    pub arguments: Vec<String>,
    /// What CREATE CONSTRAINT TRIGGER says besides.
    pub constraint: Option<ConstraintTrigger>,
}

/// What makes a trigger a constraint trigger.
pub struct ConstraintTrigger {
    /// The table that it is made FROM.
    pub from: Option<String>,
    /// The condition of one that fires when the transaction ends.
    pub deferred_when: Option<String>,
}

impl WantedTrigger {
    /// Whether a trigger that stands is this one.
    pub fn is(&self, standing: &Existing) -> bool {
        standing.trigger == self.name
            && standing.function == self.attachment.function
            && standing.arguments == self.arguments
            && self.attachment.fits(standing.shape)
            && standing.deferred == self.is_deferred()
    }

    fn is_deferred(&self) -> bool {
        self.constraint.as_ref().is_some_and(|constraint| constraint.deferred_when.is_some())
    }

    /// The statements that make it stand, whatever stands in its place.
    pub fn statements(
        &self,
        target: &Target,
        standing: &[Existing],
    ) -> Result<Vec<String>, Report> {
        let now = standing.iter().find(|t| t.trigger == self.name);
        if let Some(now) = now.filter(|now| self.is(now)) {
            return Ok(now.off.clone());
        }
        match &self.constraint {
            // Postgres replaces no constraint trigger.
            Some(constraint) => {
                let drop = now.map(|now| trigger::drop_statement(target, &now.trigger));
                Ok(drop.into_iter().chain([self.create_constraint(target, constraint)]).collect())
            }
            None => trigger::put_up(target, now, &self.name, |put| self.create(target, put)),
        }
    }

    /// The statement that creates one that is no constraint trigger.
    pub fn create(&self, target: &Target, put: Put) -> String {
        let timing = self.attachment.to_string();
        let (events, level) = timing.split_once(" FOR EACH ").unwrap_or((&timing, "ROW"));
        format!(
            "{} TRIGGER {} {events} ON {} FOR EACH {level} EXECUTE FUNCTION raceguard.{}({})",
            put.words(),
            identifier(&self.name),
            target.qualified,
            self.attachment.function,
            listed(&self.arguments)
        )
    }

    fn create_constraint(&self, target: &Target, constraint: &ConstraintTrigger) -> String {
        let from = constraint.from.as_ref().map(|from| format!(" FROM {from}")).unwrap_or_default();
        let (when_due, condition) = match &constraint.deferred_when {
            Some(condition) => ("DEFERRABLE INITIALLY DEFERRED", format!(" WHEN ({condition})")),
            None => ("NOT DEFERRABLE", String::new()),
        };
        format!(
            "CREATE CONSTRAINT TRIGGER {} {} ON {}{from} {when_due} \
             FOR EACH ROW{condition} EXECUTE FUNCTION raceguard.{}({})",
            identifier(&self.name),
            self.attachment.when(),
            target.qualified,
            self.attachment.function,
            listed(&self.arguments)
        )
    }
}

fn listed(arguments: &[String]) -> String {
    arguments.iter().map(|a| literal(a)).collect::<Vec<_>>().join(", ")
}
