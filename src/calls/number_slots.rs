//! `CALL number_slots`: slots for the rows that stood in a table before its cap.

use crate::errors;
use crate::guards::cap::{parse, FUNCTION};
use crate::guards::numbering;
use crate::install::arguments::{identifier, required};
use crate::install::cap::standing;
use crate::install::cap_definition::slot_indexes;
use crate::install::target::Target;
use crate::install::trigger::trigger_name;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::guc::max_key_locks;
use crate::pg::spi::{pinned_search_path, run, without_row_security, Param};
use crate::pg::transaction::{hindrance, Transactions};
use pgrx::pg_sys::Oid;

function_entry!(raceguard_number_slots, crate::calls::number_slots::number_slots);

/// Pages of the table that one transaction reads.
const PAGES: i64 = 100;

/// Rows that one transaction numbers, some 20 ms of work. Fewer than `raceguard.max_key_locks`, past
/// which it would have to wait for everybody else's slots while it holds these rows.
const ROWS: i64 = 1000;

/// The cap whose rows are numbered.
struct Numbered {
    target: Target,
    column: String,
    key: String,
    condition: String,
}

/// `CALL raceguard.number_slots(target, guard)`: gives every row of a cap that has no slot yet one,
/// up to a thousand to a transaction. Bumps no version. Case D3.
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
    loop {
        let numbered = numbered(call)?;
        let Some((oid, name, pages)) = leaves(&numbered.target)?.get(leaf).cloned() else { break };
        if page >= pages {
            (leaf, page) = (leaf + 1, 0);
            continue;
        }
        let limit = i64::from(max_key_locks()).clamp(1, ROWS);
        let rows = batch(&numbered, oid, &name, page, limit)?;
        done += rows;
        if rows < limit {
            page += PAGES;
        }
        transactions.commit()?;
        transactions.forget()?;
    }
    // What others had locked, row by row: waiting for a row while holding others could deadlock.
    loop {
        let left = left_over(&numbered(call)?)?;
        let mut progress = 0;
        for (oid, name, place) in &left {
            progress += row(&numbered(call)?, *oid, name, place)?;
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
        let standing = standing(&target, &trigger_name(&guard, "")?)?;
        let column = standing.and_then(|s| {
            let options = s.arguments.iter().map(String::as_str);
            let own = |a: &&str| !a.starts_with("key=") && !a.starts_with("predicate=");
            parse(options.filter(own)).ok().map(|o| o.column.to_owned())
        });
        let column = column.ok_or_else(|| no_cap(&target, &guard))?;
        let index = slot_indexes(target.oid, &column)?.into_iter().next();
        let index = index.ok_or_else(|| no_cap(&target, &guard))?;
        let condition = index.predicate.unwrap_or_else(|| "TRUE".to_owned());
        Ok(Numbered { target, column, key: index.key, condition })
    })
}

fn no_cap(target: &Target, guard: &str) -> Report {
    Report::error(
        errors::UNDEFINED_OBJECT,
        format_args!("table \"{}\" has no cap named \"{guard}\"", target.name),
    )
    .detail(format_args!(
        "Trigger function raceguard.{FUNCTION} and an index of its shape are needed."
    ))
    .hint(format_args!("The view raceguard.guards lists the guards of all tables."))
    .table(target.oid)
}

/// The tables that hold the rows, with their sizes in pages.
fn leaves(target: &Target) -> Result<Vec<(Oid, String, i64)>, Report> {
    let rows = run(
        "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), \
                pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int \
         FROM (SELECT relid FROM pg_catalog.pg_partition_tree($1) WHERE isleaf \
               UNION SELECT $1) AS t(relid) \
         JOIN pg_catalog.pg_class c ON c.oid = t.relid AND c.relkind = 'r' \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 2",
        &[Param::Oid(target.oid)],
    )?;
    let leaf = |row: Vec<Option<String>>| {
        let oid = Oid::from(row[0].as_deref()?.parse::<u32>().ok()?);
        Some((oid, row[1].clone()?, row[2].as_deref()?.parse().ok()?))
    };
    Ok(rows.into_iter().filter_map(leaf).collect())
}

