//! Caps and cooldowns: never too many rows, and no refusal while there was room.
//!
//! The server's moments of commit are known only to lie between a COMMIT's sending and its answer.
//! So a committed row was *certainly* there from the answer to its COMMIT to the sending of the
//! COMMIT that removed it, and *possibly* there from the sending of the one to the answer of the
//! other. Too many rows that were certainly there at one moment break the cap. A refusal is in order
//! if at one moment between its sending and its answer enough other rows were possibly there, or
//! were the refused transaction's own. Uncommitted rows of others do not count: a guard has to wait
//! for them and then decide, so a refusal on their account alone is wrong.

use super::LINGERS;
use crate::history::{Fact, History, StepLog, TxnLog, Violation};
use crate::language::{Effect, Workload};
use crate::session::waited_for_a_writer;
use std::collections::BTreeMap;

pub const TOO_MANY: &str = "never too many rows";
pub const HAD_ROOM: &str = "no refusal while there is room";

pub const WAITED_WITH_ROOM: &str = "no waiting while there is room";
pub const NOT_THERE: &str = "a row that was found was there";

pub struct Rule<'a> {
    pub code: &'a str,
    pub most: usize,
    /// So many rows justify a refusal: fewer than `most` where the cap itself changes.
    pub enough: usize,
    pub period: Option<i64>,
}

/// One committed row's time in one key.
struct Stay {
    row: i64,
    at: i64,
    possible: (u64, u64),
    certain: (u64, u64),
}

impl Stay {
    /// Whether it certainly neither began nor ended between `from` and `to`.
    fn settled(&self, from: u64, to: u64) -> bool {
        let outside = |(earliest, latest): (u64, u64)| latest <= from || earliest >= to;
        outside((self.possible.0, self.certain.0)) && outside((self.certain.1, self.possible.1))
    }
}

impl Rule<'_> {
    /// Whether `ats` hold more than `most` rows within one period that takes in `new`.
    fn crowded(&self, mut ats: Vec<i64>, new: i64, most: usize) -> bool {
        let Some(period) = self.period else {
            return ats.len() > most;
        };
        ats.retain(|at| (at - new).abs() < period);
        ats.sort_unstable();
        ats.windows(most + 1).any(|w| w[most] - w[0] < period && w[0] <= new && new <= w[most])
    }

    pub fn check(&self, workload: &Workload, history: &History) -> Vec<Violation> {
        let stays = stays(history);
        let mut broken = self.too_many(&stays);
        for txn in &history.txns {
            for (position, step) in txn.steps.iter().enumerate() {
                let refused = step.declined || step.error().is_some_and(|(c, _)| c == self.code);
                if refused {
                    broken.extend(self.had_room(workload, txn, position, step, &stays));
                }
                broken.extend(not_there(txn, position, step, &stays));
                let waited = step
                    .error()
                    .is_some_and(|(code, message)| code == "55P03" && waited_for_a_writer(message));
                if waited && self.period.is_none() {
                    broken.extend(self.no_need_to_wait(workload, history, txn, step, &stays));
                }
            }
        }
        broken
    }

    fn too_many(&self, stays: &BTreeMap<i64, Vec<Stay>>) -> Vec<Violation> {
        let mut broken = Vec::new();
        for (key, stays) in stays {
            for stay in stays.iter().filter(|s| s.certain.0 < s.certain.1) {
                let moment = stay.certain.0;
                let there = stays.iter().filter(|s| s.certain.0 <= moment && moment < s.certain.1);
                let ats: Vec<i64> = there.map(|s| s.at).collect();
                let rows = ats.len();
                if self.crowded(ats, stay.at, self.most) {
                    broken.push(Violation {
                        invariant: TOO_MANY.to_string(),
                        key: Some(*key),
                        at: Some(moment),
                        what: format!(
                            "with row {} committed, key {key} held {rows} rows; {} are allowed",
                            stay.row,
                            self.allowed()
                        ),
                    });
                }
            }
        }
        broken
    }

    fn allowed(&self) -> String {
        match self.period {
            None => self.most.to_string(),
            Some(period) => format!("{} within {period}", self.most),
        }
    }

    fn had_room(
        &self,
        workload: &Workload,
        txn: &TxnLog,
        position: usize,
        step: &StepLog,
        stays: &BTreeMap<i64, Vec<Stay>>,
    ) -> Option<Violation> {
        let statement = &workload.statements[step.statement];
        let moves = statement.effects.contains(&Effect::Move);
        let key = if moves { step.other } else { step.key };
        let sent = step.sent.last()?;
        let (mut own, mut gone) = own_rows(txn, position, key, sent.start);
        // The row itself is not in its own way, unless it may have come or gone just then: an upsert
        // that found the cap full with the row in it may find the row deleted when it goes in.
        let here = stays.get(&key).map(Vec::as_slice).unwrap_or_default();
        gone.extend(step.subject.filter(|row| {
            here.iter().filter(|s| s.row == *row).all(|s| s.settled(sent.start, sent.end))
        }));
        own.retain(|row, _| Some(*row) != step.subject);
        let mut mine: Vec<i64> = own.into_values().collect();
        mine.extend(std::iter::repeat_n(step.number, statement.places));
        let others: Vec<&Stay> = here.iter().filter(|s| !gone.contains(&s.row)).collect();
        let moments =
            others.iter().map(|s| s.possible.0).filter(|m| *m > sent.start && *m <= sent.end);
        let mut most_there = 0;
        for moment in moments.chain([sent.start]) {
            let there = others.iter().filter(|s| s.possible.0 <= moment && moment <= s.possible.1);
            let mut ats: Vec<i64> = there.map(|s| s.at).collect();
            most_there = most_there.max(ats.len());
            ats.extend(&mine);
            if self.crowded(ats, step.number, self.enough) {
                return None;
            }
        }
        Some(Violation {
            invariant: HAD_ROOM.to_string(),
            key: Some(key),
            at: Some(sent.end),
            what: format!(
                "client {}, {}: refused, yet beside {} of its own at most {most_there} rows \
                 of key {key} were there ({} are allowed)",
                txn.client,
                statement.name,
                mine.len(),
                self.allowed()
            ),
        })
    }
}

