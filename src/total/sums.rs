//! What stands under parents: counted from the children's rows, with the rights of the children's owner, whose code
//! amount and predicate are.

use crate::guard::child_key::KeyDatums;
use crate::guard::trigger;
use crate::pg::error::{catch, Report};
use crate::pg::key_bytes;
use crate::pg::memory;
use crate::pg::owner::{acting_as, may_update};
use crate::pg::relation::{only, Table};
use crate::pg::spi::{connected, pinned_search_path, pinned_text, Param};
use crate::pg::statement::{self, run_kept, Cell, Moment, Sight};
use crate::total::faults;
use crate::total::parent::{quoted, type_text, IdentityColumn, TotalParent};
use crate::total::reports;
use crate::total::rule::{parse, RowAmount, TruncatedTotal, FUNCTION};
use crate::total::session;
use pgrx::pg_sys::{self, Datum, Oid};

/// A child that feeds a total.
pub struct Feeder {
    pub child: Oid,
    pub owner: Oid,
    /// What stands after FROM for its rows.
    pub rows: String,
    pub amount: String,
    pub predicate: Option<String>,
    pub columns: Vec<FeederColumn>,
    /// The child and the guard's name.
    pub guard: (Oid, String),
    /// Whether the child's owner may write the total.
    pub is_allowed: bool,
}

/// One pair of columns of a feeder's foreign key; names quoted where they have to be.
pub struct FeederColumn {
    pub own: String,
    pub parents: String,
    /// Compares the parent's with the child's.
    pub operator: String,
    /// The type of the child's as a cast names it, and that of the parent's.
    pub type_name: String,
    pub parents_type: String,
}

impl Feeder {
    /// What a row counts for which parent row `{parent}`: a SELECT of its table, its place and the amount. The texts of
    /// amount and predicate name columns without a table, so they stand where they can see no others than the child's.
    pub fn counted(&self) -> String {
        let mut keys = String::new();
        let mut conditions = Vec::new();
        for (i, column) in self.columns.iter().enumerate() {
            keys += &format!("{} AS k{i}, ", column.own);
            conditions.push(format!("q.{} {} c.k{i}", column.parents, column.operator));
        }
        format!(
            "SELECT q.tableoid, q.ctid, c.n FROM {{parent}} AS q JOIN \
             (SELECT {keys}({})::numeric AS n FROM {} WHERE ({})) AS c ON {}",
            self.amount,
            self.rows,
            self.condition(),
            conditions.join(" AND ")
        )
    }

    /// The condition that rows count by.
    pub fn condition(&self) -> &str {
        self.predicate.as_deref().unwrap_or("TRUE")
    }

    /// The children of a parent's column whose owners may write it: anyone may attach the trigger function to a table
    /// of his own, whose rows count nothing.
    pub fn of(parent: Oid, column: &str) -> Result<Vec<Feeder>, Report> {
        let mut feeders = Feeder::all_of(parent, column)?;
        feeders.retain(|feeder| feeder.is_allowed);
        Ok(feeders)
    }

    /// The children of a parent's column.
    pub fn all_of(parent: Oid, column: &str) -> Result<Vec<Feeder>, Report> {
        let mut feeders = Vec::new();
        let rows = run_kept(
            "SELECT c.relowner, a.attnum::int FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.oid = $1 AND a.attname = $2::name AND NOT a.attisdropped",
            &[Param::Oid(parent), Param::Text(column)],
        )?;
        let Some(row) = rows.first() else { return Ok(feeders) };
        let (owner, attno): (Oid, i64) = (row.get(0)?, row.get(1)?);
        for guard in trigger::referring(parent, FUNCTION)? {
            let Ok(options) = parse(guard.arguments.iter().map(String::as_str)) else { continue };
            if options.column == column {
                let predicate = options.predicate.map(str::to_owned);
                let amount = options.amount.to_owned();
                let key = (guard.table, options.foreign_key);
                let Some(found) = Feeder::through(key, parent, amount, predicate)? else {
                    continue;
                };
                let is_allowed = may_update(found.owner, parent, owner, attno as i16)?;
                let named = (guard.table, guard.guard().to_owned());
                feeders.push(Feeder { guard: named, is_allowed, ..found });
            }
        }
        Ok(feeders)
    }

