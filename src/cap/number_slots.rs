//! `CALL number_slots`: slots for the rows that stood in a table before its cap.

use crate::cap::standing::StandingCap;
use crate::errors;
use crate::guard::arguments::{identifier, literal, required};
use crate::guard::own_writes;
use crate::guard::shells;
use crate::guard::target::Target;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::guc::max_key_locks;
use crate::pg::own_transaction::{hindrance, Transactions};
use crate::pg::result_row::Rows;
use crate::pg::spi::{pinned_search_path, run, without_row_security, Param};
use crate::pg::statement::one_kept;
use crate::pg::text::Abridged;
use core::ops::Range;
use std::time::{Duration, Instant};

function_entry!(raceguard_number_slots, crate::cap::number_slots::number_slots);

/// How much one transaction does, by the time that the ones before have taken.
struct Pace {
    /// Pages of the table that it reads.
    pages: i64,
    /// Rows that it numbers at most. Fewer than `raceguard.max_key_locks`, past which it would have to wait for
    /// everybody else's slots while it holds these rows.
    rows: i64,
}

impl Pace {
    /// How long a transaction should take: others may wait for it.
    const TIME: Duration = Duration::from_millis(20);
    const ROWS: i64 = 1000;
    /// 64 MB, in case nearly no row is to be numbered.
    const PAGES: i64 = 8192;

    fn begin() -> Pace {
        Pace { pages: 16, rows: Pace::ROWS }
    }

    /// How many rows the next one numbers at most.
    fn limit(&self, key_locks: i64) -> i64 {
        self.rows.clamp(1, key_locks.max(1))
    }

    /// Goes on from one that took so long for so many rows; `full` if there were more on its pages.
    fn adapt(&mut self, took: Duration, rows: i64, full: bool) {
        let slow = took > 2 * Pace::TIME;
        // Pages are read as long as there are rows to be numbered on them: once is enough.
        if slow || full {
            self.pages = (self.pages / 2).max(1);
        } else if took < Pace::TIME / 2 && rows < self.rows / 2 {
            self.pages = (self.pages * 2).min(Pace::PAGES);
        }
        if slow {
            self.rows = (rows / 2).max(1);
        } else if took < Pace::TIME / 2 {
            self.rows = (self.rows * 2).min(Pace::ROWS);
        }
    }
}

/// The cap whose rows are numbered.
struct Numbered {
    target: Target,
    column: String,
    key: String,
    condition: String,
}

impl Numbered {
    /// Whether a row has no slot yet, or one that does not count.
    fn is_open(&self) -> String {
        let slot = identifier(&self.column);
        format!("({slot} IS NULL OR {slot} OPERATOR(pg_catalog.=) 0)")
    }
}

/// `CALL raceguard.number_slots(target, guard)`: gives every row of a cap that has no slot yet one,
/// up to a thousand to a transaction, fewer where they take long. Bumps no version. Serves a cap on a
/// big table that is written meanwhile.
///
/// The guard chooses the slots, so other writers may go on. Killed, it is simply called again.
/// Raises 23514 with the keys whose rows are more than the slots, 25001 inside a transaction block or
/// function, 42704 without such a cap, 42501 unless the caller owns the table.
fn number_slots(call: Call) -> Result<Value, Report> {
    if hindrance(call, c"CALL raceguard.number_slots")?.is_some() {
        return Err(Report::error(
            errors::ACTIVE_TRANSACTION,
            format_args!("CALL raceguard.number_slots cannot run inside a transaction"),
        )
        .detail(format_args!("It commits after each batch, and with it whatever was done before."))
        .hint(format_args!("Run it by itself, outside BEGIN, functions and pipelines.")));
    }
    let transactions = Transactions::connect()?;
    let mut done = 0;
    let (mut leaf, mut page) = (0, 0);
    let mut pace = Pace::begin();
    loop {
        let began = Instant::now();
        let numbered = numbered(call)?;
        let Some(table) = numbered.target.leaves()?.into_iter().nth(leaf) else { break };
        if page >= pages(&table)? {
            (leaf, page) = (leaf + 1, 0);
            continue;
        }
        let limit = pace.limit(max_key_locks().into());
        let pages = page..page + pace.pages;
        let rows = batch(&numbered, &table, &pages, limit)?;
        done += rows;
        transactions.commit()?;
        transactions.forget()?;
        let full = rows >= limit;
        if !full {
            page = pages.end;
        }
        pace.adapt(began.elapsed(), rows, full);
    }
    // What others had locked, row by row: waiting for a row while holding others could deadlock.
    loop {
        let left = left_over(&numbered(call)?)?;
        let mut progress = 0;
        for (table, place) in &left {
            progress += row(&numbered(call)?, table, place)?;
            transactions.commit()?;
        }
        done += progress;
        if progress == 0 {
            let numbered = numbered(call)?;
            pinned_search_path(|| refuse_unnumbered(&numbered))?;
            let name = &numbered.target.name;
            tell(Level::Notice, format_args!("{done} rows of \"{name}\" numbered"), None);
            break;
        }
    }
    transactions.finish()?;
    Ok(Value::Void)
}

