//! The version column: added, or adopted where it is there.

use crate::errors;
use crate::guard::arguments::{identifier, literal};
use crate::guard::kept_column::refuse_kept;
use crate::guard::steps::Step;
use crate::guard::target::{ColumnInfo, Target};
use crate::pg::error::{tell, Level, Report};
use crate::pg::result_row::ResultRow;
use crate::pg::spi::{one, run, Param};
use crate::version::rule::FUNCTION;

/// The version column, if it is there and can be one; an error if it is there and cannot.
fn usable(target: &Target, name: &str, sends: &str) -> Result<Option<ColumnInfo>, Report> {
    refuse_kept(target, name, &[FUNCTION])?;
    let Some(column) = target.column(name)? else {
        if target.is_partition {
            return Err(Report::error(
                errors::WRONG_OBJECT_TYPE,
                format_args!("cannot add column \"{}\" to partition \"{}\"", name, target.name),
            )
            .detail(format_args!("Partitions have the columns of their root."))
            .hint(format_args!("Guard the partitioned table; its guard covers all partitions."))
            .table(target.oid));
        }
        return Ok(None);
    };
    let identity = one::<bool>(
        "SELECT attidentity <> '' FROM pg_attribute WHERE attrelid = $1 AND attnum = $2",
        &[Param::Oid(target.oid), Param::Int(column.attno.into())],
    )?;
    let right_type = match column.type_name.as_str() {
        "smallint" | "integer" | "bigint" => true,
        "timestamp with time zone" | "timestamp without time zone" => sends == "current",
        _ => false,
    };
    if right_type && !column.generated && identity == Some(false) {
        return Ok(Some(column));
    }
    Err(Report::error(
        errors::DATATYPE_MISMATCH,
        format_args!(
            "column \"{}\" of table \"{}\" cannot be a version",
            column.name, target.name
        ),
    )
    .detail(format_args!(
        "Its type is {}{}; a version is smallint, integer, bigint, or a timestamp with client_sends => 'current', and neither generated nor an identity.",
        column.type_name,
        if column.generated {
            ", generated"
        } else if identity == Some(true) {
            ", an identity"
        } else {
            ""
        }
    ))
    .hint(format_args!("Name another column with version_column => '...'; one that does not exist is added as bigint."))
    .table(target.oid)
    .column(&column.name))
}

/// Whether a lock that lets readers go on is enough: the column is as it has to be.
pub fn is_ready(target: &Target, name: &str, sends: &str) -> Result<bool, Report> {
    let column = usable(target, name, sends)?;
    Ok(column.is_some_and(|column| column.not_null && column.has_default)
        && standing_check(target)?.is_none())
}

/// Adds the column, or adopts the one that is there.
pub fn prepare(target: &Target, name: &str, sends: &str) -> Result<(), Report> {
    // Looked up again: the lock is held only now.
    match usable(target, name, sends)? {
        Some(column) => adopt(target, &column),
        None => target.alter_as_owner(&add(target, name)),
    }
}

/// Rewrites nothing: a constant default is kept in the catalog for the rows that exist.
fn add(target: &Target, name: &str) -> String {
    alter(target, &format!("ADD COLUMN {} bigint NOT NULL DEFAULT 1", identifier(name)))
}

/// What a new row's version is.
pub fn first_version(column: &ColumnInfo) -> &'static str {
    match column.type_name.as_str() {
        "timestamp with time zone" => "clock_timestamp()",
        // As the guard writes it from then on, whatever the session's TimeZone.
        "timestamp without time zone" => "(clock_timestamp() AT TIME ZONE 'UTC')",
        _ => "1",
    }
}

fn set_default(target: &Target, column: &ColumnInfo) -> String {
    let (name, default) = (identifier(&column.name), first_version(column));
    alter(target, &format!("ALTER COLUMN {name} SET DEFAULT {default}"))
}

fn set_not_null(target: &Target, column: &ColumnInfo) -> String {
    alter(target, &format!("ALTER COLUMN {} SET NOT NULL", identifier(&column.name)))
}

