//! Parent versions: every committed change of a child bumps its parent, once per transaction.

use crate::language::{Effect, Invariant, Statement, Workload};

pub const ONE_BUMP_EACH: &str = "one bump per transaction and parent";

pub fn all() -> Vec<Workload> {
    vec![changes(), crosswise()]
}

fn orders(name: &'static str, story: &'static str) -> Workload {
    let mut w = Workload::new(name, story);
    w.setup = vec![
        "CREATE TABLE orders (id bigint PRIMARY KEY, note text)",
        "INSERT INTO orders SELECT g FROM generate_series(1, {keys}) g",
        "CREATE TABLE lines (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0, \
         order_id bigint NOT NULL REFERENCES orders)",
        "CREATE INDEX lines_order ON lines (order_id)",
    ];
    w.guard = vec![
        "SELECT raceguard.add_version('orders')",
        "SELECT raceguard.add_parent_version('lines', 'orders')",
    ];
    w.invariants = vec![
        Invariant::Touched { name: ONE_BUMP_EACH, sql: "SELECT id, version - 1 FROM orders" },
        Invariant::Versioned {
            sql:
                "SELECT o.id, o.version, (SELECT string_agg(l.id || ':' || l.n, ' ' ORDER BY l.id) \
                  FROM lines l WHERE l.order_id = o.id) FROM orders o",
        },
    ];
    w
}

const INSERT: &str = "INSERT INTO lines (id, order_id) VALUES ({id}0, {key}) RETURNING id";

/// Inserts, updates, moves and deletes; locks of child rows may cross, so 40P01 is no failure.
pub fn changes() -> Workload {
    const PICK: &str =
        "SELECT id FROM lines WHERE order_id = {key} ORDER BY id OFFSET {n} % 4 LIMIT 1";
    let mut w = orders("parent_changes", "child rows written in every way; one bump each");
    w.steps = 3;
    w.statements = vec![
        Statement::new("insert a line", 4, &[INSERT], &[Effect::Touch]),
        Statement::new(
            "insert two lines",
            1,
            &["INSERT INTO lines (id, order_id) VALUES ({id}0, {key}), ({id}1, {key}) RETURNING id"],
            &[Effect::Touch],
        ),
        Statement::new(
            "change a line",
            4,
            &[PICK, "UPDATE lines SET n = n + 1 WHERE id = {0} AND order_id = {key} RETURNING id"],
            &[Effect::Touch],
        ),
        Statement::new(
            "move a line",
            1,
            &[
                PICK,
                "UPDATE lines SET order_id = {other} WHERE id = {0} AND order_id = {key} \
                 RETURNING id",
            ],
            &[Effect::Touch, Effect::TouchOther],
        ),
        Statement::new(
            "delete a line",
            3,
            &[PICK, "DELETE FROM lines WHERE id = {0} AND order_id = {key} RETURNING id"],
            &[Effect::Touch],
        ),
    ];
    w
}

/// Only inserts, for several parents in any order: nothing here may deadlock but the bumps.
pub fn crosswise() -> Workload {
    let mut w = orders("parent_crosswise", "lines for two orders, in opposite order: no deadlock");
    w.steps = 4;
    w.allowed = vec!["40001"];
    w.statements = vec![Statement::new("insert a line", 1, &[INSERT], &[Effect::Touch])];
    w
}
