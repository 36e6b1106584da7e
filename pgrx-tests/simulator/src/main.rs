//! The guards' protocols under a scheduler that tries every order of steps, on a simulated Postgres.
//!
//! `--seed N` for the orders that chance picks, `--only TEXT` for the families and mutants whose names have it. The last
//! line is the count. A mutant that nothing is noticed of has failed.

mod cap;
mod engine;
mod guard;
mod key_lock;
mod parent;
mod protocols;
mod server;

use engine::explore::{try_ways, Tally, Way};
use protocols::{Family, Protocol};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::Instant;

/// What is asked for.
struct Asked {
    seed: u64,
    only: String,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { seed: 1, only: String::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} of what?"))?;
        match argument.as_str() {
            "--seed" => asked.seed = value.parse().map_err(|_| format!("no seed: {value}"))?,
            "--only" => asked.only = value,
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    Ok(asked)
}

/// How many have passed and failed.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
}

impl Count {
    fn add(&mut self, passed: bool, what: &str, rest: &str) {
        println!("{} {what}: {rest}", if passed { "ok     " } else { "FAILED " });
        match passed {
            true => self.passed += 1,
            false => self.failed += 1,
        }
    }
}

/// What was broken first, and how it came to that.
struct Found {
    case: String,
    what: String,
    trace: Vec<String>,
}

/// Tries cases on all processors until one is broken.
fn try_cases<C: Protocol>(cases: &[C], way: Way, seed: u64) -> io::Result<(Tally, Option<Found>)> {
    let next = AtomicUsize::new(0);
    let result = Mutex::new(Ok((Tally::default(), None)));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tried = try_ways(&Rc::new(case.clone()), way, seed);
            let Ok(mut result) = result.lock() else { return };
            match (&mut *result, tried) {
                (Ok((total, found)), Ok((tally, broken))) => {
                    total.add(tally);
                    if let Some(broken) = broken {
                        let (what, trace) = (broken.what, broken.trace);
                        *found = Some(Found { case: case.name(), what, trace });
                        next.store(cases.len(), Ordering::Relaxed);
                    }
                }
                (_, Err(error)) => *result = Err(error),
                (Err(_), _) => return,
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    result.into_inner().map_err(|_| io::Error::other("a thread has failed"))?
}

fn try_family<C: Protocol>(family: &Family<C>, seed: u64, count: &mut Count) -> io::Result<()> {
    let began = Instant::now();
    let (tally, found) = try_cases(&family.cases, family.way, seed)?;
    let Tally { runs, states, steps } = tally;
    let (cases, took) = (family.cases.len(), began.elapsed().as_secs_f64());
    let states = if family.way == Way::All { format!("{states} states, ") } else { String::new() };
    let rest = format!("{cases} cases, {states}{runs} runs, {steps} steps, {took:.1} s");
    count.add(found.is_none(), &format!("{}, {}", C::NAME, family.name), &rest);
    if let Some(found) = found {
        println!("{}", found.case);
        found.trace.iter().for_each(|line| println!("    {line}"));
        println!("    {}; seed {seed}", found.what);
    }
    Ok(())
}

fn try_mutant<C: Protocol>(mutant: C::Mutant, seed: u64, count: &mut Count) -> io::Result<()> {
    let began = Instant::now();
    let cases: Vec<C> = C::shown_by(mutant).into_iter().map(|case| case.with(mutant)).collect();
    let (tally, found) = try_cases(&cases, Way::All, seed)?;
    let took = began.elapsed().as_secs_f64();
    let rest = match &found {
        Some(found) => format!("{} ({} runs, {took:.1} s)", found.what, tally.runs),
        None => "nothing was noticed".to_owned(),
    };
    count.add(found.is_some(), &format!("{}, {mutant:?} is noticed", C::NAME), &rest);
    Ok(())
}

fn try_protocol<C: Protocol>(asked: &Asked, count: &mut Count) -> io::Result<()> {
    let wanted = |name: &str| format!("{}, {name}", C::NAME).contains(&asked.only);
    for mutant in C::mutants() {
        if wanted(&format!("{mutant:?}")) {
            try_mutant::<C>(*mutant, asked.seed, count)?;
        }
    }
    for family in C::families() {
        if wanted(family.name) {
            try_family(&family, asked.seed, count)?;
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let asked = asked().map_err(io::Error::other)?;
    let mut count = Count::default();
    try_protocol::<protocols::cap::Cap>(&asked, &mut count)?;
    try_protocol::<protocols::key_lock::KeyLock>(&asked, &mut count)?;
    try_protocol::<protocols::parent::Parents>(&asked, &mut count)?;
    println!("{} passed, {} failed", count.passed, count.failed);
    match count.failed {
        0 => Ok(()),
        _ => Err(io::Error::other(format!("seed {}", asked.seed))),
    }
}