impl Rule<'_> {
    /// An INSERT ran into lock_timeout: at some moment every place must have been taken, or asked
    /// for by a transaction that had not ended. Statements that turned out to need no place, or
    /// failed, count too: they may have reserved one.
    fn no_need_to_wait(
        &self,
        workload: &Workload,
        history: &History,
        txn: &TxnLog,
        step: &StepLog,
        stays: &BTreeMap<i64, Vec<Stay>>,
    ) -> Option<Violation> {
        let statement = &workload.statements[step.statement];
        let takes = [Effect::Hold, Effect::Get];
        if statement.sql.len() > 1 || !statement.effects.iter().any(|e| takes.contains(e)) {
            return None;
        }
        let sent = step.sent.last()?;
        let mut taken: Vec<(u64, u64, usize)> = Vec::new();
        for stay in stays.get(&step.key).into_iter().flatten() {
            taken.push((stay.possible.0, stay.possible.1, 1));
        }
        for other in &history.txns {
            let lingers = if other.lost { LINGERS } else { 0 };
            for asked in other.steps.iter().filter(|s| !std::ptr::eq(*s, step)) {
                let statement = &workload.statements[asked.statement];
                let key = match statement.effects.first() {
                    Some(Effect::Hold | Effect::Get) => asked.key,
                    Some(Effect::Move) => asked.other,
                    _ => continue,
                };
                if key == step.key {
                    let until = asked.undone.map_or(other.ended + lingers, |(_, done)| done);
                    taken.push((asked.start(), until, statement.places));
                }
            }
        }
        let starts = taken.iter().map(|t| t.0);
        let moments = starts.filter(|m| *m > sent.start && *m <= sent.end).chain([sent.start]);
        let there =
            |m: u64| -> usize { taken.iter().filter(|t| t.0 <= m && m <= t.1).map(|t| t.2).sum() };
        let most_there = moments.map(there).max().unwrap_or(0);
        (most_there + statement.places <= self.enough).then(|| Violation {
            invariant: WAITED_WITH_ROOM.to_string(),
            key: Some(step.key),
            at: Some(sent.end),
            what: format!(
                "client {}, {}: waited although at most {most_there} places of key {} were taken \
                 or asked for ({} are allowed)",
                txn.client,
                statement.name,
                step.key,
                self.allowed()
            ),
        })
    }
}

/// A row that the statement says it found, and that was neither committed at any moment while the
/// statement ran nor the transaction's own.
fn not_there(
    txn: &TxnLog,
    position: usize,
    step: &StepLog,
    stays: &BTreeMap<i64, Vec<Stay>>,
) -> Option<Violation> {
    let sent = step.sent.last()?;
    step.facts.iter().find_map(|fact| {
        let Fact::See { key, row } = *fact else { return None };
        let mut here = stays.get(&key).into_iter().flatten().filter(|s| s.row == row);
        let there = here.any(|s| s.possible.0 <= sent.end && sent.start <= s.possible.1)
            || own_rows(txn, position, key, sent.start).0.contains_key(&row);
        (!there).then(|| Violation {
            invariant: NOT_THERE.to_string(),
            key: Some(key),
            at: Some(sent.end),
            what: format!(
                "client {}: found row {row} of key {key}, which was not there",
                txn.client
            ),
        })
    })
}

/// What the transaction itself had put into `key`, and all it had taken away, before `moment`.
fn own_rows(
    txn: &TxnLog,
    position: usize,
    key: i64,
    moment: u64,
) -> (BTreeMap<i64, i64>, Vec<i64>) {
    let mut own = BTreeMap::new();
    let mut gone = Vec::new();
    for step in &txn.steps[..position] {
        if step.undone.is_some_and(|(_, done)| done <= moment) {
            continue;
        }
        for fact in &step.facts {
            match *fact {
                Fact::Hold { key: k, row, at } if k == key => {
                    own.insert(row, at);
                }
                Fact::Free { key: k, row } if k == key => {
                    own.remove(&row);
                    gone.push(row);
                }
                _ => {}
            }
        }
    }
    (own, gone)
}

/// Every committed row's stays in every key. Writes to one row wait for each other's commit, so the
/// answers to them came in the order in which they happened.
fn stays(history: &History) -> BTreeMap<i64, Vec<Stay>> {
    let mut events: Vec<(u64, usize, &TxnLog, Fact)> = Vec::new();
    for txn in history.committed() {
        for (step, fact) in txn.facts() {
            events.push((step.end(), events.len(), txn, fact));
        }
    }
    events.sort_by_key(|(end, order, ..)| (*end, *order));
    let mut stays: BTreeMap<i64, Vec<Stay>> = BTreeMap::new();
    for (_, _, txn, fact) in events {
        match fact {
            Fact::Hold { key, row, at } => stays.entry(key).or_default().push(Stay {
                row,
                at,
                possible: (txn.end_sent, u64::MAX),
                certain: (txn.ended, u64::MAX),
            }),
            Fact::Free { key, row } => {
                let open = stays.entry(key).or_default().iter_mut();
                for stay in open.filter(|s| s.row == row && s.possible.1 == u64::MAX) {
                    stay.possible.1 = txn.ended;
                    stay.certain.1 = txn.end_sent;
                }
            }
            _ => {}
        }
    }
    stays
}
