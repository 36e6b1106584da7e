//! A total that is asked for, and its objects as DDL.

use crate::guard::arguments::identifier;
use crate::guard::attachment::Attachment;
use crate::guard::target::Target;
use crate::guard::trigger::{self, Existing};
use crate::guard::wanted_trigger::{ConstraintTrigger, WantedTrigger};
use crate::pg::error::Report;
use crate::pg::spi::{run, Param};
use crate::total::bounds::Bounds;
use crate::total::faults::{base_of, check_name};
use crate::total::rule::{
    ATTACHMENT, BEGIN, COLUMN_ATTACHMENT, COLUMN_FUNCTION, DUE_FUNCTION, END, FUNCTION,
    PARENT_ATTACHMENT, PARENT_DUE_FUNCTION, PARENT_FUNCTION, PARENT_TRUNCATE_ATTACHMENT, ROWS,
    SETTLE, SETTLE_ATTACHMENT, SETTLE_FUNCTION, STATEMENT_ATTACHMENTS, TRUNCATED,
};

/// A total as the owner asked for it, texts in Postgres's canonical form.
pub struct Total {
    pub child: Target,
    pub parent: Target,
    pub column: String,
    /// What the parent's triggers and its CHECK are named after.
    pub base: String,
    pub column_type: String,
    pub amount: String,
    pub predicate: Option<String>,
    pub bounds: OwnedBounds,
    pub at_commit: bool,
    pub foreign_key: String,
    pub guard: String,
}

/// The bounds of a parent's column.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OwnedBounds {
    pub at_most: Option<String>,
    pub at_least: Option<String>,
}

impl OwnedBounds {
    /// As trigger arguments.
    pub fn arguments(&self) -> Vec<String> {
        let named = |name: &str, bound: &Option<String>| {
            bound.as_ref().map(|bound| format!("{name}={bound}"))
        };
        let both = [named("at_most", &self.at_most), named("at_least", &self.at_least)];
        both.into_iter().flatten().collect()
    }

    /// Whether a parent may be there before its first child although no child is below the bound.
    pub fn starts_null(&self) -> bool {
        let (column, at_most, at_least) = ("", None, self.at_least.as_deref());
        Bounds { column, at_most, at_least }.starts_null()
    }

    /// The CHECK, without the word; `None` without bounds.
    pub fn check(&self, column: &str) -> Option<String> {
        let column = identifier(column);
        let low = self.at_least.as_ref().map(|bound| format!("({bound}) <= {column}"));
        let high = self.at_most.as_ref().map(|bound| format!("{column} <= ({bound})"));
        match (low, high) {
            (Some(low), Some(high)) => Some(format!("{low} AND {high}")),
            (low, high) => low.or(high),
        }
    }
}

impl Total {
    /// The arguments of the child's triggers.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.column.clone(), format!("foreign_key={}", self.foreign_key)];
        if self.amount != "1" {
            arguments.push(format!("amount={}", self.amount));
        }
        arguments.extend(self.predicate.iter().map(|p| format!("predicate={p}")));
        if self.at_commit {
            arguments.push("settle=commit".to_owned());
        }
        arguments
    }

    /// The child's triggers in the order in which they may stand: none does anything before the last one does.
    pub fn child_triggers(&self) -> Result<Vec<WantedTrigger>, Report> {
        child_triggers(&self.guard, &self.arguments(), self.at_commit, &self.parent.qualified)
    }

    pub fn parent_triggers(&self) -> Result<Vec<WantedTrigger>, Report> {
        parent_triggers(&self.base, &self.column, &self.bounds)
    }

    pub fn add_column(&self) -> String {
        let (table, column) = (&self.parent.qualified, identifier(&self.column));
        let rest = if self.bounds.starts_null() { "" } else { " NOT NULL DEFAULT 0" };
        format!("ALTER TABLE {table} ADD COLUMN {column} {}{rest}", self.column_type)
    }

    /// The statement that adds the CHECK; `None` without bounds.
    pub fn add_check(&self, not_valid: &str) -> Option<String> {
        let check = self.bounds.check(&self.column)?;
        let name = identifier(&check_name(&self.base));
        Some(format!(
            "ALTER TABLE {} ADD CONSTRAINT {name} CHECK ({check}){not_valid}",
            self.parent.qualified
        ))
    }
}