/// Numbers the rows on some pages of a table that nobody has locked; the guard chooses the slots.
///
/// Runs with the caller's search_path, which the table's own triggers may count on.
fn batch(numbered: &Numbered, oid: Oid, name: &str, page: i64, limit: i64) -> Result<i64, Report> {
    let _silent = numbering::begin_slots(oid, false);
    let rows = format!(
        "ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT ctid FROM ONLY {name} \
         WHERE ctid OPERATOR(pg_catalog.>=) '({page},0)'::pg_catalog.tid \
           AND ctid OPERATOR(pg_catalog.<) '({},0)'::pg_catalog.tid \
           AND {} IS NULL AND ({}) LIMIT {limit} FOR UPDATE SKIP LOCKED))",
        page + PAGES,
        identifier(&numbered.column),
        numbered.condition
    );
    update(numbered, name, &rows)
}

/// Numbers the row in one place, if it still has to be.
fn row(numbered: &Numbered, oid: Oid, name: &str, place: &str) -> Result<i64, Report> {
    let _silent = numbering::begin_slots(oid, true);
    update(numbered, name, &format!("ctid OPERATOR(pg_catalog.=) '{place}'::pg_catalog.tid"))
}

fn update(numbered: &Numbered, name: &str, rows: &str) -> Result<i64, Report> {
    let slot = identifier(&numbered.column);
    let updated = without_row_security(|| {
        run(
            &format!(
                "WITH done AS (UPDATE ONLY {name} SET {slot} = NULL \
                   WHERE {rows} AND {slot} IS NULL AND ({}) RETURNING {slot}) \
                 SELECT pg_catalog.count({slot}) FROM done",
                numbered.condition
            ),
            &[],
        )
    })?;
    Ok(updated.first().and_then(|r| r[0].as_deref()?.parse().ok()).unwrap_or(0))
}

/// Rows that still have no slot: table, its name, place.
fn left_over(numbered: &Numbered) -> Result<Vec<(Oid, String, String)>, Report> {
    let rows = without_row_security(|| {
        run(
            &format!(
                "SELECT x.tableoid, pg_catalog.format('%I.%I', n.nspname, c.relname), x.ctid \
                 FROM (SELECT tableoid, ctid FROM {} WHERE {} IS NULL AND ({}) LIMIT 1000) AS x, \
                      pg_catalog.pg_class c, pg_catalog.pg_namespace n \
                 WHERE c.oid OPERATOR(pg_catalog.=) x.tableoid \
                   AND n.oid OPERATOR(pg_catalog.=) c.relnamespace",
                numbered.target.qualified,
                identifier(&numbered.column),
                numbered.condition
            ),
            &[],
        )
    })?;
    let place = |row: Vec<Option<String>>| {
        let oid = Oid::from(row[0].as_deref()?.parse::<u32>().ok()?);
        Some((oid, row[1].clone()?, row[2].clone()?))
    };
    Ok(rows.into_iter().filter_map(place).collect())
}

/// 23514 with the keys that have rows without a slot left: there are more rows than slots.
fn refuse_unnumbered(numbered: &Numbered) -> Result<(), Report> {
    let rows = without_row_security(|| {
        run(
            &format!(
                "SELECT ROW({})::text, count(*) FROM {} WHERE {} IS NULL AND ({}) \
                 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10",
                numbered.key,
                numbered.target.qualified,
                identifier(&numbered.column),
                numbered.condition
            ),
            &[],
        )
    })?;
    if rows.is_empty() {
        return Ok(());
    }
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    let list: Vec<String> =
        rows.iter().map(|r| format!("{} has {} too many", text(&r[0]), text(&r[1]))).collect();
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
