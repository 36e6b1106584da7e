//! `CALL retry`: work whose rule spans several rows, repeated until it meets no conflict. Every job is
//! done exactly once, nobody gives up, and SERIALIZABLE keeps what REPEATABLE READ would let through.

use crate::language::{Effect, Invariant, Statement, Workload};

pub const SOMEBODY_ON_CALL: &str = "somebody is on call";
pub const DONE_ONCE: &str = "every job done exactly once";
pub const ADDS_UP: &str = "the counters say what the journal says";

pub fn all() -> Vec<Workload> {
    vec![retry()]
}

const RECEIPT: &str = "SELECT 1 FROM journal WHERE id = {id}0";

/// `CALL raceguard.retry` of a job, with its entry in the journal. `$entry` is what it adds to the
/// counter; attempts are many and short, so that nobody has a reason to give up.
macro_rules! job {
    ($job:literal, $entry:literal, $isolation:literal, $attempts:literal) => {
        concat!(
            "CALL raceguard.retry($$",
            $job,
            "; INSERT INTO journal VALUES ({id}0, {key}, ",
            $entry,
            ")$$, '[{key}, {n}]', isolation => '",
            $isolation,
            "', max_attempts => ",
            $attempts,
            ", base_delay => '1 ms', max_delay => '20 ms')"
        )
    };
}
pub(crate) use job;

fn statement(name: &'static str, weight: u64, sql: &str) -> Statement {
    Statement::new(name, weight, &[sql], &[Effect::Add]).receipt(RECEIPT)
}

/// Shifts of two doctors, and counters; what was done is in the journal.
pub fn shifts(name: &'static str, story: &'static str, statements: Vec<Statement>) -> Workload {
    let mut w = Workload::new(name, story);
    w.no_block = true;
    w.steps = 1;
    (w.rollback, w.savepoint) = (0, 0);
    w.keys = 4;
    w.transactions = 40;
    w.allowed = vec![];
    w.setup = vec![
        "CREATE TABLE doctors (shift bigint, who bigint, on_call boolean NOT NULL DEFAULT true, \
         PRIMARY KEY (shift, who))",
        "INSERT INTO doctors SELECT s, w FROM generate_series(1, {keys}) s, generate_series(0, 1) w",
        "CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0)",
        "INSERT INTO counters SELECT g FROM generate_series(1, {keys}) g",
        "CREATE TABLE journal (id bigint PRIMARY KEY, key bigint, added bigint NOT NULL)",
        "CREATE FUNCTION leave(shift bigint, who bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
             IF (SELECT count(*) FROM doctors d WHERE d.shift = $1 AND on_call) < 2 THEN RETURN; END IF; \
             PERFORM pg_sleep(0.001); \
             UPDATE doctors d SET on_call = false WHERE d.shift = $1 AND d.who = $2; END $$",
        "CREATE FUNCTION add_one(counter bigint) RETURNS void LANGUAGE plpgsql AS $$ \
             DECLARE before bigint; BEGIN \
             SELECT n INTO before FROM counters WHERE id = counter; PERFORM pg_sleep(0.0005); \
             UPDATE counters SET n = before + 1 WHERE id = counter; END $$",
    ];
    w.statements = statements;
    w.invariants = vec![
        Invariant::Never {
            name: SOMEBODY_ON_CALL,
            sql: "SELECT shift FROM doctors GROUP BY shift HAVING NOT bool_or(on_call)",
        },
        Invariant::Counted {
            name: DONE_ONCE,
            sql: "SELECT key, count(*) FROM journal GROUP BY key",
        },
        Invariant::Never {
            name: ADDS_UP,
            sql: "SELECT c.id, c.n, sum(j.added) FROM counters c LEFT JOIN journal j ON j.key = c.id \
                  GROUP BY c.id HAVING c.n <> coalesce(sum(j.added), 0)",
        },
    ];
    w
}

pub fn leaving(sql: &str) -> Statement {
    statement("leave", 2, sql)
}

pub fn coming() -> Statement {
    let sql = job!(
        "UPDATE doctors SET on_call = true WHERE shift = ($1 ->> 0)::bigint",
        "0",
        "serializable",
        "200"
    );
    statement("everybody comes", 1, sql)
}

pub fn adding(sql: &[&str]) -> Statement {
    Statement::new("add one", 2, sql, &[Effect::Add]).receipt(RECEIPT)
}

/// `add_one` at REPEATABLE READ: the level that keeps a counter, if somebody repeats.
pub const ADD_ONE: &str = job!("SELECT add_one(($1 ->> 0)::bigint)", "1", "repeatable read", "200");

fn retry() -> Workload {
    let crosswise = "CALL raceguard.retry($$\
         UPDATE counters SET n = n + 1 WHERE id = {key}; SELECT pg_sleep(0.001); \
         UPDATE counters SET n = n + 1 WHERE id = {other}; \
         INSERT INTO journal VALUES ({id}0, {key}, 1), ({id}1, {other}, 1)$$, \
         isolation => 'read committed', max_attempts => 200, base_delay => '1 ms')";
    shifts(
        "retry",
        "write skew, lost updates and deadlocks, repeated by the server",
        vec![
            leaving(job!(
                "SELECT leave(($1 ->> 0)::bigint, ($1 ->> 1)::bigint % 2)",
                "0",
                "serializable",
                "200"
            )),
            coming(),
            adding(&[ADD_ONE]),
            Statement::new("add to two", 1, &[crosswise], &[Effect::Add, Effect::AddOther])
                .receipt(RECEIPT),
        ],
    )
}
