//! One batch of a backfill: distinct versions for the rows of a table (case A3).
//!
//! The new versions come from a sequence that belongs to the version column as long as the backfill
//! lasts, and the sequence is also the memory of it: a row below its MINVALUE is still to be done.
//! Whoever calls next, in whatever session, after a crash or a restore, goes on where the last commit
//! stood. The sequence counts in steps of up to [`ROOM`], which leaves a row that many updates before
//! it meets the version of the next one.

use crate::calls::backfill_position::Position;
use crate::calls::table::Guard;
use crate::errors;
use crate::guards::numbering::{self, Numbers};
use crate::install::arguments::identifier;
use crate::install::target::Target;
use crate::pg::error::{catch, Report};
use crate::pg::privilege::row_security_applies;
use crate::pg::spi::{in_subtransaction, pinned_search_path, run, Param, Rows};
use crate::pg::value::Kind;
use pgrx::pg_sys::Oid;

/// Updates of a row before it may meet the version of another one.
const ROOM: i64 = 1000;

/// The table, its version column, and who numbers it.
pub struct Backfill<'a> {
    pub target: &'a Target,
    pub guard: &'a Guard,
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

/// A table that holds rows: the target itself or a partition of it.
struct Leaf {
    oid: Oid,
    qualified: String,
    /// The number of the version column here.
    attno: i16,
}

/// What one batch did.
#[derive(Default)]
struct Batch {
    picked: i64,
    written: i64,
    last: Option<String>,
}

