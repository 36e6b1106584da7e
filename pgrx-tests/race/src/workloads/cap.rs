//! Caps: never more than `slots` rows, no "duplicate key", no refusal while there is room.

use crate::checks::TOO_MANY;
use crate::language::{Effect, Invariant, Statement, Workload};

pub fn all() -> Vec<Workload> {
    vec![one(), three(), escalation(), hundred(), append(), partitions()]
}

/// A row of {key} that counts towards the cap, one of the first three by id.
pub const PICK: &str = "SELECT id FROM posts WHERE user_id = {key} AND highlighted \
                    ORDER BY id OFFSET {n} % 3 LIMIT 1";
/// Judged again where it is written: the row may have moved on since it was picked.
macro_rules! still {
    ($before:literal) => {
        concat!($before, " WHERE id = {0} AND user_id = {key} AND highlighted RETURNING id")
    };
}

pub fn posts(name: &'static str, story: &'static str, most: usize) -> Workload {
    let mut w = Workload::new(name, story);
    w.setup = vec![
        "CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint NOT NULL, \
         highlighted boolean NOT NULL DEFAULT true, body bigint NOT NULL DEFAULT 0)",
        // So that updates of body are not HOT: the row's index entries move while others look.
        "CREATE INDEX posts_body ON posts (body)",
    ];
    w.impatient = 10;
    w.allowed.extend(["RG403", "55P03"]);
    w.invariants = vec![
        Invariant::Room { code: "RG403", most, enough: most, period: None },
        Invariant::Never {
            name: "a slot for every row in the cap and for no other",
            sql: "SELECT user_id, id, highlighted, slot FROM posts \
                  WHERE (slot IS NOT NULL AND slot > 0) <> highlighted",
        },
    ];
    w.statements = vec![
        Statement::new(
            "insert",
            6,
            &["INSERT INTO posts (id, user_id) VALUES ({id}0, {key}) RETURNING id"],
            &[Effect::Hold],
        ),
        Statement::new(
            "delete",
            4,
            &[PICK, still!("DELETE FROM posts")],
            &[Effect::Free],
        ),
        Statement::new(
            "move to another key",
            2,
            &[PICK, still!("UPDATE posts SET user_id = {other}")],
            &[Effect::Move],
        ),
        Statement::new(
            "out of the cap",
            1,
            &[PICK, still!("UPDATE posts SET highlighted = false")],
            &[Effect::Free],
        ),
        Statement::new(
            "into the cap",
            1,
            &[
                "SELECT id FROM posts WHERE user_id = {key} AND NOT highlighted ORDER BY id LIMIT 1",
                "UPDATE posts SET highlighted = true \
                 WHERE id = {0} AND user_id = {key} AND NOT highlighted RETURNING id",
            ],
            &[Effect::Hold],
        ),
        Statement::new(
            "edit",
            3,
            &["UPDATE posts SET body = {n} WHERE user_id = {key} RETURNING id"],
            &[],
        ),
    ];
    w
}

/// Two rows at once, upserts, and the call that answers NULL.
fn with_calls(mut w: Workload) -> Workload {
    w.statements.extend(upserts());
    w.statements.extend([
        Statement::new(
            "insert two",
            1,
            &["INSERT INTO posts (id, user_id) VALUES ({id}0, {key}), ({id}1, {key}) RETURNING id"],
            &[Effect::Hold],
        )
        .places(2),
        Statement::new(
            "insert_next_slot",
            2,
            &["SELECT raceguard.insert_next_slot('posts', \
               '{\"id\": {id}0, \"user_id\": {key}}', on_full => 'null') ->> 'id'"],
            &[Effect::Hold],
        ),
    ]);
    w
}

/// Upserts of a row that is there, unless someone deletes it meanwhile: then it really goes in.
pub fn upserts() -> Vec<Statement> {
    vec![
        Statement::new(
            "upsert, update",
            2,
            &[
                PICK,
                "WITH w AS (INSERT INTO posts (id, user_id) VALUES ({0}, {key}) ON CONFLICT (id) \
                 DO UPDATE SET body = {n} + 1 RETURNING id, body) SELECT id FROM w WHERE body = 0",
            ],
            &[Effect::Hold],
        ),
        Statement::new(
            "upsert, nothing",
            2,
            &[
                PICK,
                "INSERT INTO posts (id, user_id) VALUES ({0}, {key}) \
                 ON CONFLICT (id) DO NOTHING RETURNING id",
            ],
            &[Effect::Hold],
        ),
    ]
}

