//! One write under a condition, and what to say when it found nothing to write.
//!
//! The write itself compares the token, on the row as it is once every lock is granted. Only when it
//! writes nothing is the row looked at, with a new snapshot, to tell stale from gone. Either answer
//! is true at the moment of the look. A row that has become the stated one again in between (another
//! row may have taken the key) is tried again.

use crate::calls::keys::not_there;
use crate::calls::statement::{Shape, Verb, LOOK_SAME, LOOK_STATED, LOOK_STORED};
use crate::calls::table::{Described, Key};
use crate::calls::tokens::Token;
use crate::errors::{self, Code};
use crate::pg::error::{catch, Report};
use crate::pg::privilege::row_security_applies;
use pgrx::pg_sys::Datum;

/// Attempts before it is clear that no concurrent writer is behind a write that writes nothing. Each
/// time another one must have deleted the row and put the same again: three in a row do happen where
/// many do that to one row.
const ATTEMPTS: usize = 20;

/// A write under a condition.
pub struct Attempt<'a> {
    pub table: &'a Described,
    pub key: &'a Key,
    pub shape: Shape,
    /// New values, in the order of `shape.set`.
    pub set: Vec<Option<Datum>>,
    /// Values that must still be there, in the order of `shape.was`.
    pub was: Vec<Option<Datum>>,
    /// The stated token, and how the client wrote it.
    pub token: Option<(Datum, String)>,
}

impl Attempt<'_> {
    /// Writes the row and returns it as jsonb, or raises RG409 or RG404.
    pub fn run(&self) -> Result<Datum, Report> {
        self.check_guard()?;
        let write = self.table.plan(&self.shape)?;
        let values = self.parameters(&self.set);
        for _ in 0..ATTEMPTS {
            let outcome = write.execute(&values)?;
            if let Some(row) = outcome.result(1)? {
                return Ok(row);
            }
            self.look()?;
        }
        let hidden = catch(|| row_security_applies(self.table.oid))?;
        Err(self.withheld(hidden))
    }

    fn parameters(&self, set: &[Option<Datum>]) -> Vec<Option<Datum>> {
        let mut values = Vec::with_capacity(self.key.values.len() + set.len() + self.was.len() + 1);
        values.extend(self.key.values.iter().copied().map(Some));
        values.extend_from_slice(set);
        values.extend_from_slice(&self.was);
        values.extend(self.token.iter().map(|(value, _)| Some(*value)));
        values
    }

    /// RG404 without a row, RG409 with another one than stated, nothing with the stated one.
    fn look(&self) -> Result<(), Report> {
        let shape = Shape { verb: Verb::Look, set: Vec::new(), ..self.shape.clone() };
        let found = self.table.plan(&shape)?.execute(&self.parameters(&[]))?;
        if found.rows() == 0 {
            return Err(not_there(self.table, &[self.key]));
        }
        if found.text(LOOK_SAME)?.as_deref() == Some("t") {
            return Ok(());
        }
        let stored = found.text(LOOK_STORED)?;
        let stored = stored.as_deref().unwrap_or("NULL");
        Err(match &self.token {
            Some((_, stated)) => {
                self.stale(format_args!("stated version {stated}, stored version {stored}"))
            }
            None => {
                let stated = found.text(LOOK_STATED)?.unwrap_or_default();
                self.stale(format_args!("stated {stated}, stored {stored}"))
            }
        })
    }

    fn stale(&self, difference: core::fmt::Arguments) -> Report {
        let report = errors::own(
            Code::Rg409,
            self.table.oid,
            format_args!("row of \"{}\" has changed since it was read", self.table.name),
            Some(format_args!("Key {}: {difference}.", self.key.shown)),
            format_args!(
                "Read the row again, apply the change to what it says now, and repeat the call."
            ),
            None,
        );
        match &self.table.guard {
            Some(guard) if self.shape.token == Token::Version => report.column(&guard.column),
            _ => report,
        }
    }

    /// A guard that does not fire leaves the version as it is, and the next stale write would pass.
    fn check_guard(&self) -> Result<(), Report> {
        match &self.table.guard {
            Some(guard) if !guard.enabled && self.shape.token == Token::Version => {
                Err(Report::error(
                    errors::NOT_IN_PREREQUISITE_STATE,
                    format_args!("version guard of table \"{}\" is disabled", self.table.name),
                )
                .detail(format_args!(
                    "Nothing moves column \"{}\" on, so it does not tell one version from the next.",
                    guard.column
                ))
                .hint(format_args!(
                    "Enable the trigger with ALTER TABLE ... ENABLE TRIGGER, or use token => 'xmin' or token => 'hash'."
                ))
                .table(self.table.oid)
                .column(&guard.column))
            }
            _ => Ok(()),
        }
    }

    /// The row is there as stated, and still nothing is written.
    fn withheld(&self, row_security: bool) -> Report {
        let table = self.table;
        let report = match row_security {
            true => Report::error(
                errors::INSUFFICIENT_PRIVILEGE,
                format_args!(
                    "row security keeps this row of \"{}\" from being written",
                    table.name
                ),
            )
            .hint(format_args!(
                "The current role may read the row, but no policy lets it write it."
            )),
            false => Report::error(
                errors::TRIGGERED_DATA_CHANGE,
                format_args!("a trigger on \"{}\" kept the row from being written", table.name),
            )
            .hint(format_args!(
                "A BEFORE ROW trigger returned NULL; it should raise an error or return the row."
            )),
        };
        report
            .detail(format_args!(
                "Key {} is present as stated, and nothing was written.",
                self.key.shown
            ))
            .table(table.oid)
    }
}
