//! One write under a condition, and what to say when it found nothing to write.
//!
//! The write itself compares the token, on the row as it is once every lock is granted. Only when it
//! writes nothing is the row looked at, with a new snapshot, to tell stale from gone. Either answer
//! is true at the moment of the look. A row that has become the stated one again in between (another
//! row may have taken the key) is tried again.

use crate::errors::{self, Code};
use crate::pg::error::{catch, Report};
use crate::pg::privilege::{reads_system_columns, row_security_applies};
use crate::rows::form::{Form, Token, Verb};
use crate::rows::keys::not_there;
use crate::rows::refusal::{refuse, Origin};
use crate::rows::statement::{LOOK_SAME, LOOK_STATED, LOOK_STORED, LOOK_TABLE, LOOK_WRITER};
use crate::rows::table::{Described, RowKey};
use pgrx::pg_sys::{Datum, Oid};

/// Attempts before it is clear that no concurrent writer is behind a write that writes nothing. Each
/// time another one must have deleted the row and put the same again: three in a row do happen where
/// many do that to one row.
const ATTEMPTS: usize = 20;

/// A write under a condition.
pub struct Attempt<'a> {
    pub table: &'a Described,
    pub key: &'a RowKey<'a>,
    pub form: Form,
    /// New values, in the order of `form.set`.
    pub set: Vec<Option<Datum>>,
    /// Values that must still be there, in the order of `form.was`. Beside a token they are those of
    /// columns that no UPDATE can set.
    pub was: Vec<Option<Datum>>,
    /// The stated token, and how the client wrote it.
    pub token: Option<(Datum, String)>,
}

impl Attempt<'_> {
    /// Writes the row and returns it as jsonb, or raises RG409 or RG404.
    pub fn run(&self) -> Result<Datum, Report> {
        self.check_guard()?;
        let write = self.table.statement(&self.form)?;
        let values = self.parameters(&self.set, &self.was);
        for _ in 0..ATTEMPTS {
            let outcome = write.execute(&values)?;
            if let Some(row) = outcome.result(1)? {
                return Ok(row);
            }
            self.look()?;
            self.refuse_fixed()?;
        }
        let hidden = catch(|| row_security_applies(self.table.oid))?;
        Err(self.withheld(hidden)?)
    }

    /// What Postgres says to an UPDATE of a column that cannot be written, where the client wants
    /// another value than the stored one in it.
    fn refuse_fixed(&self) -> Result<(), Report> {
        if self.form.token == Token::Columns || self.was.is_empty() {
            return Ok(());
        }
        for (attno, was) in self.form.was.iter().zip(&self.was) {
            let look = Form {
                verb: Verb::Look,
                token: Token::Columns,
                set: Vec::new(),
                was: vec![*attno],
            };
            let values = self.key.values.iter().copied().map(Some);
            let values: Vec<_> = values.chain([*was]).collect();
            let look = self.table.statement(&look)?;
            let found = look.execute(&values)?;
            if found.rows() == 1 && found.text(LOOK_SAME)?.as_deref() != Some("t") {
                let set = vec![*attno];
                self.table.statement(&Form { set, was: Vec::new(), ..self.form.clone() })?;
            }
        }
        Ok(())
    }

    fn parameters(&self, set: &[Option<Datum>], was: &[Option<Datum>]) -> Vec<Option<Datum>> {
        let mut values = Vec::with_capacity(self.key.values.len() + set.len() + was.len() + 1);
        values.extend(self.key.values.iter().copied().map(Some));
        values.extend_from_slice(set);
        values.extend_from_slice(was);
        values.extend(self.token.iter().map(|(value, _)| Some(*value)));
        values
    }

    /// RG404 without a row, RG409 with another one than stated, nothing with the stated one.
    fn look(&self) -> Result<(), Report> {
        let readable = self.table.shows_origin() && catch(|| reads_system_columns(self.table.oid))?;
        let verb = if readable { Verb::LookAtOrigin } else { Verb::Look };
        let mut form = Form { verb, set: Vec::new(), ..self.form.clone() };
        let mut was = self.was.as_slice();
        if form.token != Token::Columns {
            form.was.clear();
            was = &[];
        }
        let look = self.table.statement(&form)?;
        let found = look.execute(&self.parameters(&[], was))?;
        if found.rows() == 0 {
            return Err(not_there(self.table, &[self.key])?);
        }
        if found.text(LOOK_SAME)?.as_deref() == Some("t") {
            return Ok(());
        }
        let stored = found.text(LOOK_STORED)?;
        let stored = stored.as_deref().unwrap_or("NULL");
        let origin = match readable {
            true => Origin::read(self.table, found.text(LOOK_TABLE)?, found.text(LOOK_WRITER)?)?,
            false => Origin::default(),
        };
        Err(match &self.token {
            Some((_, stated)) => {
                self.stale(origin, format_args!("stated version {stated}, stored version {stored}"))
            }
            None => {
                let stated = found.text(LOOK_STATED)?.unwrap_or_default();
                self.stale(origin, format_args!("stated {stated}, stored {stored}"))
            }
        }?)
    }

    fn stale(&self, origin: Origin, difference: core::fmt::Arguments) -> Result<Report, Report> {
        let (table, key) = (self.table, self.table.shown(self.key)?);
        let guard = table.guard.as_ref().filter(|_| self.form.token == Token::Version);
        refuse(table, Code::Rg409, origin, |style| {
            let report = errors::of_call(
                style,
                Code::Rg409,
                table.oid,
                format_args!("row of \"{}\" has changed since it was read", table.name),
                format_args!("Key {key}: {difference}.{}", origin.winner()),
                format_args!(
                    "Read the row again, apply the change to what it says now, and repeat the call."
                ),
            );
            match guard {
                Some(guard) => report.column(&guard.column),
                None => report,
            }
        })
    }

    /// A guard that does not fire leaves the version as it is, and the next stale write would pass.
    fn check_guard(&self) -> Result<(), Report> {
        match &self.table.guard {
            Some(guard) if !guard.enabled && self.form.token == Token::Version => {
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
    fn withheld(&self, row_security: bool) -> Result<Report, Report> {
        let (table, key) = (self.table, self.table.shown(self.key)?);
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
            false => kept_from_being_written(&table.name, table.oid),
        };
        Ok(report
            .detail(format_args!("Key {key} is present as stated, and nothing was written."))
            .table(table.oid))
    }
}

/// 27000: a row that nothing else keeps from being written was not.
pub fn kept_from_being_written(table: &str, oid: Oid) -> Report {
    Report::error(
        errors::TRIGGERED_DATA_CHANGE,
        format_args!("a trigger on \"{table}\" kept the row from being written"),
    )
    .hint(format_args!(
        "A BEFORE ROW trigger returned NULL; it should raise an error or return the row."
    ))
    .table(oid)
}
