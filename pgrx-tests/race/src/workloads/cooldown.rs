//! Cooldowns: never more than `max_rows` rows of a key within a period, in both directions of time,
//! and no refusal where the period has room. Times are whole hours `{n}` after a fixed instant.

use crate::checks::TOO_MANY;
use crate::language::{Effect, Invariant, Statement, Workload};

pub fn all() -> Vec<Workload> {
    vec![one(), window(), partitions(), single(), own_past()]
}

const PICK: &str = "SELECT id FROM posts WHERE user_id = {key} ORDER BY id OFFSET {n} % 5 LIMIT 1";
/// An hour of the test's calendar; no literal depends on the session's time zone.
macro_rules! at {
    ($before:literal, $after:literal) => {
        concat!($before, "timestamptz '2024-03-30 00:00+00' + {n} * interval '1 hour'", $after)
    };
}

/// A day per period and `hours` in all: with 8 clients about as many are refused as get in.
fn posts(name: &'static str, story: &'static str, most: usize, hours: u64) -> Workload {
    let mut w = Workload::new(name, story);
    w.keys = 2;
    w.numbers = hours;
    w.setup = vec![
        "CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint NOT NULL, \
         at timestamptz NOT NULL, body bigint NOT NULL DEFAULT 0)",
        // So that edits move the neighbours' index entries while others look at them.
        "CREATE INDEX posts_body ON posts (body)",
    ];
    w.impatient = 5;
    w.allowed.extend(["RG429", "55P03"]);
    w.invariants = vec![Invariant::Room { code: "RG429", most, enough: most, period: Some(24) }];
    w.statements = vec![
        Statement::new(
            "insert",
            6,
            &[at!("INSERT INTO posts (id, user_id, at) VALUES ({id}0, {key}, ", ") RETURNING id")],
            &[Effect::Hold],
        ),
        Statement::new(
            "delete",
            2,
            &[PICK, "DELETE FROM posts WHERE id = {0} AND user_id = {key} RETURNING id"],
            &[Effect::Free],
        ),
        Statement::new(
            "another time",
            1,
            &[
                PICK,
                at!("UPDATE posts SET at = ", " WHERE id = {0} AND user_id = {key} RETURNING id"),
            ],
            &[Effect::Retime],
        ),
        Statement::new(
            "another key",
            1,
            &[
                PICK,
                at!(
                    "UPDATE posts SET user_id = {other}, at = ",
                    " WHERE id = {0} AND user_id = {key} RETURNING id"
                ),
            ],
            &[Effect::Move],
        ),
        Statement::new(
            "edit",
            2,
            &["UPDATE posts SET body = {n} WHERE user_id = {key} RETURNING id"],
            &[],
        ),
    ];
    w
}

/// One row per day and key, before its guard.
pub fn one_unguarded() -> Workload {
    let mut w = posts("cooldown_1", "one row per key within 24 hours", 1, 24 * 8);
    w.invariants.push(Invariant::Never {
        name: TOO_MANY,
        sql: "SELECT a.user_id, a.id, b.id, a.at, b.at FROM posts a JOIN posts b USING (user_id) \
              WHERE a.id <> b.id AND b.at >= a.at AND b.at < a.at + interval '24 hours'",
    });
    w
}

pub fn one() -> Workload {
    let mut w = one_unguarded();
    w.guard =
        vec!["SELECT raceguard.add_cooldown('posts', 'user_id', at => 'at', period => '24 hours')"];
    w
}

pub fn window() -> Workload {
    let mut w = posts("cooldown_window", "three rows per key within any 24 hours", 3, 24 * 4);
    w.guard = vec![
        "SELECT raceguard.add_cooldown('posts', 'user_id', at => 'at', period => '24 hours', \
         max_rows => 3)",
    ];
    w.invariants.push(Invariant::Never {
        name: TOO_MANY,
        sql: "SELECT a.user_id, a.id, count(*) FROM posts a JOIN posts b \
              ON b.user_id = a.user_id AND b.at >= a.at AND b.at < a.at + interval '24 hours' \
              GROUP BY a.id HAVING count(*) > 3",
    });
    w
}

