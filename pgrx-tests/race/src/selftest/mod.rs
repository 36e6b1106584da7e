//! The harness tests itself: every invariant is broken by a guard that somebody might really write
//! (most are the articles' own), and the harness has to notice. Sound guards written in plain
//! PL/pgSQL beside them have to pass, or the harness sees ghosts.

mod atomic;
mod cap;
mod cascade;
mod cooldown;
mod key_lock;
mod key_rules;
mod modes;
mod number;
mod parent;
mod replaced;
mod retry;
mod swap;
mod total;
mod uniqueness;
mod version;

use crate::language::{Isolation, Workload};

pub enum Verdict {
    /// Breaks this invariant.
    Caught(&'static str),
    /// Breaks none.
    Clean,
}

impl Verdict {
    pub fn invariant(&self) -> Option<&'static str> {
        match self {
            Verdict::Caught(invariant) => Some(invariant),
            Verdict::Clean => None,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Verdict::Caught(invariant) => format!("has to be caught by \"{invariant}\""),
            Verdict::Clean => "is sound and has to pass".to_string(),
        }
    }
}

pub struct SelfTest {
    pub name: &'static str,
    pub workload: Workload,
    pub verdict: Verdict,
}

/// `workload` with another guard. The schema's name comes from the workload's.
fn instead(
    name: &'static str,
    mut workload: Workload,
    guard: &[&'static str],
    verdict: Verdict,
) -> SelfTest {
    workload.name = name;
    workload.guard = guard.to_vec();
    SelfTest { name, workload, verdict }
}

/// For guards that trust their transaction's snapshot, where that is not what is on trial.
fn at_read_committed(mut w: Workload) -> Workload {
    w.isolation = &[Isolation::ReadCommitted];
    w
}

pub fn all() -> Vec<SelfTest> {
    let tests = [
        version::all(),
        swap::all(),
        key_lock::all(),
        key_rules::all(),
        cap::all(),
        cascade::all(),
        cooldown::all(),
        modes::all(),
        number::all(),
        parent::all(),
        replaced::all(),
        atomic::all(),
        retry::all(),
        total::all(),
        uniqueness::all(),
    ];
    tests.into_iter().flatten().collect()
}