fn adopt(target: &Target, column: &ColumnInfo) -> Result<(), Report> {
    let (quoted, default) = (identifier(&column.name), first_version(column));
    let mut done = Vec::new();
    if !column.not_null {
        let fill = format!(
            "WITH filled AS (UPDATE {} SET {quoted} = {default} WHERE {quoted} IS NULL RETURNING 1) \
             SELECT count(*) FROM filled",
            target.qualified
        );
        let filled = target.in_owners_name(|| one::<i64>(&fill, &[]))?.unwrap_or_default();
        done.push(format!("{filled} NULLs filled"));
        target.alter_as_owner(&set_not_null(target, column))?;
        done.push("NOT NULL set".to_owned());
    }
    if !column.has_default {
        target.run(&set_default(target, column))?;
        done.push(format!("DEFAULT {default} set"));
    }
    if standing_check(target)?.is_some() {
        target.run(&drop_check(target))?;
    }
    if !done.is_empty() {
        tell(
            Level::Notice,
            format_args!(
                "column \"{}\" of table \"{}\" adopted as its version: {}",
                column.name,
                target.name,
                done.join(", ")
            ),
            None,
        );
    }
    Ok(())
}

/// The steps that add the column, or adopt the one that is there, while others write. What NOT NULL has to
/// know of the rows that stand, a CHECK finds out for it under a lock that keeps nobody waiting.
pub fn steps(target: &Target, name: &str, sends: &str) -> Result<Vec<Step>, Report> {
    let exclusive = |ddl| Step::new("ACCESS EXCLUSIVE", ddl);
    let Some(column) = usable(target, name, sends)? else {
        return Ok(vec![exclusive(add(target, name))]);
    };
    let mut steps = Vec::new();
    if !column.has_default {
        steps.push(exclusive(set_default(target, &column)));
    }
    let check = standing_check(target)?;
    if !column.not_null {
        if check != Some(true) {
            steps.extend(fill_steps(target, &column)?);
        }
        if check.is_none() {
            let check = format!("CHECK ({} IS NOT NULL) NOT VALID", identifier(name));
            steps.push(exclusive(alter(target, &format!("ADD CONSTRAINT {CHECK} {check}"))));
        }
        if check != Some(true) {
            let validate = alter(target, &format!("VALIDATE CONSTRAINT {CHECK}"));
            steps.push(Step::new("SHARE UPDATE EXCLUSIVE", validate));
        }
        steps.push(exclusive(set_not_null(target, &column)));
    }
    if !column.not_null || check.is_some() {
        steps.push(exclusive(drop_check(target)));
    }
    Ok(steps)
}

/// The constraint that stands until NOT NULL does.
const CHECK: &str = "raceguard_version_not_null";

fn drop_check(target: &Target) -> String {
    alter(target, &format!("DROP CONSTRAINT {CHECK}"))
}

/// Whether the constraint is known to hold for all rows; `None` where there is none.
fn standing_check(target: &Target) -> Result<Option<bool>, Report> {
    one(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = $1 AND contype = 'c' AND conname = $2::name",
        &[Param::Oid(target.oid), Param::Text(CHECK)],
    )
}

/// Pages of a table that one transaction of a fill reads.
const PAGES: i32 = 100;

/// One step for each table that holds rows: its NULLs are filled, some pages to a transaction, without waiting
/// for rows that others have locked, which come last.
fn fill_steps(target: &Target, column: &ColumnInfo) -> Result<Vec<Step>, Report> {
    let rows = run(
        "WITH RECURSIVE tree(oid) AS ( \
           SELECT $1 UNION SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid) \
         SELECT format('%I.%I', n.nspname, c.relname) FROM tree t JOIN pg_class c ON c.oid = t.oid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' ORDER BY 1",
        &[Param::Oid(target.oid)],
    )?;
    let (name, default) = (identifier(&column.name), first_version(column));
    let fill = |row: &ResultRow| {
        let table: &str = row.get(0)?;
        let update = format!("UPDATE ONLY {table} SET {name} = {default} WHERE {name} IS NULL");
        let from = |page: &str| format!("pg_catalog.format('(%s,0)', {page})::pg_catalog.tid");
        let body = format!(
            "BEGIN FOR page IN 0 .. pg_catalog.pg_relation_size({}) \
             / pg_catalog.current_setting('block_size')::integer BY {PAGES} LOOP \
             {update} AND ctid = ANY (ARRAY(SELECT ctid FROM ONLY {table} \
             WHERE ctid >= {} AND ctid < {} AND {name} IS NULL FOR UPDATE SKIP LOCKED)); \
             COMMIT; END LOOP; {update}; END",
            literal(table),
            from("page"),
            from(&format!("page + {PAGES}"))
        );
        Ok(Step::alone("ROW EXCLUSIVE", format!("DO {}", literal(&body))))
    };
    rows.iter().map(fill).collect()
}

fn alter(target: &Target, action: &str) -> String {
    format!("ALTER TABLE {} {action}", target.qualified)
}
