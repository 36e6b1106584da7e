//! Eight sessions at each isolation level, with and without CALL retry: which anomalies appear, and
//! that none remains with serializable and retry.
//!
//! * on call: a doctor may go home if another one stays. Both counting two and both going home is
//!   write skew: a shift with nobody on call.
//! * counter: read a number, write it plus one. Two that read the same number lose an update.

use crate::check::{fail, holds, same, Outcome};
use crate::Test;
use postgres::{Client, NoTls};
use std::thread;

pub const TESTS: &[Test] = &[
    ("load: write skew and lost updates at each isolation level", anomalies),
    ("load: deadlocks are tried again until all is done", deadlocks),
];

const SESSIONS: usize = 8;
const ROUNDS: usize = 120;
const LEVELS: [&str; 3] = ["read committed", "repeatable read", "serializable"];

/// The functions pause between reading and writing as an application does.
const SETUP: &str = "
    CREATE TABLE doctors (shift int, name int, on_call boolean NOT NULL, PRIMARY KEY (shift, name));
    CREATE TABLE counter (n bigint NOT NULL);
    CREATE TABLE uncovered (shift int);
    CREATE SEQUENCE ran;
    CREATE FUNCTION change_duty(s int, who int) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        others int := (SELECT count(*) FROM doctors WHERE shift = s AND on_call AND name <> who);
        here boolean := (SELECT on_call FROM doctors WHERE shift = s AND name = who);
    BEGIN
        PERFORM pg_sleep(0.001);
        IF others = 0 AND NOT here THEN
            INSERT INTO uncovered VALUES (s);
        END IF;
        IF NOT here THEN
            UPDATE doctors SET on_call = true WHERE shift = s AND name = who;
        ELSIF others > 0 THEN
            UPDATE doctors SET on_call = false WHERE shift = s AND name = who;
        END IF;
    END $$;
    CREATE FUNCTION count_up() RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        read bigint := (SELECT n FROM counter);
    BEGIN
        PERFORM pg_sleep(0.001);
        UPDATE counter SET n = read + 1;
    END $$;";

const RESET: &str = "
    TRUNCATE doctors, counter, uncovered;
    INSERT INTO doctors SELECT s, n, true FROM generate_series(1, 3) s, generate_series(1, 2) n;
    INSERT INTO counter VALUES (0);
    ALTER SEQUENCE ran RESTART;";

/// What one load came to.
#[derive(Default, Debug)]
struct Tally {
    done: i64,
    failed_in_statement: i64,
    failed_at_commit: i64,
    /// Attempts of CALL retry beyond the first.
    repeated: i64,
    /// Attempts of CALL retry whose statements all ran and which failed all the same: at COMMIT.
    repeated_at_commit: i64,
    uncovered: i64,
    lost: i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Job {
    Duty,
    Counter,
}

impl Job {
    fn statement(self, session: usize, round: usize) -> String {
        match self {
            Job::Duty => format!(
                "SELECT change_duty({}, {})",
                1 + (session * 7 + round * 5) % 3,
                1 + (session + round) % 2
            ),
            Job::Counter => "SELECT count_up()".to_owned(),
        }
    }
}

fn code(error: &postgres::Error) -> String {
    error.code().map(|c| c.code().to_owned()).unwrap_or_else(|| error.to_string())
}

/// One transaction without retry: whether it was done, or failed, and where.
fn plain(client: &mut Client, level: &str, sql: &str, tally: &mut Tally) -> Outcome {
    let begin = format!("BEGIN ISOLATION LEVEL {level}");
    client.batch_execute(&begin).map_err(fail(&begin))?;
    let (place, result) = match client.batch_execute(sql) {
        Ok(()) => (&mut tally.failed_at_commit, client.batch_execute("COMMIT")),
        error => (&mut tally.failed_in_statement, error),
    };
    match result {
        Ok(()) => tally.done += 1,
        Err(error) if matches!(code(&error).as_str(), "40001" | "40P01") => {
            *place += 1;
            client.batch_execute("ROLLBACK").map_err(fail("ROLLBACK"))?;
        }
        Err(error) => return Err(format!("{sql}: {error:?}")),
    }
    Ok(())
}

/// The same by CALL retry. The pause stands for the round trip between a client's last statement and
/// its COMMIT, in which others commit; `ran` counts the attempts that got through it.
fn retried(client: &mut Client, level: &str, sql: &str, tally: &mut Tally) -> Outcome {
    let call = format!(
        "CALL raceguard.retry('{sql}; SELECT pg_sleep(0.001); SELECT nextval(''ran'')', isolation => '{level}', \
         max_attempts => 1000, base_delay => '1 ms', max_delay => '50 ms')"
    );
    let row = client.query_one(&call, &[]).map_err(fail(&call))?;
    tally.done += 1;
    tally.repeated += i64::from(row.get::<_, i32>(0)) - 1;
    Ok(())
}

fn load(dsn: &str, job: Job, level: &'static str, retry: bool) -> Result<Tally, String> {
    let mut client = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    client.batch_execute(RESET).map_err(fail("reset"))?;
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|session| {
            let dsn = dsn.to_owned();
            thread::spawn(move || -> Result<Tally, String> {
                let mut client = Client::connect(&dsn, NoTls).map_err(fail("connect"))?;
                let mut tally = Tally::default();
                for round in 0..ROUNDS {
                    let sql = job.statement(session, round);
                    if retry {
                        retried(&mut client, level, &sql, &mut tally)?;
                    } else {
                        plain(&mut client, level, &sql, &mut tally)?;
                    }
                }
                Ok(tally)
            })
        })
        .collect();
    let mut sum = Tally::default();
    for session in sessions {
        let tally = session.join().map_err(|_| "a session panicked".to_owned())??;
        sum.done += tally.done;
        sum.failed_in_statement += tally.failed_in_statement;
        sum.failed_at_commit += tally.failed_at_commit;
        sum.repeated += tally.repeated;
    }
    let sql =
        "SELECT (SELECT count(*) FROM uncovered) + (SELECT count(*) FROM (SELECT 1 FROM doctors \
                  GROUP BY shift HAVING NOT bool_or(on_call)) AS now_uncovered), \
               (SELECT n FROM counter), (SELECT last_value FROM ran)";
    let row = client.query_one(sql, &[]).map_err(fail("result"))?;
    sum.uncovered = row.get(0);
    if job == Job::Counter {
        sum.lost = sum.done - row.get::<_, i64>(1);
    }
    if retry {
        sum.repeated_at_commit = row.get::<_, i64>(2) - sum.done;
    }
    Ok(sum)
}