fn exceeded(sql: &'static str) -> Invariant {
    Invariant::Never { name: TOO_MANY, sql }
}

pub fn one() -> Workload {
    let mut w = with_calls(posts("cap_1", "one row per key, all ways to write", 1));
    w.guard = vec!["SELECT raceguard.add_cap('posts', 'user_id', 1, predicate => 'highlighted')"];
    w.invariants.push(exceeded(
        "SELECT user_id, count(*) FROM posts WHERE highlighted GROUP BY 1 HAVING count(*) > 1",
    ));
    w
}

/// Cap 3 before its guard and without the calls that only raceguard has.
pub fn three_unguarded() -> Workload {
    let mut w = posts("cap_3", "three rows per key, all ways to write", 3);
    w.invariants.push(exceeded(
        "SELECT user_id, count(*) FROM posts WHERE highlighted GROUP BY 1 HAVING count(*) > 3",
    ));
    w
}

pub fn three() -> Workload {
    let mut w = with_calls(three_unguarded());
    w.guard = vec!["SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted')"];
    w
}

/// Whoever asks for a third slot locks all slots of the table. Others then wait for him although
/// there is room, so nobody here has a short lock_timeout. Many slots are given back by ROLLBACK TO
/// before others are taken, which then need the table's lock anew.
fn escalation() -> Workload {
    let mut w = three();
    w.name = "cap_escalation";
    w.story = "as cap_3, with every third slot locking the whole table";
    w.settings = vec!["SET raceguard.max_key_locks = 2"];
    w.steps = 3;
    (w.savepoint, w.undo) = (50, 75);
    for statement in w.statements.iter_mut().filter(|s| s.name == "insert two") {
        statement.weight = 4;
    }
    w.impatient = 0;
    w
}

pub fn hundred() -> Workload {
    let mut w = with_calls(posts("cap_100", "a hundred rows per key, 16 sessions", 100));
    w.guard = vec!["SELECT raceguard.add_cap('posts', 'user_id', 100, predicate => 'highlighted')"];
    w.clients = 16;
    w.keys = 2;
    w.think_us = 300;
    w.statements[0].weight = 20;
    w.statements.push(several());
    w.invariants.push(exceeded(
        "SELECT user_id, count(*) FROM posts WHERE highlighted GROUP BY 1 HAVING count(*) > 100",
    ));
    w
}

/// Rows of one statement, which take the slots that the first of them has found.
fn several() -> Statement {
    Statement::new(
        "insert several",
        4,
        &["INSERT INTO posts (id, user_id) VALUES ({id}0, {key}), ({id}1, {key}), ({id}2, {key}), \
           ({id}3, {key}), ({id}4, {key}), ({id}5, {key}) RETURNING id"],
        &[Effect::Hold],
    )
    .places(6)
}

pub fn append() -> Workload {
    let mut w = with_calls(posts("cap_append", "ten rows per key, filled past the highest", 10));
    w.guard = vec![
        "SELECT raceguard.add_cap('posts', 'user_id', 10, predicate => 'highlighted', \
         fill => 'append')",
    ];
    w.keys = 2;
    w.statements[0].weight = 12;
    w.statements.push(several());
    w.invariants.push(exceeded(
        "SELECT user_id, count(*) FROM posts WHERE highlighted GROUP BY 1 HAVING count(*) > 10",
    ));
    w
}

/// One partition for a key and one for two: a row that changes its key stays, or moves and meets the
/// guard of its new partition.
fn partitions() -> Workload {
    let mut w = three();
    w.name = "cap_partitions";
    w.story = "as cap_3, each key in one of two partitions";
    w.setup = vec![
        "CREATE TABLE posts (id bigint, user_id bigint, highlighted boolean NOT NULL DEFAULT true, \
         body bigint NOT NULL DEFAULT 0, PRIMARY KEY (id, user_id)) PARTITION BY LIST (user_id)",
        "CREATE TABLE posts_a PARTITION OF posts FOR VALUES IN (1)",
        "CREATE TABLE posts_b PARTITION OF posts FOR VALUES IN (2, 3)",
        "CREATE INDEX posts_body ON posts (body)",
    ];
    // An id may be there once for each key, so an upsert of a row that has moved would double it.
    w.statements.retain(|s| !s.name.starts_with("upsert"));
    w
}
