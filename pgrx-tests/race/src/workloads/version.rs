//! Versions: no committed increment is lost, and every update bumps once.

use crate::language::{Effect, Invariant, Statement, Workload};

pub const NO_LOST_UPDATE: &str = "no lost update";
pub const ONE_BUMP: &str = "one bump per update";

pub fn all() -> Vec<Workload> {
    vec![next(), current()]
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
