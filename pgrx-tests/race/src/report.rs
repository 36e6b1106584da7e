//! What a person reads: a line per workload, and on failure the interleaving.

use crate::history::{Fate, History, Reply, TxnLog};
use crate::language::Workload;
use std::collections::BTreeMap;

/// A trace longer than this is cut: the beginning sets the scene, and then what led to `at`.
const MOST_LINES: usize = 80;

/// Rows shown of one answer.
const MOST_ROWS: usize = 6;

#[derive(Default)]
pub struct Totals {
    pub rounds: u64,
    pub transactions: u64,
    pub committed: u64,
    pub statements: u64,
    pub looks: u64,
    pub terminated: u64,
    pub rebuilt: u64,
    pub starved: u64,
    pub errors: BTreeMap<String, u64>,
}

impl Totals {
    pub fn add(&mut self, history: &History) {
        self.rounds += 1;
        self.transactions += history.txns.len() as u64;
        self.committed += history.committed().count() as u64;
        self.statements += history.txns.iter().map(|t| t.steps.len() as u64).sum::<u64>();
        self.looks += history.looks;
        self.terminated += history.terminated;
        self.rebuilt += history.rebuilt;
        self.starved += history.starved;
        for code in history.errors() {
            *self.errors.entry(code.to_string()).or_default() += 1;
        }
    }

    pub fn line(&self) -> String {
        let mut line =
            format!("{:>6} transactions, {} committed", self.transactions, self.committed);
        let refusals: u64 =
            self.errors.iter().filter(|(c, _)| c.starts_with("RG")).map(|(_, n)| n).sum();
        line += &format!(", {refusals} refusals");
        let failures = self.errors.get("40001").copied().unwrap_or(0);
        line += &format!(", {failures} 40001s");
        for (code, count) in &self.errors {
            if code != "40001" {
                line += &format!(", {code}: {count}");
            }
        }
        for (times, what) in [
            (self.terminated, "backends ended"),
            (self.rebuilt, "rebuilds"),
            (self.starved, "times out of locks"),
        ] {
            if times > 0 {
                line += &format!(", {times} {what}");
            }
        }
        line
    }
}

/// The interleaving, one line per SQL in the order of sending.
pub fn trace(workload: &Workload, history: &History, at: Option<u64>) -> Vec<String> {
    let mut events: Vec<(u64, String)> = Vec::new();
    for txn in &history.txns {
        let mut say = |at: u64, what: String| {
            events.push((at, format!("{:>9.3} ms  client {}  {what}", millis(at), txn.client)))
        };
        say(txn.begin, format!("BEGIN ISOLATION LEVEL {}", txn.isolation));
        for step in &txn.steps {
            let name = workload.statements.get(step.statement).map_or("", |s| s.name);
            for sent in &step.sent {
                let waited = (sent.end - sent.start) / 1_000_000;
                let wait = if waited > 2 { format!(" after {waited} ms") } else { String::new() };
                say(
                    sent.start,
                    format!("{}  -> {}{wait}  [{name}]", sent.sql, answer(&sent.reply)),
                );
            }
            if let Some((sent, _)) = step.undone {
                say(sent, "ROLLBACK TO SAVEPOINT".to_string());
            }
        }
        say(txn.end_sent.max(txn.begin), ending(txn));
    }
    events.sort_by_key(|(at, _)| *at);
    let fatal = at.map_or(events.len(), |at| events.partition_point(|(e, _)| *e <= at));
    let mut lines: Vec<String> = events.into_iter().map(|(_, line)| line).collect();
    if lines.len() > MOST_LINES {
        lines.truncate((fatal + MOST_LINES / 8).max(MOST_LINES).min(lines.len()));
        let cut = lines.len() - MOST_LINES;
        let from = MOST_LINES / 4;
        lines.splice(from..from + cut, [format!("           ... {cut} lines left out ...")]);
    }
    lines
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Rows(rows) if rows.is_empty() => "no row".to_string(),
        Reply::Rows(rows) => {
            let row = |row: &Vec<Option<String>>| {
                let cells: Vec<&str> = row.iter().map(|c| c.as_deref().unwrap_or("NULL")).collect();
                format!("({})", cells.join(", "))
            };
            let shown = rows.iter().take(MOST_ROWS).map(row);
            let rest = rows.len().saturating_sub(MOST_ROWS);
            let rest = (rest > 0).then(|| format!("and {rest} more"));
            shown.chain(rest).collect::<Vec<_>>().join(" ")
        }
        Reply::Error { code, message } => format!("{code}: {}", message.replace('\n', " ")),
        Reply::Lost(text) => format!("connection lost: {text}"),
    }
}

fn ending(txn: &TxnLog) -> String {
    match (&txn.commit_error, txn.fate) {
        (Some((code, message)), _) => format!("COMMIT  -> {code}: {message}"),
        (None, Fate::Committed) => "COMMIT".to_string(),
        (None, Fate::RolledBack) => "ROLLBACK".to_string(),
    }
}
