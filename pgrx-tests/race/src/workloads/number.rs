//! Numbers per key: 1 to n in every snapshot, none given twice.

use crate::language::{Effect, Invariant, Statement, Workload};

pub const NO_GAP: &str = "numbers 1 to n, without gap or double";
pub const NO_DOUBLE: &str = "a number of its own for every row";

pub fn all() -> Vec<Workload> {
    vec![numbers(), escalation(), moves(), partitions()]
}

/// Rows come and stay: what one snapshot sees of a key is numbered through.
pub fn unguarded() -> Workload {
    let mut w = Workload::new("number", "invoices are written and never deleted");
    w.setup = vec![
        "CREATE TABLE invoices (id bigint PRIMARY KEY, org int, note bigint NOT NULL DEFAULT 0, number int)",
        // So that updates are not HOT: the row's index entries move while others look.
        "CREATE INDEX invoices_note ON invoices (note)",
    ];
    w.impatient = 10;
    w.allowed.push("55P03");
    w.invariants = vec![
        Invariant::Never {
            name: NO_GAP,
            sql: "SELECT org, count(*), max(number) FROM invoices GROUP BY org \
                  HAVING min(number) <> 1 OR max(number) <> count(*) OR count(DISTINCT number) <> count(*)",
        },
        Invariant::Counted {
            name: "every row that went in has a number",
            sql: "SELECT org, count(number) FROM invoices GROUP BY org",
        },
    ];
    w.statements = vec![
        Statement::new(
            "insert",
            6,
            &["INSERT INTO invoices (id, org) VALUES ({id}0, {key}) RETURNING id"],
            &[Effect::Add],
        )
        .returning(1),
        Statement::new(
            "insert into two keys",
            2,
            &["INSERT INTO invoices (id, org) VALUES ({id}0, {low}), ({id}1, {high}) RETURNING id"],
            &[Effect::Add, Effect::AddOther],
        )
        .returning(2),
        Statement::new(
            "edit",
            3,
            &["UPDATE invoices SET note = {n} WHERE id = (SELECT id FROM invoices \
               WHERE org = {key} ORDER BY id OFFSET {n} % 5 LIMIT 1) RETURNING id"],
            &[],
        ),
        Statement::new(
            "change the number",
            1,
            &[
                "SELECT id FROM invoices WHERE org = {key} ORDER BY id OFFSET {n} % 5 LIMIT 1",
                "UPDATE invoices SET number = number + 1 WHERE id = {0} RETURNING id",
            ],
            &[],
        )
        .refused_with("428C9"),
    ];
    w
}

/// Of a row that is there: it updates or inserts nothing, and uses up no number.
fn upserts() -> Vec<Statement> {
    const PICK: &str =
        "SELECT id FROM invoices WHERE org = {key} ORDER BY id OFFSET {n} % 5 LIMIT 1";
    vec![
        Statement::new(
            "upsert, update",
            2,
            &[
                PICK,
                "INSERT INTO invoices (id, org) VALUES ({0}, {key}) ON CONFLICT (id) \
                 DO UPDATE SET note = {n}, number = EXCLUDED.number RETURNING id",
            ],
            &[],
        ),
        Statement::new(
            "upsert, nothing",
            2,
            &[
                PICK,
                "INSERT INTO invoices (id, org) VALUES ({0}, {key}) ON CONFLICT DO NOTHING RETURNING id",
            ],
            &[],
        )
        .returning(0),
        Statement::new(
            "upsert, insert",
            2,
            &["INSERT INTO invoices (id, org) VALUES ({id}0, {key}) ON CONFLICT (id) \
               DO UPDATE SET note = -1 RETURNING id"],
            &[Effect::Add],
        )
        .returning(1),
    ]
}

pub fn numbers() -> Workload {
    let mut w = unguarded();
    w.guard = vec!["SELECT raceguard.add_number('invoices', 'org')"];
    w.statements.extend(upserts());
    w
}

/// Whoever wants numbers of a second key locks those of the whole table.
fn escalation() -> Workload {
    let mut w = numbers();
    w.name = "number_escalation";
    w.story = "as number, with every second key locking the whole table";
    w.settings = vec!["SET raceguard.max_key_locks = 1"];
    w.steps = 3;
    (w.savepoint, w.undo) = (50, 75);
    w
}

/// Rows that go leave gaps, and what comes to a key gets its next: no number is given twice.
fn moves() -> Workload {
    const PICK: &str =
        "SELECT id FROM invoices WHERE org = {key} ORDER BY id OFFSET {n} % 3 LIMIT 1";
    let mut w = numbers();
    w.name = "number_moves";
    w.story = "invoices are written, deleted and moved to another key";
    w.invariants = vec![Invariant::Never {
        name: NO_DOUBLE,
        sql: "SELECT org, number, count(*) FROM invoices GROUP BY org, number \
              HAVING count(*) > 1 OR number IS NULL",
    }];
    // An upsert that finds no row any more inserts one: it is counted by nobody here.
    w.statements.retain(|s| s.name != "upsert, nothing");
    for statement in &mut w.statements {
        statement.effects.clear();
    }
    w.statements.extend([
        Statement::new(
            "move to another key",
            3,
            &[PICK, "UPDATE invoices SET org = {other} WHERE id = {0} RETURNING id"],
            &[],
        ),
        Statement::new(
            "delete",
            2,
            &[PICK, "DELETE FROM invoices WHERE id = {0} RETURNING id"],
            &[],
        ),
    ]);
    w
}

/// One partition for a key and one for two.
fn partitions() -> Workload {
    let mut w = moves();
    w.name = "number_partitions";
    w.story = "as number_moves, each key in one of two partitions";
    w.setup = vec![
        "CREATE TABLE invoices (id bigint, org int, note bigint NOT NULL DEFAULT 0, number int, \
         PRIMARY KEY (id, org)) PARTITION BY LIST (org)",
        "CREATE TABLE invoices_a PARTITION OF invoices FOR VALUES IN (1)",
        "CREATE TABLE invoices_b PARTITION OF invoices FOR VALUES IN (2, 3)",
        "CREATE INDEX invoices_note ON invoices (note)",
    ];
    // An id may be there once for each key, so an upsert of a row that has moved would double it.
    w.statements.retain(|s| !s.name.starts_with("upsert"));
    w
}
