//! Tokens that do not change when the row does.

use super::{instead, SelfTest, Verdict};
use crate::language::{Effect, Statement};
use crate::workloads::swap::{counters, delete_with};
use crate::workloads::version::NO_LOST_UPDATE;

fn by(read: &'static str, write: &'static str) -> Statement {
    Statement::new("compare and swap", 1, &[read, write], &[Effect::Add])
}

pub fn all() -> Vec<SelfTest> {
    // Article A's token: it is 0 before and after another session's committed UPDATE.
    let xmax = by(
        "SELECT n, xmax FROM counters WHERE id = {key}",
        "UPDATE counters SET n = {0} + 1 WHERE id = {key} AND xmax = '{1}' RETURNING id",
    );
    let xmin = by(
        "SELECT n, xmin FROM counters WHERE id = {key}",
        "UPDATE counters SET n = {0} + 1 WHERE id = {key} AND xmin = '{1}' RETURNING id",
    );
    // Nothing checks a DELETE that names no version.
    let delete = delete_with("", "DELETE FROM counters WHERE id = {key} AND {1} > 0 RETURNING {0}");
    let column = "ALTER TABLE counters ADD version bigint NOT NULL DEFAULT 1";
    vec![
        instead("swap_deletes_unread", delete, &[column], Verdict::Caught(NO_LOST_UPDATE)),
        instead("swap_by_xmax", counters("", "", &[xmax]), &[], Verdict::Caught(NO_LOST_UPDATE)),
        instead("swap_by_xmin_sound", counters("", "", &[xmin]), &[], Verdict::Clean),
    ]
}
