//! Random calls, guards, writes and DDL in random transaction states. Nothing of it may crash the server,
//! raise an internal error, hang, or leave a lock behind. See README.md beside this crate.

mod calls;
mod ddl;
mod draw;
mod judge;
mod keys;
mod model;
mod round;
mod shrink;
mod steps;
mod values;
mod world;
mod writes;

use draw::Draw;
use postgres::{Client, NoTls};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: raceguard-fuzz --dsn DSN [options]
  --dsn DSN       a server, as a superuser; works in a database \"fuzz\" of its own
  --seconds N     how long (default 30)
  --seed S        the first round's seed (default: the clock; each round prints the one it failed with)
  --rounds N      at most so many rounds
  --steps N       statements of a round (default 250)
  --trace         print every statement";

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

fn prepare(dsn: &str) -> Result<String, postgres::Error> {
    let mut server = Client::connect(dsn, NoTls)?;
    server.simple_query("DROP DATABASE IF EXISTS fuzz WITH (FORCE)")?;
    server.simple_query("CREATE DATABASE fuzz TEMPLATE template0 ENCODING 'UTF8'")?;
    let dsn = format!("{dsn} dbname=fuzz");
    let mut fuzz = Client::connect(&dsn, NoTls)?;
    for sql in world::ONCE {
        fuzz.simple_query(sql)?;
    }
    Ok(dsn)
}

fn fuzz(options: &Options) -> Result<bool, String> {
    let dsn = prepare(&options.dsn).map_err(|e| format!("{e:?}"))?;
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    let mut functions: BTreeMap<String, bool> = BTreeMap::new();
    let (mut passed, mut failed) = (0u64, 0u64);
    println!("first seed {}", options.seed);
    while passed + failed < options.rounds.max(1) && Instant::now() < until {
        let seed = options.seed + passed + failed;
        let source = round::Source::Random(&mut Draw::new(seed), options.steps);
        let report = round::run(&dsn, seed, source, options.trace)
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
        for step in shrink::shrink(&dsn, seed, &report.script, &fault) {
            println!("  {}: {};", step.session, step.sql);
        }
    }
    let counts: Vec<String> =
        answers.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let never: Vec<&str> = functions.iter().filter(|f| !f.1).map(|f| f.0.as_str()).collect();
    println!("{} functions; never without an error: {}", functions.len(), never.join(", "));
    println!("answers: {}", counts.join(", "));
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

fn main() -> ExitCode {
    let outcome = options(std::env::args().skip(1)).and_then(|options| fuzz(&options));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}
