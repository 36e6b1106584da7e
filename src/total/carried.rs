//! A total that is settled at COMMIT and written by the UPDATE that moves the parent's version on.

use crate::guard::child_key::Followed;
use crate::pg::error::Report;
use crate::pg::key_bytes::Rebuilt;
use crate::total::parent::{TotalParent, TotalPath};
use crate::total::session;
use crate::total::settle::{sum_of, values_of, SettlementRun};
use pgrx::pg_sys::{self, Datum, Oid};
use std::rc::Rc;

/// What is to be added to the total of one parent.
pub struct CarriedTotal {
    parent: Rc<TotalParent>,
    path: Rc<TotalPath>,
    values: Vec<Rebuilt>,
    sum: Datum,
    account: usize,
}

/// What the UPDATE says of a total: an item of its SET list, and a condition on the row.
pub struct CarriedTexts {
    pub set: String,
    pub bounds: String,
}

impl CarriedTotal {
    /// The total that is due at COMMIT for the parent that `followed` leads to from these key bytes, if its bounds allow
    /// it. One that they do not allow the settlement will tell.
    pub fn find(
        run: &mut SettlementRun,
        followed: &Followed,
        key: &[u8],
    ) -> Result<Option<CarriedTotal>, Report> {
        let Some(due) = session::due_at_commit(followed.constraint, key)? else { return Ok(None) };
        let Some((parent, path)) = run.way(due.source.origin)? else { return Ok(None) };
        let Some(sum) = sum_of(&parent, &due.amounts)? else { return Ok(None) };
        let values = values_of(&path, &due.key)?;
        let carried = CarriedTotal { parent, path, values, sum, account: due.account };
        Ok(carried.is_allowed()?.then_some(carried))
    }

    /// Bounds that cannot stand in the UPDATE are asked before it, under the row's lock.
    fn is_allowed(&self) -> Result<bool, Report> {
        if self.parent.has_plain_bounds() {
            return Ok(true);
        }
        let mut values: Vec<Option<Datum>> =
            self.values.iter().map(|value| Some(value.datum())).collect();
        values.push(Some(self.sum));
        Ok(matches!(self.path.judge(&self.parent, &values)?, Some(None)))
    }

    /// With the amount as parameter `$number`.
    pub fn texts(&self, number: usize) -> CarriedTexts {
        let total = &self.parent.quoted;
        let new = format!("COALESCE({total}, 0) OPERATOR(pg_catalog.+) ${number}");
        let bounds = match self.parent.has_plain_bounds() {
            true => {
                let (above, below) = self.parent.conditions(&new);
                format!(" AND {above} AND {below}")
            }
            false => String::new(),
        };
        CarriedTexts { set: format!(", {total} = {new}"), bounds }
    }

    /// The parameter.
    pub fn amount(&self) -> (Oid, Datum) {
        (pg_sys::NUMERICOID, self.sum)
    }

    /// Runs `write`, the UPDATE of version and total, in the owner's name; what it has written is settled.
    pub fn write(&self, write: impl FnOnce() -> Result<u64, Report>) -> Result<bool, Report> {
        let written = self.parent.writing_with_version(true, write)? > 0;
        if written {
            session::settled(self.account)?;
        }
        Ok(written)
    }
}
