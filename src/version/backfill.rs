//! `backfill_version_step` and `CALL backfill_version`: distinct versions for existing rows.

use crate::errors;
use crate::guard::arguments::{at_least_one, required};
use crate::guard::target::Target;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::open_table::open_table;
use crate::pg::own_transaction::{hindrance, Transactions};
use crate::pg::spi::{connected, pinned_search_path};
use crate::version::backfill_step::Backfill;
use crate::version::standing::VersionGuard;
use std::time::{Duration, Instant};

function_entry!(raceguard_backfill_version_step, crate::version::backfill::backfill_version_step);

function_entry!(raceguard_backfill_version, crate::version::backfill::backfill_version);

/// `raceguard.backfill_version_step(target, batch) -> bigint`: gives distinct versions to up to
/// `batch` rows, and returns how many it was; 0 when all rows are done. Serves a
/// table whose rows all got version 1 with the column, where versions identify rows.
///
/// Raises 42501 unless the caller owns the table, 55000 without a version guard, 0A000 for versions
/// that are timestamps, 22003 where the column cannot hold so many, 22023 and 22004.
fn backfill_version_step(call: Call) -> Result<Value, Report> {
    connected(|| {
        let (target, guard, batch) = arguments(call)?;
        let done = Backfill { target: &target, guard: &guard }.step(batch)?;
        Ok(Value::Int(done))
    })
}

/// `CALL raceguard.backfill_version(target, batch)`: distinct versions for all rows, `batch` rows to a
/// transaction, on a table that is written meanwhile.
///
/// Killed, it goes on where it stood when called again. Tells its progress in NOTICEs. Raises 25001
/// inside a transaction block or function, and what `backfill_version_step` raises.
fn backfill_version(call: Call) -> Result<Value, Report> {
    if hindrance(call, c"CALL raceguard.backfill_version")?.is_some() {
        return Err(in_transaction());
    }
    let transactions = Transactions::connect()?;
    let began = Instant::now();
    let mut progress: Option<Progress> = None;
    loop {
        let (target, guard, batch) = arguments(call)?;
        let backfill = Backfill { target: &target, guard: &guard };
        let done = backfill.step(batch)?;
        transactions.commit()?;
        if done == 0 {
            finished(&target, progress.map_or(0, |p| p.done), began.elapsed());
            break;
        }
        let progress = match &mut progress {
            Some(progress) => progress,
            None => progress.insert(Progress::new(done + backfill.remaining()?)),
        };
        progress.add(done, began.elapsed(), &target);
        transactions.forget()?;
    }
    transactions.finish()?;
    Ok(Value::Void)
}

/// The default in sql/swap.sql: some tenths of a second on ordinary hardware.
const BATCH_HINT: &str = "Leave it out for 10000.";

/// The least time between two NOTICEs.
const PAUSE: Duration = Duration::from_secs(2);

/// How far a backfill has come.
struct Progress {
    done: i64,
    total: i64,
    told: Option<Duration>,
}

impl Progress {
    fn new(total: i64) -> Progress {
        Progress { done: 0, total, told: None }
    }

    /// Counts a batch, and tells how far it is every now and then.
    fn add(&mut self, rows: i64, elapsed: Duration, target: &Target) {
        self.done += rows;
        // Rows that others insert meanwhile may be numbered too.
        self.total = self.total.max(self.done);
        if self.told.is_some_and(|told| elapsed < told + PAUSE) {
            return;
        }
        self.told = Some(elapsed);
        tell(
            Level::Notice,
            format_args!(
                "backfill of \"{}\": {}% ({} of {} rows), {} left",
                target.name,
                self.percent(),
                self.done,
                self.total,
                shown(self.left(elapsed))
            ),
            None,
        );
    }

    fn percent(&self) -> i64 {
        self.done.saturating_mul(100) / self.total.max(1)
    }

    /// The time that the remaining rows will take if they take as long as those before.
    fn left(&self, elapsed: Duration) -> Duration {
        let per_row = elapsed.as_secs_f64() / self.done.max(1) as f64;
        Duration::try_from_secs_f64(per_row * (self.total - self.done) as f64)
            .unwrap_or(Duration::MAX)
    }
}

/// A length of time in the largest unit of which it has at least two.
fn shown(time: Duration) -> String {
    match time.as_secs() {
        0 => "less than a second".to_owned(),
        1 => "a second".to_owned(),
        seconds @ 2..120 => format!("{seconds} seconds"),
        seconds @ 120..7200 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3600),
    }
}

fn finished(target: &Target, rows: i64, elapsed: Duration) {
    let name = &target.name;
    match rows {
        0 => tell(
            Level::Notice,
            format_args!("versions of \"{name}\" are distinct already, nothing to do"),
            None,
        ),
        _ => tell(
            Level::Notice,
            format_args!("versions of \"{name}\" are distinct: {rows} rows in {}", shown(elapsed)),
            None,
        ),
    }
}

fn in_transaction() -> Report {
    Report::error(
        errors::ACTIVE_TRANSACTION,
        format_args!("CALL raceguard.backfill_version cannot run inside a transaction"),
    )
    .detail(format_args!("It commits after each batch, and with it whatever was done before."))
    .hint(format_args!(
        "Run it by itself, outside BEGIN, functions and pipelines; in a transaction, call raceguard.backfill_version_step."
    ))
}

fn arguments(call: Call) -> Result<(Target, VersionGuard, i64), Report> {
    pinned_search_path(|| {
        let target = Target::owned(call, 0)?;
        refuse_on_nodes(&target)?;
        let batch = at_least_one(
            required(call.int(1), "batch")?,
            "batch",
            ("It is the number of rows that one transaction writes.", BATCH_HINT),
        )?;
        let guard =
            VersionGuard::of(open_table(target.oid)?.table())?.filter(|guard| guard.enabled);
        let guard = guard.ok_or_else(|| no_guard(&target))?;
        Ok((target, guard, batch.into()))
    })
}

/// 0A000 where Citus spreads the rows: each shard would number its own, and none knows the others' numbers.
fn refuse_on_nodes(target: &Target) -> Result<(), Report> {
    if !target.place.is_some_and(|place| place.is_on_nodes()) {
        return Ok(());
    }
    Err(Report::error(
        errors::UNSUPPORTED,
        format_args!("versions of \"{}\" cannot be numbered: Citus keeps its rows in shards", target.name),
    )
    .detail(format_args!("Versions that are distinct within a shard may be those of other shards' rows."))
    .hint(format_args!(
        "Number them before the table is distributed: undistribute_table, CALL raceguard.backfill_version, create_distributed_table. A guard that stands needs no distinct versions where rows are named by their key."
    ))
    .table(target.oid))
}

fn no_guard(target: &Target) -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!("table \"{}\" has no version guard that is enabled", target.name),
    )
    .detail(format_args!("Versions are numbered in the column that a version guard names."))
    .hint(format_args!("Call raceguard.add_version first."))
    .table(target.oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_and_time() {
        let progress = Progress { done: 250, total: 1000, told: None };
        assert_eq!(progress.percent(), 25);
        assert_eq!(progress.left(Duration::from_secs(10)), Duration::from_secs(30));
        let empty = Progress::new(0);
        assert_eq!(empty.percent(), 0);
        assert_eq!(empty.left(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn times_are_shown_in_the_unit_that_suits() {
        for (seconds, text) in [
            (0, "less than a second"),
            (1, "a second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7200, "2 hours"),
        ] {
            assert_eq!(shown(Duration::from_secs(seconds)), text);
        }
    }
}
