//! Guards that observe: nobody is refused, whatever the others do; and caps whose mode changes under load.

use crate::language::{Invariant, Statement, Workload};
use crate::workloads::cap::{posts, upserts};

pub const WITHOUT_SLOT: &str = "no row without a slot where the CHECK stands";

const SLOTS: Invariant = Invariant::Never {
    name: "a slot is given once, and exists",
    sql: "SELECT user_id, slot FROM posts WHERE slot IS NOT NULL \
          GROUP BY 1, 2 HAVING count(*) > 1 OR slot NOT BETWEEN 1 AND 2",
};

pub fn all() -> Vec<Workload> {
    vec![observed(), toggled()]
}

/// A cap, a cooldown and a key lock on one table, all of which would refuse or let wait.
fn observed() -> Workload {
    let mut w = observed_unguarded();
    w.guard = vec![
        "SELECT raceguard.add_key_lock('posts', 'user_id')",
        "SELECT raceguard.add_cap('posts', 'user_id', 2)",
        "SELECT raceguard.add_cooldown('posts', 'user_id', 'at', '1 hour')",
        "SELECT raceguard.set_mode('posts', guard, 'observe') \
         FROM raceguard.guards WHERE target = 'posts'::regclass",
    ];
    w
}

/// Postgres itself lets writers wait for a moment where a table or an index grows by a page, and where VACUUM
/// cuts off its end. So the table has its free pages beforehand, and a round is too short to fill the first page
/// of an index.
pub fn observed_unguarded() -> Workload {
    let mut w = Workload::new("modes_observed", "guards that observe: no refusal, no waiting");
    w.keys = 2;
    w.transactions = 15;
    w.setup = vec![
        "CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint NOT NULL, \
         at timestamptz NOT NULL DEFAULT '2026-01-01 12:00+00') WITH (vacuum_truncate = off)",
        "INSERT INTO posts SELECT g, 0 FROM generate_series(1, 4000) g",
        "DELETE FROM posts WHERE id > 1",
        "VACUUM posts",
    ];
    w.impatient = 50;
    w.invariants = vec![SLOTS];
    w.statements = vec![
        Statement::new(
            "insert",
            4,
            &["INSERT INTO posts (id, user_id) VALUES ({id}0, {key}) RETURNING id"],
            &[],
        )
        .returning(1)
        .at_once(0),
        Statement::new(
            "insert into two keys, delete one",
            2,
            &[
                "INSERT INTO posts (id, user_id) VALUES ({id}0, {key}), ({id}1, {other}) RETURNING id",
                "DELETE FROM posts WHERE id = {id}0 RETURNING id",
            ],
            &[],
        )
        .returning(1)
        .at_once(0),
        Statement::new(
            "insert and move",
            2,
            &[
                "INSERT INTO posts (id, user_id) VALUES ({id}0, {key}) RETURNING id",
                "UPDATE posts SET user_id = {other} WHERE id = {id}0 RETURNING id",
            ],
            &[],
        )
        .returning(1)
        .at_once(0),
    ];
    w
}

/// A cap that is enforced and observed in turns.
fn toggled() -> Workload {
    let mut w = toggling(
        "modes_toggled",
        "SELECT raceguard.set_mode('posts', 'cap', 'enforce')",
        "SELECT raceguard.set_mode('posts', 'cap', 'observe')",
    );
    w.guard = vec!["SELECT raceguard.add_cap('posts', 'user_id', 2, predicate => 'highlighted')"];
    w
}

/// Clients who let a cap of two `enforce` and `observe`, which it may refuse while a key has more rows.
pub fn toggling(name: &'static str, enforce: &'static str, observe: &'static str) -> Workload {
    let mut w = posts(name, "a cap whose mode changes while others write", 2);
    w.invariants = vec![
        SLOTS,
        Invariant::Never {
            name: WITHOUT_SLOT,
            sql: "SELECT user_id, id FROM posts WHERE highlighted AND slot IS NULL AND EXISTS \
                  (SELECT FROM pg_constraint WHERE conrelid = 'posts'::regclass AND contype = 'c' AND convalidated)",
        },
    ];
    w.statements.extend(upserts());
    for statement in &mut w.statements {
        statement.effects.clear();
    }
    w.statements.extend([
        Statement::new("enforce", 1, &[enforce], &[]).allowing("23514"),
        Statement::new("observe", 1, &[observe], &[]),
        Statement::new(
            "make room",
            2,
            &["DELETE FROM posts WHERE user_id = {key} AND slot IS NULL AND highlighted RETURNING id"],
            &[],
        ),
    ]);
    w
}