    /// The child of a foreign key, if it leads to the parent and is enforced.
    pub fn through(
        (child, foreign_key): (Oid, &str),
        parent: Oid,
        amount: String,
        predicate: Option<String>,
    ) -> Result<Option<Feeder>, Report> {
        let rows = run_kept(
            "SELECT quote_ident(a.attname), quote_ident(b.attname), format('OPERATOR(%I.%s)', n.nspname, o.oprname), \
                    c.relowner, format('%I.%I', s.nspname, c.relname), c.relkind = 'p', \
                    format_type(a.atttypid, -1), format_type(b.atttypid, -1) \
             FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
                  JOIN pg_namespace s ON s.oid = c.relnamespace, \
                  unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY AS x(child, parent, operator, nth), \
                  pg_attribute a, pg_attribute b, pg_operator o, pg_namespace n \
             WHERE k.oid = (SELECT CASE WHEN bool_or(conname = $2::name) OR count(*) = 1 \
                                        THEN (array_agg(oid ORDER BY conname <> $2::name))[1] END \
                            FROM pg_constraint f WHERE conrelid = $1 AND confrelid = $3 AND contype = 'f' \
                              AND to_jsonb(f)->>'conenforced' IS DISTINCT FROM 'false') \
               AND a.attrelid = k.conrelid AND a.attnum = x.child \
               AND b.attrelid = k.confrelid AND b.attnum = x.parent \
               AND o.oid = x.operator AND n.oid = o.oprnamespace ORDER BY x.nth",
            &[Param::Oid(child), Param::Text(foreign_key), Param::Oid(parent)],
        )?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (owner, partitioned): (Oid, bool) = (first.get(3)?, first.get(5)?);
        let name: &str = first.get(4)?;
        let mut columns = Vec::new();
        for row in &rows {
            columns.push(FeederColumn {
                own: row.get(0)?,
                parents: row.get(1)?,
                operator: row.get(2)?,
                type_name: row.get(6)?,
                parents_type: row.get(7)?,
            });
        }
        let rows = format!("{}{name}", only(partitioned));
        let guard = (child, String::new());
        let is_allowed = true;
        Ok(Some(Feeder { child, owner, rows, amount, predicate, columns, guard, is_allowed }))
    }
}

/// The values of a primary key in the text that [`TotalPath::look`](crate::total::parent::TotalPath::look) makes of it:
/// each after its length.
pub fn parts(identity: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = identity;
    while let Some((length, after)) = rest.split_once(':') {
        let Some((part, behind)) =
            length.parse().ok().and_then(|length| after.split_at_checked(length))
        else {
            break;
        };
        parts.push(part);
        rest = behind;
    }
    parts
}

impl TotalParent {
    /// The condition that finds a row by its primary key, from parameter `$first` on.
    fn is_row(&self, first: usize) -> Result<String, Report> {
        let mut equal = Vec::new();
        for (i, IdentityColumn { name, type_oid, equals }) in self.identity.iter().enumerate() {
            let type_name = type_text(*type_oid)?;
            let value = format!("CAST(${}::pg_catalog.text AS {type_name})", first + i);
            memory::push(&mut equal, format!("{name} {equals} {value}"))?;
        }
        Ok(equal.join(" AND "))
    }

