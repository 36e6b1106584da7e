//! Mutual exclusion: the spans in which a transaction was certainly inside a key never overlap.
//!
//! A span begins when the answer to the locking SQL had arrived and ends when the last SQL was sent
//! that the server still answered with success (or ROLLBACK TO, which releases the lock): within it
//! the server held the lock whatever happened to the connection later.
//!
//! The other way round, who only tries and is refused must have met somebody: another transaction
//! that had asked for the key and had neither ended nor rolled that back.

use super::LINGERS;
use crate::history::{Fact, History, Reply, StepLog, TxnLog, Violation};
use crate::language::{Effect, Workload};
use std::collections::BTreeMap;

pub const ALONE: &str = "one transaction inside a key";
pub const NOBODY_INSIDE: &str = "no key refused with nobody inside";

struct Span {
    from: u64,
    to: u64,
    txn: usize,
    client: usize,
}

pub fn check(history: &History) -> Vec<Violation> {
    let mut by_key: BTreeMap<i64, Vec<Span>> = BTreeMap::new();
    for (number, txn) in history.txns.iter().enumerate() {
        for step in &txn.steps {
            let to = step.undone.map_or(txn.alive, |(sent, _)| sent.min(txn.alive));
            for fact in &step.facts {
                if let Fact::Enter { key, from } = *fact {
                    let span = Span { from, to, txn: number, client: txn.client };
                    by_key.entry(key).or_default().push(span);
                }
            }
        }
    }
    let mut broken = Vec::new();
    for (key, mut spans) in by_key {
        spans.retain(|s| s.from < s.to);
        spans.sort_by_key(|s| s.from);
        // The span seen so far that reaches furthest.
        let mut reach: Option<&Span> = None;
        for span in &spans {
            if let Some(other) = reach.filter(|r| r.txn != span.txn && r.to > span.from) {
                broken.push(Violation {
                    invariant: ALONE.to_string(),
                    key: Some(key),
                    at: Some(span.from),
                    what: format!(
                        "clients {} and {} were both inside key {key} for {} us",
                        other.client,
                        span.client,
                        (other.to.min(span.to) - span.from) / 1000
                    ),
                });
            }
            if reach.is_none_or(|r| span.to > r.to) {
                reach = Some(span);
            }
        }
    }
    broken
}

/// Tries that found a key locked with nobody there. `escalates`: whoever asked for a key twice,
/// rolled back or not, may have all of them, as long as it has one.
pub fn refused_tries(workload: &Workload, history: &History, escalates: bool) -> Vec<Violation> {
    let mut broken = Vec::new();
    for txn in &history.txns {
        for step in &txn.steps {
            let statement = &workload.statements[step.statement];
            let tried = statement.at_once.filter(|at| at + 1 < statement.sql.len());
            let Some(sent) = step.sent.last().filter(|_| tried == step.sent.len().checked_sub(1))
            else {
                continue;
            };
            if !matches!(&sent.reply, Reply::Rows(rows) if rows.is_empty()) {
                continue;
            }
            let (from, to) = (sent.start, sent.end);
            let mut others = history.txns.iter().filter(|t| !std::ptr::eq(*t, txn));
            if !others.any(|t| may_hold(workload, t, step.key, from, to, escalates)) {
                broken.push(Violation {
                    invariant: NOBODY_INSIDE.to_string(),
                    key: Some(step.key),
                    at: Some(to),
                    what: format!(
                        "client {}, {}: refused key {} although nobody else had asked for it",
                        txn.client, statement.name, step.key
                    ),
                });
            }
        }
    }
    broken
}

/// Whether the transaction may have held `key` at some moment from `from` to `to`.
fn may_hold(
    workload: &Workload,
    txn: &TxnLog,
    key: i64,
    from: u64,
    to: u64,
    escalates: bool,
) -> bool {
    let ended = txn.ended + if txn.lost { LINGERS } else { 0 };
    let asked: Vec<&StepLog> = txn.steps.iter().filter(|s| s.start() <= to).collect();
    let holding = asked.iter().filter(|s| s.undone.map_or(ended, |(_, done)| done) >= from);
    let all = escalates && asked.iter().flat_map(|s| keys(workload, s)).count() > 1;
    holding.flat_map(|s| keys(workload, s)).any(|held| all || held == key)
}

/// The keys that a step asks for.
fn keys(workload: &Workload, step: &StepLog) -> Vec<i64> {
    let asks =
        workload.statements[step.statement].effects.iter().filter_map(|effect| match effect {
            Effect::Enter | Effect::EnterFirst => Some(step.key),
            Effect::EnterOther => Some(step.other),
            _ => None,
        });
    asks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Fate, Sent, StepLog, TxnLog};
    use crate::language::Statement;

    fn txn(client: usize, from: u64, alive: u64, undone: Option<(u64, u64)>) -> TxnLog {
        let step = StepLog {
            statement: 0,
            key: 1,
            other: 2,
            number: 0,
            sent: Vec::new(),
            facts: vec![Fact::Enter { key: 1, from }],
            subject: None,
            declined: false,
            undone,
        };
        TxnLog {
            client,
            number: 0,
            begin: 0,
            isolation: "READ COMMITTED",
            steps: vec![step],
            fate: Fate::RolledBack,
            end_sent: alive,
            ended: alive,
            alive,
            lost: false,
            commit_error: None,
        }
    }

    fn broken(txns: Vec<TxnLog>) -> usize {
        let history = History { txns, ..History::default() };
        check(&history).len()
    }

    #[test]
    fn spans_may_touch_but_not_overlap() {
        assert_eq!(broken(vec![txn(0, 10, 20, None), txn(1, 20, 30, None)]), 0);
        assert_eq!(broken(vec![txn(0, 10, 21, None), txn(1, 20, 30, None)]), 1);
        assert_eq!(
            broken(vec![txn(0, 10, 50, None), txn(1, 12, 14, None), txn(2, 20, 30, None)]),
            2
        );
    }

    /// A workload of one statement that tries, and a step of it that was refused from 10 to 12.
    fn tried() -> (Workload, TxnLog) {
        let mut workload = Workload::new("", "");
        let effects = [Effect::EnterFirst];
        workload.statements = vec![Statement::new("try", 1, &["try", "work"], &effects).at_once(0)];
        let mut refused = txn(0, 0, 20, None);
        let reply = Reply::Rows(Vec::new());
        refused.steps[0].facts.clear();
        refused.steps[0].sent.push(Sent { sql: String::new(), start: 10, end: 12, reply });
        (workload, refused)
    }

    fn in_vain(other: TxnLog) -> usize {
        let (workload, refused) = tried();
        let history = History { txns: vec![refused, other], ..History::default() };
        refused_tries(&workload, &history, false).len()
    }

    #[test]
    fn a_refused_try_needs_somebody_inside() {
        assert_eq!(in_vain(txn(1, 0, 11, None)), 0);
        assert_eq!(in_vain(txn(1, 0, 9, None)), 1);
        assert_eq!(in_vain(txn(1, 0, 50, Some((5, 9)))), 1);
        assert_eq!(in_vain(txn(1, 0, 50, Some((5, 10)))), 0);
        let mut elsewhere = txn(1, 0, 11, None);
        elsewhere.steps[0].key = 2;
        assert_eq!(in_vain(elsewhere), 1);
    }

    #[test]
    fn rolling_back_to_a_savepoint_leaves() {
        assert_eq!(broken(vec![txn(0, 10, 50, Some((20, 25))), txn(1, 22, 30, None)]), 0);
    }
}
