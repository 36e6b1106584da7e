//! Stock: no refusal while there is enough.
//!
//! What was certainly there: the stock at the beginning, less all that may have been taken by the
//! time of the answer, and with all that was certainly put back before the statement was sent, or,
//! where the snapshot is the transaction's, before that began.

use crate::history::{Fact, Fate, History, StepLog, TxnLog, Violation};
use crate::language::{Effect, Workload};

pub const HAD_STOCK: &str = "no refusal while there is stock";

pub fn check(workload: &Workload, history: &History, code: &str, stock: i64) -> Vec<Violation> {
    let mut broken = Vec::new();
    for txn in &history.txns {
        for (position, step) in txn.steps.iter().enumerate() {
            if step.error().is_none_or(|(c, _)| c != code) {
                continue;
            }
            let Some(sent) = step.sent.last() else { continue };
            let own_snapshot = txn.isolation != "READ COMMITTED";
            let from = if own_snapshot { txn.begin } else { sent.start };
            let asked = asked(workload, step);
            let least: Vec<i64> = asked
                .iter()
                .map(|(key, _)| stock - most_taken(history, txn, position, *key, from, sent.end))
                .collect();
            if asked.iter().zip(&least).all(|((_, amount), left)| left >= amount) {
                let statement = &workload.statements[step.statement];
                broken.push(Violation {
                    invariant: HAD_STOCK.to_string(),
                    key: Some(step.key),
                    at: Some(sent.end),
                    what: format!(
                        "client {}, {}: asked {asked:?} (key, amount) and was refused although at \
                         least {least:?} were left",
                        txn.client, statement.name
                    ),
                });
            }
        }
    }
    broken
}

/// (key, amount) of what a statement takes.
fn asked(workload: &Workload, step: &StepLog) -> Vec<(i64, i64)> {
    let amount = |effect: &Effect| match effect {
        Effect::Add => Some((step.key, 1)),
        Effect::AddOther => Some((step.other, 1)),
        Effect::AddNumber => Some((step.key, step.number)),
        _ => None,
    };
    workload.statements[step.statement].effects.iter().filter_map(amount).collect()
}

/// The most that may have been missing from `key` for this transaction between `from` and `to`.
fn most_taken(
    history: &History,
    txn: &TxnLog,
    position: usize,
    key: i64,
    from: u64,
    to: u64,
) -> i64 {
    let of = |facts: &mut dyn Iterator<Item = Fact>, back: bool| -> i64 {
        let amounts = facts.filter_map(|fact| match fact {
            Fact::Add { key: k, amount } if k == key && (amount > 0 || back) => Some(amount),
            _ => None,
        });
        amounts.sum()
    };
    let others = history.txns.iter().filter(|t| !std::ptr::eq(*t, txn));
    let committed = others.filter(|t| t.fate == Fate::Committed && t.end_sent <= to);
    let theirs: i64 =
        committed.map(|t| of(&mut t.facts().map(|(_, fact)| fact), t.ended <= from)).sum();
    let before = txn.steps[..position].iter();
    theirs + before.map(|s| of(&mut s.facts.iter().copied(), s.undone.is_none())).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Reply, Sent};
    use crate::language::Statement;

    fn step(facts: &[Fact], error: bool, at: u64) -> StepLog {
        let reply = match error {
            true => Reply::Error { code: "RG422".into(), message: String::new() },
            false => Reply::Rows(Vec::new()),
        };
        StepLog {
            statement: 0,
            key: 1,
            other: 2,
            number: 4,
            sent: vec![Sent { sql: String::new(), start: at, end: at + 1, reply }],
            facts: facts.to_vec(),
            subject: None,
            declined: false,
            undone: None,
        }
    }

    fn txn(step: StepLog, fate: Fate, end_sent: u64, ended: u64) -> TxnLog {
        TxnLog {
            client: 0,
            number: 0,
            begin: 0,
            isolation: "READ COMMITTED",
            steps: vec![step],
            fate,
            end_sent,
            ended,
            alive: end_sent,
            lost: false,
            commit_error: None,
        }
    }

    /// Refusals at 20 of 4 from a stock of 10, beside another transaction's.
    fn broken(amount: i64, fate: Fate, end_sent: u64, ended: u64) -> usize {
        let mut workload = Workload::new("", "");
        workload.statements = vec![Statement::new("take", 1, &[""], &[Effect::AddNumber])];
        let refused = txn(step(&[], true, 20), Fate::RolledBack, 30, 31);
        let other = txn(step(&[Fact::Add { key: 1, amount }], false, 5), fate, end_sent, ended);
        let history = History { txns: vec![refused, other], ..History::default() };
        check(&workload, &history, "RG422", 10).len()
    }

    #[test]
    fn a_refusal_needs_that_somebody_may_have_taken() {
        assert_eq!(broken(7, Fate::Committed, 21, 40), 0);
        assert_eq!(broken(6, Fate::Committed, 21, 40), 1);
        assert_eq!(broken(7, Fate::Committed, 22, 40), 1);
        assert_eq!(broken(7, Fate::RolledBack, 10, 12), 1);
        assert_eq!(broken(-1, Fate::Committed, 10, 12), 1);
    }
}
