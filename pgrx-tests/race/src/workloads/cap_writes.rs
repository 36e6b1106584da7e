//! Caps written to by MERGE, COPY and bulk statements, at COMMIT by a deferred trigger, and while the
//! number of slots is changed.

use crate::checks::TOO_MANY;
use crate::language::{Effect, Invariant, Statement, Workload};
use crate::workloads::cap::{self, PICK};

pub const AS_IT_SAYS: &str = "no more rows than the cap says";

pub fn all() -> Vec<Workload> {
    vec![bulk(), deferred(), resize(), single()]
}

/// A statement that returns nothing of its own is followed by a look at what it did: `body` tells
/// rows that this step has written from all others.
fn bulk() -> Workload {
    let mut w = cap::three();
    w.name = "cap_bulk";
    w.story = "as cap_3, by COPY, MERGE and INSERT ... SELECT";
    w.statements[0].weight = 2;
    w.statements.extend([
        Statement::new(
            "copy",
            3,
            &[
                "COPY posts (id, user_id) FROM STDIN\n{id}0\t{key}\n",
                "SELECT id FROM posts WHERE id = {id}0",
            ],
            &[Effect::Hold],
        ),
        Statement::new(
            "copy two",
            1,
            &[
                "COPY posts (id, user_id) FROM STDIN\n{id}0\t{key}\n{id}1\t{key}\n",
                "SELECT id FROM posts WHERE id IN ({id}0, {id}1)",
            ],
            &[Effect::Hold],
        )
        .places(2),
        Statement::new(
            "merge, insert",
            3,
            &["MERGE INTO posts p USING (VALUES ({id}0, {key})) v(id, u) ON p.id = v.id \
               WHEN MATCHED THEN DO NOTHING \
               WHEN NOT MATCHED THEN INSERT (id, user_id) VALUES (v.id, v.u); \
               SELECT id FROM posts WHERE id = {id}0"],
            &[Effect::Hold],
        ),
        Statement::new(
            "merge, move",
            2,
            &[
                PICK,
                "MERGE INTO posts p USING (SELECT 1) v \
                 ON p.id = {0} AND p.user_id = {key} AND p.highlighted \
                 WHEN MATCHED THEN UPDATE SET user_id = {other}, body = {id}0; \
                 SELECT id FROM posts WHERE id = {0} AND user_id = {other} AND body = {id}0",
            ],
            &[Effect::Move],
        ),
        Statement::new(
            "insert two by SELECT",
            1,
            &["INSERT INTO posts (id, user_id) SELECT {id}0 + g, {key} FROM generate_series(0, 1) g \
               RETURNING id"],
            &[Effect::Hold],
        )
        .places(2),
    ]);
    w
}

/// Half of the rows go in at COMMIT, where the cap is judged as anywhere else.
pub fn deferred_unguarded() -> Workload {
    let mut w = cap::three_unguarded();
    w.name = "cap_deferred";
    w.story = "as cap_3, half of the rows inserted at COMMIT by a deferred trigger";
    w.setup.extend([
        "CREATE TABLE wishes (id bigint PRIMARY KEY, user_id bigint NOT NULL)",
        "CREATE FUNCTION fulfil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO posts (id, user_id) VALUES (NEW.id, NEW.user_id); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER fulfil AFTER INSERT ON wishes DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION fulfil()",
    ]);
    w.statements.push(Statement::new(
        "insert at COMMIT",
        6,
        &["INSERT INTO wishes VALUES ({id}0, {key}) RETURNING id"],
        &[Effect::Hold],
    ));
    w
}

fn deferred() -> Workload {
    let mut w = deferred_unguarded();
    w.guard = vec!["SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted')"];
    w
}

/// Clients raise the cap to five and lower it to three. `now` is the number of slots that holds.
pub fn resizing(name: &'static str, set: &'static str, now: &'static str) -> Workload {
    let mut w = cap::three_unguarded();
    w.name = name;
    w.story = "as cap_3, and between three and five slots while clients write";
    // Changing the cap locks the table.
    w.impatient = 0;
    w.invariants = vec![
        Invariant::Room { code: "RG403", most: 5, enough: 3, period: None },
        Invariant::Never {
            name: TOO_MANY,
            sql: "SELECT user_id, count(*) FROM posts WHERE highlighted GROUP BY 1 HAVING count(*) > 5",
        },
        Invariant::Never { name: AS_IT_SAYS, sql: now },
    ];
    w.statements[0].weight = 12;
    w.statements.push(Statement::new("change the cap", 2, &[set], &[]).allowing("23514"));
    w
}

fn resize() -> Workload {
    let mut w = resizing(
        "cap_resize",
        "SELECT raceguard.set_cap('posts', CASE {n} % 2 WHEN 0 THEN 3 ELSE 5 END)",
        // The trigger's arguments as this snapshot sees them.
        "SELECT user_id, count(*) FROM posts WHERE highlighted GROUP BY 1 HAVING count(*) > \
         (SELECT substring(encode(tgargs, 'escape') FROM 'slots=([0-9]+)')::int FROM pg_trigger \
          WHERE tgrelid = 'posts'::regclass AND tgname = 'zz_raceguard_cap')",
    );
    w.guard = vec!["SELECT raceguard.add_cap('posts', 'user_id', 3, predicate => 'highlighted')"];
    w
}

/// Inserts and deletes of one row, each a transaction, on a cap that is mostly full: however they
/// wait for each other's slots, nothing may deadlock.
fn single() -> Workload {
    let mut w = cap::three();
    w.name = "cap_single";
    w.story = "as cap_3, one row to a transaction: no deadlock";
    w.clients = 16;
    w.steps = 1;
    w.allowed = vec!["40001", "RG403", "55P03"];
    w.statements.retain(|s| {
        ["insert", "delete", "insert_next_slot"].contains(&s.name) || s.name.starts_with("upsert")
    });
    w
}
