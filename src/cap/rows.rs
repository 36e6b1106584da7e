//! The rows that stand in a table when a cap is added: counted, and numbered into slots.

use crate::cap::definition::Cap;
use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::old_snapshot::refuse_old_rows;
use crate::guard::standing_rows::{listed, names, primary_key, run_on_all, silence, Spot};
use crate::guard::target::Target;
use crate::pg::error::Report;
use crate::pg::spi::{with_maintenance_memory, without_row_security, Param};

/// Gives every row inside the cap a slot, or refuses and names the keys that have too many rows.
/// Rows that have a slot keep it; the others take the free numbers of their key in primary-key
/// order. Triggers stay silent: numbering bumps no version.
/// `lowest` as in [`refuse_outside`].
pub fn number(target: &Target, cap: &Cap, lowest: i64) -> Result<(), Report> {
    let rows = target.rows();
    without_row_security(|| {
        target.in_owners_name(|| refuse_old_rows(target.oid, &target.name, &rows))
    })?;
    let first = !any_slot(target, cap)?;
    if !first {
        refuse_overfull(target, cap)?;
        refuse_outside(target, cap, lowest)?;
    }
    let enable = silence(target)?;
    with_maintenance_memory(|| match first {
        true => number_all(target, cap),
        false => number_others(target, cap),
    })?;
    target.run_all(&enable)
}

/// Whether a row has a slot, be it outside the cap.
fn any_slot(target: &Target, cap: &Cap) -> Result<bool, Report> {
    let slot = identifier(&cap.column);
    let any = format!("SELECT FROM {} WHERE {slot} IS NOT NULL LIMIT 1", target.rows());
    Ok(!run_on_all(target, &any, &[])?.is_empty())
}

/// Numbers the rows of a table of which none has a slot, in one UPDATE: it sorts them once, and what is more
/// than the cap allows, which it leaves in slot 0, is looked for afterwards.
fn number_all(target: &Target, cap: &Cap) -> Result<(), Report> {
    let slot = identifier(&cap.column);
    let parts = names(cap.parts, "r.");
    let Spot { columns, same_row, partition } = Spot::of(target)?;
    // A row with a NULL in its key is not capped.
    run_on_all(
        target,
        &format!(
            "UPDATE {table} AS u SET {slot} = CASE WHEN member.capped AND member.nth > $1 THEN 0 \
                                                  WHEN member.capped THEN member.nth ELSE 1 END \
             FROM (SELECT {columns}, num_nulls({parts}) = 0 AS capped, \
                          row_number() OVER (PARTITION BY {partition}{parts} ORDER BY {order}) AS nth \
                   FROM {rows}) AS member \
             WHERE {same_row}",
            table = target.rows(),
            order = primary_key(target)?,
            rows = capped_rows(target, cap),
        ),
        &[Param::Int(cap.slots as i64)],
    )?;
    if any_in_slot_zero(target, cap)? {
        refuse_overfull(target, cap)?;
        // A key that is not the same twice: no row may stay where it is not counted.
        number_others(target, cap)?;
    }
    Ok(())
}

/// Numbers the rows that have no slot beside those that have one.
fn number_others(target: &Target, cap: &Cap) -> Result<(), Report> {
    let slot = identifier(&cap.column);
    let (table, condition) = (target.rows(), cap.condition());
    run_on_all(
        target,
        &format!(
            "UPDATE {table} SET {slot} = NULL \
             WHERE {slot} IS NOT NULL AND (({condition}) IS NOT TRUE OR {slot} = 0)"
        ),
        &[],
    )?;
    match target.place.is_some_and(|place| place.is_on_nodes()) {
        true => refuse_free_slots(target, cap)?,
        false => take_free_slots(target, cap)?,
    }
    // What is left has a NULL in its key and is not capped.
    run_on_all(
        target,
        &format!("UPDATE {table} SET {slot} = 1 WHERE ({condition}) AND {slot} IS NULL"),
        &[],
    )
    .map(drop)
}

/// Gives the rows without a slot the free ones of their keys.
fn take_free_slots(target: &Target, cap: &Cap) -> Result<(), Report> {
    let spot = Spot::of(target)?;
    let member = members(target, cap, &spot)?;
    let (table, slot) = (target.rows(), identifier(&cap.column));
    let names = names(cap.parts, "");
    // A key with n rows needs no number above n, whatever the size of the cap.
    run_on_all(
        target,
        &format!(
            "WITH member AS ({member}), free AS ( \
               SELECT {names}, s, row_number() OVER (PARTITION BY {names} ORDER BY s) AS nth \
               FROM (SELECT {names}, generate_series(1, n) AS s FROM member WHERE slot IS NULL GROUP BY {names}, n \
                     EXCEPT SELECT {names}, slot FROM member) AS gap \
             ) UPDATE {table} AS u SET {slot} = free.s \
               FROM member JOIN free USING ({names}, nth) \
               WHERE member.slot IS NULL AND {same_row}",
            same_row = spot.same_row,
        ),
        &[],
    )
    .map(drop)
}