fn numbered(call: Call) -> Result<Numbered, Report> {
    pinned_search_path(|| {
        let target = Target::owned(call, 0)?;
        let guard = required(call.name(1)?, "guard")?;
        shells::refuse_on_nodes(
            &target,
            "number_slots",
            "It numbers the rows of one table where they lie.",
            |table| {
                let each =
                    literal(&format!("CALL raceguard.number_slots('%s', {})", literal(&guard)));
                format!("Number each shard: SELECT * FROM run_command_on_shards({table}, {each});")
            },
        )?;
        // Each table that holds rows is written as its owner.
        target.require_one_owner()?;
        let standing = StandingCap::required(&target, &guard)?;
        let (options, index) = standing.definition(&target)?;
        let (column, key) = (options.column.to_owned(), index.key.clone());
        let condition = index.predicate.clone().unwrap_or_else(|| "TRUE".to_owned());
        Ok(Numbered { target, column, key, condition })
    })
}

/// How many pages a table has; none where it is just being dropped.
fn pages(table: &Target) -> Result<i64, Report> {
    let pages = one_kept(
        "SELECT pg_catalog.pg_relation_size($1) OPERATOR(pg_catalog./) \
                pg_catalog.current_setting('block_size')::pg_catalog.int8",
        &[Param::Oid(table.oid)],
    )?;
    Ok(pages.unwrap_or(0))
}

/// Numbers the rows on some pages of a table that nobody has locked; the guard chooses the slots.
///
/// Runs with the caller's search_path, which the table's own triggers may count on.
fn batch(
    numbered: &Numbered,
    table: &Target,
    pages: &Range<i64>,
    limit: i64,
) -> Result<i64, Report> {
    let _silent = own_writes::begin_rows(table.oid, false);
    let name = &table.qualified;
    let rows = format!(
        "ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM ONLY {name} \
         WHERE ctid OPERATOR(pg_catalog.>=) $1::pg_catalog.tid \
           AND ctid OPERATOR(pg_catalog.<) $2::pg_catalog.tid \
           AND {} AND ({}) LIMIT $3 FOR UPDATE SKIP LOCKED))",
        numbered.is_open(),
        numbered.condition
    );
    let (first, end) = (format!("({},0)", pages.start), format!("({},0)", pages.end));
    let params = [Param::Text(&first), Param::Text(&end), Param::Int(limit)];
    update(numbered, table, &rows, &params)
}

/// Numbers the row in one place, if it still has to be.
fn row(numbered: &Numbered, table: &Target, place: &str) -> Result<i64, Report> {
    let _silent = own_writes::begin_rows(table.oid, true);
    let here = "ctid OPERATOR(pg_catalog.=) $1::pg_catalog.tid";
    update(numbered, table, here, &[Param::Text(place)])
}

