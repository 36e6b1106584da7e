//! `insert_or_get`: of all who register one e-mail address at once one gets in, and the others get
//! the row that is there, also while rows are deleted under their hands.

use crate::checks::TOO_MANY;
use crate::language::{Effect, Invariant, Statement, Workload};

pub fn all() -> Vec<Workload> {
    vec![insert_or_get(), insert_or_get_key(), insert_or_get_parts()]
}

/// Accounts, and what deletes them; `register` answers with the row's id and whether it is new.
pub fn accounts(name: &'static str, story: &'static str, register: &[&'static str]) -> Workload {
    let mut w = Workload::new(name, story);
    w.keys = 4;
    w.impatient = 10;
    w.allowed.push("55P03");
    w.setup = vec![
        "CREATE TABLE accounts (id bigint PRIMARY KEY, email text NOT NULL, closed boolean \
         NOT NULL DEFAULT false)",
        "CREATE UNIQUE INDEX accounts_email ON accounts (lower(email)) WHERE NOT closed",
    ];
    w.statements = vec![
        Statement::new("register", 6, register, &[Effect::Get]).returning(1),
        Statement::new(
            "delete",
            3,
            &["DELETE FROM accounts WHERE lower(email) = 'ann{key}' AND NOT closed RETURNING id"],
            &[Effect::Free],
        ),
        Statement::new(
            "close",
            1,
            &["UPDATE accounts SET closed = true \
               WHERE lower(email) = 'ann{key}' AND NOT closed RETURNING id"],
            &[Effect::Free],
        ),
    ];
    w.invariants = vec![
        Invariant::Room { code: "", most: 1, enough: 1, period: None },
        Invariant::Never {
            name: TOO_MANY,
            sql:
                "SELECT lower(email) FROM accounts WHERE NOT closed GROUP BY 1 HAVING count(*) > 1",
        },
    ];
    w
}

pub fn insert_or_get() -> Workload {
    accounts(
        "insert_or_get",
        "one address registered by all, and deleted and closed meanwhile",
        &["SELECT \"row\" ->> 'id', inserted FROM raceguard.insert_or_get('accounts', \
           jsonb_build_object('id', {id}0, 'email', CASE {n} % 2 WHEN 0 THEN 'Ann' ELSE 'ANN' END || {key}), \
           ARRAY['email']::name[])"],
    )
}

/// The same with user names, which are unique as well and of which there are few: somebody else's name is
/// a duplicate key, and nobody's answer.
pub fn accounts_with_names(
    name: &'static str,
    story: &'static str,
    register: &[&'static str],
) -> Workload {
    let mut w = accounts(name, story, register);
    // Who waits for a name may find room for the address.
    w.impatient = 0;
    w.setup.push("ALTER TABLE accounts ADD COLUMN username text UNIQUE");
    w.allowed.push("23505");
    w
}

pub fn insert_or_get_key() -> Workload {
    accounts_with_names(
        "insert_or_get_key",
        "one address registered by all, under names that others have",
        &["SELECT \"row\" ->> 'id', inserted FROM raceguard.insert_or_get('accounts', \
           jsonb_build_object('id', {id}0, 'email', 'Ann' || {key}, 'username', 'u' || {n} % 6), \
           ARRAY['email']::name[])"],
    )
}

/// On partitions, whose indexes are rebuilt one by one.
pub fn insert_or_get_parts() -> Workload {
    let mut w = Workload::new(
        "insert_or_get_parts",
        "one address registered by all in a partitioned table, and deleted meanwhile",
    );
    w.keys = 4;
    w.impatient = 10;
    w.allowed.push("55P03");
    w.setup = vec![
        "CREATE TABLE accounts (id bigint, email text, PRIMARY KEY (email, id), UNIQUE (email)) \
         PARTITION BY HASH (email)",
        "CREATE TABLE accounts_0 PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE accounts_1 PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    ];
    w.statements = vec![
        Statement::new(
            "register",
            6,
            &["SELECT \"row\" ->> 'id', inserted FROM raceguard.insert_or_get('accounts', \
               jsonb_build_object('id', {id}0, 'email', 'ann' || {key}), '{email}')"],
            &[Effect::Get],
        )
        .returning(1),
        Statement::new(
            "delete",
            3,
            &["DELETE FROM accounts WHERE email = 'ann{key}' RETURNING id"],
            &[Effect::Free],
        ),
    ];
    w.invariants = vec![
        Invariant::Room { code: "", most: 1, enough: 1, period: None },
        Invariant::Never {
            name: TOO_MANY,
            sql: "SELECT email FROM accounts GROUP BY 1 HAVING count(*) > 1",
        },
    ];
    w
}
