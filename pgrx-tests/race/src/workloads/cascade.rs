//! All guards on one table that foreign keys write to: the owner of posts is renumbered and deleted
//! while clients write posts.

use crate::checks::TOO_MANY;
use crate::language::{Invariant, Statement, Workload};

pub const NO_ORPHANS: &str = "every post has its owner";

pub fn all() -> Vec<Workload> {
    vec![cascades()]
}

/// An owner is `key` or `key` + 10. One that comes after another has gone is born anew.
pub fn owners(name: &'static str) -> Workload {
    let mut w = Workload::new(name, "all guards at once under ON UPDATE and ON DELETE CASCADE");
    w.setup = vec![
        "CREATE TABLE owners (id bigint PRIMARY KEY, born bigint NOT NULL)",
        "CREATE UNIQUE INDEX owners_one ON owners ((id % 10))",
        "INSERT INTO owners SELECT g, g FROM generate_series(1, {keys}) g",
        "CREATE TABLE posts (id bigint PRIMARY KEY, owner bigint NOT NULL REFERENCES owners \
         ON UPDATE CASCADE ON DELETE CASCADE, n bigint NOT NULL DEFAULT 0)",
        "CREATE INDEX posts_owner ON posts (owner)",
    ];
    w.keys = 5;
    // A post may lose the owner it was meant for before it goes in.
    w.allowed.extend(["23503", "RG409", "RG403"]);
    w.invariants = vec![
        Invariant::Never {
            name: TOO_MANY,
            sql: "SELECT owner, count(*) FROM posts GROUP BY 1 HAVING count(*) > 3",
        },
        Invariant::Never {
            name: NO_ORPHANS,
            sql: "SELECT owner % 10, id, owner FROM posts p \
                  WHERE NOT EXISTS (SELECT FROM owners o WHERE o.id = p.owner)",
        },
    ];
    w.statements = vec![
        Statement::new(
            "insert",
            6,
            &["INSERT INTO posts (id, owner) SELECT {id}0, id FROM owners WHERE id % 10 = {key} \
               ORDER BY born DESC LIMIT 1 \
               RETURNING id"],
            &[],
        ),
        Statement::new(
            "write what was read",
            4,
            &[
                "SELECT id, n, version FROM posts WHERE owner % 10 = {key} ORDER BY id \
                 OFFSET {n} % 3 LIMIT 1",
                "UPDATE posts SET n = {1} + 1, version = {2} + 1 WHERE id = {0} RETURNING id",
            ],
            &[],
        ),
        Statement::new(
            "delete",
            1,
            &["DELETE FROM posts WHERE id = (SELECT min(id) FROM posts WHERE owner % 10 = {key}) \
               RETURNING id"],
            &[],
        ),
        Statement::new(
            "renumber the owner",
            3,
            &["UPDATE owners SET id = CASE WHEN id > 10 THEN id - 10 ELSE id + 10 END \
               WHERE id % 10 = {key} RETURNING id"],
            &[],
        ),
        Statement::new(
            "the owner goes",
            1,
            &["DELETE FROM owners WHERE id % 10 = {key} RETURNING id"],
            &[],
        ),
        Statement::new(
            "an owner comes",
            2,
            &["INSERT INTO owners VALUES ({key}, {id}) ON CONFLICT DO NOTHING RETURNING id"],
            &[],
        ),
    ];
    w
}

fn cascades() -> Workload {
    let mut w = owners("cascades");
    w.guard = vec![
        "SELECT raceguard.add_version('owners')",
        "SELECT raceguard.add_version('posts', unstated => 'reject')",
        "SELECT raceguard.add_key_lock('posts', 'owner')",
        "SELECT raceguard.add_cap('posts', 'owner', 3)",
        "SELECT raceguard.add_parent_version('posts', 'owners')",
    ];
    w.invariants.extend([
        Invariant::Versioned { sql: "SELECT id, version, n, owner FROM posts" },
        Invariant::Versioned {
            sql:
                "SELECT o.born, o.version, o.id, string_agg(p.id || ':' || p.n, ' ' ORDER BY p.id) \
                  FROM owners o LEFT JOIN posts p ON p.owner = o.id GROUP BY o.id",
        },
    ]);
    w
}
