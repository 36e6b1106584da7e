//! Parent versions: every committed change of a child bumps its parent, once per transaction.

use crate::language::{Effect, Invariant, Statement, Workload};

pub const ONE_BUMP_EACH: &str = "one bump per transaction and parent";
pub const COUNTED: &str = "every total is what stands under it";
pub const BILLED: &str = "a bill of what the order says";

pub fn all() -> Vec<Workload> {
    vec![changes(), crosswise(), undone(), chain(), billing(), counted(), counted_crosswise()]
}

fn orders(name: &'static str, story: &'static str) -> Workload {
    let mut w = Workload::new(name, story);
    w.setup = vec![
        "CREATE TABLE orders (id bigint PRIMARY KEY, note text)",
        "INSERT INTO orders (id) SELECT g FROM generate_series(1, {keys}) g",
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

const COUNT: &str =
    "SELECT raceguard.add_total('lines', 'orders', 'lines', amount => 'n + 1', settle => 'commit')";

/// As `changes`, with a total that is written by the same UPDATE.
fn counted() -> Workload {
    let mut w = changes();
    w.name = "parent_counted";
    w.story = "child rows written in every way; one bump each, and the total with it";
    (w.savepoint, w.undo) = (30, 50);
    w.guard.push(COUNT);
    w.invariants.push(Invariant::Never {
        name: COUNTED,
        sql: "SELECT o.id, o.lines, sum(l.n + 1) FROM orders o LEFT JOIN lines l ON l.order_id = o.id \
              GROUP BY o.id HAVING o.lines <> coalesce(sum(l.n + 1), 0)",
    });
    w
}

/// As `crosswise`: neither versions nor totals deadlock.
pub fn counted_crosswise() -> Workload {
    let mut w = crosswise();
    w.name = "parent_counted_crosswise";
    w.story = "lines for two orders, in opposite order, and their number: no deadlock";
    w.guard.push(COUNT);
    w.invariants.push(counted().invariants.remove(2));
    w
}

/// Bumps done at once and rolled back to a savepoint: what was written before it is due again.
fn undone() -> Workload {
    let mut w = orders("parent_undone", "bumps rolled back to savepoints, and due again at COMMIT");
    w.keys = 6;
    w.steps = 4;
    (w.savepoint, w.undo) = (60, 75);
    w.statements = vec![
        Statement::new("insert a line", 1, &[INSERT], &[Effect::Touch]),
        Statement::new(
            "bump at once",
            1,
            &["INSERT INTO lines (id, order_id) VALUES ({id}0, {key}); \
               SET CONSTRAINTS ALL IMMEDIATE; SELECT 1"],
            &[Effect::Touch],
        ),
    ];
    w
}

/// Lines of orders of customers, one order to a customer; lines lie in two partitions. Each
/// transaction moves each version once, whatever it writes to, and whether it swaps the order itself.
fn chain() -> Workload {
    const PICK: &str =
        "SELECT id FROM lines WHERE order_id = {key} ORDER BY id OFFSET {n} % 4 LIMIT 1";
    let mut w = orders("parent_chain", "lines, their order, its customer; partitions; savepoints");
    w.steps = 3;
    (w.savepoint, w.undo) = (40, 60);
    w.allowed.push("RG409");
    w.setup = vec![
        "CREATE TABLE customers (id bigint PRIMARY KEY)",
        "INSERT INTO customers SELECT g FROM generate_series(1, {keys}) g",
        "CREATE TABLE orders (id bigint PRIMARY KEY REFERENCES customers, note text)",
        "INSERT INTO orders SELECT g FROM generate_series(1, {keys}) g",
        "CREATE TABLE lines (id bigint, n bigint NOT NULL DEFAULT 0, order_id bigint NOT NULL \
         REFERENCES orders, PRIMARY KEY (id, order_id)) PARTITION BY HASH (order_id)",
        "CREATE TABLE lines_0 PARTITION OF lines FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE lines_1 PARTITION OF lines FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "CREATE INDEX lines_order ON lines (order_id)",
    ];
    w.guard = vec![
        "SELECT raceguard.add_version('customers')",
        "SELECT raceguard.add_version('orders')",
        "SELECT raceguard.add_parent_version('orders', 'customers')",
        "SELECT raceguard.add_parent_version('lines', 'orders')",
    ];
    // Who swaps an order twice moves its version twice.
    w.invariants[0] =
        Invariant::Touched { name: ONE_BUMP_EACH, sql: "SELECT id, version - 1 FROM customers" };
    w.invariants.extend([Invariant::Versioned {
        sql: "SELECT c.id, c.version, o.version FROM customers c JOIN orders o USING (id)",
    }]);
    let both = [Effect::Touch, Effect::TouchOther];
    w.statements = vec![
        Statement::new("insert a line", 3, &[INSERT], &[Effect::Touch]),
        Statement::new(
            "insert for two orders, at once",
            1,
            &["INSERT INTO lines (id, order_id) VALUES ({id}0, {key}), ({id}1, {other}); \
               SET CONSTRAINTS ALL IMMEDIATE; SELECT 1"],
            &both,
        ),
        Statement::new(
            "move a line",
            2,
            &[
                PICK,
                "UPDATE lines SET order_id = {other} WHERE id = {0} AND order_id = {key} \
                 RETURNING id",
            ],
            &both,
        ),
        Statement::new(
            "change a line and swap the order",
            2,
            &[
                "SELECT version FROM orders WHERE id = {key}",
                "UPDATE orders SET note = 'x', version = {0} + 1 WHERE id = {key} RETURNING id",
                INSERT,
            ],
            &[Effect::Touch],
        ),
        Statement::new(
            "delete a line",
            2,
            &[PICK, "DELETE FROM lines WHERE id = {0} AND order_id = {key} RETURNING id"],
            &[Effect::Touch],
        ),
    ];
    w
}

/// Article A's aggregate: the bill of an order, swapped in by the order's version, is the sum of the
/// lines that were there, until the version moves again.
pub fn billing() -> Workload {
    let mut w = orders("parent_billing", "a bill swapped in while lines come and go");
    w.setup[0] = "CREATE TABLE orders (id bigint PRIMARY KEY, total bigint, billed bigint)";
    w.steps = 1;
    w.allowed.push("RG409");
    w.invariants = vec![Invariant::Never {
        name: BILLED,
        sql: "SELECT o.id, o.version, o.total, sum(l.n) FROM orders o \
              LEFT JOIN lines l ON l.order_id = o.id WHERE o.billed = o.version \
              GROUP BY o.id HAVING o.total <> coalesce(sum(l.n), 0)",
    }];
    w.statements = vec![
        Statement::new(
            "bill",
            2,
            &[
                "SELECT o.version, (SELECT coalesce(sum(n), 0) FROM lines l WHERE l.order_id = o.id) \
                 FROM orders o WHERE o.id = {key}",
                "UPDATE orders SET total = {1}, billed = {0} + 1, version = {0} + 1 \
                 WHERE id = {key} RETURNING id",
            ],
            &[],
        ),
        Statement::new(
            "add a line",
            3,
            &["INSERT INTO lines (id, order_id, n) VALUES ({id}0, {key}, 1 + {n}) RETURNING id"],
            &[],
        ),
        Statement::new(
            "remove a line",
            2,
            &["DELETE FROM lines WHERE id = (SELECT min(id) FROM lines WHERE order_id = {key}) \
               RETURNING id"],
            &[],
        ),
    ];
    w
}
