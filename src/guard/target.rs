//! The table a guard is put on: looked up, checked and locked before anything is changed.

use crate::errors;
use crate::guard::arguments::{identifier, required};
use crate::guard::old_snapshot::refuse_old_table;
use crate::guard::spread;
use crate::pg::call::Call;
use crate::pg::distribution::{self, Location};
use crate::pg::error::{catch, Report};
use crate::pg::open_table::no_table;
use crate::pg::owner;
use crate::pg::relation::only;
use crate::pg::result_row::ResultRow;
use crate::pg::spi::{
    one, pinned_search_path, run, with_shards_in_turn, with_shards_shown, with_triggers_on_nodes,
    Param,
};
use crate::pg::statement::{one_kept, run_kept};
use pgrx::pg_sys::Oid;

/// A table that can carry a guard and belongs to the caller.
#[derive(Clone, Debug)]
pub struct Target {
    pub oid: Oid,
    pub name: String,
    /// `schema.table`, quoted.
    pub qualified: String,
    pub owner: Oid,
    pub partitioned: bool,
    pub is_partition: bool,
    /// Where its rows lie, if another extension has spread them.
    pub place: Option<Location>,
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
        target.require_owner()?;
        if let Some(place) = &target.place {
            spread::refuse_unpropagated(place, &target.name)?;
        }
        Ok(target)
    }

    /// 42501 unless the caller has the rights of the table's owner.
    pub fn require_owner(&self) -> Result<(), Report> {
        let owned = one_kept("SELECT pg_has_role($1, 'USAGE')", &[Param::Oid(self.owner)])?;
        if owned == Some(true) {
            return Ok(());
        }
        Err(Report::error(
            errors::INSUFFICIENT_PRIVILEGE,
            format_args!("must be owner of table {}", self.name),
        )
        .detail(format_args!("Only the owner of a table can add, change or drop its guards."))
        .hint(format_args!("Run the call as the owner of the table or as a member of that role."))
        .table(self.oid))
    }

    /// The table in argument `n`, whoever owns it.
    pub fn any(call: Call, n: usize) -> Result<Target, Report> {
        Target::of(required(call.oid(n), "target")?)
    }

    /// A table given by its OID, whoever owns it.
    pub fn of(oid: Oid) -> Result<Target, Report> {
        let look = || {
            run_kept(
                "SELECT n.nspname, c.relname, c.relkind, c.relispartition, c.oid < 16384, \
                        c.relowner \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
                &[Param::Oid(oid)],
            )
        };
        // Citus hides its shards from most sessions.
        let rows = match catch(distribution::has_nodes)? {
            true => with_shards_shown(look),
            false => look(),
        }?;
        let Some(row) = rows.first() else {
            return Err(no_table(oid));
        };
        let (schema, name, kind): (&str, String, &str) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if !matches!(kind, "r" | "p") {
            return Err(unsupported_kind(&name, kind));
        }
        if row.get(4)? {
            return Err(Report::error(
                errors::UNSUPPORTED,
                format_args!("\"{name}\" is a system catalog"),
            )
            .detail(format_args!("Postgres fires no triggers on system catalogs."))
            .hint(format_args!("Guard a table of your own.")));
        }
        Ok(Target {
            oid,
            qualified: format!("{}.{}", identifier(schema), identifier(&name)),
            name,
            owner: row.get(5)?,
            partitioned: kind == "p",
            is_partition: row.get(3)?,
            place: catch(|| distribution::of(oid))?,
        })
    }

    /// What stands after FROM for the rows that its guards rule: those of its partitions too, but not
    /// those of tables that inherit from it.
    pub fn rows(&self) -> String {
        let whole = self.partitioned || self.place.is_some_and(|place| place.is_divided());
        format!("{}{}", only(whole), self.qualified)
    }

    /// The tables that hold its rows: itself, or its partitions in the order of their names.
    pub fn leaves(&self) -> Result<Vec<Target>, Report> {
        if !self.partitioned {
            return Ok(vec![self.clone()]);
        }
        let rows = run_kept(
            "SELECT c.oid, n.nspname, c.relname, c.relowner FROM pg_catalog.pg_partition_tree($1) t \
             JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.relid \
                  AND c.relkind OPERATOR(pg_catalog.=) 'r' \
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             ORDER BY n.nspname, c.relname",
            &[Param::Oid(self.oid)],
        )?;
        rows.iter().map(Target::leaf).collect()
    }

    fn leaf(row: &ResultRow) -> Result<Target, Report> {
        let (schema, name): (&str, String) = (row.get(1)?, row.get(2)?);
        Ok(Target {
            oid: row.get(0)?,
            qualified: format!("{}.{}", identifier(schema), identifier(&name)),
            name,
            owner: row.get(3)?,
            partitioned: false,
            is_partition: true,
            place: None,
        })
    }

    /// Whether tables inherit from it without being partitions.
    pub fn has_heirs(&self) -> Result<bool, Report> {
        let heirs =
            run("SELECT FROM pg_inherits WHERE inhparent = $1 LIMIT 1", &[Param::Oid(self.oid)])?;
        Ok(!self.partitioned && !heirs.is_empty())
    }

    /// Runs `body`, which reads or writes rows of the table or evaluates what belongs to it, with the rights of its
    /// owner: triggers, keys, CHECKs and whatever else the planner or a row runs are his code. 42501 where tables below
    /// are others' ([`Target::require_one_owner`]), or where he may not name the table for want of USAGE on its schema.
    pub fn in_owners_name<T>(&self, body: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
        pinned_search_path(|| {
            self.require_one_owner()?;
            match owner::acts_for(self.owner)? {
                true => self.require_schema(),
                false => Ok(()),
            }
        })?;
        owner::in_owners_name(self.owner, body)
    }

    /// 42501 where a table below, which an ALTER TABLE, a query or a write of this one reaches, belongs to a role whose
    /// rights this one's owner has not: the code of the one would run with the rights of the other. A superuser has
    /// everybody's rights and has trusted nobody by that, so he shares them with superusers only.
    pub fn require_one_owner(&self) -> Result<(), Report> {
        let others = run_kept(
            "WITH RECURSIVE tree(oid) AS ( \
               SELECT $1 UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid) \
             SELECT c.oid, format('%I.%I', n.nspname, c.relname), o.rolname, own.rolname, own.rolsuper \
             FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
                  JOIN pg_roles o ON o.oid = c.relowner JOIN pg_roles own ON own.oid = $2 \
             WHERE c.relowner <> $2 \
               AND NOT (pg_has_role($2, c.relowner, 'USAGE') AND (o.rolsuper OR NOT own.rolsuper)) \
             ORDER BY 2 LIMIT 1",
            &[Param::Oid(self.oid), Param::Oid(self.owner)],
        )?;
        let Some(other) = others.first() else { return Ok(()) };
        let (oid, table, theirs): (Oid, &str, &str) = (other.get(0)?, other.get(1)?, other.get(2)?);
        let own: &str = other.get(3)?;
        let grant = match other.get(4)? {
            true => String::new(),
            false => format!(
                " Where the two trust each other, GRANT {} TO {}; does as well.",
                identifier(theirs),
                identifier(own)
            ),
        };
        Err(Report::error(
            errors::INSUFFICIENT_PRIVILEGE,
            format_args!("tables below \"{}\" belong to another role", self.name),
        )
        .detail(format_args!(
            "Table {table} belongs to \"{theirs}\", whose rights \"{own}\", the owner of \"{}\", was not granted: CHECKs, keys and triggers of the one would run with the rights of the other.",
            self.name
        ))
        .hint(format_args!(
            "Give them one owner, for example: ALTER TABLE {table} OWNER TO {};{grant}",
            identifier(own)
        ))
        .table(oid))
    }

    /// 42501 unless the owner may look up the table: what runs with his rights names it.
    fn require_schema(&self) -> Result<(), Report> {
        let rows = run_kept(
            "SELECT n.nspname, pg_get_userbyid($2) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = $1 AND NOT has_schema_privilege($2, n.oid, 'USAGE')",
            &[Param::Oid(self.oid), Param::Oid(self.owner)],
        )?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (schema, own): (&str, &str) = (row.get(0)?, row.get(1)?);
        Err(Report::error(
            errors::INSUFFICIENT_PRIVILEGE,
            format_args!("the owner of table \"{}\" may not use its schema", self.name),
        )
        .detail(format_args!(
            "What may run code of the owner, \"{own}\", is done with his rights, and he has no USAGE on schema \"{schema}\"."
        ))
        .hint(format_args!(
            "GRANT USAGE ON SCHEMA {} TO {};",
            identifier(schema),
            identifier(own)
        ))
        .table(self.oid))
    }

    /// Runs an ALTER TABLE that may evaluate what the owner wrote, a predicate for every row or CHECKs from which
    /// NOT NULL might follow, with his rights. CREATE INDEX switches to the owner by itself.
    pub fn alter_as_owner(&self, statement: &str) -> Result<(), Report> {
        self.in_owners_name(|| self.execute(statement))
    }

    /// Runs DDL on the table, or on another that the same guard has triggers on.
    ///
    /// Citus takes triggers only from who says that they may do what they like; these do nothing that it does not bear
    /// ([`spread`]).
    pub fn execute(&self, statement: &str) -> Result<(), Report> {
        match self.place.is_some_and(|place| place.is_on_nodes() && place.is_shell()) {
            true => with_triggers_on_nodes(|| run(statement, &[]).map(drop)),
            false => run(statement, &[]).map(drop),
        }
    }

    /// Runs the call that adds a guard with triggers that refer to another table.
    pub fn with_shards_in_turn<T>(
        &self,
        body: impl FnOnce() -> Result<T, Report>,
    ) -> Result<T, Report> {
        match self.place.is_some_and(|place| place.is_on_nodes() && place.is_shell()) {
            true => with_shards_in_turn(body),
            false => body(),
        }
    }

    /// Runs a statement that changes the table and evaluates nothing that the owner wrote: it creates a trigger or drops
    /// something. With the caller's rights, which it may need on other tables; but where a partition key has
    /// expressions, Postgres evaluates what is constant in them whenever it looks up the partitions, and the statement
    /// runs with the owner's.
    pub fn run(&self, statement: &str) -> Result<(), Report> {
        let computed = run(
            "SELECT FROM pg_partition_tree($1) t JOIN pg_partitioned_table p ON p.partrelid = t.relid \
             WHERE p.partexprs IS NOT NULL LIMIT 1",
            &[Param::Oid(self.oid)],
        )?;
        match computed.is_empty() {
            true => self.execute(statement),
            false => self.alter_as_owner(statement),
        }
    }

    /// [`Target::run`] for statements, one after the other.
    pub fn run_all(&self, statements: &[String]) -> Result<(), Report> {
        statements.iter().try_for_each(|statement| self.run(statement))
    }

    /// Takes a table lock that is held until the transaction ends. 40001 where the transaction keeps a snapshot that shows
    /// the table as it no longer is: whatever is looked up under the lock has to be so.
    pub fn lock(&self, mode: &str) -> Result<(), Report> {
        run(&format!("LOCK TABLE {} IN {mode} MODE", self.qualified), &[])?;
        self.refuse_old_view()
    }

    /// The same without a lock, for a call that may find nothing to do.
    pub fn refuse_old_view(&self) -> Result<(), Report> {
        refuse_old_table(self.oid, &self.name)
    }

    /// Drops a column, if it is there.
    pub fn drop_column(&self, name: &str) -> Result<(), Report> {
        let (table, column) = (&self.qualified, identifier(name));
        self.run(&format!("ALTER TABLE {table} DROP COLUMN IF EXISTS {column}"))
    }

    /// A column of the table, if it is there.
    pub fn column(&self, name: &str) -> Result<Option<ColumnInfo>, Report> {
        column_of(self.oid, name)
    }

    /// A column that has to be there, or 42703 with the table's columns.
    pub fn existing_column(&self, name: &str) -> Result<ColumnInfo, Report> {
        if let Some(column) = self.column(name)? {
            return Ok(column);
        }
        let columns: Option<String> = one(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute \
             WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped",
            &[Param::Oid(self.oid)],
        )?;
        let columns = columns.unwrap_or_default();
        Err(errors::no_such_column(&self.name, self.oid, name, &columns))
    }
}

/// A column of a table, if it is there.
pub fn column_of(table: Oid, name: &str) -> Result<Option<ColumnInfo>, Report> {
    let rows = run_kept(
        // A NOT NULL that is NOT VALID (Postgres 18) lets the old NULLs stand.
        "SELECT attnum, format_type(atttypid, NULL), attnotnull AND NOT EXISTS ( \
             SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype = 'n' \
             AND conkey[1] = attnum AND NOT convalidated), atthasdef, attgenerated <> '' \
         FROM pg_attribute WHERE attrelid = $1 AND attname = $2::name AND attnum > 0 AND NOT attisdropped",
        &[Param::Oid(table), Param::Text(name)],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(ColumnInfo {
        name: name.to_owned(),
        attno: row.get(0)?,
        type_name: row.get(1)?,
        not_null: row.get(2)?,
        has_default: row.get(3)?,
        generated: row.get(4)?,
    }))
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