impl Backfill<'_> {
    /// Numbers up to `batch` rows and returns how many; 0 when all are done.
    pub fn step(&self, batch: i64) -> Result<i64, Report> {
        self.check()?;
        let Some((sequence, leaves)) = pinned_search_path(|| {
            let sequence = match self.sequence()? {
                Some(sequence) => Some(sequence),
                None => self.start()?,
            };
            Ok(match sequence {
                Some(sequence) => Some((sequence, self.leaves()?)),
                None => None,
            })
        })?
        else {
            return Ok(0);
        };
        let mut position = match Position::of(self.target.oid, sequence.oid) {
            Some(position) => position,
            None => Position::start(sequence.oid, 1)?,
        };
        loop {
            while let Some(leaf) = leaves.get(position.leaf) {
                let done = self.batch(sequence, leaf, &position, batch)?;
                if done.picked == 0 {
                    position.leaf += 1;
                    position.after = None;
                    continue;
                }
                position.after = done.last;
                if done.written > 0 {
                    position.keep(self.target.oid);
                    return Ok(done.written);
                }
            }
            if position.is_last_round() || !self.any_left(sequence)? {
                Position::forget(self.target.oid);
                pinned_search_path(|| self.finish(sequence))?;
                return Ok(0);
            }
            for leaf in &leaves {
                if let Some(done) = self.wait_for_one(sequence, leaf, &position)? {
                    position.keep(self.target.oid);
                    return Ok(done);
                }
            }
            position = Position::start(sequence.oid, position.round + 1)?;
        }
    }

    /// Rows still to be done, all of them where the backfill has not begun.
    pub fn remaining(&self) -> Result<i64, Report> {
        pinned_search_path(|| {
            let undone = match self.sequence()? {
                Some(sequence) => format!("WHERE {}", self.undone(sequence)),
                None => String::new(),
            };
            let rows = run(&format!("SELECT count(*) FROM {} {undone}", self.rows()), &[])?;
            Ok(number(&rows, 0))
        })
    }

    fn any_left(&self, sequence: Sequence) -> Result<bool, Report> {
        pinned_search_path(|| {
            let undone = self.undone(sequence);
            let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE {undone})", self.rows());
            Ok(run(&sql, &[])?[0][0].as_deref() == Some("t"))
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
        if let Kind::Timestamp { .. } = self.guard.kind {
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

    /// `ONLY` the table, because a guard does not extend to tables that inherit from it; a
    /// partitioned table with its partitions.
    fn rows(&self) -> String {
        let only = if self.target.partitioned { "" } else { "ONLY " };
        format!("{only}{}", self.target.qualified)
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
        Ok((!rows.is_empty()).then(|| Sequence {
            oid: Oid::from(number(&rows, 0) as u32),
            below: number(&rows, 1),
            from: number(&rows, 2),
        }))
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
        let rows = run(
            &format!(
                "SELECT sum(n)::bigint, max(version), max(version) FILTER (WHERE n > 1 OR version IS NULL), \
                        bool_or(n > 1 OR version IS NULL) \
                 FROM (SELECT {column}::bigint AS version, count(*) AS n FROM {} GROUP BY 1) AS v",
                self.rows()
            ),
            &[],
        )?;
        if rows[0][3].as_deref() != Some("t") {
            return Ok(None);
        }
        let (count, highest, shared) = (number(&rows, 0), number(&rows, 1), number(&rows, 2));
        let most = self.guard.kind.max();
        let room = (most.saturating_sub(highest) / count.saturating_mul(2).max(1)).clamp(1, ROOM);
        if highest.max(0) > most - count.saturating_add(1) {
            return Err(self.too_narrow(count, highest));
        }
        let (below, from) = (shared + room, highest.max(shared) + room);
        let schema = run(
            "SELECT quote_ident(n.nspname), quote_ident(r.rolname) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner \
             WHERE c.oid = $1",
            &[Param::Oid(self.target.oid)],
        )?;
        let text = |i: usize| schema[0][i].clone().unwrap_or_default();
        let name = format!("{}.raceguard_backfill_{}", text(0), self.target.oid.to_u32());
        for statement in [
            format!(
                "CREATE SEQUENCE {name} AS bigint INCREMENT {room} MINVALUE {below} MAXVALUE {most} START {from}"
            ),
            format!("ALTER SEQUENCE {name} OWNER TO {}", text(1)),
            format!("ALTER SEQUENCE {name} OWNED BY {}.{column}", self.target.qualified),
        ] {
            run(&statement, &[])?;
        }
        self.sequence()
    }

    /// The backfill is over: what remembers it goes.
    fn finish(&self, sequence: Sequence) -> Result<(), Report> {
        let rows = run(
            "SELECT format('%I.%I', n.nspname, c.relname) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
            &[Param::Oid(sequence.oid)],
        )?;
        // Another session may have come to the end at the same time.
        if let Some(name) = rows.first().and_then(|row| row[0].as_deref()) {
            run(&format!("DROP SEQUENCE IF EXISTS {name}"), &[])?;
        }
        Ok(())
    }

    fn leaves(&self) -> Result<Vec<Leaf>, Report> {
        let source = match self.target.partitioned {
            true => "pg_partition_tree($1) AS p(oid) ",
            false => "(VALUES ($1)) AS p(oid) ",
        };
        let rows = run(
            &format!(
                "SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attnum \
                 FROM {source} JOIN pg_class c ON c.oid = p.oid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2::name \
                 WHERE c.relkind = 'r' ORDER BY 1"
            ),
            &[Param::Oid(self.target.oid), Param::Text(&self.guard.column)],
        )?;
        Ok(rows
            .iter()
            .map(|row| Leaf {
                oid: Oid::from(value(row, 0) as u32),
                qualified: row[1].clone().unwrap_or_default(),
                attno: value(row, 2) as i16,
            })
            .collect())
    }

    /// Numbers one batch. Rows that somebody has locked are passed over.
    fn batch(
        &self,
        sequence: Sequence,
        leaf: &Leaf,
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
    /// meanwhile. `None` if there is none.
    fn wait_for_one(
        &self,
        sequence: Sequence,
        leaf: &Leaf,
        position: &Position,
    ) -> Result<Option<i64>, Report> {
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
                return Ok(None);
            }
            if done.written > 0 {
                return Ok(Some(done.written));
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
    /// `value`. How many there were and how far they reach is told of the query `counted`. The statement qualifies everything: triggers of the table run with the caller's search_path.
    fn number(
        &self,
        sequence: Sequence,
        leaf: &Leaf,
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
        let _numbering = numbering::begin(Numbers {
            table: leaf.oid,
            attno: leaf.attno,
            kind: self.guard.kind,
            below: sequence.below,
            from: sequence.from,
        });
        let rows = match in_subtransaction(|| run(&sql, &[Param::Int(limit), Param::Text(value)]))?
        {
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
        Ok(Batch { picked: number(&rows, 0), written: number(&rows, 1), last: rows[0][2].clone() })
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

fn number(rows: &Rows, column: usize) -> i64 {
    rows.first().map_or(0, |row| value(row, column))
}

fn value(row: &[Option<String>], column: usize) -> i64 {
    row.get(column).and_then(|text| text.as_deref()?.parse().ok()).unwrap_or(0)
}