fn anomalies(dsn: &str) -> Outcome {
    let mut client = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    client.batch_execute(SETUP).map_err(fail("setup"))?;
    let all = (SESSIONS * ROUNDS) as i64;
    let (mut commit_failures, mut commit_repeats) = (0, 0);
    println!(
        "        {:<8} {:<16} {:<6} {:>5} {:>7} {:>9} {:>8} {:>9} {:>9} {:>5}",
        "job",
        "isolation",
        "retry",
        "done",
        "failed",
        "at commit",
        "repeated",
        "at commit",
        "uncovered",
        "lost"
    );
    for (name, job) in [("on call", Job::Duty), ("counter", Job::Counter)] {
        for level in LEVELS {
            for retry in [false, true] {
                let tally = load(dsn, job, level, retry)?;
                println!(
                    "        {name:<8} {level:<16} {:<6} {:>5} {:>7} {:>9} {:>8} {:>9} {:>9} {:>5}",
                    if retry { "yes" } else { "no" },
                    tally.done,
                    tally.failed_in_statement + tally.failed_at_commit,
                    tally.failed_at_commit,
                    tally.repeated,
                    tally.repeated_at_commit,
                    tally.uncovered,
                    tally.lost
                );
                judge(job, level, retry, &tally, all)
                    .map_err(|why| format!("{name}, {level}, retry {retry}: {why}; {tally:?}"))?;
                commit_failures += tally.failed_at_commit;
                commit_repeats += tally.repeated_at_commit;
            }
        }
    }
    holds("some failures without retry came at COMMIT", commit_failures > 0)?;
    holds("some attempts of retry failed at COMMIT", commit_repeats > 0)
}

/// What must be true of a load: the anomalies that the isolation level lets through, and no other.
fn judge(job: Job, level: &str, retry: bool, tally: &Tally, all: i64) -> Outcome {
    if retry {
        same("done", tally.done, all)?;
    }
    match (job, level) {
        // Nothing is refused here, so there is nothing to retry.
        (Job::Counter, "read committed") => holds("updates are lost", tally.lost > 0),
        (Job::Duty, "read committed" | "repeatable read") => {
            holds("shifts go uncovered", tally.uncovered > 0)
        }
        (Job::Counter, _) => {
            same("lost updates", tally.lost, 0)?;
            let conflicts = if retry { tally.repeated } else { tally.failed_in_statement };
            holds("there were conflicts", conflicts > 0)
        }
        _ => {
            same("uncovered shifts", tally.uncovered, 0)?;
            let conflicts = tally.repeated + tally.failed_in_statement + tally.failed_at_commit;
            holds("there were conflicts", conflicts > 0)
        }
    }
}

fn deadlocks(dsn: &str) -> Outcome {
    let mut client = Client::connect(dsn, NoTls).map_err(fail("connect"))?;
    let sql = "CREATE TABLE accounts (id int PRIMARY KEY, credits int NOT NULL); \
               INSERT INTO accounts SELECT n, 0 FROM generate_series(0, 3) n";
    client.batch_execute(sql).map_err(fail(sql))?;
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|session| {
            let dsn = dsn.to_owned();
            thread::spawn(move || -> Result<i64, String> {
                let mut client = Client::connect(&dsn, NoTls).map_err(fail("connect"))?;
                let sql = "SET deadlock_timeout = '5ms'";
                client.batch_execute(sql).map_err(fail(sql))?;
                let mut repeated = 0;
                for round in 0..25 {
                    let (from, to) = ((session + round) % 4, (session * 3 + round + 1) % 4);
                    let call = format!(
                        "CALL raceguard.retry('UPDATE accounts SET credits = credits - 1 WHERE id = {from}; \
                         SELECT pg_sleep(0.002); \
                         UPDATE accounts SET credits = credits + 1 WHERE id = {to}', \
                         isolation => 'read committed', max_attempts => 1000)"
                    );
                    let row = client.query_one(&call, &[]).map_err(fail(&call))?;
                    repeated += i64::from(row.get::<_, i32>(0)) - 1;
                }
                Ok(repeated)
            })
        })
        .collect();
    let mut repeated = 0;
    for session in sessions {
        repeated += session.join().map_err(|_| "a session panicked".to_owned())??;
    }
    let row = client.query_one("SELECT sum(credits) FROM accounts", &[]).map_err(fail("sum"))?;
    same("sum of credits", row.get::<_, i64>(0), 0)?;
    holds("there were deadlocks", repeated > 0)
}
