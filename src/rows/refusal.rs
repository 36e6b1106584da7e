//! How one of raceguard's own errors leaves a call: counted and logged at the version guard of the table, as those of
//! the guard itself are. The guard does not see them, since nothing was written; a table without one has nowhere to
//! count.

use crate::errors::Code;
use crate::guard::outcome;
use crate::guard::stats::winners;
use crate::pg::error::{catch, Report};
use crate::pg::guc::{self, error_style, ErrorStyle};
use crate::pg::open_table::{open_table, try_open_table};
use crate::pg::privilege::row_security_applies;
use crate::pg::text::PgText;
use crate::pg::trigger;
use crate::rows::table::Described;
use crate::version::rule::FUNCTION;
use pgrx::pg_sys::Oid;

/// Where a row lies and which transaction wrote it, as far as that is known.
#[derive(Clone, Copy, Default)]
pub struct Origin {
    leaf: Option<Oid>,
    writer: Option<u32>,
    /// Whether the error says who wrote it.
    told: bool,
}

impl Origin {
    /// That of a row by its columns `tableoid` and `xmin`, which the current role may read.
    pub fn read(
        table: &Described,
        tableoid: Option<String>,
        xmin: Option<String>,
    ) -> Result<Origin, Report> {
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
        let told = guc::explains_conflicts() && !catch(|| row_security_applies(table.oid))?;
        Ok(Origin { leaf: number(tableoid).map(Oid::from), writer: number(xmin), told })
    }

    /// See [`winners::sentence_of`]; empty where it is not to be told. Inside `catch`.
    pub fn winner(&self) -> PgText {
        match self.writer.filter(|_| self.told) {
            Some(writer) => winners::sentence_of(writer),
            None => PgText::new(),
        }
    }
}

/// Counts a refusal and returns the error to be raised. `report` makes it in a style; it is called inside `catch`, so
/// it holds no value with a destructor.
pub fn refuse(
    table: &Described,
    code: Code,
    origin: Origin,
    report: impl Fn(ErrorStyle) -> Report,
) -> Result<Report, Report> {
    if table.guard.is_none() {
        return catch(|| report(error_style()));
    }
    let named = open_table(table.oid)?;
    let leaf = match origin.leaf.filter(|leaf| *leaf != table.oid) {
        Some(leaf) => try_open_table(leaf)?,
        None => None,
    };
    let leaf = leaf.as_ref();
    catch(|| {
        let of_leaf = leaf.and_then(|leaf| trigger::find(leaf.table(), FUNCTION));
        match of_leaf.or_else(|| trigger::find(named.table(), FUNCTION)) {
            Some(guard) => outcome::refused(guard, code, origin.writer, &report),
            None => report(error_style()),
        }
    })
}
