//! Key locks under rules of the table's own: its triggers read other rows of the key, which is only
//! right where the key is locked before. And upserts, which have to take row and key in one order.

use crate::checks::TOO_MANY;
use crate::language::{Effect, Invariant, Isolation, Statement, Workload};

pub const TWICE: &str = "no number given twice";
pub const LAST_OWNER: &str = "never without an owner";

pub fn all() -> Vec<Workload> {
    let mut all = [counts(), numbers(), owners(), upserts()];
    all[0].guard.push("SELECT raceguard.add_key_lock('posts', '\"userId\"')");
    all[1].guard.push("SELECT raceguard.add_key_lock('tickets', 'project')");
    all[2].guard.push("SELECT raceguard.add_key_lock('members', 'project')");
    all[3].guard.push("SELECT raceguard.add_key_lock('counters', 'k')");
    all.to_vec()
}

/// A rule that reads: at READ COMMITTED each statement of the trigger looks anew.
fn rule(name: &'static str, story: &'static str) -> Workload {
    let mut w = Workload::new(name, story);
    w.isolation = &[Isolation::ReadCommitted];
    w.impatient = 5;
    w.allowed.extend(["55P03", "P0001"]);
    w
}

/// A trigger counts the rows of a key, on INSERT, on a move and in upserts.
pub fn counts() -> Workload {
    let mut w = rule("key_lock_counts", "a trigger of the table's own lets three rows of a key in");
    w.setup = vec![
        "CREATE TABLE posts (id bigint PRIMARY KEY, \"userId\" int NOT NULL, body bigint)",
        "CREATE FUNCTION at_most_three() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF (SELECT count(*) FROM posts WHERE \"userId\" = NEW.\"userId\" AND id <> NEW.id) >= 3 \
         THEN RAISE EXCEPTION 'three already'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER at_most_three BEFORE INSERT OR UPDATE ON posts \
         FOR EACH ROW EXECUTE FUNCTION at_most_three()",
    ];
    w.statements = vec![
        Statement::new(
            "insert",
            4,
            &["INSERT INTO posts VALUES ({id}0, {key}, {n}) RETURNING id"],
            &[],
        ),
        Statement::new(
            "upsert",
            3,
            &["INSERT INTO posts VALUES (1000 + {n} % 8, {key}, {n}) \
               ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body, \"userId\" = EXCLUDED.\"userId\""],
            &[],
        ),
        Statement::new(
            "move",
            2,
            &["UPDATE posts SET \"userId\" = {other} WHERE id = \
               (SELECT min(id) FROM posts WHERE \"userId\" = {key})"],
            &[],
        ),
        Statement::new(
            "delete",
            4,
            &["DELETE FROM posts WHERE id = (SELECT max(id) FROM posts WHERE \"userId\" = {key})"],
            &[],
        ),
    ];
    w.invariants = vec![Invariant::Never {
        name: TOO_MANY,
        sql: "SELECT \"userId\", count(*) FROM posts GROUP BY 1 HAVING count(*) > 3",
    }];
    w
}

/// A trigger gives each row of a key the highest number plus one.
pub fn numbers() -> Workload {
    let mut w = rule("key_lock_numbers", "a trigger of the table's own counts on from the highest");
    w.setup = vec![
        "CREATE TABLE tickets (id bigint PRIMARY KEY, project int NOT NULL, no int, body bigint)",
        "CREATE FUNCTION next_no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.no := (SELECT coalesce(max(no), 0) + 1 FROM tickets WHERE project = NEW.project); \
         RETURN NEW; END $$",
        "CREATE TRIGGER next_no BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION next_no()",
    ];
    w.statements = vec![
        Statement::new(
            "insert",
            3,
            &["INSERT INTO tickets VALUES ({id}0, {key}, NULL, {n}) RETURNING id"],
            &[],
        )
        .returning(1),
        Statement::new(
            "upsert",
            2,
            &["INSERT INTO tickets VALUES (1000 + {n}, {key}, NULL, {n}) \
               ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body RETURNING id"],
            &[],
        )
        .returning(1),
        Statement::new(
            "delete",
            1,
            &["DELETE FROM tickets WHERE id = (SELECT max(id) FROM tickets WHERE project = {key})"],
            &[],
        ),
    ];
    w.invariants = vec![Invariant::Never {
        name: TWICE,
        sql: "SELECT project, no, count(*) FROM tickets GROUP BY 1, 2 HAVING count(*) > 1",
    }];
    w
}

