//! `CALL raceguard.retry`: statements repeated until they meet no conflict.

use crate::errors;
use crate::guard::arguments::{at_least_one, one_of, required};
use crate::pg::backoff;
use crate::pg::call::{function_entry, Call, Value};
use crate::pg::error::Report;
use crate::pg::own_transaction::{hindrance, Hindrance, Transactions};
use crate::pg::result_set::Output;
use core::ffi::CStr;
use pgrx::pg_sys::Datum;

function_entry!(raceguard_retry, crate::retry::retry);

/// What is asked for.
struct Job<'c> {
    statements: &'c CStr,
    params: Option<Datum>,
    isolation: &'static CStr,
    max_attempts: i32,
    base_delay: i64,
    max_delay: i64,
}

/// `retry(statements, params, isolation, max_attempts, base_delay, max_delay, INOUT attempts)`.
///
/// Runs the statements in one transaction of the given isolation level and commits it. If they, or
/// the commit, fail with a serialization failure (40001) or a deadlock (40P01), the transaction is
/// rolled back and tried again, at most `max_attempts` times, after a random wait of up to
/// `base_delay`, then twice that, and so on up to `max_delay`. `params` is bound as `$1`; rows that
/// the statements return are thrown away; `attempts` tells how many it took. The last failure is
/// raised with its own SQLSTATE and a DETAIL that names the attempts, any other error at once and
/// unchanged. Raises 25001 where earlier work of the surrounding transaction would be lost, 2D000
/// for transaction control among the statements, 22023 and 22004 for bad arguments. Serves
/// write skew at SERIALIZABLE, failures at COMMIT included, without a retry loop in every client.
fn retry(call: Call) -> Result<Value, Report> {
    let job = job(call)?;
    // The statements may drop the extension.
    let output = Output::of(call)?;
    if let Some(hindrance) = hindrance(call, c"CALL raceguard.retry")? {
        return Err(refused(hindrance));
    }
    let transactions = Transactions::connect()?;
    // The caller's transaction has written nothing. It is committed rather than rolled back, so
    // that a NOTIFY or SET in it is kept.
    transactions.commit()?;
    let attempts = repeat(transactions, &job)?;
    transactions.finish()?;
    output.row([Datum::from(attempts)])
}

