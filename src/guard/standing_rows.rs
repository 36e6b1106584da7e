//! The rows that stand in a table when a guard is added to it that numbers them.

use crate::guard::arguments::identifier;
use crate::guard::target::Target;
use crate::pg::error::{catch, Report};
use crate::pg::result_row::Rows;
use crate::pg::spi::{one, run, without_row_security, Param};
use crate::pg::text::Abridged;

/// Runs a statement that has to see every row of the table, with its owner's rights: key, predicate
/// and whatever else the table evaluates are his code.
pub fn run_on_all(target: &Target, sql: &str, params: &[Param]) -> Result<Rows, Report> {
    without_row_security(|| target.in_owners_name(|| run(sql, params)))
}

/// Names for the parts of a key.
pub fn names(parts: usize, prefix: &str) -> String {
    (1..=parts).map(|i| format!("{prefix}raceguard_k{i}")).collect::<Vec<_>>().join(", ")
}

/// The first of the offending rows or keys (key, number, how many there are in all) as a list for an
/// error's DETAIL, with the number of those left out; `None` if there are none.
pub fn listed(
    rows: &Rows,
    show: impl Fn(Abridged, i64) -> String,
    unit: &str,
) -> Result<Option<String>, Report> {
    let Some(first) = rows.first() else { return Ok(None) };
    let total: usize = first.get(2)?;
    let mut list = Vec::new();
    for row in rows {
        list.push(show(Abridged(row.get(0)?), row.get(1)?));
    }
    if total > rows.len() {
        list.push(format!("and {} more {unit}", total - rows.len()));
    }
    Ok(Some(list.join(", ")))
}

/// The columns of the primary key, or the rows' places where there is none.
pub fn primary_key(target: &Target) -> Result<String, Report> {
    let columns = key_columns(target, "x.")?;
    Ok(columns.unwrap_or_else(|| "x.tableoid, x.ctid".to_owned()))
}

/// The columns of the primary key, if there is one.
pub fn primary_key_columns(target: &Target) -> Result<Option<String>, Report> {
    key_columns(target, "")
}

fn key_columns(target: &Target, prefix: &str) -> Result<Option<String>, Report> {
    one(
        "SELECT string_agg($2 || quote_ident(a.attname), ', ' ORDER BY k.n) \
         FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n), pg_attribute a \
         WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.attnum",
        &[Param::Oid(target.oid), Param::Text(prefix)],
    )
}

/// How an UPDATE of rows `u` FROM what was read of the same rows finds each again.
pub struct Spot {
    /// The columns that the reading, of rows `x`, has besides others: where the row lies.
    pub columns: String,
    /// That `u` is the row of `member`, the reading.
    pub same_row: String,
    /// What a key's parts are preceded by in PARTITION BY; it changes no partition.
    pub partition: String,
}

impl Spot {
    /// Of one table the place is the same for all, and is not asked for: the join takes less. Citus has each shard number its
    /// own rows where it sees that a key's lie in one: the column by which it spreads them, a part of the key, is in
    /// join and partition by its own name.
    pub fn of(target: &Target) -> Result<Spot, Report> {
        let column = catch(|| target.place.and_then(|place| place.column()))?;
        let spread = column.map(|column| identifier(column.as_str()));
        let mut spot = Spot {
            columns: "x.tableoid AS place, x.ctid AS spot".to_owned(),
            same_row: match target.partitioned {
                true => "u.tableoid = member.place AND u.ctid = member.spot".to_owned(),
                false => "u.ctid = member.spot".to_owned(),
            },
            partition: String::new(),
        };
        if let Some(column) = spread {
            spot.columns = format!("x.{column} AS shard, {}", spot.columns);
            spot.same_row = format!("u.{column} = member.shard AND {}", spot.same_row);
            spot.partition = format!("x.{column}, ");
        }
        Ok(spot)
    }
}

/// Disables the table's own triggers that an UPDATE fires; returns the statements that enable them again. Numbering bumps
/// no version.
pub fn silence(target: &Target) -> Result<Vec<String>, Report> {
    // Citus knows no clones by their names; a statement about the trigger that they come from reaches them.
    let on_nodes = target.place.is_some_and(|place| place.is_on_nodes());
    let rows = run(
        "SELECT format('ALTER TABLE %s %s TRIGGER %I', t.tgrelid::regclass, \
                CASE t.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END, t.tgname), \
                format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname) \
         FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 16 <> 0 \
           AND (t.tgparentid = 0 OR $2 = 0) \
           AND (t.tgrelid = $1 OR t.tgrelid IN (SELECT relid FROM pg_partition_tree($1))) ORDER BY t.tgrelid, t.tgname",
        &[Param::Oid(target.oid), Param::Int(on_nodes.into())],
    )?;
    let mut enable = Vec::with_capacity(rows.len());
    for row in rows {
        target.run(row.get(1)?)?;
        enable.push(row.get(0)?);
    }
    Ok(enable)
}
