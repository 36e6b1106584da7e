//! Runs workloads against the guards, or the broken guards against the harness.

use crate::checks::check;
use crate::cli::Options;
use crate::history::{History, Violation};
use crate::language::{Script, Workload};
use crate::report::{trace, Totals};
use crate::run::Harness;
use crate::selftest::{self, SelfTest, Verdict};
use crate::session::Session;
use crate::shrink::{shrink, Shrunk};
use crate::workloads;
use std::time::{Duration, Instant};

/// A round ends with its script or after this long: a workload that mostly waits for deadlocks
/// otherwise takes its whole time to find out what the first seconds had shown.
const ROUND_AT_MOST: Duration = Duration::from_secs(3);
const ROUND_AT_LEAST: Duration = Duration::from_millis(500);

/// A round in which nothing was committed, on a machine that is busy, says nothing: others follow, for so long.
const COMMIT_WITHIN: Duration = Duration::from_secs(60);

/// How long a failure may be cut down.
const SHRINK_FOR: Duration = Duration::from_secs(25);

pub fn list() {
    println!("workloads");
    for workload in workloads::all() {
        println!("  {:<22} {}", workload.name, workload.story);
    }
    println!("self-tests");
    for test in selftest::all() {
        println!("  {:<34} {}", test.name, test.verdict.text());
    }
}

