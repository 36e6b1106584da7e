//! `backfill_version_step` and `CALL backfill_version`: distinct versions for existing rows.

use crate::calls::backfill_step::Backfill;
use crate::calls::table::{guard_of, Guard};
use crate::errors;
use crate::install::arguments::{positive, required};
use crate::install::target::Target;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::spi::{connected, pinned_search_path};

function_entry!(raceguard_backfill_version_step, crate::calls::backfill::backfill_version_step);

/// `raceguard.backfill_version_step(target, batch) -> bigint`: gives distinct versions to up to
/// `batch` rows, and returns how many it was; 0 when all rows are done. Case A3.
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

fn arguments(call: Call) -> Result<(Target, Guard, i64), Report> {
    pinned_search_path(|| {
        let target = Target::owned(call, 0)?;
        let batch = positive(required(call.int(1), "batch")?, "batch")?;
        let guard = guard_of(target.oid)?.filter(|guard| guard.enabled);
        let guard = guard.ok_or_else(|| no_guard(&target))?;
        Ok((target, guard, batch.into()))
    })
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
