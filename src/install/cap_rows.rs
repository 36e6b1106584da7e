//! The rows that stand in a table when a cap is added: counted, and numbered into slots.

use super::arguments::identifier;
use super::cap_definition::Cap;
use super::target::Target;
use crate::errors;
use crate::pg::error::Report;
use crate::pg::spi::{run, without_row_security, Param};

/// Gives every row inside the cap a slot, or refuses and names the keys that have too many rows.
/// Rows that have a slot keep it; the others take the free numbers of their key in primary-key
/// order. Triggers stay silent: numbering bumps no version.
pub fn number(target: &Target, cap: &Cap) -> Result<(), Report> {
    without_row_security(|| renumber(target, cap))
}

fn renumber(target: &Target, cap: &Cap) -> Result<(), Report> {
    refuse_overfull(target, cap)?;
    refuse_above(target, cap)?;
    let member = members(target, cap)?;
    let enable = silence(target)?;
    let slot = identifier(&cap.column);
    let (table, condition) = (&target.qualified, cap.condition());
    run(
        &format!(
            "UPDATE {table} SET {slot} = NULL \
             WHERE {slot} IS NOT NULL AND (({condition}) IS NOT TRUE OR {slot} = 0)"
        ),
        &[],
    )?;
    let names = names(cap, "");
    // A key with n rows needs no number above n, whatever the size of the cap.
    run(
        &format!(
            "WITH member AS ({member}), free AS ( \
               SELECT {names}, s, row_number() OVER (PARTITION BY {names} ORDER BY s) AS nth \
               FROM (SELECT {names}, generate_series(1, n) AS s FROM member WHERE slot IS NULL GROUP BY {names}, n \
                     EXCEPT SELECT {names}, slot FROM member) AS gap \
             ) UPDATE {table} AS u SET {slot} = free.s \
               FROM member JOIN free USING ({names}, nth) \
               WHERE member.slot IS NULL AND u.tableoid = member.place AND u.ctid = member.spot"
        ),
        &[],
    )?;
    // What is left has a NULL in its key and is not capped.
    run(&format!("UPDATE {table} SET {slot} = 1 WHERE ({condition}) AND {slot} IS NULL"), &[])?;
    for statement in enable {
        run(&statement, &[])?;
    }
    Ok(())
}

/// The rows inside the cap whose key has no NULL: place, key parts, slot, how many there are of the
/// key, and the order of those without a slot.
fn members(target: &Target, cap: &Cap) -> Result<String, Report> {
    let slot = identifier(&cap.column);
    let parts = names(cap, "r.");
    Ok(format!(
        "SELECT x.tableoid AS place, x.ctid AS spot, r.*, x.{slot}::int AS slot, \
                count(*) OVER (PARTITION BY {parts})::int AS n, \
                row_number() OVER (PARTITION BY {parts}, x.{slot} IS NULL ORDER BY {order}) AS nth \
         FROM {table} AS x, LATERAL (SELECT {key}) AS r({bare}) \
         WHERE ({condition}) AND num_nulls({parts}) = 0",
        order = primary_key(target)?,
        table = target.qualified,
        key = cap.key,
        bare = names(cap, ""),
        condition = cap.condition(),
    ))
}

/// Names for the key's parts that no column of the table is likely to have.
fn names(cap: &Cap, prefix: &str) -> String {
    (1..=cap.parts).map(|i| format!("{prefix}raceguard_k{i}")).collect::<Vec<_>>().join(", ")
}

