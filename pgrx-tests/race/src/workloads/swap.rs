//! `compare_and_swap` and `swap_columns` with every kind of token: no committed increment is lost.

use crate::language::{Effect, Invariant, Statement, Workload};
use crate::workloads::version::{NO_LOST_UPDATE, ONE_BUMP};

pub fn all() -> Vec<Workload> {
    vec![version(), tokens(), delete()]
}

/// Counters without a version column; clients that write through `statements`.
pub fn counters(name: &'static str, story: &'static str, statements: &[Statement]) -> Workload {
    let mut w = Workload::new(name, story);
    w.setup = vec![
        "CREATE TABLE counters (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0)",
        "INSERT INTO counters SELECT g FROM generate_series(1, {keys}) g",
    ];
    w.allowed.extend(["RG409", "55P03"]);
    w.impatient = 5;
    w.statements = statements.to_vec();
    w.invariants =
        vec![Invariant::Counted { name: NO_LOST_UPDATE, sql: "SELECT id, n FROM counters" }];
    w
}

fn swap_columns() -> Statement {
    Statement::new(
        "swap the column",
        2,
        &[
            "SELECT n FROM counters WHERE id = {key}",
            "SELECT raceguard.swap_columns('counters', '{\"id\": {key}}', \
             jsonb_build_object('n', {0}), jsonb_build_object('n', {0} + 1))",
        ],
        &[Effect::Add],
    )
}

fn version() -> Workload {
    const READ: &str = "SELECT n, version FROM counters WHERE id = {key}";
    let statements = [
        Statement::new(
            "swap by version",
            4,
            &[
                READ,
                "SELECT raceguard.compare_and_swap('counters', '{\"id\": {key}}', {1}, \
                 jsonb_build_object('n', {0} + 1))",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "write what was read",
            2,
            &[
                READ,
                "UPDATE counters SET n = {0} + 1, version = {1} + 1 WHERE id = {key} RETURNING id",
            ],
            &[Effect::Add],
        ),
        swap_columns(),
    ];
    let mut w = counters("swap_version", "compare_and_swap beside plain updates", &statements);
    w.guard = vec!["SELECT raceguard.add_version('counters', unstated => 'reject')"];
    w.invariants
        .push(Invariant::Counted { name: ONE_BUMP, sql: "SELECT id, version - 1 FROM counters" });
    w
}

/// A table that has no version column.
fn tokens() -> Workload {
    let statements = [
        Statement::new(
            "swap by xmin",
            3,
            &[
                "SELECT n, raceguard.row_version(xmin) FROM counters WHERE id = {key}",
                "SELECT raceguard.compare_and_swap('counters', '{\"id\": {key}}', '{1}', \
                 jsonb_build_object('n', {0} + 1))",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "swap by hash",
            3,
            &[
                "SELECT n, raceguard.row_hash(c) FROM counters c WHERE id = {key}",
                "SELECT raceguard.compare_and_swap('counters', '{\"id\": {key}}', '{1}', \
                 jsonb_build_object('n', {0} + 1), token => 'hash')",
            ],
            &[Effect::Add],
        ),
        swap_columns(),
    ];
    counters("swap_tokens", "xmin, row hash and columns as tokens", &statements)
}

/// A counter is banked and deleted, if it is still what was read, and begun anew. `delete` answers
/// with the number that was read.
pub fn delete_with(name: &'static str, delete: &'static str) -> Workload {
    const READ: &str = "SELECT n, version FROM counters WHERE id = {key}";
    let statements = [
        Statement::new(
            "bank and delete",
            2,
            &[
                READ,
                delete,
                "UPDATE banked SET n = n + {0} WHERE id = {key} RETURNING id",
                "INSERT INTO counters (id) VALUES ({key}) RETURNING id",
            ],
            &[],
        ),
        Statement::new(
            "write what was read",
            4,
            &[
                READ,
                "UPDATE counters SET n = {0} + 1, version = {1} + 1 \
                 WHERE id = {key} AND version = {1} RETURNING id",
            ],
            &[Effect::Add],
        ),
        Statement::new(
            "add one",
            2,
            &["UPDATE counters SET n = n + 1, version = version + 1 WHERE id = {key} RETURNING id"],
            &[Effect::Add],
        ),
    ];
    let mut w = counters(name, "counters banked and deleted while others count", &statements);
    w.setup.extend([
        "CREATE TABLE banked (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0)",
        "INSERT INTO banked SELECT g FROM generate_series(1, {keys}) g",
    ]);
    w.allowed.push("RG404");
    w.invariants = vec![Invariant::Counted {
        name: NO_LOST_UPDATE,
        sql: "SELECT id, c.n + b.n FROM counters c JOIN banked b USING (id)",
    }];
    w
}

fn delete() -> Workload {
    let mut w = delete_with(
        "swap_delete",
        "SELECT {0} FROM raceguard.compare_and_delete('counters', '{\"id\": {key}}', {1})",
    );
    w.guard = vec!["SELECT raceguard.add_version('counters')"];
    w
}
