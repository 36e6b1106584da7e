use super::Notes;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Action {
    Note(u8),
    Take,
    Savepoint,
    Release,
    Rollback,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0u8..40).prop_map(Action::Note),
        1 => Just(Action::Take),
        2 => Just(Action::Savepoint),
        1 => Just(Action::Release),
        1 => Just(Action::Rollback),
    ]
}

/// The obvious way: a copy of both sets per savepoint.
#[derive(Clone, Default)]
struct Model {
    left: BTreeSet<u8>,
    handled: BTreeSet<u8>,
}

fn keys(taken: Result<Vec<((), Vec<u8>)>, std::collections::TryReserveError>) -> Vec<u8> {
    let mut keys: Vec<u8> = taken.unwrap().iter().map(|(_, key)| key[0]).collect();
    keys.sort();
    keys
}

proptest! {
    #[test]
    fn agrees_with_copies_per_savepoint(steps in proptest::collection::vec(action(), 0..200)) {
        let mut notes = Notes::new();
        let mut model = Model::default();
        let mut stack: Vec<(u32, Model)> = Vec::new();
        let mut newest = 1;
        for action in steps {
            let sub = stack.last().map_or(1, |s| s.0);
            match action {
                Action::Note(key) => {
                    // Keys of several lengths: they lie one behind the other.
                    notes.note(&vec![key; key as usize + 1], sub, || Ok(())).unwrap();
                    if !model.handled.contains(&key) {
                        model.left.insert(key);
                    }
                }
                Action::Take => {
                    let expected: Vec<u8> = model.left.iter().copied().collect();
                    prop_assert_eq!(keys(notes.take(sub)), expected);
                    let left = core::mem::take(&mut model.left);
                    model.handled.extend(left);
                }
                Action::Savepoint => {
                    newest += 1;
                    stack.push((newest, model.clone()));
                }
                Action::Release => {
                    stack.pop();
                }
                Action::Rollback => {
                    if let Some((_, before)) = stack.pop() {
                        notes.abort(sub);
                        model = before;
                    }
                }
            }
            prop_assert_eq!(notes.any_left(), !model.left.is_empty());
        }
        let expected: Vec<u8> = model.left.iter().copied().collect();
        prop_assert_eq!(keys(notes.take(1)), expected);
    }
}

#[test]
fn a_bump_is_scheduled_once_and_again_after_a_rollback() {
    let mut notes: Notes<()> = Notes::new();
    assert!(notes.schedule(2));
    assert!(!notes.schedule(2));
    notes.abort(2);
    assert!(notes.schedule(1));
    assert!(!notes.schedule(3));
    notes.abort(3);
    assert!(notes.will_be_handled());
}

#[test]
fn a_bump_that_fails_is_no_longer_under_way() {
    let mut notes: Notes<()> = Notes::new();
    assert!(notes.begin(4));
    assert!(!notes.begin(5));
    assert!(!notes.schedule(5));
    notes.abort(5);
    assert!(notes.will_be_handled());
    notes.abort(4);
    assert!(!notes.will_be_handled());
    assert!(notes.begin(1));
    notes.end();
    assert!(!notes.will_be_handled());
}

#[test]
fn a_million_children_of_one_parent_are_one_note() {
    let mut notes = Notes::new();
    for _ in 0..1_000_000 {
        notes.note(b"order 1", 1, || Ok(())).unwrap();
    }
    assert_eq!(notes.keys.len(), 1);
    assert_eq!(notes.unhandled.len(), 1);
}