/// Two days to a partition: neighbours in time lie in different ones, and rows move between them.
pub fn partitions_unguarded() -> Workload {
    let mut w = one_unguarded();
    w.name = "cooldown_partitions";
    w.story = "as cooldown_1, two days to a partition";
    w.setup = vec![
        "CREATE TABLE posts (id bigint, user_id bigint NOT NULL, at timestamptz NOT NULL, \
         body bigint NOT NULL DEFAULT 0, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE posts_1 PARTITION OF posts \
         FOR VALUES FROM (MINVALUE) TO ('2024-04-01 00:00+00')",
        "CREATE TABLE posts_2 PARTITION OF posts \
         FOR VALUES FROM ('2024-04-01 00:00+00') TO ('2024-04-03 00:00+00')",
        "CREATE TABLE posts_3 PARTITION OF posts \
         FOR VALUES FROM ('2024-04-03 00:00+00') TO (MAXVALUE)",
        "CREATE INDEX posts_body ON posts (body)",
    ];
    w
}

fn partitions() -> Workload {
    let mut w = partitions_unguarded();
    w.guard =
        vec!["SELECT raceguard.add_cooldown('posts', 'user_id', at => 'at', period => '24 hours')"];
    w
}

/// One row an address, which remembers when a mail was sent last; before its guard. A client sends a day
/// or more after the time that it has read, which another may have replaced meanwhile.
pub fn own_past_unguarded() -> Workload {
    let mut w = Workload::new("cooldown_own_past", "a mail a day, in one row an address");
    w.numbers = 24;
    w.impatient = 5;
    w.allowed.push("55P03");
    w.setup = vec![
        "CREATE TABLE emails (id bigint PRIMARY KEY, at timestamptz NOT NULL, body bigint)",
        "INSERT INTO emails SELECT n, '2024-03-30 00:00+00' FROM generate_series(1, {keys}) n",
        "CREATE TABLE sends (n bigint GENERATED ALWAYS AS IDENTITY, id bigint, at timestamptz)",
        "CREATE FUNCTION sent() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO sends (id, at) VALUES (NEW.id, NEW.at); RETURN NULL; END $$",
        "CREATE TRIGGER sent AFTER UPDATE ON emails FOR EACH ROW \
         WHEN (NEW.at <> OLD.at) EXECUTE FUNCTION sent()",
    ];
    const READ: &str = "SELECT at FROM emails WHERE id = {key}";
    w.statements = vec![
        Statement::new(
            "send",
            4,
            &[
                READ,
                "UPDATE emails SET at = timestamptz '{0}' + (24 + {n}) * interval '1 hour' \
                 WHERE id = {key} AND at <= timestamptz '{0}' + (24 + {n}) * interval '1 hour' \
                 RETURNING id",
            ],
            &[],
        )
        .allowing("RG429"),
        Statement::new(
            "send or register",
            2,
            &[
                READ,
                "INSERT INTO emails VALUES \
                 ({key}, timestamptz '{0}' + (24 + {n}) * interval '1 hour') \
                 ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at WHERE emails.at <= EXCLUDED.at \
                 RETURNING id",
            ],
            &[],
        )
        .allowing("RG429"),
        // From the row as it is: never too early.
        Statement::new(
            "send in time",
            1,
            &["UPDATE emails SET at = at + (24 + {n}) * interval '1 hour' WHERE id = {key} \
               RETURNING id"],
            &[],
        ),
        Statement::new("edit", 1, &["UPDATE emails SET body = {n} WHERE id = {key}"], &[]),
    ];
    w.invariants = vec![Invariant::Never {
        name: TOO_MANY,
        sql: "SELECT a.id, a.at, b.at FROM sends a JOIN sends b USING (id) \
              WHERE a.n <> b.n AND b.at >= a.at AND b.at < a.at + interval '24 hours'",
    }];
    w
}

fn own_past() -> Workload {
    let mut w = own_past_unguarded();
    w.guard = vec![
        "SELECT raceguard.add_cooldown('emails', 'id', at => 'at', period => '24 hours', \
         own_past => true)",
    ];
    w
}

/// Writes of one row, each a transaction: nothing may deadlock.
fn single() -> Workload {
    let mut w = one();
    w.name = "cooldown_single";
    w.story = "as cooldown_1, one row to a transaction: no deadlock";
    w.clients = 16;
    w.steps = 1;
    w.allowed = vec!["40001", "RG429", "55P03"];
    w.statements.retain(|s| s.name != "edit");
    w
}
