//! The command line of a suite of rounds, and its report.

use crate::draw::Draw;
use crate::play::Play;
use crate::round::{self, Source};
use crate::shrink;
use postgres::{Client, NoTls};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
options:
  --dsn DSN       a server, as a superuser; works in a database of its own
  --seconds N     how long (default 30)
  --seed S        the first round's seed (default: the clock; each round prints the one it failed with)
  --rounds N      at most so many rounds
  --steps N       statements of a round (default 250)
  --trace         print every statement";

/// A story that is told the same way each time: its name, or what went wrong.
pub type Fixed = Box<dyn Fn(&str) -> Result<String, String>>;

struct Options {
    dsn: String,
    seconds: u64,
    seed: u64,
    rounds: u64,
    steps: usize,
    trace: bool,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let clock = std::time::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_millis() as u64 % 1_000_000_000);
    let mut options = Options {
        dsn: String::new(),
        seconds: 30,
        seed: clock,
        rounds: u64::MAX,
        steps: 250,
        trace: false,
    };
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .and_then(|n| n.parse::<u64>().ok())
                .ok_or(format!("{arg} needs a whole number"))
        };
        match arg.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--rounds" => options.rounds = number()?,
            "--steps" => options.steps = number()? as usize,
            "--trace" => options.trace = true,
            "--dsn" => options.dsn = args.next().ok_or("--dsn needs a value")?,
            _ => return Err(format!("unknown option \"{arg}\"\n{USAGE}")),
        }
    }
    match options.dsn.is_empty() {
        true => Err(USAGE.into()),
        false => Ok(options),
    }
}

fn prepare(play: &dyn Play, dsn: &str) -> Result<String, postgres::Error> {
    let mut server = Client::connect(dsn, NoTls)?;
    let name = play.database();
    server.simple_query(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
    server.simple_query(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))?;
    let dsn = format!("{dsn} dbname={name}");
    let mut client = Client::connect(&dsn, NoTls)?;
    for sql in play.once() {
        client.simple_query(&sql)?;
    }
    Ok(dsn)
}

fn rounds(play: &dyn Play, fixed: &[Fixed], options: &Options) -> Result<bool, String> {
    let dsn = prepare(play, &options.dsn).map_err(|e| format!("{e:?}"))?;
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    let mut functions: BTreeMap<String, bool> = BTreeMap::new();
    let (mut passed, mut failed) = (0u64, 0u64);
    let mut shorts = (0u64, 0u64);
    for fixed in fixed {
        match fixed(&dsn) {
            Ok(name) => {
                shorts.0 += 1;
                println!("ok      {name}");
            }
            Err(told) => {
                shorts.1 += 1;
                println!("FAILED  {told}");
            }
        }
    }
    println!("first seed {}", options.seed);
    while passed + failed < options.rounds.max(1) && Instant::now() < until {
        let seed = options.seed + passed + failed;
        let source = Source::Random(&mut Draw::new(seed), options.steps);
        let report = round::run(play, &dsn, seed, source, options.trace)
            .map_err(|e| format!("seed {seed}: {e}"))?;
        for (code, count) in report.answers {
            *answers.entry(code).or_default() += count;
        }
        for (name, succeeded) in report.functions {
            *functions.entry(name).or_default() |= succeeded;
        }
        let Some(fault) = report.fault else {
            passed += 1;
            continue;
        };
        failed += 1;
        println!("FAILED  seed {seed}, step {}: {}", report.script.len(), fault.told);
        println!("again: --seed {seed} --rounds 1 --steps {}", options.steps);
        if let Some(step) = report.script.last() {
            println!("last: {}", step.sql);
        }
        println!("shortened:");
        for step in shrink::shrink(play, &dsn, seed, &report.script, &fault) {
            println!("  {}: {};", step.session, step.sql);
        }
    }
    let counts: Vec<String> =
        answers.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let never: Vec<&str> = functions.iter().filter(|f| !f.1).map(|f| f.0.as_str()).collect();
    println!("{} functions; never without an error: {}", functions.len(), never.join(", "));
    println!("answers: {}", counts.join(", "));
    println!("{} passed, {} failed", passed + shorts.0, failed + shorts.1);
    Ok(failed + shorts.1 == 0 && passed > 0)
}

/// Runs what is fixed, then rounds until the time is over.
pub fn main(play: &dyn Play, fixed: &[Fixed]) -> ExitCode {
    let outcome = options(std::env::args().skip(1)).and_then(|o| rounds(play, fixed, &o));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("FAILED  {message}");
            ExitCode::from(2)
        }
    }
}
