//! Totals: the parent's column is what stands under it in every snapshot, and never beyond its bound.

use crate::language::{Invariant, Statement, Workload};

pub const EQUAL: &str = "every total is what stands under it";
pub const WITHIN: &str = "no total beyond its bound";

pub fn all() -> Vec<Workload> {
    vec![settled_by_statement(), settled_at_commit(), summed()]
}

const PICK: &str = "SELECT id FROM bookings WHERE event = {key} ORDER BY id OFFSET {n} % 3 LIMIT 1";

/// Events of four seats, one for each key, and the column that a guard or a trigger keeps.
pub fn unguarded() -> Workload {
    let mut w = Workload::new("total", "seats of events are booked, moved and given back");
    w.setup = vec![
        "CREATE TABLE events (id bigint PRIMARY KEY, seats int NOT NULL DEFAULT 4, booked bigint NOT NULL DEFAULT 0)",
        "CREATE TABLE bookings (id bigint PRIMARY KEY, event bigint NOT NULL REFERENCES events, n int NOT NULL DEFAULT 1)",
        "CREATE INDEX ON bookings (event)",
        "INSERT INTO events SELECT g FROM generate_series(0, 99) g",
    ];
    w.keys = 3;
    w.impatient = 10;
    w.allowed.extend(["RG403", "55P03"]);
    w.invariants = vec![
        Invariant::Never {
            name: EQUAL,
            sql: "SELECT e.id, e.booked, sum(b.n) FROM events e LEFT JOIN bookings b ON b.event = e.id \
                  GROUP BY e.id HAVING e.booked <> coalesce(sum(b.n), 0)",
        },
        Invariant::Never {
            name: WITHIN,
            sql: "SELECT event, sum(n) FROM bookings GROUP BY event HAVING sum(n) > 4",
        },
    ];
    w.statements = vec![
        Statement::new(
            "book",
            6,
            &["INSERT INTO bookings (id, event) VALUES ({id}0, {key}) RETURNING id"],
            &[],
        ),
        Statement::new(
            "book two events",
            2,
            &["INSERT INTO bookings (id, event) VALUES ({id}0, {key}), ({id}1, {other}) RETURNING id"],
            &[],
        ),
        Statement::new(
            "give back",
            5,
            &[PICK, "DELETE FROM bookings WHERE id = {0} RETURNING id"],
            &[],
        ),
        Statement::new(
            "move",
            3,
            &[PICK, "UPDATE bookings SET event = {other} WHERE id = {0} RETURNING id"],
            &[],
        ),
        Statement::new(
            "swap",
            2,
            &[
                PICK,
                "WITH gone AS (DELETE FROM bookings WHERE id = {0} RETURNING event) \
                 INSERT INTO bookings (id, event) SELECT {id}0, event FROM gone RETURNING id",
            ],
            &[],
        ),
        Statement::new(
            "upsert",
            2,
            &[
                PICK,
                "INSERT INTO bookings (id, event) VALUES ({0}, {key}) ON CONFLICT (id) \
                 DO UPDATE SET event = {other} RETURNING id",
            ],
            &[],
        ),
    ];
    w
}

fn settled_by_statement() -> Workload {
    let mut w = unguarded();
    w.guard =
        vec!["SELECT raceguard.add_total('bookings', 'events', 'booked', amount => 'n', at_most => 'seats')"];
    w.statements.push(
        Statement::new(
            "write the total",
            1,
            &["UPDATE events SET booked = booked + 1 WHERE id = {key} RETURNING id"],
            &[],
        )
        .refused_with("428C9"),
    );
    w
}

pub fn settled_at_commit() -> Workload {
    let mut w = unguarded();
    w.name = "total_commit";
    w.story = "as total, settled when the transaction ends";
    w.guard = vec![
        "SELECT raceguard.add_total('bookings', 'events', 'booked', amount => 'n', at_most => 'seats', \
         settle => 'commit')",
    ];
    w.steps = 3;
    (w.savepoint, w.undo) = (30, 50);
    // Within the transaction a total is behind; a snapshot of another session sees whole transactions.
    w
}

/// Amounts that change where they stand.
fn summed() -> Workload {
    let mut w = settled_by_statement();
    w.name = "total_sum";
    w.story = "as total, with amounts that change";
    w.statements.push(Statement::new(
        "change the amount",
        4,
        &[PICK, "UPDATE bookings SET n = {n} % 3 WHERE id = {0} RETURNING id"],
        &[],
    ));
    w
}
