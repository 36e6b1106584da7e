//! One batch of a backfill: distinct versions for the rows of a table.
//!
//! The new versions come from a sequence that belongs to the version column as long as the backfill
//! lasts, and the sequence is also the memory of it: a row below its MINVALUE is still to be done.
//! Whoever calls next, in whatever session, after a crash or a restore, goes on where the last commit
//! stood. The sequence counts in steps of up to [`ROOM`], which leaves a row that many updates before
//! it meets the version of the next one.

use crate::errors;
use crate::guard::arguments::identifier;
use crate::guard::own_writes::{self, Numbers};
use crate::guard::target::Target;
use crate::pg::error::{catch, Report};
use crate::pg::privilege::row_security_applies;
use crate::pg::result_row::ResultRow;
use crate::pg::spi::{in_subtransaction, one, pinned_search_path, run, Param};
use crate::pg::version_value::VersionKind;
use crate::version::backfill_position::Position;
use crate::version::standing::VersionGuard;
use pgrx::pg_sys::Oid;

/// Updates of a row before it may meet the version of another one.
const ROOM: i64 = 1000;

/// The table, its version column, and who numbers it.
pub struct Backfill<'a> {
    pub target: &'a Target,
    pub guard: &'a VersionGuard,
}

/// The sequence of a backfill that is under way.
#[derive(Clone, Copy)]
struct Sequence {
    oid: Oid,
    /// Rows below this version are still to be done.
    below: i64,
    /// The new versions start here.
    from: i64,
}

impl Sequence {
    fn read(row: &ResultRow) -> Result<Sequence, Report> {
        Ok(Sequence { oid: row.get(0)?, below: row.get(1)?, from: row.get(2)? })
    }
}

/// What one batch did.
#[derive(Default)]
struct Batch {
    picked: i64,
    written: i64,
    last: Option<String>,
}

impl Batch {
    fn read(row: &ResultRow) -> Result<Batch, Report> {
        Ok(Batch { picked: row.get(0)?, written: row.get(1)?, last: row.get(2)? })
    }
}

