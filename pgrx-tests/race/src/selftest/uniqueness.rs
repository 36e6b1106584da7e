//! Insert, or take what is there, as it is often written.

use super::{at_read_committed, instead, SelfTest, Verdict};
use crate::checks::{NOT_THERE, SWALLOWED, TOO_MANY, UNEXPECTED};
use crate::workloads::uniqueness::{accounts, accounts_with_names};

/// Answers with what was found, or inserts.
const THEN_INSERT: &str = "WITH new AS (INSERT INTO accounts (id, email) \
    SELECT {id}0, 'Ann{key}' WHERE {0} = 0 RETURNING id) \
    SELECT id, true FROM new UNION ALL SELECT {0}, false WHERE {0} > 0";
/// The same look, 0 for none.
const LOOK_FIRST: &str = "SELECT coalesce(min(id), 0) FROM accounts \
    WHERE lower(email) = 'ann{key}' AND NOT closed";

/// Says the row is there if it was not inserted; but it may have been deleted in between.
const NOTHING_THEN_LOOK: &str = "WITH new AS (INSERT INTO accounts (id, email) \
    VALUES ({id}0, 'Ann{key}') ON CONFLICT DO NOTHING RETURNING id) \
    SELECT id, true FROM new UNION ALL SELECT id, false FROM accounts \
    WHERE lower(email) = 'ann{key}' AND NOT closed";

/// Takes whatever was in the way for the same account.
const ANY_CONFLICT: &str = "WITH new AS (INSERT INTO accounts (id, email, username) \
    VALUES ({id}0, 'Ann{key}', 'u' || {n} % 6) ON CONFLICT DO NOTHING RETURNING id), \
    old AS (SELECT id FROM accounts WHERE username = 'u' || {n} % 6 \
            UNION ALL SELECT id FROM accounts WHERE lower(email) = 'ann{key}' AND NOT closed) \
    SELECT id, true FROM new UNION ALL (SELECT id, false FROM old LIMIT 1) LIMIT 1";

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    let with = |sql: &[&'static str]| at_read_committed(accounts("", "", sql));
    let mut without_index = with(&[LOOK_FIRST, THEN_INSERT]);
    without_index.setup.truncate(1);
    let mut looks_first = with(&[LOOK_FIRST, THEN_INSERT]);
    looks_first.statements.truncate(1);
    vec![
        instead("insert_or_get_without_index", without_index, &[], caught(TOO_MANY)),
        instead("insert_or_get_looks_first", looks_first, &[], caught(UNEXPECTED)),
        instead(
            "insert_or_get_answers_late",
            with(&[LOOK_FIRST, THEN_INSERT]),
            &[],
            caught(NOT_THERE),
        ),
        instead(
            "insert_or_get_takes_any_conflict",
            at_read_committed(accounts_with_names("", "", &[ANY_CONFLICT])),
            &[],
            caught(NOT_THERE),
        ),
        instead("insert_or_get_finds_nothing", with(&[NOTHING_THEN_LOOK]), &[], caught(SWALLOWED)),
    ]
}