    /// Writes a total into one row, in the owner's name; what its bounds refuse is told.
    fn write_total(&self, key: &[Param], total: &str) -> Result<(), Report> {
        let new = format!("CAST($1::pg_catalog.text AS {})", self.type_name());
        let values: Vec<Param> =
            core::iter::once(Param::Text(total)).chain(key.iter().copied()).collect();
        let judge =
            format!("SELECT {} FROM {} WHERE {}", self.judged(&new), self.from, self.is_row(2)?);
        let mut refused = None;
        pinned_search_path(|| {
            acting_as(self.owner, || {
                statement::visit(judge, &values, |row| {
                    refused = self.refused(row)?;
                    Ok(())
                })
            })
        })?;
        if let Some(refused) = refused {
            return Err(reports::refused(self, None, &refused, "")?);
        }
        let write = format!(
            "UPDATE {} SET {} = {new} WHERE {} AND ({} OPERATOR(pg_catalog.=) {new}) IS NOT TRUE",
            self.from,
            self.quoted,
            self.is_row(2)?,
            self.quoted
        );
        // A row for each that is written.
        let write = write + " RETURNING 1";
        if self.writing(|| Ok(run_kept(write, &values)?.len() as u64))? > 0 {
            return Ok(());
        }
        let other = format!(
            "SELECT FROM {} WHERE {} AND ({} OPERATOR(pg_catalog.=) {new}) IS NOT TRUE",
            self.from,
            self.is_row(2)?,
            self.quoted
        );
        match acting_as(self.owner, || run_kept(other, &values))?.is_empty() {
            true => Ok(()),
            false => Err(faults::suppressed(self.oid, &self.column)),
        }
    }

    fn type_name(&self) -> &'static str {
        match self.column_type {
            pg_sys::INT2OID => "smallint",
            pg_sys::INT4OID => "integer",
            pg_sys::INT8OID => "bigint",
            _ => "numeric",
        }
    }
}

/// Counts what stands under one parent and writes it, under the parent's lock: whoever changes a child has its
/// parent's lock until his transaction ends, so what he has not committed is counted by himself.
pub fn count_row(parent: &TotalParent, identity: &str) -> Result<(), Report> {
    let values: Vec<Param> = parts(identity).into_iter().map(Param::Text).collect();
    if values.len() != parent.identity.len() {
        return Ok(());
    }
    let lock = format!("SELECT FROM {} WHERE {} FOR NO KEY UPDATE", parent.from, parent.is_row(1)?);
    if acting_as(parent.owner, || run_kept(lock, &values))?.is_empty() {
        return Ok(());
    }
    match pinned_search_path(|| counted_under(parent, &values))? {
        None if parent.starts_null => expect(parent, &values),
        total => parent.write_total(&values, total.as_deref().unwrap_or("0")),
    }
}

/// The sum of all children's rows under a parent; `None` without any that counts.
fn counted_under(parent: &TotalParent, values: &[Param]) -> Result<Option<String>, Report> {
    let mut total: Option<String> = None;
    for feeder in Feeder::of(parent.oid, &parent.column)? {
        if let Some(sum) = sum_under(parent, &feeder, values)? {
            total = Some(match total {
                Some(total) => added(&total, &sum)?,
                None => sum,
            });
        }
    }
    Ok(total)
}

/// The sum of one child's rows under a parent; `None` without any that counts.
fn sum_under(
    parent: &TotalParent,
    feeder: &Feeder,
    values: &[Param],
) -> Result<Option<String>, Report> {
    let theirs: Vec<&str> = feeder.columns.iter().map(|c| c.parents.as_str()).collect();
    let look =
        format!("SELECT {} FROM {} WHERE {}", theirs.join(", "), parent.from, parent.is_row(1)?);
    // The parent's values go there as text, which is to be read as it was written.
    let rows = pinned_text(|| acting_as(parent.owner, || run_kept(look, values)))?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut keys = Vec::new();
    let mut conditions = Vec::new();
    for (i, column) in feeder.columns.iter().enumerate() {
        let Some(key) = row.get::<Option<&str>>(i)? else { return Ok(None) };
        let FeederColumn { own, operator, parents_type, .. } = column;
        keys.push(Param::Text(key));
        conditions
            .push(format!("CAST(${}::pg_catalog.text AS {parents_type}) {operator} {own}", i + 1));
    }
    let sum = format!(
        "SELECT pg_catalog.sum(({})::numeric) FROM {} WHERE {} AND ({})",
        feeder.amount,
        feeder.rows,
        conditions.join(" AND "),
        feeder.condition()
    );
    let rows = pinned_text(|| acting_as(feeder.owner, || run_kept(sum, &keys)))?;
    rows.first().map_or(Ok(None), |row| row.get(0))
}