/// The triggers of a total's child.
pub fn child_triggers(
    guard: &str,
    arguments: &[String],
    at_commit: bool,
    parent: &str,
) -> Result<Vec<WantedTrigger>, Report> {
    let wanted = |suffix: &str, attachment: Attachment, constraint: Option<ConstraintTrigger>| {
        let name = trigger::trigger_name(guard, suffix)?;
        // The guard's own says everything.
        let arguments = if suffix.is_empty() { arguments.to_vec() } else { Vec::new() };
        Ok(WantedTrigger { name, attachment, arguments, constraint })
    };
    let [before, after] = STATEMENT_ATTACHMENTS;
    let condition = format!("raceguard.{DUE_FUNCTION}({at_commit})");
    Ok(vec![
        wanted(BEGIN, before, None)?,
        wanted(END, after, None)?,
        wanted(
            SETTLE,
            SETTLE_ATTACHMENT,
            Some(ConstraintTrigger {
                from: Some(parent.to_owned()),
                deferred_when: Some(condition),
            }),
        )?,
        wanted("", ATTACHMENT, None)?,
    ])
}

/// The triggers of a total's parent.
pub fn parent_triggers(
    base: &str,
    column: &str,
    bounds: &OwnedBounds,
) -> Result<Vec<WantedTrigger>, Report> {
    let mut arguments = vec![column.to_owned()];
    arguments.extend(bounds.arguments());
    let wanted = |suffix: &str, attachment: Attachment, constraint: Option<ConstraintTrigger>| {
        let name = parent_trigger(base, suffix)?;
        let arguments = if suffix.is_empty() { arguments.clone() } else { Vec::new() };
        Ok(WantedTrigger { name, attachment, arguments, constraint })
    };
    let condition = format!("raceguard.{PARENT_DUE_FUNCTION}()");
    Ok(vec![
        wanted(TRUNCATED, PARENT_TRUNCATE_ATTACHMENT, None)?,
        wanted(
            SETTLE,
            SETTLE_ATTACHMENT,
            Some(ConstraintTrigger { from: None, deferred_when: Some(condition) }),
        )?,
        wanted(ROWS, PARENT_ATTACHMENT, None)?,
        wanted("", COLUMN_ATTACHMENT, None)?,
    ])
}

/// The name of a trigger on the parent.
pub fn parent_trigger(base: &str, suffix: &str) -> Result<String, Report> {
    trigger::trigger_name(&format!("keep_{base}"), suffix)
}

/// The trigger that keeps a column of the parent.
pub fn keeper(parent: &Target, column: &str) -> Result<Option<Existing>, Report> {
    let keeps = |t: &Existing| t.arguments.first().is_some_and(|first| first == column);
    Ok(trigger::existing(parent, COLUMN_FUNCTION)?.into_iter().find(keeps))
}

/// What the parent's triggers and the CHECK of a column are named after.
pub fn base(parent: &Target, column: &str) -> Result<String, Report> {
    let keeper = keeper(parent, column)?;
    Ok(keeper.map_or(column.to_owned(), |keeper| base_of(&keeper.trigger).to_owned()))
}

/// The triggers of raceguard's that a table has for totals.
pub fn standing_triggers(target: &Target) -> Result<Vec<Existing>, Report> {
    let of_totals = [
        FUNCTION,
        STATEMENT_ATTACHMENTS[0].function,
        SETTLE_FUNCTION,
        COLUMN_FUNCTION,
        PARENT_FUNCTION,
    ];
    let mut standing = trigger::all(Some(target.oid))?;
    standing.retain(|t| of_totals.contains(&t.function.as_str()));
    Ok(standing)
}

/// A CHECK as it stands.
pub struct StandingCheck {
    /// As Postgres writes the condition.
    pub condition: String,
    pub valid: bool,
    pub enforced: bool,
}

/// The CHECK of a total.
pub fn standing_check(parent: &Target, base: &str) -> Result<Option<StandingCheck>, Report> {
    let rows = run(
        "SELECT pg_get_expr(conbin, conrelid), convalidated, \
                to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' \
         FROM pg_constraint c WHERE conrelid = $1 AND contype = 'c' AND conname = $2::name",
        &[Param::Oid(parent.oid), Param::Text(&check_name(base))],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    let condition = row.get::<Option<_>>(0)?.unwrap_or_default();
    Ok(Some(StandingCheck { condition, valid: row.get(1)?, enforced: row.get(2)? }))
}

pub fn drop_check(parent: &Target, base: &str) -> String {
    let name = identifier(&check_name(base));
    format!("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {name}", parent.qualified)
}

#[cfg(test)]
mod tests {
    use super::OwnedBounds;

    #[test]
    fn bounds_become_a_check() {
        let bounds = |at_most: Option<&str>, at_least: Option<&str>| OwnedBounds {
            at_most: at_most.map(str::to_owned),
            at_least: at_least.map(str::to_owned),
        };
        assert_eq!(bounds(None, None).check("n"), None);
        assert_eq!(
            bounds(Some("capacity"), None).check("n").as_deref(),
            Some("\"n\" <= (capacity)")
        );
        let both = bounds(Some("9"), Some("a + b"));
        assert_eq!(both.check("N").as_deref(), Some("(a + b) <= \"N\" AND \"N\" <= (9)"));
        assert_eq!(both.arguments(), ["at_most=9", "at_least=a + b"]);
    }
}
