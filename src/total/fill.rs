//! Counting what stands when a total is put on tables that have rows.

use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::old_snapshot::refuse_old_rows;
use crate::guard::standing_rows::silence;
use crate::pg::error::Report;
use crate::pg::owner::acting_as;
use crate::pg::result_row::ResultRow;
use crate::pg::spi::{pinned_text, run, without_row_security, Param};
use crate::pg::statement::run_kept;
use crate::pg::text::Abridged;
use crate::total::definition::Total;
use crate::total::sums::Feeder;
use pgrx::pg_sys::Oid;

/// Writes the totals of all parents from what stands under them. Triggers stay silent: it bumps no version.
pub fn fill(total: &Total) -> Result<(), Report> {
    let parent = &total.parent;
    for table in [parent, &total.child] {
        without_row_security(|| {
            acting_as(table.owner, || refuse_old_rows(table.oid, &table.name, &table.rows()))
        })?;
    }
    let feeders = feeders(total)?;
    let enable = silence(parent)?;
    let column = identifier(&total.column);
    let start = if total.bounds.starts_null() { "NULL" } else { "0" };
    let reset = format!(
        "UPDATE {} SET {column} = {start} WHERE {column} IS DISTINCT FROM {start}",
        parent.rows()
    );
    on_all(parent.owner, &reset, &[])?;
    for feeder in &feeders {
        // Keys go there as text, which is to be read as it was written.
        pinned_text(|| add_up(total, feeder))?;
    }
    parent.run_all(&enable)?;
    Ok(())
}

fn add_up(total: &Total, feeder: &Feeder) -> Result<(), Report> {
    let update = adding(total, feeder);
    for (sum, keys) in sums(feeder)? {
        let mut values = vec![Param::Text(&sum)];
        values.extend(keys.iter().map(|key| Param::Text(key)));
        without_row_security(|| acting_as(total.parent.owner, || run_kept(&*update, &values)))?;
    }
    Ok(())
}

/// All children that feed the column, the one that is asked for as it will be.
fn feeders(total: &Total) -> Result<Vec<Feeder>, Report> {
    let parent = total.parent.oid;
    let own = Feeder::through(
        (total.child.oid, &total.foreign_key),
        parent,
        total.amount.clone(),
        total.predicate.clone(),
    )?;
    let mut feeders: Vec<Feeder> = own.into_iter().collect();
    for other in Feeder::of(parent, &total.column)? {
        // What stands of this guard gives way to it.
        if other.guard != (total.child.oid, total.guard.clone()) {
            feeders.push(other);
        }
    }
    Ok(feeders)
}

/// The statement that adds `$1` to the total of the parent with the key values from `$2` on.
fn adding(total: &Total, feeder: &Feeder) -> String {
    let column = identifier(&total.column);
    let keys = feeder.columns.iter().enumerate().map(|(i, key)| {
        format!("{} {} CAST(${}::text AS {})", key.parents, key.operator, i + 2, key.type_name)
    });
    format!(
        "UPDATE {} SET {column} = COALESCE({column}, 0) + $1::numeric WHERE {}",
        total.parent.rows(),
        keys.collect::<Vec<_>>().join(" AND ")
    )
}

/// The sums of a child's rows by the parents that they refer to.
fn sums(feeder: &Feeder) -> Result<Vec<(String, Vec<String>)>, Report> {
    let keys: Vec<&str> = feeder.columns.iter().map(|column| column.own.as_str()).collect();
    let rows = on_all(
        feeder.owner,
        &format!(
            "SELECT sum(({amount})::numeric), {list} FROM {rows} \
             WHERE {present} IS NOT NULL AND ({condition}) GROUP BY {list} HAVING sum(({amount})::numeric) IS NOT NULL",
            amount = feeder.amount,
            list = keys.join(", "),
            rows = feeder.rows,
            present = keys.join(" IS NOT NULL AND "),
            condition = feeder.condition(),
        ),
        &[],
    )?;
    let mut sums = Vec::new();
    crate::pg::memory::reserve(&mut sums, rows.len())?;
    for row in rows {
        let mut texts = row.into_texts().into_iter().map(Option::unwrap_or_default);
        let sum = texts.next().unwrap_or_default();
        if matches!(sum.as_str(), "NaN" | "Infinity" | "-Infinity") {
            return Err(crate::total::faults::not_finite(feeder.child));
        }
        sums.push((sum, texts.collect()));
    }
    Ok(sums)
}

