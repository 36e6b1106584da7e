//! `CALL add_guards`: a guard on each of many tables that are in use, a transaction for each.
//!
//! Whoever waits for a table lock makes everybody wait who comes after him. So no wait is longer than
//! `lock_timeout`; a table whose lock was not to be had is tried again when the others have had their turn.

use crate::errors;
use crate::guard::arguments::{at_least_one, required};
use crate::guard::target::Target;
use crate::operate::rollout::blockers::Blockers;
use crate::operate::rollout::options::Wish;
use crate::operate::rollout::tables::{Choice, UnguardedTable};
use crate::pg::backoff;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::{tell, Level, Report};
use crate::pg::memory::{own, push, reserve};
use crate::pg::own_transaction::{hindrance, Transactions};
use crate::pg::spi::{in_subtransaction, pinned_search_path};

function_entry!(raceguard_add_guards, crate::operate::rollout::add_guards::add_guards);

/// Up to this size a table is numbered, checked and indexed while its writers wait: some 0.1 s. For a larger
/// one these are steps of their own.
const SMALL: i64 = 8 << 20;

/// The locks of steps that only change the catalog. Others read the table: they are left to `add_*`.
const SHORT: [&str; 2] = ["ACCESS EXCLUSIVE", "SHARE ROW EXCLUSIVE"];

/// The wait before the second attempt is random up to the first, doubled each time up to the last.
const PAUSES: (i64, i64) = (100_000, 5_000_000);

/// The most tables that an error names.
const NAMED: usize = 20;

/// What is asked for besides kind, options and tables.
struct Patience {
    /// In milliseconds.
    lock_timeout: i64,
    attempts: i32,
}

/// What became of one attempt at a table.
enum Tried {
    /// The guard stands; whether it had to be added.
    Done(bool),
    /// Somebody had locked it, or a conflict was resolved against the attempt.
    Busy,
    Failed(String),
}

/// `CALL raceguard.add_guards(kind, options, schemas, where_column, exclude, lock_timeout, attempts)`: puts a guard
/// on every table that is chosen, in a transaction for each, without a wait for a lock that is longer than
/// `lock_timeout`. A table that is locked is tried again, up to `attempts` times, after the others; one that cannot
/// have the guard is left out, and an error at the end names it. Called again it goes on with what is missing.
/// Serves the roll-out to hundreds of tables that are in use.
///
/// Raises 55000 at the end if a table was left out, 25001 inside a transaction block or function, 22023 for an
/// unknown kind or option, a value of the wrong type, a bad `lock_timeout` or `attempts`, 3F000, 22004.
fn add_guards(call: Call) -> Result<Value, Report> {
    if hindrance(call, c"CALL raceguard.add_guards")?.is_some() {
        return Err(in_transaction());
    }
    let patience = Patience::read(call)?;
    let kind = call.text(0)?;
    // In the memory of the call, which outlives its transactions.
    let options = call.plain(1)?;
    let transactions = Transactions::connect()?;
    let wish = Wish::read(kind, options)?;
    let candidates = Choice::read(call, 2)?.candidates()?;
    let mut rollout = RollOut { transactions, wish, patience, added: 0, left_out: Vec::new() };
    rollout.run(&candidates)?;
    transactions.finish()?;
    rollout.report(candidates.len())
}

impl Patience {
    fn read(call: Call) -> Result<Patience, Report> {
        let lock_timeout = required(call.datum(5), "lock_timeout")?;
        let lock_timeout = backoff::microseconds(lock_timeout) / 1000;
        let attempts = required(call.int(6), "attempts")?;
        let because = ("The first attempt counts.", "Write attempts => 1 to try each table once.");
        let attempts = at_least_one(attempts, "attempts", because)?;
        if (1..=i32::MAX.into()).contains(&lock_timeout) {
            return Ok(Patience { lock_timeout, attempts });
        }
        Err(Report::error(
            errors::INVALID_PARAMETER,
            format_args!(
                "argument \"lock_timeout\" must be at least a millisecond, and less than 24 days"
            ),
        )
        .detail(format_args!(
            "While a lock is waited for, everybody else who uses the table waits as well."
        ))
        .hint(format_args!("Leave it out for 200 ms.")))
    }
}

/// A roll-out under way.
struct RollOut {
    transactions: Transactions,
    wish: Wish,
    patience: Patience,
    /// How many guards were added.
    added: usize,
    /// The tables that are left without, and why.
    left_out: Vec<(String, String)>,
}

impl RollOut {
    fn run(&mut self, candidates: &[UnguardedTable]) -> Result<(), Report> {
        let mut open = Vec::new();
        reserve(&mut open, candidates.len())?;
        open.extend(candidates);
        for attempt in 1..=self.patience.attempts {
            if attempt > 1 {
                self.pause(attempt - 1)?;
            }
            let mut busy = Vec::new();
            for candidate in open {
                match self.attempt(candidate)? {
                    Tried::Done(new) => self.added += usize::from(new),
                    Tried::Busy => push(&mut busy, candidate)?,
                    Tried::Failed(why) => self.leave_out(candidate, why)?,
                }
            }
            open = busy;
            if open.is_empty() {
                return Ok(());
            }
        }
        let blockers = pinned_search_path(Blockers::now)?;
        for candidate in open {
            let who = blockers.of(candidate.oid, "ACCESS EXCLUSIVE");
            let who = who.map(|who| format!(" ({who})")).unwrap_or_default();
            let attempts = self.patience.attempts;
            self.leave_out(
                candidate,
                format!("locked by others at each of {attempts} attempts{who}"),
            )?;
        }
        Ok(())
    }

