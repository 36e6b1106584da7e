//! Key locks: one transaction at a time inside a key, taken by calls, by triggers, or by hand in
//! the guard's namespace. The counters in `tally` have no guard of their own: only the key lock
//! keeps their increments from being lost.

use crate::language::{Effect, Invariant, Isolation, Statement, Workload};
use crate::workloads::version::NO_LOST_UPDATE;

pub fn all() -> Vec<Workload> {
    vec![calls(), escalation(), namespace(), partitions(), bulk(), undone(), snapshot(), single()]
}

pub const READ: &str = "SELECT n FROM tally WHERE id = {key} AND '{0}' IS NOT NULL";
pub const WRITE: &str = "UPDATE tally SET n = {0} + 1 WHERE id = {key} RETURNING id";

fn posts(name: &'static str, story: &'static str) -> Workload {
    let mut w = Workload::new(name, story);
    w.keys = 4;
    w.setup = vec![
        "CREATE TABLE posts (id bigint PRIMARY KEY, \"userId\" int NOT NULL, body bigint)",
        "INSERT INTO posts SELECT g, 1 + g % {keys} FROM generate_series(1, 3 * {keys}) g",
        "CREATE TABLE tally (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0)",
        "INSERT INTO tally SELECT g FROM generate_series(1, {keys}) g",
    ];
    w.impatient = 5;
    w.allowed.push("55P03");
    w.invariants = vec![
        Invariant::Alone { escalates: false },
        Invariant::Counted { name: NO_LOST_UPDATE, sql: "SELECT id, n FROM tally" },
    ];
    w.statements = vec![
        Statement::new(
            "update a row, then count",
            2,
            &[
                "UPDATE posts SET body = {n} WHERE id = (SELECT id FROM posts \
                 WHERE \"userId\" = {key} ORDER BY id LIMIT 1) AND \"userId\" = {key} RETURNING id",
                READ,
                WRITE,
            ],
            &[Effect::EnterFirst, Effect::Add],
        ),
        Statement::new(
            "insert a row, count, delete it",
            2,
            &[
                "INSERT INTO posts VALUES ({id}0, {key}, {n}) RETURNING id",
                READ,
                WRITE,
                "DELETE FROM posts WHERE id = {id}0 RETURNING id",
            ],
            &[Effect::EnterFirst, Effect::Add],
        )
        .returning(1),
        Statement::new(
            "move a row",
            1,
            &[
                "SELECT id FROM posts WHERE \"userId\" = {key} AND id < 1000 \
                 ORDER BY id OFFSET {n} % 3 LIMIT 1",
                "UPDATE posts SET \"userId\" = {other} WHERE id = {0} AND \"userId\" = {key} \
                 RETURNING id",
            ],
            &[Effect::Enter, Effect::EnterOther],
        ),
    ];
    w
}

/// `lock_key` and `try_lock_key` against the guard's own locks.
pub fn calls() -> Workload {
    let mut w = posts("key_lock_calls", "lock_key, try_lock_key and the trigger on one key");
    w.guard = vec!["SELECT raceguard.add_key_lock('posts', '\"userId\"')"];
    w.statements.extend([
        Statement::new(
            "lock, then count",
            4,
            &["SELECT raceguard.lock_key('posts', {key})", READ, WRITE],
            &[Effect::EnterFirst, Effect::Add],
        ),
        Statement::new(
            "try to lock, then count",
            2,
            &["SELECT 1 WHERE raceguard.try_lock_key('posts', {key})", READ, WRITE],
            &[Effect::EnterFirst, Effect::Add],
        )
        .at_once(0),
    ]);
    w
}

/// Writes of one row, each a transaction: a move locks two keys, and still nothing may deadlock.
pub fn single_unguarded() -> Workload {
    let mut w = posts("key_lock_single", "one row to a transaction, moves both ways: no deadlock");
    w.steps = 1;
    w.allowed = vec!["40001", "55P03"];
    w.invariants.truncate(1);
    w.statements.drain(..2);
    w.statements[0].weight = 4;
    w.statements.extend([
        Statement::new(
            "insert",
            1,
            &["INSERT INTO posts VALUES ({id}0, {key}, {n}) RETURNING id"],
            &[Effect::Enter],
        ),
        Statement::new(
            "delete",
            1,
            &["DELETE FROM posts WHERE id = (SELECT max(id) FROM posts WHERE \"userId\" = {key}) \
               AND \"userId\" = {key} AND id >= 1000 RETURNING id"],
            &[Effect::Enter],
        ),
        Statement::new(
            "update",
            1,
            &["UPDATE posts SET body = {n} WHERE id = 1 + {n} % 12 AND \"userId\" = {key} RETURNING id"],
            &[Effect::Enter],
        ),
    ]);
    w
}

fn single() -> Workload {
    let mut w = single_unguarded();
    w.guard = vec!["SELECT raceguard.add_key_lock('posts', '\"userId\"')"];
    w
}

/// The same with single locks turning into one for the whole table at the second key.
pub fn escalation() -> Workload {
    let mut w = calls();
    w.name = "key_lock_escalation";
    w.story = "as key_lock_calls, with every second key locking the whole table";
    w.settings = vec!["SET raceguard.max_key_locks = 1"];
    w.steps = 3;
    w.impatient = 20;
    // Rolling back to a savepoint has to give back the whole table.
    (w.savepoint, w.undo) = (40, 60);
    w.invariants[0] = Invariant::Alone { escalates: true };
    w
}