/// 23514 with the parents that are beyond a bound, and those without a total that a lower bound asks for.
pub fn refuse_beyond(total: &Total) -> Result<(), Report> {
    let parent = &total.parent;
    let column = identifier(&total.column);
    let Some(check) = total.bounds.check(&total.column) else { return Ok(()) };
    if total.bounds.starts_null() {
        // Those whose bound asks for no child have none.
        let least = total.bounds.at_least.as_deref().unwrap_or("0");
        let zero = format!(
            "UPDATE {} SET {column} = 0 WHERE {column} IS NULL AND (0 >= ({least})) IS NOT FALSE",
            parent.rows()
        );
        let enable = silence(parent)?;
        on_all(parent.owner, &zero, &[])?;
        parent.run_all(&enable)?;
    }
    let bound = |bound: &Option<String>| bound.clone().unwrap_or_else(|| "NULL".to_owned());
    let rows = on_all(
        parent.owner,
        &format!(
            "SELECT ({key})::text, {column}, {most}, {least}, count(*) OVER () FROM {rows} \
             WHERE ({check}) IS FALSE OR {column} IS NULL ORDER BY {column} DESC NULLS LAST, 1 LIMIT 10",
            key = primary_key(parent.oid)?,
            most = bound(&total.bounds.at_most),
            least = bound(&total.bounds.at_least),
            rows = parent.rows(),
        ),
        &[],
    )?;
    let Some(first) = rows.first() else { return Ok(()) };
    let count: usize = first.get(4)?;
    let mut list = Vec::new();
    for row in &rows {
        list.push(beyond(row)?);
    }
    if count > list.len() {
        list.push(format!("and {} more", count - list.len()));
    }
    Err(Report::error(
        errors::CHECK_VIOLATION,
        format_args!("rows of \"{}\" exceed the bounds of total \"{}\"", parent.name, total.column),
    )
    .detail(format_args!("Parents: {}.", list.join("; ")))
    .hint(format_args!(
        "Add or remove rows of \"{}\" under these parents first, or change their bounds.",
        total.child.name
    ))
    .table(parent.oid)
    .column(&total.column))
}

fn beyond(row: &ResultRow) -> Result<String, Report> {
    let key = Abridged(row.get(0)?).to_string();
    let total = row.get::<Option<&str>>(1)?.unwrap_or("0");
    let bounds: Vec<String> = [("at most", 2), ("at least", 3)]
        .into_iter()
        .filter_map(|(word, n)| match row.get::<Option<&str>>(n) {
            Ok(Some(bound)) => Some(format!("{word} {bound}")),
            _ => None,
        })
        .collect();
    Ok(format!("{key} has {total}, {}", bounds.join(" and ")))
}

/// The primary key as a row constructor.
fn primary_key(table: Oid) -> Result<String, Report> {
    let rows = run_kept(
        "SELECT 'ROW(' || string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) || ')' \
         FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n), pg_attribute a \
         WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.attnum",
        &[Param::Oid(table)],
    )?;
    rows.first().map_or(Ok(String::new()), |row| row.get(0))
}

/// Runs a statement that has to see every row of a table, with its owner's rights.
pub fn on_all(
    owner: Oid,
    sql: &str,
    params: &[Param],
) -> Result<crate::pg::result_row::Rows, Report> {
    without_row_security(|| acting_as(owner, || run(sql, params)))
}
