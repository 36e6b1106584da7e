//! Counters of the rows that stand: looked through, and written.
//!
//! Keys go from the child to the parent as the values that they are: read with the rights of the one owner and looked up with
//! those of the other, no text of the child's is read as anything by the parent's.

use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::child_key::{rebuilt, Followed};
use crate::guard::old_snapshot::refuse_old_rows;
use crate::guard::settling;
use crate::guard::standing_rows::silence;
use crate::guard::target::Target;
use crate::number::counter_definition::Counter;
use crate::pg::alloc::fallibly;
use crate::pg::column::read_integer;
use crate::pg::error::{catch, Report};
use crate::pg::foreign_key;
use crate::pg::key_bytes;
use crate::pg::memory::{self, exhausted, here};
use crate::pg::open_table::open_table;
use crate::pg::owner::acting_as;
use crate::pg::spi::without_row_security;
use crate::pg::statement::{self, Cell, Statement};
use pgrx::pg_sys::{self, Datum, Oid};

/// A key and the highest number that stands under it.
pub struct HighestNumber {
    number: i64,
    key: Vec<u8>,
}

/// The counters of a guard's parent, and the rows that they count.
pub struct StandingCounters<'a> {
    pub counter: &'a Counter,
    child: &'a Target,
    followed: Followed,
    /// What finds a parent by the values of a key, from `$1` on.
    condition: String,
    /// The keys that have numbers, each with its highest.
    highest: String,
}

