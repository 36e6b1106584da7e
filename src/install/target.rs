//! The table a guard is put on: looked up, checked and locked before anything is changed.

use super::arguments::{identifier, required};
use crate::errors;
use crate::pg::call::Call;
use crate::pg::error::Report;
use crate::pg::spi::{run, Param};
use pgrx::pg_sys::Oid;

/// A table that can carry a guard and belongs to the caller.
#[derive(Clone, Debug)]
pub struct Target {
    pub oid: Oid,
    pub name: String,
    /// `schema.table`, quoted.
    pub qualified: String,
    pub partitioned: bool,
    pub is_partition: bool,
}

/// A column as the catalog describes it.
#[derive(Clone, Debug)]
pub struct ColumnInfo {
    pub name: String,
    pub attno: i16,
    pub type_name: String,
    pub not_null: bool,
    pub has_default: bool,
    pub generated: bool,
}

impl Target {
    /// The table in argument `n`, which the caller must own.
    pub fn owned(call: Call, n: usize) -> Result<Target, Report> {
        let target = Target::any(call, n)?;
        let owned = run(
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = $1",
            &[Param::Oid(target.oid)],
        )?;
        if owned.first().and_then(|r| r[0].as_deref()) == Some("t") {
            return Ok(target);
        }
        Err(Report::error(
            errors::INSUFFICIENT_PRIVILEGE,
            format_args!("must be owner of table {}", target.name),
        )
        .detail(format_args!("Only the owner of a table can add, change or drop its guards."))
        .hint(format_args!("Run the call as the owner of the table or as a member of that role."))
        .table(target.oid))
    }

    /// The table in argument `n`, whoever owns it.
    pub fn any(call: Call, n: usize) -> Result<Target, Report> {
        let oid = required(call.oid(n), "target")?;
        let rows = run(
            "SELECT n.nspname, c.relname, c.relkind, c.relispartition, c.oid < 16384 \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
            &[Param::Oid(oid)],
        )?;
        let Some(row) = rows.into_iter().next() else {
            return Err(Report::error(
                errors::UNDEFINED_TABLE,
                format_args!("table with OID {} does not exist", oid.to_u32()),
            )
            .detail(format_args!("It was dropped, or the number never named a table."))
            .hint(format_args!("Name the table, for example 'orders'.")));
        };
        let text = |i: usize| row[i].clone().unwrap_or_default();
        let (schema, name, kind) = (text(0), text(1), text(2));
        if !matches!(kind.as_str(), "r" | "p") {
            return Err(unsupported_kind(&name, &kind));
        }
        if text(4) == "t" {
            return Err(Report::error(
                errors::UNSUPPORTED,
                format_args!("\"{name}\" is a system catalog"),
            )
            .detail(format_args!("Postgres fires no triggers on system catalogs."))
            .hint(format_args!("Guard a table of your own.")));
        }
        Ok(Target {
            oid,
            qualified: format!("{}.{}", identifier(&schema), identifier(&name)),
            name,
            partitioned: kind == "p",
            is_partition: text(3) == "t",
        })
    }

    /// Takes a table lock that is held until the transaction ends.
    pub fn lock(&self, mode: &str) -> Result<(), Report> {
        run(&format!("LOCK TABLE {} IN {mode} MODE", self.qualified), &[])?;
        Ok(())
    }

    /// A column of the table, if it is there.
    pub fn column(&self, name: &str) -> Result<Option<ColumnInfo>, Report> {
        let rows = run(
            "SELECT attnum, format_type(atttypid, NULL), attnotnull, atthasdef, attgenerated <> '' \
             FROM pg_attribute WHERE attrelid = $1 AND attname = $2::name AND attnum > 0 AND NOT attisdropped",
            &[Param::Oid(self.oid), Param::Text(name)],
        )?;
        Ok(rows.into_iter().next().map(|row| {
            let is = |i: usize| row[i].as_deref() == Some("t");
            ColumnInfo {
                name: name.to_owned(),
                attno: row[0].as_deref().and_then(|n| n.parse().ok()).unwrap_or_default(),
                type_name: row[1].clone().unwrap_or_default(),
                not_null: is(2),
                has_default: is(3),
                generated: is(4),
            }
        }))
    }

    /// A column that has to be there, or 42703 with the table's columns.
    pub fn existing_column(&self, name: &str) -> Result<ColumnInfo, Report> {
        if let Some(column) = self.column(name)? {
            return Ok(column);
        }
        let rows = run(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute \
             WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped",
            &[Param::Oid(self.oid)],
        )?;
        let columns = rows.first().and_then(|r| r[0].clone()).unwrap_or_default();
        Err(Report::error(
            errors::UNDEFINED_COLUMN,
            format_args!("column \"{name}\" of table \"{}\" does not exist", self.name),
        )
        .detail(format_args!("The table's columns are {columns}."))
        .hint(format_args!("Check the spelling; upper-case names keep their case here."))
        .table(self.oid)
        .column(name))
    }
}

fn unsupported_kind(name: &str, kind: &str) -> Report {
    let what = match kind {
        "v" => "a view",
        "m" => "a materialized view",
        "f" => "a foreign table",
        "i" | "I" => "an index",
        "S" => "a sequence",
        "c" => "a composite type",
        _ => "not a table",
    };
    Report::error(errors::UNSUPPORTED, format_args!("cannot guard \"{name}\": it is {what}"))
        .detail(format_args!(
            "A guard has to stand in the table itself, where every writer passes."
        ))
        .hint(format_args!(
            "Guard the table underneath; writes through an updatable view reach its guards."
        ))
}