/// 23514 with the keys that have more rows than slots, the worst first.
pub fn refuse_overfull(target: &Target, cap: &Cap) -> Result<(), Report> {
    let names = names(cap, "");
    let rows = run(
        &format!(
            "SELECT ROW({names})::text, n, count(*) OVER () FROM ( \
               SELECT {names}, count(*) AS n FROM {table} AS x, LATERAL (SELECT {key}) AS r({names}) \
               WHERE ({condition}) AND num_nulls({names}) = 0 GROUP BY {names} HAVING count(*) > $1) AS over \
             ORDER BY n DESC, 1 LIMIT 10",
            table = target.qualified,
            key = cap.key,
            condition = cap.condition(),
        ),
        &[Param::Int(cap.slots as i64)],
    )?;
    let Some(list) = listed(&rows, |key, n| format!("{key} has {n} rows"), "keys") else {
        return Ok(());
    };
    Err(Report::error(
        errors::CHECK_VIOLATION,
        format_args!("rows of \"{}\" exceed the cap of {}", target.name, cap.slots),
    )
    .detail(format_args!("Key ({}): {}.", cap.key, list))
    .hint(format_args!("Remove rows of these keys first, or allow more slots."))
    .table(target.oid))
}

/// 23514 with the rows that stand in a slot above the cap's last.
pub fn refuse_above(target: &Target, cap: &Cap) -> Result<(), Report> {
    if target.column(&cap.column)?.is_none() {
        return Ok(());
    }
    let names = names(cap, "");
    let rows = run(
        &format!(
            "SELECT ROW({names})::text, x.{slot}, count(*) OVER () \
             FROM {table} AS x, LATERAL (SELECT {key}) AS r({names}) \
             WHERE ({condition}) AND x.{slot} NOT BETWEEN 0 AND $1 ORDER BY 2 DESC, 1 LIMIT 10",
            slot = identifier(&cap.column),
            table = target.qualified,
            key = cap.key,
            condition = cap.condition(),
        ),
        &[Param::Int(cap.slots as i64)],
    )?;
    let Some(list) = listed(&rows, |key, slot| format!("{key} in slot {slot}"), "rows") else {
        return Ok(());
    };
    Err(Report::error(
        errors::CHECK_VIOLATION,
        format_args!("rows of \"{}\" stand outside slots 1 to {}", target.name, cap.slots),
    )
    .detail(format_args!("Key ({}): {}.", cap.key, list))
    .hint(format_args!("Delete these rows, or set their \"{}\" to a free slot, first.", cap.column))
    .table(target.oid)
    .column(&cap.column))
}

/// The first of the offending rows or keys (key, number, how many there are in all) as a list for an
/// error's DETAIL, with the number of those left out; `None` if there are none.
fn listed(
    rows: &[Vec<Option<String>>],
    show: impl Fn(&str, &str) -> String,
    unit: &str,
) -> Option<String> {
    let field = |row: &[Option<String>], i: usize| row[i].clone().unwrap_or_default();
    let total: usize = field(rows.first()?, 2).parse().unwrap_or(rows.len());
    let mut list: Vec<String> =
        rows.iter().map(|row| show(&field(row, 0), &field(row, 1))).collect();
    if total > rows.len() {
        list.push(format!("and {} more {unit}", total - rows.len()));
    }
    Some(list.join(", "))
}

/// The columns of the primary key, or the rows' places where there is none.
fn primary_key(target: &Target) -> Result<String, Report> {
    let rows = run(
        "SELECT string_agg('x.' || quote_ident(a.attname), ', ' ORDER BY k.n) \
         FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n), pg_attribute a \
         WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.attnum",
        &[Param::Oid(target.oid)],
    )?;
    Ok(rows.first().and_then(|r| r[0].clone()).unwrap_or_else(|| "x.tableoid, x.ctid".to_owned()))
}

/// Disables the table's own triggers; returns the statements that enable them again.
fn silence(target: &Target) -> Result<Vec<String>, Report> {
    let rows = run(
        "SELECT format('ALTER TABLE %s %s TRIGGER %I', t.tgrelid::regclass, \
                CASE t.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END, t.tgname), \
                format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname) \
         FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' \
           AND (t.tgrelid = $1 OR t.tgrelid IN (SELECT relid FROM pg_partition_tree($1))) ORDER BY t.tgrelid, t.tgname",
        &[Param::Oid(target.oid)],
    )?;
    let mut enable = Vec::with_capacity(rows.len());
    for row in rows {
        run(row[1].as_deref().unwrap_or_default(), &[])?;
        enable.extend(row.into_iter().next().flatten());
    }
    Ok(enable)
}
