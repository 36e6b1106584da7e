//! `insert_or_get`: of all who register one e-mail address at once one gets in, and the others get
//! the row that is there, also while rows are deleted under their hands.

use crate::checks::TOO_MANY;
use crate::language::{Effect, Invariant, Statement, Workload};

pub fn all() -> Vec<Workload> {
    vec![insert_or_get()]
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
           jsonb_build_object('id', {id}0, 'email', CASE {n} % 2 WHEN 0 THEN 'Ann' ELSE 'ANN' END || {key}))"],
    )
}
