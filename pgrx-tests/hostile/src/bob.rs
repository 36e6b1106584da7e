//! The schema `v` of somebody else, bob: guarded tables of which the attacker may write some, read others and
//! must not touch the rest. Whatever stands there is recognised when it comes out.

/// The rows of bob have these numbers; the attacker adds others.
pub const ROWS: usize = 6;

/// So many rows of key 1 hide behind row security, in as many slots.
const HIDDEN: usize = 1234;

/// What the attacker must never read: parts of texts, and whole texts.
pub const SECRETS: [&str; 3] = ["canary", "2471-", "777000"];
pub const SECRET_NUMBERS: [&str; 2] = ["1234", "1235"];

const COLUMNS: &str =
    "id int PRIMARY KEY, user_id int, note text, at timestamptz DEFAULT '2026-03-02 10:00+00', qty numeric(10, 2) DEFAULT 5";

pub fn statements() -> Vec<String> {
    let mut made: Vec<String> = [
        "DROP SCHEMA IF EXISTS v CASCADE",
        "CREATE SCHEMA v AUTHORIZATION bob",
        "GRANT USAGE ON SCHEMA v TO mallory",
        "SET ROLE bob",
    ]
    .map(str::to_owned)
    .into();
    for table in ["secret", "hidden", "inbox", "cool", "open", "parent", "event", "bill"] {
        let rows = if table == "hidden" { HIDDEN } else { ROWS };
        made.push(format!("CREATE TABLE v.{table} ({COLUMNS}, version bigint NOT NULL DEFAULT 1)"));
        made.push(format!(
            "INSERT INTO v.{table} (id, user_id, note, at, version) SELECT i, CASE WHEN '{table}' = 'hidden' THEN 1 ELSE i END, \
             'canary ' || i, '2471-03-02 10:00+00'::timestamptz + i * interval '20 days', 7770000 + i FROM generate_series(1, {rows}) i"
        ));
    }
    made.push("CREATE TABLE v.kid (id int PRIMARY KEY, user_id int REFERENCES v.parent, note text, at timestamptz, qty numeric)".into());
    made.push("INSERT INTO v.kid VALUES (1, 1, 'canary', '2471-01-01', 1)".into());
    made.push(
        "CREATE TABLE v.seat (id int PRIMARY KEY, user_id int REFERENCES v.event, n int DEFAULT 1)"
            .into(),
    );
    made.extend(
        [
            "SELECT raceguard.add_version('v.secret', unstated => 'reject'), raceguard.add_key_lock('v.secret', 'user_id'), \
             raceguard.add_cap('v.secret', 'user_id', 3), raceguard.add_cooldown('v.secret', 'user_id', 'at', '1 hour')",
            "SELECT raceguard.add_version('v.hidden'), raceguard.add_key_lock('v.hidden', 'user_id'), \
             raceguard.add_cap('v.hidden', 'user_id', 2000), raceguard.add_cooldown('v.hidden', 'user_id', 'at', '1 hour')",
            "SELECT raceguard.add_cap('v.inbox', 'user_id', 3)",
            "SELECT raceguard.add_cooldown('v.cool', 'user_id', 'at', '7 days')",
            "SELECT raceguard.add_version('v.open', unstated => 'warn'), raceguard.add_key_lock('v.open', 'id')",
            "SELECT raceguard.add_version('v.parent'), raceguard.add_parent_version('v.kid', 'v.parent')",
            "SELECT raceguard.add_total('v.seat', 'v.event', 'taken', amount => 'n', at_most => '5', at_least => '0'), \
             raceguard.add_total('v.seat', 'v.event', 'rows', settle => 'commit', guard => 'rows')",
            "SELECT raceguard.add_number('v.bill', 'user_id')",
            "ALTER TABLE v.hidden ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY own ON v.hidden USING (note = current_user) WITH CHECK (note = current_user)",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON v.hidden TO mallory",
            "GRANT INSERT ON v.inbox TO mallory",
            "GRANT SELECT, INSERT, UPDATE (user_id, n) ON v.seat TO mallory",
            "GRANT INSERT (id, user_id, note, at, qty) ON v.bill TO mallory",
            "GRANT INSERT ON v.cool TO mallory",
            "GRANT INSERT, UPDATE ON v.open TO mallory",
            "GRANT SELECT (id), REFERENCES ON v.parent TO mallory",
            "RESET ROLE",
        ]
        .map(str::to_owned),
    );
    made
}

/// What bob does, and takes back: nothing of it may fail while the attacker's transactions are open. Each begins anew: one
/// that may fail, since the attacker has locked what his rights cover, leaves a transaction that is aborted.
pub const WRITES: [&str; 6] = [
    "ROLLBACK; BEGIN; INSERT INTO v.secret (id, user_id, note, at) VALUES (900, 2, 'canary', '2026-01-01'); ROLLBACK",
    "ROLLBACK; BEGIN; UPDATE v.secret SET note = 'canary', version = version + 1 WHERE id = 1; ROLLBACK",
    "ROLLBACK; BEGIN; SELECT raceguard.lock_key('v.secret', 2); DELETE FROM v.secret WHERE id = 2; ROLLBACK",
    "ROLLBACK; BEGIN; INSERT INTO v.kid (id, user_id) VALUES (900, 2); SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK",
    "ROLLBACK; BEGIN; INSERT INTO v.seat (id, user_id) VALUES (900, 6); UPDATE v.event SET note = 'canary' WHERE id = 6; ROLLBACK",
    "ROLLBACK; BEGIN; LOCK TABLE v.secret; SELECT raceguard.set_cap('v.secret', 4); ROLLBACK",
];

/// What everybody reads, whatever somebody has made of his own tables.
pub const VIEWS: [&str; 2] =
    ["ROLLBACK; SELECT * FROM raceguard.guards", "ROLLBACK; SELECT * FROM raceguard.locks"];
