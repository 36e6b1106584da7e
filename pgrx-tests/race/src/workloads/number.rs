//! Numbers per key: 1 to n in every snapshot, none given twice.

use crate::language::{Effect, Invariant, Statement, Workload};

pub const NO_GAP: &str = "numbers 1 to n, without gap or double";
pub const NO_DOUBLE: &str = "a number of its own for every row";
pub const LAST: &str = "the counter is the number given last";

pub fn all() -> Vec<Workload> {
    vec![numbers(), escalation(), moves(), partitions(), counters(), counted_moves()]
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

/// As [`unguarded`], with a row for each key that has a counter.
pub fn unguarded_counters() -> Workload {
    let mut w = unguarded();
    w.name = "number_counter";
    w.story =
        "invoices are written and never deleted; the organisation keeps the number given last";
    w.setup = vec![
        "CREATE TABLE orgs (org int PRIMARY KEY, note bigint NOT NULL DEFAULT 0, last int NOT NULL DEFAULT 0)",
        "INSERT INTO orgs SELECT n FROM generate_series(1, {keys}) n",
        "CREATE TABLE invoices (id bigint PRIMARY KEY, org int REFERENCES orgs, note bigint NOT NULL DEFAULT 0, number int)",
        "CREATE INDEX invoices_note ON invoices (note)",
    ];
    w.invariants.push(Invariant::Never {
        name: LAST,
        sql: "SELECT org, last, max(number) FROM orgs LEFT JOIN invoices USING (org) GROUP BY org \
              HAVING last <> coalesce(max(number), 0)",
    });
    w.statements.push(
        Statement::new(
            "edit the organisation, then insert",
            2,
            &[
                "UPDATE orgs SET note = {n} WHERE org = {key} RETURNING org",
                "INSERT INTO invoices (id, org) VALUES ({id}0, {key}) RETURNING id",
            ],
            &[Effect::Add],
        )
        .returning(1),
    );
    w
}

fn counters() -> Workload {
    let mut w = unguarded_counters();
    w.guard = vec!["SELECT raceguard.add_number('invoices', 'org', counter => 'last')"];
    w.statements.extend(upserts());
    w.statements.push(
        Statement::new(
            "change the counter",
            1,
            &["UPDATE orgs SET last = last + 1 WHERE org = {key} RETURNING org"],
            &[],
        )
        .refused_with("428C9"),
    );
    w
}

/// What was given once is written down, and may not be given again.
fn counted_moves() -> Workload {
    let mut w = moves();
    let counters = counters();
    w.name = "number_counter_moves";
    w.story = "as number_moves, with a counter: no number is given again after its row is gone";
    w.setup = counters.setup;
    w.setup.extend([
        "CREATE TABLE given (org int, number int, PRIMARY KEY (org, number))",
        "CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF TG_OP = 'INSERT' OR NEW.number <> OLD.number OR NEW.org <> OLD.org THEN \
         INSERT INTO given VALUES (NEW.org, NEW.number); END IF; RETURN NULL; END $$",
        "CREATE TRIGGER write_down AFTER INSERT OR UPDATE ON invoices \
         FOR EACH ROW EXECUTE FUNCTION write_down()",
    ]);
    w.guard = counters.guard;
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