fn added(a: &str, b: &str) -> Result<String, Report> {
    let rows =
        run_kept("SELECT ($1::numeric + $2::numeric)::text", &[Param::Text(a), Param::Text(b)])?;
    rows.first().map_or(Ok(String::new()), |row| row.get(0))
}

/// Sees that a new parent has a total: 0 where its lower bound allows that, else RG422.
pub fn expect_total(parent: &TotalParent, identity: &str) -> Result<(), Report> {
    let values: Vec<Param> = parts(identity).into_iter().map(Param::Text).collect();
    match values.len() == parent.identity.len() {
        true => expect(parent, &values),
        false => Ok(()),
    }
}

fn expect(parent: &TotalParent, values: &[Param]) -> Result<(), Report> {
    let without = format!(
        "SELECT FROM {} WHERE {} AND {} IS NULL",
        parent.from,
        parent.is_row(1)?,
        parent.quoted
    );
    if acting_as(parent.owner, || run_kept(without, values))?.is_empty() {
        return Ok(());
    }
    parent.write_total(values, "0")
}

/// Takes all rows of a table about to be truncated from their parents' totals.
pub fn note_truncated(table: Table, truncated: &TruncatedTotal) -> Result<(), Report> {
    connected(|| {
        let rule = &truncated.rule;
        let mut columns = Vec::new();
        for column in rule.foreign_key.columns {
            columns.push(quoted(table.column_name(column.attno))?);
        }
        let sql = format!(
            "SELECT {list}, pg_catalog.sum(({amount})::numeric)::text FROM {rows} \
             WHERE {present} IS NOT NULL AND ({predicate}) GROUP BY {list}",
            list = columns.join(", "),
            amount = truncated.options.amount,
            rows = catch(|| table.rows())?,
            present = columns.join(" IS NOT NULL AND "),
            predicate = truncated.options.predicate.unwrap_or("TRUE"),
        );
        // Nothing of the rows' owner means what the path of whoever truncates says.
        pinned_search_path(|| {
            acting_as(table.owner(), || {
                let moment = Moment::take()?;
                statement::prepare(sql, &[])?.select(&[], moment, Sight::Now, |row| {
                    let Some((sum, key)) = row.split_last() else { return Ok(()) };
                    match sum.text()? {
                        Some(sum) => take_away(truncated, key, sum),
                        None => Ok(()),
                    }
                })?;
                moment.done()
            })
        })
    })
}

fn take_away(truncated: &TruncatedTotal, key: &[Cell], sum: &str) -> Result<(), Report> {
    let rule = &truncated.rule;
    let mut kept = Vec::with_capacity(key.len());
    for (cell, column) in key.iter().zip(rule.foreign_key.columns) {
        let bytes = cell.bytes.as_deref().filter(|_| cell.type_oid == column.type_oid);
        match bytes.and_then(|bytes| key_bytes::split(bytes, column.storage)) {
            Some((value, _)) => kept.push(value),
            None => return Err(memory::exhausted(key.len())),
        }
    }
    let mut values: KeyDatums = [Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
    for (value, kept) in values.iter_mut().zip(&kept) {
        *value = kept.datum();
    }
    match (rule.amount, sum.parse::<i128>()) {
        (RowAmount::Constant(_) | RowAmount::Integer(_), Ok(n)) => {
            session::note_integer(rule.noted(), &values, -n)
        }
        _ => {
            let sum = crate::pg::convert::input(sum, pg_sys::NUMERICOID, -1)?;
            session::note_numeric(rule.noted(), &values, crate::pg::numeric::negated(sum)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        assert_eq!(parts("1:4x"), ["4"]);
        assert_eq!(parts("2:423:x:y0:"), ["42", "x:y", ""]);
        assert!(parts("").is_empty());
    }
}
