//! Cuts a failing script down to the shortest that still fails: runs it again with fewer keys,
//! clients, transactions and statements, and keeps whatever still breaks the same invariant.
//! A race does not show every time, so each candidate gets several runs.

use crate::checks::check;
use crate::history::{History, Violation};
use crate::language::{Isolation, Savepoint, Script, Txn, Workload};
use crate::run::Harness;
use std::time::{Duration, Instant};

/// Runs per candidate, and for one of a few transactions, whose runs take only milliseconds.
const TRIES: usize = 6;
const TRIES_IF_SHORT: usize = 16;
const SHORT: usize = 20;

pub struct Shrunk {
    pub script: Script,
    pub history: History,
    pub violation: Violation,
    pub runs: usize,
}

impl Script {
    pub fn transactions(&self) -> usize {
        self.clients.iter().map(Vec::len).sum()
    }

    pub fn busy_clients(&self) -> usize {
        self.clients.iter().filter(|c| !c.is_empty()).count()
    }

    fn steps(&self) -> usize {
        self.clients.iter().flatten().map(|t| t.steps.len()).sum()
    }

    /// Smaller is a better report.
    fn size(&self) -> usize {
        let extras = |t: &Txn| {
            t.steps.iter().filter(|s| s.savepoint != Savepoint::None).count()
                + usize::from(t.isolation != Isolation::ReadCommitted)
                + usize::from(!t.commit)
                + usize::from(t.lock_timeout_ms.is_some())
                + usize::from(t.statement_timeout_ms.is_some())
        };
        let extras: usize = self.clients.iter().flatten().map(extras).sum();
        1000 * self.busy_clients() + 20 * self.transactions() + 4 * self.steps() + extras
    }
}

struct Search<'a> {
    harness: &'a mut Harness,
    workload: Workload,
    seed: u64,
    until: Instant,
    best: Shrunk,
}

pub fn shrink(
    harness: &mut Harness,
    workload: &Workload,
    seed: u64,
    failed: (Script, History, Violation),
    budget: Duration,
) -> Result<Shrunk, String> {
    let (script, history, violation) = failed;
    let mut search = Search {
        harness,
        workload: workload.clone(),
        seed,
        until: Instant::now() + budget,
        best: Shrunk { script, history, violation, runs: 0 },
    };
    // Terminations come at the clock's pleasure and not the script's: without them if possible.
    search.workload.terminate_per_second = 0.0;
    if !search.try_one(search.best.script.clone(), true)? {
        search.workload.terminate_per_second = workload.terminate_per_second;
    }
    search.one_key()?;
    search.near_the_moment()?;
    loop {
        let before = search.best.script.size();
        search.fewer_clients()?;
        search.fewer_transactions()?;
        search.simpler_transactions()?;
        if search.best.script.size() >= before || Instant::now() > search.until {
            return Ok(search.best);
        }
    }
}

impl Search<'_> {
    /// Keeps the candidate if one of its runs breaks the same invariant.
    fn try_one(&mut self, script: Script, same_size: bool) -> Result<bool, String> {
        if script.transactions() == 0 || (!same_size && script.size() >= self.best.script.size()) {
            return Ok(false);
        }
        let short = script.transactions() <= SHORT;
        for _ in 0..if short { TRIES_IF_SHORT } else { TRIES } {
            if Instant::now() > self.until {
                return Ok(false);
            }
            self.best.runs += 1;
            let end = self.until + Duration::from_secs(1);
            let history = self.harness.round(&self.workload, &script, self.seed, end)?;
            let broken = check(&self.workload, &history, &mut self.harness.admin)?;
            let same = broken.into_iter().find(|v| v.invariant == self.best.violation.invariant);
            if let Some(violation) = same {
                self.best.script = script;
                self.best.history = history;
                self.best.violation = violation;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tries the script with `change` made to it.
    fn with(&mut self, change: impl FnOnce(&mut Script)) -> Result<bool, String> {
        let mut script = self.best.script.clone();
        change(&mut script);
        script.clients.iter_mut().for_each(|c| c.retain(|t| !t.steps.is_empty()));
        self.try_one(script, false)
    }

    fn one_key(&mut self) -> Result<(), String> {
        let Some(key) = self.best.violation.key else {
            return Ok(());
        };
        self.with(|script| {
            for txn in script.clients.iter_mut().flatten() {
                txn.steps.retain(|s| s.key == key || s.other == key);
            }
        })?;
        Ok(())
    }

    /// Only what ran shortly before it happened.
    fn near_the_moment(&mut self) -> Result<(), String> {
        for before in [3_000_000, 20_000_000, 100_000_000] {
            let Some(at) = self.best.violation.at else {
                return Ok(());
            };
            let mut near = vec![Vec::new(); self.best.script.clients.len()];
            for txn in &self.best.history.txns {
                if txn.begin <= at && txn.ended + before >= at {
                    near[txn.client].push(txn.number);
                }
            }
            let found = self.with(|script| {
                for (txns, near) in script.clients.iter_mut().zip(&near) {
                    let kept = txns.iter().enumerate().filter(|(n, _)| near.contains(n));
                    *txns = kept.map(|(_, txn)| txn.clone()).collect();
                }
            })?;
            if found {
                return Ok(());
            }
        }
        Ok(())
    }

    fn fewer_clients(&mut self) -> Result<(), String> {
        for client in 0..self.best.script.clients.len() {
            if !self.best.script.clients[client].is_empty() {
                self.with(|script| script.clients[client].clear())?;
            }
        }
        Ok(())
    }

    fn fewer_transactions(&mut self) -> Result<(), String> {
        // The same part of every client at once, then of each client alone.
        while self.with(|s| s.clients.iter_mut().for_each(|c| c.truncate(c.len().div_ceil(2))))?
            || self.with(|s| s.clients.iter_mut().for_each(|c| drop(c.drain(..c.len() / 2))))?
        {
        }
        for client in 0..self.best.script.clients.len() {
            let mut chunk = self.best.script.clients[client].len().div_ceil(2);
            while chunk > 0 {
                let mut from = 0;
                while from < self.best.script.clients[client].len() {
                    let to = (from + chunk).min(self.best.script.clients[client].len());
                    if !self.with(|s| drop(s.clients[client].drain(from..to)))? {
                        from = to;
                    }
                }
                chunk /= 2;
            }
        }
        Ok(())
    }

    fn simpler_transactions(&mut self) -> Result<(), String> {
        for client in 0..self.best.script.clients.len() {
            let mut number = 0;
            while number < self.best.script.clients[client].len() {
                let steps = self.best.script.clients[client][number].steps.len();
                for step in (0..steps).rev().filter(|_| steps > 1) {
                    self.with(|s| {
                        let steps = &mut s.clients[client][number].steps;
                        if step < steps.len() && steps.len() > 1 {
                            steps.remove(step);
                        }
                    })?;
                }
                self.with(|s| plain(&mut s.clients[client][number]))?;
                number += 1;
            }
        }
        Ok(())
    }
}

fn plain(txn: &mut Txn) {
    txn.isolation = Isolation::ReadCommitted;
    txn.commit = true;
    txn.lock_timeout_ms = None;
    txn.statement_timeout_ms = None;
    txn.steps.iter_mut().for_each(|s| s.savepoint = Savepoint::None);
}