/// Whether everything passed.
pub fn run(options: &Options) -> Result<bool, String> {
    println!("seed {}", options.seed);
    Session::connect(&options.dsn, "")?.rows("CREATE EXTENSION IF NOT EXISTS raceguard")?;
    let (passed, failed) = if options.self_test { self_tests(options)? } else { guards(options)? };
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn chosen(options: &Options, name: &str) -> bool {
    options.only.as_deref().is_none_or(|only| only == name)
}

fn guards(options: &Options) -> Result<(usize, usize), String> {
    let mut workloads = workloads::all();
    workloads.retain(|w| chosen(options, w.name));
    if workloads.is_empty() {
        return Err("no such workload; --list names them".into());
    }
    let share = Duration::from_secs_f64(options.seconds / workloads.len() as f64);
    let (mut passed, mut failed) = (0, 0);
    for workload in &workloads {
        let (totals, failure) = rounds(options, workload, share, None)?;
        match failure {
            None if totals.committed == 0 => {
                failed += 1;
                println!("{:<22} {}  FAILED: nothing was tested", workload.name, totals.line());
            }
            None => {
                passed += 1;
                println!("{:<22} {}  passed", workload.name, totals.line());
            }
            Some(failure) => {
                failed += 1;
                println!("{:<22} {}  FAILED", workload.name, totals.line());
                failure.print(workload, options);
            }
        }
    }
    Ok((passed, failed))
}

struct Failure {
    seed: u64,
    first: Violation,
    broken: Vec<Violation>,
    shrunk: Shrunk,
}

impl Failure {
    fn print(&self, workload: &Workload, options: &Options) {
        println!("  {}: {}", self.first.invariant, self.first.what);
        if self.broken.len() > 1 {
            println!("  and {} more in the same round", self.broken.len() - 1);
        }
        let faults = options.faults.options();
        println!("  again: --only {} --seed {} --rounds 1{faults}", workload.name, self.seed);
        self.print_trace(workload);
    }

    fn print_trace(&self, workload: &Workload) {
        println!("  {} (found in {} runs)", self.size(), self.shrunk.runs);
        println!("  {}: {}", self.shrunk.violation.invariant, self.shrunk.violation.what);
        for line in trace(workload, &self.shrunk.history, self.shrunk.violation.at) {
            println!("  {line}");
        }
    }

    fn size(&self) -> String {
        let script = &self.shrunk.script;
        format!(
            "shortest failing script: {} clients, {} transactions",
            script.busy_clients(),
            script.transactions()
        )
    }
}

/// Runs rounds until one breaks an invariant, the `expected` one where there is one, or the time is over.
fn rounds(
    options: &Options,
    workload: &Workload,
    time: Duration,
    expected: Option<&str>,
) -> Result<(Totals, Option<Failure>), String> {
    let workload = options.faults.adapt(workload);
    let mut harness = Harness::new(&options.dsn, &workload, options.faults)?;
    let result = rounds_with(&mut harness, options, &workload, time, expected);
    harness.tear_down()?;
    result
}

fn rounds_with(
    harness: &mut Harness,
    options: &Options,
    workload: &Workload,
    time: Duration,
    expected: Option<&str>,
) -> Result<(Totals, Option<Failure>), String> {
    let begin = Instant::now();
    let deadline = begin + time;
    let mut totals = Totals::default();
    let mut failure = None;
    while totals.rounds == 0
        || (options.rounds.is_none_or(|n| totals.rounds < n)
            && (Instant::now() < deadline
                || (totals.committed == 0 && begin.elapsed() < COMMIT_WITHIN)))
    {
        // Round n of seed s is round 1 of seed s + n: a failing round can be run by itself.
        let seed = options.seed.wrapping_add(totals.rounds);
        let script = workload.script(seed);
        let rest = deadline.saturating_duration_since(Instant::now());
        let end = Instant::now() + rest.clamp(ROUND_AT_LEAST, ROUND_AT_MOST);
        let history = harness.round(workload, &script, seed, end)?;
        totals.add(&history);
        let broken = check(workload, &history, &mut harness.admin)?;
        if let Some(first) = main_one(&broken, expected) {
            // A broken guard may break more than it was broken for; only another round tells.
            let as_expected = expected.is_none_or(|invariant| invariant == first.invariant);
            let failed = (script, history, first.clone());
            let budget = if options.self_test { time / 4 } else { SHRINK_FOR };
            failure = Some(Failure {
                seed,
                first,
                broken,
                shrunk: cut_down(options, harness, workload, seed, failed, budget)?,
            });
            if as_expected {
                break;
            }
        }
    }
    Ok((totals, failure))
}

/// The broken invariant to report: the expected one where there is one, else the first.
fn main_one(broken: &[Violation], expected: Option<&str>) -> Option<Violation> {
    let expected = broken.iter().find(|v| Some(v.invariant.as_str()) == expected);
    expected.or(broken.first()).cloned()
}

fn cut_down(
    options: &Options,
    harness: &mut Harness,
    workload: &Workload,
    seed: u64,
    failed: (Script, History, Violation),
    budget: Duration,
) -> Result<Shrunk, String> {
    let budget = if options.self_test && !options.trace { Duration::ZERO } else { budget };
    shrink(harness, workload, seed, failed, budget)
}

fn self_tests(options: &Options) -> Result<(usize, usize), String> {
    let mut tests = selftest::all();
    tests.retain(|t| chosen(options, t.name));
    if tests.is_empty() {
        return Err("no such self-test; --list names them".into());
    }
    let (mut passed, mut failed) = (0, 0);
    for test in &tests {
        let began = Instant::now();
        let time = match test.verdict {
            Verdict::Caught(_) => Duration::from_secs_f64(options.seconds),
            Verdict::Clean => Duration::from_secs_f64(options.seconds.min(3.0)),
        };
        let expected = test.verdict.invariant();
        let (totals, failure) = rounds(options, &test.workload, time, expected)?;
        let (right, said) = judge(test, failure.as_ref(), began.elapsed());
        let verdict = if right { "passed" } else { "FAILED" };
        println!("{:<34} {}  {said}  {verdict}", test.name, totals.line());
        if let Some(failure) = failure.filter(|_| options.trace || !right) {
            failure.print_trace(&test.workload);
        }
        if right {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    Ok((passed, failed))
}

fn judge(test: &SelfTest, failure: Option<&Failure>, took: Duration) -> (bool, String) {
    match (&test.verdict, failure) {
        (Verdict::Clean, None) => (true, "nothing to complain of".to_string()),
        (Verdict::Clean, Some(f)) => (false, format!("a sound guard failed: {}", f.first.what)),
        (Verdict::Caught(_), None) => (false, "not caught".to_string()),
        (Verdict::Caught(invariant), Some(f)) if *invariant == f.first.invariant => {
            (true, format!("caught by \"{invariant}\" in {:.1} s", took.as_secs_f64()))
        }
        (Verdict::Caught(invariant), Some(f)) => {
            (false, format!("caught by \"{}\" and not by \"{invariant}\"", f.first.invariant))
        }
    }
}
