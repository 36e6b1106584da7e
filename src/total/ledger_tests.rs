use super::{Ledger, TryCopy};
use proptest::prelude::*;
use std::collections::{BTreeMap, TryReserveError};

impl TryCopy for i64 {
    fn try_copy(&self) -> Result<i64, TryReserveError> {
        Ok(*self)
    }
}

#[derive(Clone, Debug)]
enum LedgerStep {
    Note(u8, i64),
    Settle,
    Savepoint,
    Release,
    Rollback,
}

fn step() -> impl Strategy<Value = LedgerStep> {
    prop_oneof![
        5 => (0u8..12, -3i64..4).prop_map(|(key, n)| LedgerStep::Note(key, n)),
        2 => Just(LedgerStep::Settle),
        2 => Just(LedgerStep::Savepoint),
        1 => Just(LedgerStep::Release),
        1 => Just(LedgerStep::Rollback),
    ]
}

/// The obvious way: a copy of all sums per savepoint.
type Sums = BTreeMap<u8, i64>;

fn note(ledger: &mut Ledger<(), i64>, key: u8, n: i64, sub: u32) {
    // Keys of several lengths: they lie one behind the other.
    let account = ledger.account(&vec![key; key as usize + 1], sub, || Ok(())).unwrap();
    let sum = ledger.noted(account, sub).copied().unwrap_or(0) + n;
    ledger.note(account, sub, sum).unwrap();
}

/// Takes what is due and settles it; the sums that are not zero.
fn settle(ledger: &mut Ledger<(), i64>, sub: u32) -> Sums {
    let mut sums = Sums::new();
    for due in ledger.take(|()| true).unwrap() {
        ledger.settle(due.account, sub).unwrap();
        let sum: i64 = due.amounts.iter().sum();
        if sum != 0 {
            assert_eq!(sums.insert(due.key[0], sum), None);
        }
    }
    sums
}

proptest! {
    #[test]
    fn agrees_with_copies_per_savepoint(steps in proptest::collection::vec(step(), 0..200)) {
        let mut ledger = Ledger::new();
        let mut model = Sums::new();
        let mut stack: Vec<(u32, Sums)> = Vec::new();
        let mut newest = 1;
        for step in steps {
            let sub = stack.last().map_or(1, |s| s.0);
            match step {
                LedgerStep::Note(key, n) => {
                    note(&mut ledger, key, n, sub);
                    *model.entry(key).or_default() += n;
                }
                LedgerStep::Settle => {
                    model.retain(|_, sum| *sum != 0);
                    prop_assert_eq!(settle(&mut ledger, sub), core::mem::take(&mut model));
                }
                LedgerStep::Savepoint => {
                    newest += 1;
                    stack.push((newest, model.clone()));
                }
                LedgerStep::Release => {
                    stack.pop();
                }
                LedgerStep::Rollback => {
                    if let Some((_, before)) = stack.pop() {
                        ledger.abort(sub);
                        model = before;
                    }
                }
            }
        }
        model.retain(|_, sum| *sum != 0);
        prop_assert_eq!(settle(&mut ledger, 1), model);
    }
}

#[test]
fn what_is_not_settled_waits_until_it_is_reopened() {
    let mut ledger = Ledger::new();
    note(&mut ledger, 1, 5, 1);
    assert_eq!(ledger.take(|()| true).unwrap().len(), 1);
    assert!(!ledger.any_open(|()| true));
    assert!(ledger.take(|()| true).unwrap().is_empty());
    ledger.reopen();
    assert!(ledger.any_open(|()| true));
    assert_eq!(settle(&mut ledger, 1), Sums::from([(1, 5)]));
    ledger.reopen();
    assert_eq!(settle(&mut ledger, 1), Sums::new());
}

#[test]
fn a_void_account_has_nothing_left_until_its_rollback() {
    let mut ledger = Ledger::new();
    note(&mut ledger, 1, 5, 1);
    ledger.void(2, |()| true).unwrap();
    assert_eq!(settle(&mut ledger, 2), Sums::new());
    ledger.abort(2);
    assert_eq!(settle(&mut ledger, 1), Sums::from([(1, 5)]));
}

#[test]
fn a_million_statements_on_one_parent_are_one_layer() {
    let mut ledger = Ledger::new();
    for _ in 0..1_000_000 {
        note(&mut ledger, 1, 1, 1);
        settle(&mut ledger, 1);
    }
    assert_eq!(ledger.layers.len(), 1);
}
