//! The rows that stand in a table when a number guard is added: looked through, and numbered.

use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::old_snapshot::refuse_old_rows;
use crate::guard::standing_rows::{listed, names, primary_key, run_on_all, silence, Spot};
use crate::guard::target::Target;
use crate::number::definition::NumberGuard;
use crate::number::rule::largest;
use crate::pg::error::Report;
use crate::pg::spi::without_row_security;
use crate::pg::spi::Param;

/// Gives every row whose key has no NULL a number, in primary-key order from the key's highest on, or refuses and
/// names the keys that cannot be numbered. Rows that have a number keep it. Triggers stay silent: numbering bumps
/// no version.
pub fn number(target: &Target, numbers: &NumberGuard) -> Result<(), Report> {
    let rows = target.rows();
    without_row_security(|| {
        target.in_owners_name(|| refuse_old_rows(target.oid, &target.name, &rows))
    })?;
    refuse_doubles(target, numbers)?;
    refuse_too_many(target, numbers)?;
    let enable = silence(target)?;
    let spot = Spot::of(target)?;
    let (table, number) = (target.rows(), identifier(&numbers.column));
    run_on_all(
        target,
        &format!(
            "UPDATE {table} AS u SET {number} = member.next FROM ({}) AS member \
             WHERE member.number IS NULL AND {}",
            members(target, numbers, &spot)?,
            spot.same_row
        ),
        &[],
    )?;
    target.run_all(&enable)
}

/// The rows whose key has no NULL: place, key parts, number, and the number that one without is given.
fn members(target: &Target, numbers: &NumberGuard, spot: &Spot) -> Result<String, Report> {
    let number = identifier(&numbers.column);
    let parts = names(numbers.parts, "r.");
    let before = numbers.start.saturating_sub(1);
    Ok(format!(
        "SELECT {columns}, {parts}, x.{number}::bigint AS number, \
                greatest(max(x.{number}::bigint) OVER (PARTITION BY {partition}{parts}), {before}) \
                + row_number() OVER (PARTITION BY {partition}{parts}, x.{number} IS NULL ORDER BY {order}) AS next \
         FROM {rows}",
        columns = spot.columns,
        partition = spot.partition,
        order = primary_key(target)?,
        rows = keyed_rows(target, numbers),
    ))
}

/// What stands after FROM for the table's rows `x` whose key has no NULL, and their key's parts, named in `r`.
/// The key's text names columns without a table, so it stands where it can see no others than those of `x`.
fn keyed_rows(target: &Target, numbers: &NumberGuard) -> String {
    format!(
        "{table} AS x, LATERAL (SELECT {key}) AS r({bare}) WHERE num_nulls({parts}) = 0",
        table = target.rows(),
        key = numbers.key,
        bare = names(numbers.parts, ""),
        parts = names(numbers.parts, "r."),
    )
}

/// 23505 with the keys that have a number twice.
pub fn refuse_doubles(target: &Target, numbers: &NumberGuard) -> Result<(), Report> {
    if target.column(&numbers.column)?.is_none() {
        return Ok(());
    }
    let (bare, parts) = (names(numbers.parts, ""), names(numbers.parts, "r."));
    let rows = run_on_all(
        target,
        &format!(
            "SELECT ROW({bare})::text, number, count(*) OVER () FROM ( \
               SELECT {parts}, x.{number}::bigint AS number FROM {rows} AND x.{number} IS NOT NULL \
               GROUP BY {parts}, x.{number} HAVING count(*) > 1) AS double \
             ORDER BY 1, 2 LIMIT 10",
            number = identifier(&numbers.column),
            rows = keyed_rows(target, numbers),
        ),
        &[],
    )?;
    let Some(list) = listed(&rows, |key, n| format!("{key} has {n} twice"), "numbers")? else {
        return Ok(());
    };
    Err(Report::error(
        errors::UNIQUE_VIOLATION,
        format_args!("rows of \"{}\" have the same number", target.name),
    )
    .detail(format_args!("Key ({}): {list}.", numbers.key))
    .hint(format_args!(
        "Give these rows other numbers first, or set their \"{}\" to NULL to have them numbered.",
        numbers.column
    ))
    .table(target.oid)
    .column(&numbers.column))
}

/// 22003 with the keys that have more rows than the column's type has numbers.
pub fn refuse_too_many(target: &Target, numbers: &NumberGuard) -> Result<(), Report> {
    let last = largest(&numbers.column_type).unwrap_or(i64::MAX);
    let missing = target.column(&numbers.column)?.is_none();
    let number =
        if missing { "NULL".to_owned() } else { format!("x.{}", identifier(&numbers.column)) };
    let (bare, parts) = (names(numbers.parts, ""), names(numbers.parts, "r."));
    let rows = run_on_all(
        target,
        &format!(
            "SELECT ROW({bare})::text, n, count(*) OVER () FROM ( \
               SELECT {parts}, count(*) FILTER (WHERE {number} IS NULL) AS n, \
                      greatest(max({number}::bigint), $2 - 1)::numeric AS highest \
               FROM {rows} GROUP BY {parts}) AS key \
             WHERE n > 0 AND highest + n > $1 ORDER BY 2 DESC, 1 LIMIT 10",
            rows = keyed_rows(target, numbers),
        ),
        &[Param::Int(last), Param::Int(numbers.start)],
    )?;
    let Some(list) = listed(&rows, |key, n| format!("{key} has {n} rows to number"), "keys")?
    else {
        return Ok(());
    };
    Err(Report::error(
        errors::OUT_OF_RANGE,
        format_args!(
            "numbers of \"{}\" do not fit into column \"{}\"",
            target.name, numbers.column
        ),
    )
    .detail(format_args!("The last is {last}. Key ({}): {list}.", numbers.key))
    .hint(format_args!("Make the column a bigint first."))
    .table(target.oid)
    .column(&numbers.column))
}

/// How many rows have no number although their key has no NULL.
pub fn unnumbered(target: &Target, numbers: &NumberGuard) -> Result<i64, Report> {
    let open = match target.column(&numbers.column)? {
        Some(_) => format!("x.{} IS NULL", identifier(&numbers.column)),
        None => "TRUE".to_owned(),
    };
    let count = run_on_all(
        target,
        &format!("SELECT count(*) FROM {} AND {open}", keyed_rows(target, numbers)),
        &[],
    )?;
    count.first().map_or(Ok(0), |row| row.get(0))
}