/// A trigger refuses to let the last owner go.
pub fn owners() -> Workload {
    let mut w = rule("key_lock_owners", "a trigger of the table's own keeps the last owner");
    w.setup = vec![
        "CREATE TABLE members (id bigint PRIMARY KEY, project int NOT NULL, owner boolean NOT NULL)",
        "INSERT INTO members SELECT g, 1 + g % {keys}, true FROM generate_series(1, 2 * {keys}) g",
        "CREATE FUNCTION last_owner() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF OLD.owner AND NOT EXISTS (SELECT FROM members \
            WHERE project = OLD.project AND owner AND id <> OLD.id) \
         THEN RAISE EXCEPTION 'the last owner'; END IF; RETURN coalesce(NEW, OLD); END $$",
        "CREATE TRIGGER last_owner BEFORE UPDATE OR DELETE ON members \
         FOR EACH ROW EXECUTE FUNCTION last_owner()",
    ];
    let one = "(SELECT id FROM members WHERE project = {key} AND owner \
               ORDER BY id OFFSET {n} % 2 LIMIT 1)";
    let goes = [
        format!("DELETE FROM members WHERE id = {one} RETURNING id"),
        format!("UPDATE members SET owner = false WHERE id = {one} RETURNING id"),
        format!("UPDATE members SET project = {{other}} WHERE id = {one} RETURNING id"),
    ];
    w.statements = vec![
        Statement::new("leave", 3, &[&goes[0]], &[]),
        Statement::new("step down", 3, &[&goes[1]], &[]),
        Statement::new("change project", 1, &[&goes[2]], &[]),
        Statement::new(
            "join",
            3,
            &["INSERT INTO members VALUES ({id}0, {key}, true) RETURNING id"],
            &[],
        )
        .returning(1),
    ];
    w.invariants = vec![Invariant::Never {
        name: LAST_OWNER,
        sql: "SELECT p FROM generate_series(1, (SELECT max(project) FROM members)) p \
              WHERE NOT EXISTS (SELECT FROM members WHERE project = p AND owner)",
    }];
    w
}

/// One row to a transaction: an UPDATE, a DELETE, an INSERT and an upsert of the same rows never
/// deadlock, nobody else is inside a key meanwhile, and rows that come and go are locked too.
pub fn upserts() -> Workload {
    let mut w = Workload::new(
        "key_lock_upserts",
        "updates, upserts, deletes and inserts of the same rows, one to a transaction: no deadlock",
    );
    w.steps = 1;
    w.impatient = 5;
    w.allowed = vec!["40001", "55P03"];
    w.setup = vec![
        "CREATE TABLE counters (k int PRIMARY KEY, n bigint NOT NULL)",
        "INSERT INTO counters SELECT g, 0 FROM generate_series(1, {keys}) g",
    ];
    let inside = [Effect::Enter];
    w.statements = vec![
        Statement::new(
            "upsert",
            6,
            &["INSERT INTO counters VALUES ({key}, 0) \
               ON CONFLICT (k) DO UPDATE SET n = counters.n + 1 RETURNING k"],
            &inside,
        )
        .returning(1),
        Statement::new(
            "update",
            6,
            &["UPDATE counters SET n = n + 1 WHERE k = {key} RETURNING k"],
            &inside,
        ),
        Statement::new("delete", 2, &["DELETE FROM counters WHERE k = {key} RETURNING k"], &inside),
        Statement::new(
            "insert",
            1,
            &["INSERT INTO counters VALUES ({key}, 0) RETURNING k"],
            &inside,
        )
        .allowing("23505"),
        Statement::new(
            "insert or nothing",
            1,
            &["INSERT INTO counters VALUES ({key}, 0) ON CONFLICT (k) DO NOTHING RETURNING k"],
            &inside,
        ),
        Statement::new(
            "lock, then read",
            4,
            &[
                "SELECT raceguard.lock_key('counters', {key})",
                "SELECT n FROM counters WHERE k = {key}",
            ],
            &[Effect::EnterFirst],
        ),
    ];
    w.invariants = vec![Invariant::Alone { escalates: false }];
    w
}
