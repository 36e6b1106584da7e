//! Write skew at the wrong level, decisions made outside what is repeated, and nothing repeated.

use super::{instead, SelfTest, Verdict};
use crate::checks::UNEXPECTED;
use crate::workloads::retry::{
    adding, coming, job, leaving, shifts, ADDS_UP, ADD_ONE, DONE_ONCE, SOMEBODY_ON_CALL,
};

pub fn all() -> Vec<SelfTest> {
    let caught = Verdict::Caught;
    // Keeps counters, and lets both doctors leave.
    let repeatable_read = leaving(job!(
        "SELECT leave(($1 ->> 0)::bigint, ($1 ->> 1)::bigint % 2)",
        "0",
        "repeatable read",
        "200"
    ));
    // What was read before the call is repeated as it was.
    let decided_outside = adding(&[
        "SELECT n FROM counters WHERE id = {key}",
        job!(
            "UPDATE counters SET n = {0} + 1 WHERE id = ($1 ->> 0)::bigint",
            "1",
            "repeatable read",
            "200"
        ),
    ]);
    let once = adding(&[job!("SELECT add_one(($1 ->> 0)::bigint)", "1", "repeatable read", "1")]);
    // A conflict swallowed: the client is told that all is well.
    let swallowed = adding(&["DO $$ BEGIN \
             PERFORM add_one({key}); INSERT INTO journal VALUES ({id}0, {key}, 1); \
             IF random() < 0.1 THEN RAISE serialization_failure; END IF; \
         EXCEPTION WHEN serialization_failure THEN NULL; END $$; SELECT 1"]);
    vec![
        instead(
            "retry_at_the_wrong_level",
            shifts("", "", vec![repeatable_read, coming()]),
            &[],
            caught(SOMEBODY_ON_CALL),
        ),
        instead(
            "retry_decided_outside",
            shifts("", "", vec![decided_outside, adding(&[ADD_ONE])]),
            &[],
            caught(ADDS_UP),
        ),
        instead("retry_not_at_all", shifts("", "", vec![once]), &[], caught(UNEXPECTED)),
        instead("retry_swallowed", shifts("", "", vec![swallowed]), &[], caught(DONE_ONCE)),
    ]
}