    fn leave_out(&mut self, candidate: &UnguardedTable, why: String) -> Result<(), Report> {
        push(&mut self.left_out, (own(&candidate.name)?, why))
    }

    /// Waits in a transaction that holds nothing.
    fn pause(&self, failed: i32) -> Result<(), Report> {
        self.transactions.pause()?;
        backoff::wait(backoff::ceiling(PAUSES.0, PAUSES.1, failed))?;
        self.transactions.rollback()
    }

    /// One attempt at a table: a whole transaction.
    fn attempt(&self, candidate: &UnguardedTable) -> Result<Tried, Report> {
        let guarded = in_subtransaction(|| {
            candidate.waiting_at_most(self.patience.lock_timeout, || self.guard(candidate))
        })?;
        let guarded = match guarded {
            Ok(new) => self.transactions.commit().map(|()| new),
            Err(cause) => Err(cause),
        };
        let outcome = match guarded {
            Ok(new) => Tried::Done(new),
            // Before the rollback: with the transaction goes what the cause refers to.
            Err(cause) => {
                let outcome = Tried::of(cause)?;
                self.transactions.rollback()?;
                outcome
            }
        };
        self.transactions.forget()?;
        Ok(outcome)
    }

    /// Puts the guard on a table; whether there was anything to do.
    fn guard(&self, candidate: &UnguardedTable) -> Result<bool, Report> {
        if !pinned_search_path(|| candidate.exists())? {
            return Ok(false);
        }
        let columns = "called.ddl, called.lock_mode, called.own_transaction";
        let steps = self.wish.run("plan", columns, candidate.oid)?;
        if steps.is_empty() {
            return Ok(false);
        }
        let mut statements = Vec::new();
        for step in &steps {
            if step.get(2)? || !SHORT.contains(&step.get(1)?) {
                if pinned_search_path(|| candidate.size())? > SMALL {
                    return Err(too_large(&self.wish, candidate));
                }
                self.wish.run("add", "called", candidate.oid)?;
                return Ok(true);
            }
            push(&mut statements, step.get(0)?)?;
        }
        pinned_search_path(|| {
            let target = Target::of(candidate.oid)?;
            statements.into_iter().try_for_each(|ddl| carry_out(&target, ddl))
        })?;
        Ok(true)
    }

    /// Tells what was done; 55000 if tables were left out.
    fn report(&self, tables: usize) -> Result<Value, Report> {
        let (kind, added, left) = (self.wish.kind.name, self.added, self.left_out.len());
        tell(
            Level::Notice,
            format_args!(
                "guards of kind \"{kind}\": {added} added, {} stood, {left} left out",
                tables - added - left
            ),
            None,
        );
        if left == 0 {
            return Ok(Value::Void);
        }
        let mut lines: Vec<String> = self
            .left_out
            .iter()
            .take(NAMED)
            .map(|(table, why)| format!("{table}: {why}"))
            .collect();
        if left > NAMED {
            lines.push(format!("And {} more.", left - NAMED));
        }
        Err(Report::error(
            errors::NOT_IN_PREREQUISITE_STATE,
            format_args!("could not add a guard of kind \"{kind}\" to {left} of {tables} tables"),
        )
        .detail(format_args!("{}", lines.join("\n")))
        .hint(format_args!(
            "Guards that were added stay. Call raceguard.add_guards again to go on with these tables; raceguard.plan_guards shows what stands in the way."
        )))
    }
}

/// One short step, as `add_*` does it: an ALTER TABLE may evaluate CHECKs, which are the owner's code, and a trigger
/// may need the caller's right on another table.
fn carry_out(target: &Target, ddl: &str) -> Result<(), Report> {
    match ddl.starts_with("ALTER TABLE ") {
        true => target.alter_as_owner(ddl),
        false => target.run(ddl),
    }
}

impl Tried {
    /// What an error means for the roll-out; one that asks to stop is raised.
    fn of(cause: Report) -> Result<Tried, Report> {
        let busy = [errors::LOCK_NOT_AVAILABLE, errors::DEADLOCK, errors::SERIALIZATION_FAILURE];
        if cause.is(errors::QUERY_CANCELED) {
            return Err(cause);
        }
        if busy.into_iter().any(|code| cause.is(code)) {
            return Ok(Tried::Busy);
        }
        own(cause.message_text()).map(Tried::Failed)
    }
}

/// 55000: what would keep writers waiting for longer than the roll-out may.
fn too_large(wish: &Wish, candidate: &UnguardedTable) -> Report {
    Report::error(
        errors::NOT_IN_PREREQUISITE_STATE,
        format_args!(
            "it is large and needs the steps of raceguard.plan_{} one by one",
            wish.kind.name
        ),
    )
    .table(candidate.oid)
}

fn in_transaction() -> Report {
    Report::error(
        errors::ACTIVE_TRANSACTION,
        format_args!("CALL raceguard.add_guards cannot run inside a transaction"),
    )
    .detail(format_args!("It commits after each table, and with it whatever was done before."))
    .hint(format_args!("Run it by itself, outside BEGIN, functions and pipelines."))
}
