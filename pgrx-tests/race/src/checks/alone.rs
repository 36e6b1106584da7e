//! Mutual exclusion: the spans in which a transaction was certainly inside a key never overlap.
//!
//! A span begins when the answer to the locking SQL had arrived and ends when the last SQL was sent
//! that the server still answered with success (or ROLLBACK TO, which releases the lock): within it
//! the server held the lock whatever happened to the connection later.

use crate::history::{Fact, History, Violation};
use std::collections::BTreeMap;

pub const ALONE: &str = "one transaction inside a key";

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Fate, StepLog, TxnLog};

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

    #[test]
    fn rolling_back_to_a_savepoint_leaves() {
        assert_eq!(broken(vec![txn(0, 10, 50, Some((20, 25))), txn(1, 22, 30, None)]), 0);
    }
}