impl<'a> StandingCounters<'a> {
    /// `None` where the foreign key is gone.
    pub fn of(
        child: &'a Target,
        counter: &'a Counter,
        number: &str,
    ) -> Result<Option<StandingCounters<'a>>, Report> {
        let (open, parent) = (open_table(child.oid)?, open_table(counter.parent.oid)?);
        let (table, name) = (open.table(), counter.foreign_key.as_str());
        here(|memory| {
            let found = catch(|| {
                let named = foreign_key::find(table, name, memory);
                let key = match named.filter(|key| key.parent == counter.parent.oid) {
                    Some(key) => key,
                    None => foreign_key::find_only(table, counter.parent.oid, memory).ok()?,
                };
                Some((key, foreign_key::condition(key, parent.table())))
            })?;
            let Some((key, condition)) = found else { return Ok(None) };
            let columns: Vec<String> =
                key.columns.iter().map(|c| identifier(table.column_name(c.attno))).collect();
            let (list, number) = (columns.join(", "), identifier(number));
            let highest = format!(
                "SELECT pg_catalog.max({number})::pg_catalog.int8, {list} FROM {} WHERE {} IS NOT NULL AND {number} IS NOT NULL \
                 GROUP BY {list}",
                child.rows(),
                columns.join(" IS NOT NULL AND "),
            );
            let followed =
                fallibly(|| Followed::of(&key)).map_err(|_| exhausted(key.columns.len()))?;
            let condition = condition.as_str().to_owned();
            Ok(Some(StandingCounters { counter, child, followed, condition, highest }))
        })
    }

    /// The highest number of each key, seen with the rights of the child's owner.
    pub fn keys(&self) -> Result<Vec<HighestNumber>, Report> {
        let mut keys = Vec::new();
        without_row_security(|| {
            self.child.in_owners_name(|| {
                statement::visit(self.highest.as_str(), &[], |row| {
                    memory::push(&mut keys, self.read(row)?)
                })
            })
        })?;
        Ok(keys)
    }

    fn read(&self, row: &[Cell]) -> Result<HighestNumber, Report> {
        let (number, cells) = row.split_first().ok_or_else(|| self.changed_meanwhile())?;
        let number = number
            .bytes
            .as_deref()
            .and_then(|bytes| key_bytes::split(bytes, number.storage))
            .map(|(value, _)| read_integer(value.datum(), pg_sys::INT8OID));
        let mut key = Vec::new();
        for (cell, column) in cells.iter().zip(&self.followed.columns) {
            let bytes = cell.bytes.as_deref().filter(|_| cell.type_oid == column.type_oid);
            let bytes = bytes.ok_or_else(|| self.changed_meanwhile())?;
            memory::reserve(&mut key, bytes.len())?;
            key.extend_from_slice(bytes);
        }
        let number = number.ok_or_else(|| self.changed_meanwhile())?;
        Ok(HighestNumber { number, key })
    }

    /// 55006: the columns of the foreign key are no longer what they were.
    fn changed_meanwhile(&self) -> Report {
        Report::error(
            errors::OBJECT_IN_USE,
            format_args!("table \"{}\" was changed while counters were looked up", self.child.name),
        )
        .detail(format_args!("The columns of its foreign key have other types by now."))
        .hint(format_args!("Repeat the call."))
        .table(self.child.oid)
    }

    /// A statement about the parents whose counter is below a number, the key's values and the number its parameters.
    fn prepare(&self, before: &str, after: &str) -> Result<Statement, Report> {
        let mut types: Vec<Oid> = self.followed.columns.iter().map(|c| c.type_oid).collect();
        types.push(pg_sys::INT8OID);
        let (column, number) = (identifier(&self.counter.column), self.number());
        let sql = format!(
            "{before} WHERE {} AND ({column} OPERATOR(pg_catalog.>=) {number}) IS NOT TRUE{after}",
            self.condition
        );
        statement::prepare(sql, &types)
    }

    fn number(&self) -> String {
        format!("${}", self.followed.columns.len() + 1)
    }

    fn select(&self, after: &str) -> Result<Statement, Report> {
        self.prepare(&format!("SELECT 1 FROM {}", self.counter.parent.rows()), after)
    }

    fn update(&self) -> Result<Statement, Report> {
        let Counter { parent, column, .. } = self.counter;
        let set =
            format!("UPDATE {} SET {} = {}", parent.rows(), identifier(column), self.number());
        self.prepare(&set, "")
    }

    /// Hands the values of a key and its number to a statement.
    fn with_values<T>(
        &self,
        key: &HighestNumber,
        body: impl FnOnce(&[Option<Datum>]) -> Result<T, Report>,
    ) -> Result<T, Report> {
        let kept = rebuilt(&self.followed.columns, &key.key);
        let kept = kept.ok_or_else(|| exhausted(key.key.len()))?;
        let mut values: Vec<Option<Datum>> = kept.iter().map(|v| Some(v.datum())).collect();
        values.push(Some(Datum::from(key.number)));
        body(&values)
    }

    fn finds(&self, statement: &Statement, key: &HighestNumber) -> Result<bool, Report> {
        let mut found = false;
        self.with_values(key, |values| {
            statement.lock(values, |_| {
                found = true;
                Ok(())
            })
        })?;
        Ok(found)
    }

    /// How many counters are below a number that stands.
    pub fn behind(&self) -> Result<i64, Report> {
        let keys = self.keys()?;
        let mut count = 0;
        without_row_security(|| {
            self.counter.parent.in_owners_name(|| {
                let select = self.select("")?;
                for key in &keys {
                    count += i64::from(self.finds(&select, key)?);
                }
                Ok(())
            })
        })?;
        Ok(count)
    }

    /// Writes all counters that are behind, under locks that keep writers away. Triggers stay silent: it bumps no version.
    pub fn fill(&self) -> Result<(), Report> {
        let parent = &self.counter.parent;
        without_row_security(|| {
            acting_as(parent.owner, || refuse_old_rows(parent.oid, &parent.name, &parent.rows()))
        })?;
        let enable = silence(parent)?;
        let keys = self.keys()?;
        self.as_parents_owner(|| {
            let update = self.update()?;
            keys.iter()
                .try_for_each(|key| self.with_values(key, |values| update.modify(values)).map(drop))
        })?;
        parent.run_all(&enable)
    }

    fn as_parents_owner<T>(&self, body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
        without_row_security(|| acting_as(self.counter.parent.owner, body))
    }

    /// Writes the counter of one key, if it is behind, while others write, and tells whether it was; `None` where somebody else
    /// has the row and the caller does not wait.
    pub fn raise(&self, key: &HighestNumber, waits: bool) -> Result<Option<bool>, Report> {
        let Counter { parent, column, .. } = self.counter;
        self.as_parents_owner(|| {
            if !self.finds(&self.select("")?, key)? {
                return Ok(Some(false));
            }
            let skip = if waits { "" } else { " SKIP LOCKED" };
            if !self.finds(&self.select(&format!(" FOR NO KEY UPDATE{skip}"))?, key)? {
                return Ok(waits.then_some(false));
            }
            let update = self.update()?;
            let _settlement = settling::begin(parent.oid, column, false);
            self.with_values(key, |values| update.modify(values)).map(|count| Some(count > 0))
        })
    }
}