/// Rows of one user lie in two partitions, and move between them.
fn partitions() -> Workload {
    let mut w = calls();
    w.name = "key_lock_partitions";
    w.story = "as key_lock_calls, rows of a key in two partitions";
    w.setup[0] = "CREATE TABLE posts (id bigint, \"userId\" int NOT NULL, body bigint, \
                  half int NOT NULL DEFAULT 0, PRIMARY KEY (id, half)) PARTITION BY LIST (half)";
    w.setup.splice(
        1..1,
        [
            "CREATE TABLE posts_0 PARTITION OF posts FOR VALUES IN (0)",
            "CREATE TABLE posts_1 PARTITION OF posts FOR VALUES IN (1)",
        ],
    );
    w.statements.push(Statement::new(
        "to the other partition, then count",
        3,
        &[
            "UPDATE posts SET half = 1 - half WHERE id = (SELECT id FROM posts \
             WHERE \"userId\" = {key} AND id < 1000 ORDER BY id OFFSET {n} % 3 LIMIT 1) \
             AND \"userId\" = {key} RETURNING id",
            READ,
            WRITE,
        ],
        &[Effect::EnterFirst, Effect::Add],
    ));
    w
}

/// Statements over many keys, which pass the limit halfway, among writers of single keys.
fn bulk() -> Workload {
    const COUNT: &str = "SELECT n FROM tally WHERE id = {key}";
    let mut w = calls();
    w.name = "key_lock_bulk";
    w.story =
        "UPDATE, COPY, MERGE and lock_keys over many keys, past the limit, among single writers";
    w.settings = vec!["SET raceguard.max_key_locks = 2"];
    w.keys = 6;
    (w.savepoint, w.undo) = (40, 60);
    w.invariants[0] = Invariant::Alone { escalates: true };
    // "update all" meets more keys than the limit, and so locks the table, wherever the rows are.
    let both = [Effect::EnterFirst, Effect::EnterOther, Effect::Add];
    w.statements.extend([
        Statement::new(
            "update all, then count",
            1,
            &[
                "WITH u AS (UPDATE posts SET body = {n} WHERE id < 1000 RETURNING id) \
                 SELECT count(*) FROM u",
                READ,
                WRITE,
            ],
            &both,
        ),
        Statement::new(
            "copy two, then count",
            2,
            &[
                "COPY posts (id, \"userId\", body) FROM STDIN\n{id}0\t{other}\t1\n{id}1\t{key}\t1\n",
                COUNT,
                WRITE,
            ],
            &both,
        ),
        Statement::new(
            "merge two, then count",
            2,
            &[
                "MERGE INTO posts p USING (VALUES ({id}0, {key}), ({id}1, {other})) v(id, u) \
                 ON p.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.u, 1)",
                COUNT,
                WRITE,
            ],
            &both,
        ),
        Statement::new(
            "lock two, then count",
            2,
            &["SELECT raceguard.lock_keys('posts', '[{key}, {other}]')", READ, WRITE],
            &both,
        ),
        Statement::new(
            "lock all, then count",
            1,
            &["SELECT raceguard.lock_table_keys('posts')", READ, WRITE],
            &both,
        ),
    ]);
    w
}

/// Most locks are given back by ROLLBACK TO, and the transaction then takes another one: nothing may
/// be remembered of the first, not the table's own lock either, which holds off who locks it whole.
fn undone() -> Workload {
    let mut w = calls();
    w.name = "key_lock_undone";
    w.story = "locks rolled back to savepoints, then others, against locks of the whole table";
    w.settings = vec!["SET raceguard.max_key_locks = 3"];
    w.keys = 5;
    w.steps = 3;
    (w.savepoint, w.undo, w.rollback) = (80, 85, 5);
    w.invariants[0] = Invariant::Alone { escalates: true };
    w.statements.retain(|s| s.sql[0].contains("lock_key"));
    w.statements.push(Statement::new(
        "lock all, then count",
        2,
        &["SELECT raceguard.lock_table_keys('posts')", READ, WRITE],
        &[Effect::EnterFirst, Effect::EnterOther, Effect::Add],
    ));
    w
}

/// REPEATABLE READ with the key locked by `lock` before the snapshot is taken: what is read is what
/// the transaction before has written, so nothing is ever refused with 40001.
pub fn snapshot_with(name: &'static str, lock: &'static str) -> Workload {
    let mut w = posts(name, "lock first, then the snapshot: no 40001 at REPEATABLE READ");
    w.isolation = &[Isolation::RepeatableRead];
    w.settings = vec!["LOAD 'raceguard'"];
    w.steps = 1;
    (w.savepoint, w.undo) = (0, 0);
    w.allowed = vec!["55P03"];
    w.guard = vec!["SELECT raceguard.add_key_lock('posts', '\"userId\"')"];
    w.statements = vec![Statement::new(
        "lock, then count",
        1,
        &[
            lock,
            "SELECT n FROM tally WHERE id = {key}",
            WRITE,
            "INSERT INTO posts VALUES ({id}0, {key}, {n}) RETURNING id",
        ],
        &[Effect::EnterFirst, Effect::Add],
    )
    .returning(1)];
    w
}

fn snapshot() -> Workload {
    snapshot_with("key_lock_snapshot", "SET LOCAL raceguard.lock_keys = posts, '[{key}]'")
}

/// The guard in namespace 5000 against code that takes pg_advisory_xact_lock(5000, key) itself.
pub fn namespace() -> Workload {
    let mut w = posts("key_lock_namespace", "the trigger against pg_advisory_xact_lock by hand");
    w.guard = vec!["SELECT raceguard.add_key_lock('posts', '\"userId\"', namespace => 5000)"];
    w.statements.push(Statement::new(
        "lock by hand, then count",
        5,
        &["SELECT pg_advisory_xact_lock(5000, {key})", READ, WRITE],
        &[Effect::EnterFirst, Effect::Add],
    ));
    w
}