impl Backfill<'_> {
    /// Numbers up to `batch` rows and returns how many; 0 when all are done.
    pub fn step(&self, batch: i64) -> Result<i64, Report> {
        self.check()?;
        // Each table that holds rows is written as its owner.
        pinned_search_path(|| self.target.require_one_owner())?;
        let Some((sequence, leaves)) = pinned_search_path(|| self.begun())? else {
            return Ok(0);
        };
        let mut position = match Position::of(self.target.oid, sequence.oid) {
            Some(position) => position,
            None => Position::start(sequence.oid, 1)?,
        };
        loop {
            let mut done = self.go_on(sequence, &leaves, &mut position, batch)?;
            if done == 0 {
                if position.is_last_round() || !self.any_left(sequence)? {
                    Position::forget(self.target.oid);
                    pinned_search_path(|| self.finish(sequence))?;
                    return Ok(0);
                }
                done = self.wait_for_one(sequence, &leaves, &position)?;
            }
            if done > 0 {
                position.keep(self.target.oid);
                return Ok(done);
            }
            position = Position::start(sequence.oid, position.round + 1)?;
        }
    }

    /// The backfill that is under way, or a new one, and the tables that hold the rows; `None` where there
    /// is nothing to do.
    fn begun(&self) -> Result<Option<(Sequence, Vec<Target>)>, Report> {
        let sequence = match self.sequence()? {
            Some(sequence) => Some(sequence),
            None => self.start()?,
        };
        sequence.map(|sequence| Ok((sequence, self.target.leaves()?))).transpose()
    }

    /// Numbers the next rows of a round, and returns how many; 0 at its end.
    fn go_on(
        &self,
        sequence: Sequence,
        leaves: &[Target],
        position: &mut Position,
        batch: i64,
    ) -> Result<i64, Report> {
        while let Some(leaf) = leaves.get(position.leaf) {
            let done = self.batch(sequence, leaf, position, batch)?;
            if done.picked == 0 {
                position.leaf += 1;
                position.after = None;
                continue;
            }
            position.after = done.last;
            if done.written > 0 {
                return Ok(done.written);
            }
        }
        Ok(0)
    }

    /// Rows still to be done, all of them where the backfill has not begun.
    pub fn remaining(&self) -> Result<i64, Report> {
        pinned_search_path(|| {
            let undone = match self.sequence()? {
                Some(sequence) => format!("WHERE {}", self.undone(sequence)),
                None => String::new(),
            };
            let sql = format!("SELECT count(*) FROM {} {undone}", self.target.rows());
            Ok(self.target.in_owners_name(|| one(&sql, &[]))?.unwrap_or(0))
        })
    }

    fn any_left(&self, sequence: Sequence) -> Result<bool, Report> {
        pinned_search_path(|| {
            let undone = self.undone(sequence);
            let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE {undone})", self.target.rows());
            Ok(self.target.in_owners_name(|| one(&sql, &[]))?.unwrap_or(false))
        })
    }

    fn undone(&self, sequence: Sequence) -> String {
        format!("coalesce({} < {}, true)", identifier(&self.guard.column), sequence.below)
    }

    /// The same of the table under an alias, every name qualified.
    fn undone_as(&self, sequence: Sequence, alias: &str) -> String {
        let column = identifier(&self.guard.column);
        format!("coalesce({alias}.{column} OPERATOR(pg_catalog.<) {}, true)", sequence.below)
    }

    fn check(&self) -> Result<(), Report> {
        let table = &self.target.name;
        if let VersionKind::Timestamp { .. } = self.guard.kind {
            return Err(Report::error(
                errors::UNSUPPORTED,
                format_args!("versions of \"{table}\" cannot be numbered: they are timestamps"),
            )
            .detail(format_args!("Column \"{}\" says when a row was written.", self.guard.column))
            .hint(format_args!("Number versions of type smallint, integer or bigint."))
            .table(self.target.oid));
        }
        if catch(|| row_security_applies(self.target.oid))? {
            return Err(Report::error(
                errors::INSUFFICIENT_PRIVILEGE,
                format_args!("row security hides rows of \"{table}\" from the current role"),
            )
            .detail(format_args!("Rows that it hides would not be numbered."))
            .hint(format_args!("Run the call as a role that bypasses row security."))
            .table(self.target.oid));
        }
        Ok(())
    }

    fn sequence(&self) -> Result<Option<Sequence>, Report> {
        let rows = run(
            "SELECT s.seqrelid, s.seqmin, s.seqstart FROM pg_sequence s \
             JOIN pg_class c ON c.oid = s.seqrelid \
             JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid \
                  AND d.deptype = 'a' AND d.refclassid = 'pg_class'::regclass \
             WHERE d.refobjid = $1 AND d.refobjsubid = $2 AND c.relname LIKE 'raceguard\\_backfill\\_%'",
            &[Param::Oid(self.target.oid), Param::Int(self.guard.attno.into())],
        )?;
        rows.first().map(Sequence::read).transpose()
    }

    /// Begins a backfill, unless the versions are distinct already.
    fn start(&self) -> Result<Option<Sequence>, Report> {
        // Two sessions that begin at once would number against each other. The mode lets readers and
        // writers pass; later batches need no such lock.
        self.target.lock("SHARE UPDATE EXCLUSIVE")?;
        if let Some(sequence) = self.sequence()? {
            return Ok(Some(sequence));
        }
        let column = identifier(&self.guard.column);
        let sql = format!(
            "SELECT sum(n)::bigint, max(version), max(version) FILTER (WHERE n > 1 OR version IS NULL), \
                    bool_or(n > 1 OR version IS NULL) \
             FROM (SELECT {column}::bigint AS version, count(*) AS n FROM {} GROUP BY 1) AS v",
            self.target.rows()
        );
        let rows = self.target.in_owners_name(|| run(&sql, &[]))?;
        let Some(row) = rows.first() else { return Ok(None) };
        if row.get::<Option<bool>>(3)? != Some(true) {
            return Ok(None);
        }
        // Where all versions are NULL there is no highest.
        let (count, highest, shared): (i64, Option<i64>, Option<i64>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let (highest, shared) = (highest.unwrap_or(0), shared.unwrap_or(0));
        let most = self.guard.kind.max();
        let room = (most.saturating_sub(highest) / count.saturating_mul(2).max(1)).clamp(1, ROOM);
        if highest.max(0) > most - count.saturating_add(1) {
            return Err(self.too_narrow(count, highest));
        }
        let (below, from) = (shared + room, highest.max(shared) + room);
        self.create(room, below, from)?;
        self.sequence()
    }

    /// Creates the sequence, for the owner of the table and those of its partitions.
    fn create(&self, room: i64, below: i64, from: i64) -> Result<(), Report> {
        let rows = run(
            "SELECT quote_ident(n.nspname), quote_ident(r.rolname) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner \
             WHERE c.oid = $1",
            &[Param::Oid(self.target.oid)],
        )?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (schema, owner): (&str, &str) = (row.get(0)?, row.get(1)?);
        let name = format!("{schema}.raceguard_backfill_{}", self.target.oid.to_u32());
        let (most, column) = (self.guard.kind.max(), identifier(&self.guard.column));
        for statement in [
            format!(
                "CREATE SEQUENCE {name} AS bigint INCREMENT {room} MINVALUE {below} MAXVALUE {most} START {from}"
            ),
            format!("ALTER SEQUENCE {name} OWNER TO {owner}"),
            format!("ALTER SEQUENCE {name} OWNED BY {}.{column}", self.target.qualified),
        ] {
            run(&statement, &[])?;
        }
        for owner in self.other_owners()? {
            run(&format!("GRANT USAGE ON SEQUENCE {name} TO {owner}"), &[])?;
        }
        Ok(())
    }

    /// The owners of partitions that are not the table's, quoted: their rows are numbered in their name.
    fn other_owners(&self) -> Result<Vec<String>, Report> {
        let rows = run(
            "SELECT DISTINCT quote_ident(r.rolname) FROM pg_partition_tree($1) p \
             JOIN pg_class c ON c.oid = p.relid JOIN pg_roles r ON r.oid = c.relowner \
             WHERE c.relowner <> $2",
            &[Param::Oid(self.target.oid), Param::Oid(self.target.owner)],
        )?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The backfill is over: what remembers it goes.
    fn finish(&self, sequence: Sequence) -> Result<(), Report> {
        let name: Option<String> = one(
            "SELECT format('%I.%I', n.nspname, c.relname) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
            &[Param::Oid(sequence.oid)],
        )?;
        // Another session may have come to the end at the same time.
        if let Some(name) = name {
            run(&format!("DROP SEQUENCE IF EXISTS {name}"), &[])?;
        }
        Ok(())
    }

    /// The number of the version column in a table that holds rows.
    fn attno(&self, leaf: &Target) -> Result<i16, Report> {
        if leaf.oid == self.target.oid {
            return Ok(self.guard.attno);
        }
        let column = pinned_search_path(|| leaf.existing_column(&self.guard.column))?;
        Ok(column.attno)
    }

    /// Numbers one batch. Rows that somebody has locked are passed over.
    fn batch(
        &self,
        sequence: Sequence,
        leaf: &Target,
        position: &Position,
        batch: i64,
    ) -> Result<Batch, Report> {
        let after = position.after.as_deref().unwrap_or("(0,0)");
        let undone = self.undone_as(sequence, "s");
        // A row that somebody writes between the look and the lock is locked in its new place, at the
        // end of the table for one: how far the batch has come is told by the look.
        let picking = format!(
            "found AS MATERIALIZED (\
               SELECT s.ctid AS place FROM ONLY {leaf} AS s \
               WHERE {undone} AND s.ctid OPERATOR(pg_catalog.>) $2::pg_catalog.tid LIMIT $1), \
             picked AS MATERIALIZED (\
               SELECT s.ctid AS place FROM ONLY {leaf} AS s \
               WHERE s.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT f.place FROM found AS f)) AND {undone} \
               FOR NO KEY UPDATE OF s SKIP LOCKED)",
            leaf = leaf.qualified,
        );
        self.number(sequence, leaf, (&picking, "found"), after, batch)
    }

    /// Waits for a row that was last written before the round began, holding no other row
    /// meanwhile, and returns how many were numbered; 0 if there is none.
    fn wait_for_one(
        &self,
        sequence: Sequence,
        leaves: &[Target],
        position: &Position,
    ) -> Result<i64, Report> {
        for leaf in leaves {
            let done = self.wait_in(sequence, leaf, position)?;
            if done > 0 {
                return Ok(done);
            }
        }
        Ok(0)
    }

    fn wait_in(
        &self,
        sequence: Sequence,
        leaf: &Target,
        position: &Position,
    ) -> Result<i64, Report> {
        let picking = format!(
            "picked AS MATERIALIZED (\
               SELECT s.ctid AS place FROM ONLY {leaf} AS s \
               WHERE {undone} AND raceguard.row_version(s.xmin)::pg_catalog.int8 \
                     OPERATOR(pg_catalog.<) $2::pg_catalog.int8 \
               LIMIT $1 FOR NO KEY UPDATE OF s)",
            leaf = leaf.qualified,
            undone = self.undone_as(sequence, "s"),
        );
        // The first attempt may find that the row was locked, and nothing else, while it waited; then
        // it holds the row, and the second sees what it has become.
        for _ in 0..3 {
            let done = self.number(sequence, leaf, (&picking, "picked"), &position.began, 1)?;
            if done.picked == 0 {
                return Ok(0);
            }
            if done.written > 0 {
                return Ok(done.written);
            }
        }
        Err(Report::error(
            errors::TRIGGERED_DATA_CHANGE,
            format_args!("a trigger on \"{}\" kept a row from being numbered", self.target.name),
        )
        .detail(format_args!("A BEFORE ROW trigger returned NULL for it."))
        .hint(format_args!("Disable that trigger until the backfill is done."))
        .table(self.target.oid))
    }

    /// Numbers up to `limit` rows, those whose places the query `picked` of `picking` names; its `$2` is
    /// `value`. How many there were and how far they reach is told of the query `counted`.
    ///
    /// The statement qualifies everything: triggers of the table run with the caller's search_path, and
    /// with its owner's rights.
    fn number(
        &self,
        sequence: Sequence,
        leaf: &Target,
        (picking, counted): (&str, &str),
        value: &str,
        limit: i64,
    ) -> Result<Batch, Report> {
        let sql = format!(
            "WITH {picking}, \
             written AS (\
               UPDATE ONLY {leaf} AS t SET {column} = pg_catalog.nextval('{sequence}'::pg_catalog.regclass) \
               WHERE t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT p.place FROM picked AS p)) RETURNING 1) \
             SELECT (SELECT pg_catalog.count(*) FROM {counted}), (SELECT pg_catalog.count(*) FROM written), \
                    (SELECT pg_catalog.max(c.place) FROM {counted} AS c)",
            leaf = leaf.qualified,
            column = identifier(&self.guard.column),
            sequence = sequence.oid.to_u32(),
        );
        let _numbering = own_writes::begin(Numbers {
            table: leaf.oid,
            attno: self.attno(leaf)?,
            kind: self.guard.kind,
            below: sequence.below,
            from: sequence.from,
        });
        let params = [Param::Int(limit), Param::Text(value)];
        let in_name = || leaf.in_owners_name(|| run(&sql, &params));
        let rows = match in_subtransaction(in_name)? {
            Ok(rows) => rows,
            // Another session has come to the end meanwhile, and what was picked here is newer.
            Err(report)
                if matches!(report.code(), errors::INTERNAL | errors::UNDEFINED_TABLE)
                    && !self.stands(sequence)? =>
            {
                return Ok(Batch::default())
            }
            Err(report) => return Err(report),
        };
        rows.first().map_or(Ok(Batch::default()), Batch::read)
    }

    /// Whether the sequence has not been dropped.
    fn stands(&self, sequence: Sequence) -> Result<bool, Report> {
        let now = pinned_search_path(|| self.sequence())?;
        Ok(now.is_some_and(|now| now.oid == sequence.oid))
    }

    fn too_narrow(&self, count: i64, highest: i64) -> Report {
        Report::error(
            errors::OUT_OF_RANGE,
            format_args!("column \"{}\" cannot hold {count} more versions", self.guard.column),
        )
        .detail(format_args!(
            "Its highest version is {highest}, and the largest that fits is {}.",
            self.guard.kind.max()
        ))
        .hint(format_args!(
            "Change the column to a wider type, for example with ALTER COLUMN ... TYPE bigint."
        ))
        .table(self.target.oid)
        .column(&self.guard.column)
    }
}