/// 0A000 for rows without a slot beside others that have one, where Citus spreads them: it lets no shard by itself look for the
/// slots that are free.
fn refuse_free_slots(target: &Target, cap: &Cap) -> Result<(), Report> {
    let (slot, parts) = (identifier(&cap.column), names(cap.parts, "r."));
    let open = format!(
        "SELECT FROM {} AND num_nulls({parts}) = 0 AND x.{slot} IS NULL LIMIT 1",
        capped_rows(target, cap)
    );
    if run_on_all(target, &open, &[])?.is_empty() {
        return Ok(());
    }
    let table = &target.qualified;
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("rows of \"{}\" have no slot beside others that have one", target.name),
    )
    .detail(format_args!(
        "Citus keeps them in shards, where all rows of a table are numbered at once or none."
    ))
    .hint(format_args!(
        "Have all of them numbered anew: drop the cap, if one stands, UPDATE {table} SET {slot} = NULL; and call raceguard.add_cap again."
    ))
    .table(target.oid)
    .column(&cap.column))
}

/// The rows inside the cap whose key has no NULL: place, key parts, slot, how many there are of the
/// key, and the order of those without a slot.
fn members(target: &Target, cap: &Cap, spot: &Spot) -> Result<String, Report> {
    let slot = identifier(&cap.column);
    let parts = names(cap.parts, "r.");
    Ok(format!(
        "SELECT {columns}, {parts}, x.{slot}::int AS slot, \
                count(*) OVER (PARTITION BY {parts})::int AS n, \
                row_number() OVER (PARTITION BY {parts}, x.{slot} IS NULL ORDER BY {order}) AS nth \
         FROM {rows} AND num_nulls({parts}) = 0",
        columns = spot.columns,
        order = primary_key(target)?,
        rows = capped_rows(target, cap),
    ))
}

/// What stands after FROM for the table's rows `x` inside the cap, and their key's parts, named in `r`.
/// The texts of key and predicate name columns without a table, so they stand where they can see no
/// others than those of `x`.
fn capped_rows(target: &Target, cap: &Cap) -> String {
    format!(
        "{table} AS x, LATERAL (SELECT {key}, ({condition})) AS r({bare}, counts) WHERE r.counts",
        table = target.rows(),
        key = cap.key,
        condition = cap.condition(),
        bare = names(cap.parts, ""),
    )
}

/// 23514 with the keys that have more rows than slots, the worst first.
pub fn refuse_overfull(target: &Target, cap: &Cap) -> Result<(), Report> {
    let (names, parts) = (names(cap.parts, ""), names(cap.parts, "r."));
    let rows = run_on_all(
        target,
        &format!(
            "SELECT ROW({names})::text, n, count(*) OVER () FROM ( \
               SELECT {parts}, count(*) AS n FROM {rows} AND num_nulls({parts}) = 0 \
               GROUP BY {parts} HAVING count(*) > $1) AS over \
             ORDER BY n DESC, 1 LIMIT 10",
            rows = capped_rows(target, cap),
        ),
        &[Param::Int(cap.slots as i64)],
    )?;
    let Some(list) = listed(&rows, |key, n| format!("{key} has {n} rows"), "keys")? else {
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

/// Whether rows inside the cap stand in slot 0, where they are not counted: someone wrote it while the
/// trigger that refuses it was off.
pub fn any_in_slot_zero(target: &Target, cap: &Cap) -> Result<bool, Report> {
    if target.column(&cap.column)?.is_none() {
        return Ok(false);
    }
    let zero = format!(
        "SELECT FROM {} WHERE {} = 0 AND ({}) LIMIT 1",
        target.rows(),
        identifier(&cap.column),
        cap.condition()
    );
    Ok(!run_on_all(target, &zero, &[])?.is_empty())
}

/// 23514 with the rows that stand in no slot of the cap: above its last, or below `lowest`. That is 1 for
/// a column that an application had before, and may have begun to count at 0, and 0 where rows in slot 0
/// are about to be numbered.
pub fn refuse_outside(target: &Target, cap: &Cap, lowest: i64) -> Result<(), Report> {
    if target.column(&cap.column)?.is_none() {
        return Ok(());
    }
    let parts = names(cap.parts, "r.");
    let rows = run_on_all(
        target,
        &format!(
            "SELECT ROW({parts})::text, x.{slot}, count(*) OVER () \
             FROM {rows} AND x.{slot} NOT BETWEEN $2 AND $1 ORDER BY 2 DESC, 1 LIMIT 10",
            slot = identifier(&cap.column),
            rows = capped_rows(target, cap),
        ),
        &[Param::Int(cap.slots as i64), Param::Int(lowest)],
    )?;
    let Some(list) = listed(&rows, |key, slot| format!("{key} in slot {slot}"), "rows")? else {
        return Ok(());
    };
    let mut from_zero = true;
    for row in &rows {
        from_zero &= row.get::<i64>(1)? == 0;
    }
    let report = Report::error(
        errors::CHECK_VIOLATION,
        format_args!("rows of \"{}\" stand outside slots 1 to {}", target.name, cap.slots),
    )
    .detail(format_args!("Key ({}): {}.", cap.key, list))
    .table(target.oid)
    .column(&cap.column);
    let column = &cap.column;
    Err(match from_zero {
        true => report.hint(format_args!(
            "Slots begin at 1. Where the application counts from 0, add 1 to \"{column}\" of all rows first, and have it count from 1; under a cap that stands, raceguard.add_cap with its own definition numbers them."
        )),
        false => report.hint(format_args!(
            "Delete these rows, or set their \"{column}\" to a free slot, first."
        )),
    })
}
