//! Versions: no committed increment is lost, and every update bumps once.

use crate::language::{Effect, Invariant, Isolation, Statement, Workload};

pub const NO_LOST_UPDATE: &str = "no lost update";
pub const ONE_BUMP: &str = "one bump per update";

pub fn all() -> Vec<Workload> {
    vec![next(), current(), time(), partitions(), backfill()]
}

fn counters(name: &'static str, story: &'static str) -> Workload {
    let mut w = Workload::new(name, story);
    w.setup = vec![
        "CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0)",
        "INSERT INTO counters SELECT g FROM generate_series(1, {keys}) g",
    ];
    w.allowed.extend(["RG409", "55P03"]);
    w.impatient = 5;
    w.invariants = vec![
        Invariant::Counted { name: NO_LOST_UPDATE, sql: "SELECT id, n FROM counters" },
        Invariant::Counted { name: ONE_BUMP, sql: "SELECT id, version - 1 FROM counters" },
    ];
    w
}

const READ: &str = "SELECT n, version FROM counters WHERE id = {key}";

/// Clients that send the next version, with and without a WHERE on it, among clients that do not
/// care about versions at all.
pub fn next() -> Workload {
    let mut w = counters("version_next", "read, think, write back with the next version");
    w.guard = vec!["SELECT raceguard.add_version('counters')"];
    w.statements = vec![
        Statement::new(
            "write what was read",
            6,
            &[
                READ,
                "UPDATE counters SET n = {0} + 1, version = {1} + 1 WHERE id = {key} RETURNING id",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "compare and swap",
            2,
            &[
                READ,
                "UPDATE counters SET n = {0} + 1, version = {1} + 1 \
                 WHERE id = {key} AND version = {1} RETURNING id",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "upsert what was read",
            1,
            &[
                READ,
                "INSERT INTO counters (id, n, version) VALUES ({key}, {0} + 1, {1} + 1) \
                 ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n, version = EXCLUDED.version \
                 RETURNING id",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "merge what was read",
            1,
            &[
                READ,
                "MERGE INTO counters c USING (SELECT 1) v ON c.id = {key} \
                 WHEN MATCHED THEN UPDATE SET n = {0} + 1, version = {1} + 1; SELECT 1",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "bump in place",
            1,
            &["UPDATE counters SET n = n + 1, version = version + 1 WHERE id = {key} RETURNING id"],
            &[Effect::Add],
        ),
        Statement::new(
            "no version at all",
            1,
            &["UPDATE counters SET n = n + 1 WHERE id = {key} RETURNING id"],
            &[Effect::Add],
        ),
    ];
    w
}

/// Clients that send back the version they read; an update without one has to be refused.
pub fn current() -> Workload {
    let mut w = counters("version_current", "send back the version read; none is refused");
    w.guard = vec![
        "SELECT raceguard.add_version('counters', client_sends => 'current', unstated => 'reject')",
    ];
    w.statements = vec![
        Statement::new(
            "write what was read",
            8,
            &[READ, "UPDATE counters SET n = {0} + 1, version = {1} WHERE id = {key} RETURNING id"],
            &[Effect::Add],
        ),
        Statement::new(
            "no version at all",
            1,
            &["UPDATE counters SET n = n + 1 WHERE id = {key} RETURNING id"],
            &[Effect::Add],
        )
        .refused_with("RG428"),
    ];
    w
}

/// The version is a time, and the client sends back the one it read. Milliseconds, as a JavaScript
/// Date holds them, so several updates fall into one.
pub fn time_unguarded() -> Workload {
    let mut w = counters("version_time", "a timestamptz as version, strictly increasing");
    w.keys = 2;
    w.think_us = 500;
    w.setup[0] = "CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0, \
                  updated_at timestamptz(3) NOT NULL DEFAULT '2024-01-01 00:00+00')";
    w.invariants.truncate(1);
    w.invariants.push(Invariant::Versioned {
        sql: "SELECT id, (extract(epoch FROM updated_at) * 1000)::bigint, n FROM counters",
    });
    w.statements = vec![Statement::new(
        "write what was read",
        6,
        &[
            "SELECT n, updated_at FROM counters WHERE id = {key}",
            "UPDATE counters SET n = {0} + 1, updated_at = '{1}' WHERE id = {key} RETURNING id",
        ],
        &[Effect::Add],
    )];
    w
}

fn time() -> Workload {
    let mut w = time_unguarded();
    w.guard = vec![
        "SELECT raceguard.add_version('counters', 'updated_at', client_sends => 'current', \
         unstated => 'reject')",
    ];
    w.statements.push(Statement::new(
        "swap by time",
        2,
        &[
            "SELECT n, updated_at FROM counters WHERE id = {key}",
            "SELECT raceguard.compare_and_swap('counters', '{\"id\": {key}}', '{1}', \
             jsonb_build_object('n', {0} + 1))",
        ],
        &[Effect::Add],
    ));
    w
}

/// Rows that move between partitions keep their version, and are judged by it wherever they are.
pub fn partitions() -> Workload {
    const READ: &str = "SELECT n, version, half FROM counters WHERE id = {key}";
    let mut w = next();
    w.name = "version_partitions";
    w.story = "as version_next, rows moving between two partitions";
    w.setup = vec![
        "CREATE TABLE counters (id bigint, half int NOT NULL DEFAULT 0, n bigint NOT NULL DEFAULT 0, \
         PRIMARY KEY (id, half)) PARTITION BY LIST (half)",
        "CREATE TABLE counters_0 PARTITION OF counters FOR VALUES IN (0)",
        "CREATE TABLE counters_1 PARTITION OF counters FOR VALUES IN (1)",
        "INSERT INTO counters SELECT g FROM generate_series(1, {keys}) g",
    ];
    w.allowed.push("RG404");
    // The one needs a unique id, the other may pass by a row that is just moving, and not tell.
    w.statements.retain(|s| !matches!(s.name, "upsert what was read" | "merge what was read"));
    w.statements.extend([
        Statement::new(
            "write and move",
            4,
            &[
                READ,
                "UPDATE counters SET n = {0} + 1, version = {1} + 1, half = 1 - {2} \
                 WHERE id = {key} RETURNING id",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "swap and move",
            2,
            &[
                READ,
                "SELECT raceguard.compare_and_swap('counters', '{\"id\": {key}, \"half\": {2}}', {1}, \
                 jsonb_build_object('n', {0} + 1, 'half', 1 - {2}))",
            ],
            &[Effect::Add],
        ),
    ]);
    w
}

/// Rows that share their versions are given distinct ones while clients write. `renumber` does it.
pub fn backfill_with(renumber: &[&str]) -> Workload {
    let mut w = counters("version_backfill", "distinct versions for rows that are being written");
    w.setup = vec![
        "CREATE TABLE counters (id bigint PRIMARY KEY, g bigint NOT NULL, n bigint NOT NULL DEFAULT 0)",
        "INSERT INTO counters SELECT g, 1 + g % {keys} FROM generate_series(1, 10 * {keys}) g",
    ];
    w.isolation = &[Isolation::ReadCommitted];
    w.invariants = vec![
        Invariant::Counted {
            name: NO_LOST_UPDATE,
            sql: "SELECT g, sum(n) FROM counters GROUP BY g",
        },
        Invariant::Versioned { sql: "SELECT id, version, n FROM counters WHERE id < 1000" },
    ];
    w.statements = vec![
        Statement::new(
            "write what was read",
            6,
            &[
                "SELECT id, n, version FROM counters WHERE g = {key} ORDER BY id OFFSET {n} % 4 LIMIT 1",
                "UPDATE counters SET n = {1} + 1, version = {2} + 1 WHERE id = {0} RETURNING id",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "insert",
            1,
            &["INSERT INTO counters VALUES ({id}0, {key}), ({id}1, {key}) RETURNING id"],
            &[],
        ),
        Statement::new("renumber", 2, renumber, &[]),
    ];
    w
}

fn backfill() -> Workload {
    let mut w = backfill_with(&["SELECT raceguard.backfill_version_step('counters', 4)"]);
    w.guard = vec!["SELECT raceguard.add_version('counters', unstated => 'reject')"];
    w
}