/// Triggers of the table fire, and key and predicate are evaluated, with its owner's rights.
fn update(
    numbered: &Numbered,
    table: &Target,
    rows: &str,
    params: &[Param],
) -> Result<i64, Report> {
    let (slot, name) = (identifier(&numbered.column), &table.qualified);
    let update = format!(
        "WITH done AS (UPDATE ONLY {name} SET {slot} = NULL \
           WHERE {rows} AND {} AND ({}) RETURNING {slot}) \
         SELECT pg_catalog.count(*) FROM done WHERE {slot} OPERATOR(pg_catalog.>) 0",
        numbered.is_open(),
        numbered.condition
    );
    let updated =
        without_row_security(|| table.in_owners_name(|| one_kept(update.as_str(), params)))?;
    Ok(updated.unwrap_or(0))
}

/// Rows that still have no slot, with their places.
fn left_over(numbered: &Numbered) -> Result<Vec<(Target, String)>, Report> {
    let rows = numbered.run_on_all(&format!(
        "SELECT tableoid, ctid FROM {} WHERE {} AND ({}) LIMIT 1000",
        numbered.target.rows(),
        numbered.is_open(),
        numbered.condition
    ))?;
    let leaves = numbered.target.leaves()?;
    let mut left = Vec::with_capacity(rows.len());
    for row in &rows {
        let (table, place) = (row.get(0)?, row.get(1)?);
        left.extend(leaves.iter().find(|leaf| leaf.oid == table).cloned().zip(Some(place)));
    }
    Ok(left)
}

impl Numbered {
    /// Runs a query that has to see every row, with the rights of the table's owner.
    fn run_on_all(&self, sql: &str) -> Result<Rows, Report> {
        without_row_security(|| self.target.in_owners_name(|| run(sql, &[])))
    }
}

/// 23514 with the keys that have rows without a slot left: there are more rows than slots.
fn refuse_unnumbered(numbered: &Numbered) -> Result<(), Report> {
    let rows = numbered.run_on_all(&format!(
        "SELECT ROW({})::text, count(*) FROM {} WHERE {} AND ({}) \
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10",
        numbered.key,
        numbered.target.rows(),
        numbered.is_open(),
        numbered.condition
    ))?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut list = Vec::new();
    for row in &rows {
        list.push(format!("{} has {} too many", Abridged(row.get(0)?), row.get::<i64>(1)?));
    }
    Err(Report::error(
        errors::CHECK_VIOLATION,
        format_args!("rows of \"{}\" exceed the cap", numbered.target.name),
    )
    .detail(format_args!("Key ({}): {}.", numbered.key, list.join(", ")))
    .hint(format_args!(
        "Delete rows of these keys or allow more slots with raceguard.set_cap, then call raceguard.number_slots again."
    ))
    .table(numbered.target.oid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);
    const RIGHT: Duration = Duration::from_millis(20);
    const SLOW: Duration = Duration::from_millis(200);

    #[test]
    fn a_transaction_does_as_much_as_its_time_allows() {
        let mut pace = Pace::begin();
        assert_eq!(pace.limit(1000), 1000);
        assert_eq!((pace.limit(10), pace.limit(0)), (10, 1));
        pace.adapt(RIGHT, 800, false);
        assert_eq!((pace.pages, pace.rows), (16, 1000));
        // More rows than it numbers: the rest of its pages is read again.
        pace.adapt(RIGHT, 1000, true);
        assert_eq!((pace.pages, pace.rows), (8, 1000));
        for _ in 0..20 {
            pace.adapt(QUICK, 0, false);
        }
        assert_eq!((pace.pages, pace.rows), (Pace::PAGES, 1000));
        pace.adapt(SLOW, 900, false);
        assert_eq!((pace.pages, pace.rows), (Pace::PAGES / 2, 450));
        for _ in 0..20 {
            pace.adapt(SLOW, 1, false);
        }
        assert_eq!((pace.pages, pace.rows), (1, 1));
        pace.adapt(QUICK, 1, true);
        assert_eq!((pace.pages, pace.rows), (1, 2));
    }
}
