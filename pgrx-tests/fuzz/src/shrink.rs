//! Makes a failing script shorter: steps are left out as long as it fails in the same way.

use crate::judge::Fault;
use crate::play::Play;
use crate::round::{run, Source};
use crate::steps::Step;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(90);

pub fn shrink(play: &dyn Play, dsn: &str, seed: u64, script: &[Step], fault: &Fault) -> Vec<Step> {
    let until = Instant::now() + LIMIT;
    let mut best = script.to_vec();
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < best.len() {
            if Instant::now() > until {
                return best;
            }
            let mut shorter = best.clone();
            shorter.drain(from..(from + chunk).min(best.len()));
            match run(play, dsn, seed, Source::Script(&shorter), false) {
                Ok(report) if report.fault.as_ref().is_some_and(|f| f.kind == fault.kind) => {
                    best = report.script
                }
                _ => from += chunk,
            }
        }
        chunk /= 2;
    }
    best
}
