//! Tests that need a client's view of the server: the extended protocol, several statements before
//! one Sync, waits that are cut short, many sessions at once.
//!
//! `raceguard-clients "DSN" [TEXT]`: all tests, or those whose name has TEXT in it; the last line is
//! "N passed, N failed".

mod check;
mod driver;
mod functions;
mod interrupts;
mod load;
mod parallel;
mod pipeline;
mod protocol;

use check::{fail, Outcome};
use postgres::{Client, NoTls};

/// A named test on a database of its own.
type Test = (&'static str, fn(&str) -> Outcome);

fn main() {
    let Some(dsn) = std::env::args().nth(1) else {
        eprintln!("usage: raceguard-clients \"host=... port=... user=... dbname=...\" [text]");
        std::process::exit(2);
    };
    let tests: Vec<Test> = [
        pipeline::TESTS,
        interrupts::TESTS,
        load::TESTS,
        parallel::TESTS,
        driver::TESTS,
        functions::TESTS,
    ]
    .concat();
    let (mut passed, mut failed) = (0, 0);
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let tests = tests.iter().filter(|(name, _)| name.contains(&wanted));
    for (number, (name, test)) in tests.enumerate() {
        match in_database(&dsn, number, *test) {
            Ok(()) => {
                println!("ok      {name}");
                passed += 1;
            }
            Err(why) => {
                println!("FAILED  {name}\n        {why}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
}

/// Runs a test in a fresh database with the extension.
fn in_database(dsn: &str, number: usize, test: fn(&str) -> Outcome) -> Outcome {
    let name = format!("raceguard_clients_{number}");
    let mut admin = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    for sql in
        [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")]
    {
        admin.execute(&sql, &[]).map_err(fail(&sql))?;
    }
    let own = format!("{dsn} dbname={name}");
    let outcome = Client::connect(&own, NoTls)
        .and_then(|mut client| client.batch_execute("CREATE EXTENSION raceguard"))
        .map_err(fail("CREATE EXTENSION raceguard"))
        .and_then(|()| test(&own));
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    admin.execute(&drop, &[]).map_err(fail(&drop))?;
    outcome
}