fn job(call: Call<'_>) -> Result<Job<'_>, Report> {
    let isolation = required(call.text(2)?, "isolation")?;
    let delay = |n: usize, name: &str| -> Result<i64, Report> {
        not_negative(backoff::microseconds(required(call.datum(n), name)?), name)
    };
    Ok(Job {
        statements: required(call.c_text(0)?, "statements")?,
        params: call.plain(1)?,
        isolation: level(&isolation)?,
        max_attempts: at_least_one(
            required(call.int(3), "max_attempts")?,
            "max_attempts",
            (
                "The first attempt counts.",
                "Write max_attempts => 1 to run the statements without retrying.",
            ),
        )?,
        base_delay: delay(4, "base_delay")?,
        max_delay: delay(5, "max_delay")?,
    })
}

const SERIALIZABLE: &CStr = c"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";

/// The command that sets an isolation level.
fn level(isolation: &str) -> Result<&'static CStr, Report> {
    const LEVELS: [(&str, &CStr); 3] = [
        ("serializable", SERIALIZABLE),
        ("repeatable read", c"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        ("read committed", c"SET TRANSACTION ISOLATION LEVEL READ COMMITTED"),
    ];
    let asked = isolation.to_lowercase();
    match LEVELS.iter().find(|(name, _)| *name == asked) {
        Some((_, command)) => Ok(command),
        None => one_of(isolation, "isolation", &LEVELS.map(|(name, _)| name)).map(|_| LEVELS[0].1),
    }
}

fn repeat(transactions: Transactions, job: &Job) -> Result<i32, Report> {
    let mut attempt = 1;
    loop {
        let Err(report) = once(transactions, job) else {
            return Ok(attempt);
        };
        if !report.is(errors::SERIALIZATION_FAILURE) && !report.is(errors::DEADLOCK) {
            return Err(report);
        }
        if attempt >= job.max_attempts {
            return Err(gave_up(report, attempt));
        }
        // Rolled back before the wait, so that no lock or snapshot is held meanwhile, and again
        // after it, so that now() is the time of the attempt.
        transactions.rollback()?;
        transactions.forget()?;
        transactions.pause()?;
        backoff::wait(backoff::ceiling(job.base_delay, job.max_delay, attempt))?;
        transactions.rollback()?;
        attempt += 1;
    }
}

/// One attempt: a whole transaction. After an error it has still to be rolled back.
fn once(transactions: Transactions, job: &Job) -> Result<(), Report> {
    transactions.command(job.isolation)?;
    let code = transactions.run(job.statements, job.params)?;
    if code < 0 {
        return Err(not_possible(code));
    }
    if job.isolation == SERIALIZABLE && transactions.is_distributed()? {
        return Err(on_several_nodes());
    }
    transactions.commit()
}

/// 0A000: each node sees only the conflicts of its own rows.
fn on_several_nodes() -> Report {
    Report::error(
        errors::UNSUPPORTED,
        format_args!("raceguard.retry cannot keep a transaction of several nodes serializable"),
    )
    .detail(format_args!(
        "The statements have used tables that Citus distributes. Each node looks for conflicts among its own rows only, so that of two transactions each may overlook what the other has written elsewhere."
    ))
    .hint(format_args!(
        "Lock what the statements decide by, with raceguard.lock_rows or SELECT ... FOR UPDATE, and call with isolation => 'read committed'."
    ))
}

fn gave_up(report: Report, attempts: i32) -> Report {
    let plural = if attempts == 1 { "" } else { "s" };
    let told = format!("raceguard.retry gave up after {attempts} attempt{plural}.");
    match report.detail_text() {
        "" => report.detail(format_args!("{told}")),
        detail => report.detail(format_args!("{detail}\n{told}")),
    }
}

fn refused(hindrance: Hindrance) -> Report {
    let place = match hindrance {
        Hindrance::InSubtransaction => "inside a subtransaction",
        Hindrance::InBlock => "inside a transaction block",
        Hindrance::InFunction => {
            "inside a function, or inside a procedure with SET or SECURITY DEFINER"
        }
        Hindrance::InPipeline => "after other statements of a pipeline",
        Hindrance::HasWritten => "in a transaction that has already written",
        Hindrance::HasLocalSettings => "where SET LOCAL is in effect",
    };
    Report::error(
        errors::ACTIVE_TRANSACTION,
        format_args!("CALL raceguard.retry cannot run {place}"),
    )
    .detail(format_args!(
        "Each attempt is a transaction of its own; what belongs to the present one would be lost, or committed too early."
    ))
    .hint(format_args!(
        "Call it by itself: with autocommit, outside BEGIN, as the first statement of a pipeline, before anything is written."
    ))
}

/// SPI's refusals, which it reports by a negative code and not as errors.
fn not_possible(code: core::ffi::c_int) -> Report {
    use pgrx::pg_sys::{SPI_ERROR_COPY, SPI_ERROR_TRANSACTION};
    match code {
        SPI_ERROR_TRANSACTION => Report::error(
            errors::TRANSACTION_TERMINATION,
            format_args!("transaction control is not allowed in the statements of raceguard.retry"),
        )
        .detail(format_args!(
            "All statements run in one transaction, which raceguard.retry itself begins and ends; nothing of them was committed."
        ))
        .hint(format_args!(
            "Leave out BEGIN, COMMIT, ROLLBACK and SAVEPOINT; for a partial rollback use a DO block with EXCEPTION."
        )),
        SPI_ERROR_COPY => Report::error(
            errors::UNSUPPORTED,
            format_args!("COPY to or from the client is not possible in the statements of raceguard.retry"),
        )
        .detail(format_args!("The data would have to be sent again for each attempt."))
        .hint(format_args!("Pass the data in params, or COPY it into a staging table first.")),
        _ => Report::error(
            errors::INTERNAL,
            format_args!("the statements of raceguard.retry could not be run: SPI code {code}"),
        ),
    }
}

fn not_negative(delay: i64, name: &str) -> Result<i64, Report> {
    if delay >= 0 {
        return Ok(delay);
    }
    Err(Report::error(
        errors::INVALID_PARAMETER,
        format_args!("argument \"{name}\" must not be negative"),
    )
    .detail(format_args!("It is the longest time to wait between two attempts."))
    .hint(format_args!("Write {name} => '0' to retry at once.")))
}
