//! How an outcome leaves a guard: the one place that counts it, logs it, and knows the observe mode.
//!
//! | outcome | call | the row |
//! |---|---|---|
//! | passed | [`passed`] | is written |
//! | conflict, missing, refused | [`refuse`] of a guard that enforces, [`refused`] of a call | is not |
//! | observed | [`refuse`] of a guard that observes, or [`observed`] | is written |
//! | bypassed | [`bypassed`] | is written |
//! | waited, escalated | [`leave`], [`settle_locks`] | as the guard decides |
//! | failed | [`leave`] | is not: the guard could not do its work |

use crate::errors::Code;
use crate::guard::bypass;
use crate::guard::log_line::{self, LogEvent};
use crate::guard::stats::counters::Word;
use crate::guard::stats::session;
use crate::pg::advisory_lock;
use crate::pg::distribution;
use crate::pg::error::{tell, Level, Report};
use crate::pg::guc::{self, error_style, ErrorStyle};
use crate::pg::instant::Clock;
use crate::pg::text::PgText;
use crate::pg::trigger::{logical_name, Definition, Firing};
use crate::pg::tuple::Row;
use crate::pg::xid;
use core::fmt::Arguments;

/// Whether a guard refuses, or only logs what it would have refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Enforce,
    Observe,
}

/// Counts a row that the guard has judged and lets pass. Plain frames, as everything here.
#[inline]
pub fn passed(firing: Firing) {
    session::passed(firing.definition());
}

/// Refuses a write with one of raceguard's own errors, in the name of the guard that fires, or lets it pass and logs
/// what it would have said: a log line is always in the native style, whatever the client is shown.
#[cold]
pub fn refuse(
    firing: Firing,
    mode: Mode,
    code: Code,
    report: impl Fn(ErrorStyle) -> Report,
) -> Result<(), Report> {
    if bypass::covers(firing) {
        bypassed(firing);
        return Ok(());
    }
    let guard = firing.definition();
    if mode == Mode::Observe {
        session::count(guard, Word::Observed, 1);
        log_line::write(guard, LogEvent::Observed, code.name(), || detail_of(&report));
        return Ok(());
    }
    let writer = (code == Code::Rg409).then(|| firing.old().writer()).flatten();
    Err(refused(guard, code, writer, report).constraint(firing.trigger_name()).counted())
}

/// Counts a refusal in the name of a guard, and logs it where refusals are logged; the error to be raised. `writer` is
/// the transaction that had written the row, where that is known. Calls on rows come here as well: they find out about
/// their row themselves, and the guard of its table counts it.
#[cold]
pub fn refused(
    guard: Definition,
    code: Code,
    writer: Option<u32>,
    report: impl Fn(ErrorStyle) -> Report,
) -> Report {
    let word = match code {
        Code::Rg409 => Word::Conflicts,
        Code::Rg428 => Word::Missing,
        _ => Word::Refused,
    };
    session::count(guard, word, 1);
    if guc::counts_refusals() {
        let counters = session::counters(guard);
        counters.set(Word::LastConflictAt, Clock::TimestampTz.now() as u64);
        counters.set(Word::LastConflictXid, writer.map_or(0, xid::full));
    }
    if guc::logs_conflicts() {
        log_line::write(guard, LogEvent::Conflict, code.name(), || detail_of(&report));
    }
    report(error_style())
}

fn detail_of(report: impl Fn(ErrorStyle) -> Report) -> PgText {
    PgText::from_fmt(format_args!("{}", report(ErrorStyle::Native).detail_text()))
}

/// Counts and logs a row that passes because the guard observes. `code` is the SQLSTATE that it would have got, `detail`
/// the DETAIL in the native style, which names the key where the user may see it.
#[cold]
pub fn observed(firing: Firing, code: &str, detail: &str) {
    let guard = firing.definition();
    session::count(guard, Word::Observed, 1);
    let detail = || PgText::from_fmt(format_args!("{detail}"));
    log_line::write(guard, LogEvent::Observed, code, detail);
}

/// Counts a row that passes unjudged because the guard is bypassed.
#[cold]
pub fn bypassed(firing: Firing) {
    session::count(firing.definition(), Word::Bypassed, 1);
}

/// What every guard returns through: counts what became of its locks, and a failure that is none of its refusals.
#[inline]
pub fn leave<'f>(firing: Firing<'f>, result: Result<Row<'f>, Report>) -> Result<Row<'f>, Report> {
    settle_locks(firing.definition(), &result);
    result.map_err(|report| {
        failed(firing.definition(), &report);
        as_known(firing.definition(), report)
    })
}

/// Clients know of no shards and chunks: in the fields for programs, as in the texts, stand the table that they name and
/// the guard's name there.
#[cold]
fn as_known(guard: Definition, report: Report) -> Report {
    let table = guard.table();
    let place = match report.is_caught() {
        true => None,
        false => distribution::of(table.oid()).filter(|place| place.is_piece),
    };
    let Some(place) = place else { return report };
    let report = match report.table_text().1 == table.name() {
        true => report.table(place.logical),
        false => report,
    };
    match report.constraint_text() {
        "" => report,
        name => report.constraint(logical_name(table, name).as_str()),
    }
}

/// Counts the waits and escalations that came of taking a guard's locks, however that ended.
#[inline]
pub fn settle_locks<T>(guard: Definition, result: &Result<T, Report>) {
    if advisory_lock::any_news() {
        count_locks(guard, result.as_ref().is_err_and(Report::is_caught));
    }
}

/// After an error of Postgres's own only what is known already can be counted, and that is whoever has waited.
#[cold]
fn count_locks(guard: Definition, only_if_known: bool) {
    let news = advisory_lock::take_news();
    let count = |word, by| match only_if_known {
        _ if by == 0 => {}
        true => session::count_if_known(guard, word, by),
        false => session::count(guard, word, by),
    };
    count(Word::Waited, news.waits);
    count(Word::WaitTime, news.wait_time);
    count(Word::Escalated, news.escalations);
}

/// What Postgres raised is its own doing: a lock_timeout, a cancel, a deadlock.
#[cold]
fn failed(guard: Definition, report: &Report) {
    match (report.is_counted(), report.is_caught()) {
        (true, _) => {}
        (false, false) => session::count(guard, Word::Failed, 1),
        (false, true)
            if report.is_in_class(b"40")
                || report.is_in_class(b"55")
                || report.is_in_class(b"57") => {}
        (false, true) => session::count_if_known(guard, Word::Failed, 1),
    }
}

/// Lets a write pass with a WARNING.
#[cold]
pub fn warn(message: Arguments, hint: Arguments) {
    tell(Level::Warning, message, Some(hint));
}
