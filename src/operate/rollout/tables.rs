//! Which tables a roll-out is about.

use crate::errors;
use crate::guard::arguments::{require_schema, required};
use crate::pg::call::Call;
use crate::pg::error::Report;
use crate::pg::memory;
use crate::pg::spi::{one, pinned_search_path, run, with_lock_timeout, Param};
use pgrx::pg_sys::{self, Datum, Oid};

/// The tables that can carry guards of their own, as `c` in schema `n`: no partitions, which have the
/// guards of their root, no temporary tables, none of Postgres's own or of an extension.
pub const CANDIDATES: &str =
    "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname <> 'information_schema' \
        AND n.nspname <> 'raceguard' AND NOT starts_with(n.nspname, 'pg_') AND c.oid >= 16384 \
        AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass \
                        AND e.objid = c.oid AND e.deptype = 'e')";

/// Whether a candidate has the column in parameter `place`, which may be NULL.
pub fn has_column(place: &str) -> String {
    format!(
        "({place}::name IS NULL OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid \
         AND a.attname = {place}::name AND a.attnum > 0 AND NOT a.attisdropped))"
    )
}

/// A table to be guarded.
pub struct UnguardedTable {
    pub oid: Oid,
    /// `schema.table`, quoted where it has to be.
    pub name: String,
    /// How many tables an ALTER TABLE of it locks: its partitions or the tables that inherit from it too.
    pub tables: i64,
}

impl UnguardedTable {
    /// The bytes of the tables, without indexes. Waits for whoever has locked one of them exclusively.
    pub fn size(&self) -> Result<i64, Report> {
        let size = one(
            "WITH RECURSIVE tree(oid) AS ( \
               SELECT $1 UNION SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid) \
             SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM tree",
            &[Param::Oid(self.oid)],
        )?;
        Ok(size.unwrap_or(0))
    }

    /// Whether the table is still there.
    pub fn exists(&self) -> Result<bool, Report> {
        let found = run("SELECT FROM pg_class WHERE oid = $1", &[Param::Oid(self.oid)])?;
        Ok(!found.is_empty())
    }

    /// Runs `body` with a wait for locks of at most so many milliseconds. What queues behind it waits as long,
    /// so where several tables are locked one after the other, each wait has its share.
    pub fn waiting_at_most<T>(
        &self,
        milliseconds: i64,
        body: impl FnOnce() -> Result<T, Report>,
    ) -> Result<T, Report> {
        with_lock_timeout((milliseconds / self.tables.max(1)).max(1), body)
    }
}

/// The tables that the arguments `schemas`, `where_column` and `exclude`, of which `n` is the first, choose.
pub struct Choice {
    schemas: Option<Datum>,
    column: Option<String>,
    excluded: Datum,
}

impl Choice {
    pub fn read(call: Call, n: usize) -> Result<Choice, Report> {
        for schema in call.names(n)?.unwrap_or_default() {
            let schema = schema.ok_or_else(null_schema)?;
            pinned_search_path(|| refuse_unknown(&schema))?;
        }
        Ok(Choice {
            schemas: call.plain(n)?,
            column: call.name(n + 1)?,
            excluded: required(call.plain(n + 2)?, "exclude")?,
        })
    }

    /// In the order of their names.
    pub fn candidates(&self) -> Result<Vec<UnguardedTable>, Report> {
        let sql = format!(
            "WITH RECURSIVE tree(root, oid) AS ( \
               SELECT c.oid, c.oid FROM {CANDIDATES} \
               WHERE ($1 IS NULL OR n.nspname = ANY ($1)) AND {} AND c.oid <> ALL ($3::oid[]) \
               UNION SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid) \
             SELECT t.root, format('%I.%I', n.nspname, c.relname), count(*) \
             FROM tree t JOIN pg_class c ON c.oid = t.root JOIN pg_namespace n ON n.oid = c.relnamespace \
             GROUP BY t.root, n.nspname, c.relname ORDER BY n.nspname, c.relname",
            has_column("$2")
        );
        let column = Param::OptText(self.column.as_deref());
        let schemas = Param::Typed(pg_sys::NAMEARRAYOID, self.schemas);
        let excluded = Param::Typed(pg_sys::REGCLASSARRAYOID, Some(self.excluded));
        let rows = pinned_search_path(|| run(&sql, &[schemas, column, excluded]))?;
        let mut candidates = Vec::new();
        for row in &rows {
            let (oid, name, tables) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let candidate = UnguardedTable { oid, name, tables };
            memory::push(&mut candidates, candidate)?;
        }
        Ok(candidates)
    }
}

/// 3F000 for a schema that is not there: nothing in it would be guarded, and nobody be told.
pub fn refuse_unknown(schema: &str) -> Result<(), Report> {
    require_schema(
        schema,
        "Schemas names those whose tables are guarded.",
        "Check the spelling; leave schemas out for the tables of all schemas.",
    )
}

fn null_schema() -> Report {
    Report::error(errors::NULL_NOT_ALLOWED, format_args!("array \"schemas\" must not contain NULL"))
        .detail(format_args!("Each element names a schema."))
        .hint(format_args!("Leave the NULL out."))
}
