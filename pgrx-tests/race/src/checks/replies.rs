//! What clients were told: no error that the workload does not allow, no swallowed row, and a
//! refusal where there has to be one.

use crate::history::{History, Reply, Violation};
use crate::language::Workload;
use crate::session::waited_for_a_writer;

pub const UNEXPECTED: &str = "no unexpected error";
pub const SWALLOWED: &str = "no row swallowed";
pub const UNREFUSED: &str = "refused as it must be";
pub const WAITED: &str = "what only tries never waits";

pub fn check(workload: &Workload, history: &History) -> Vec<Violation> {
    let mut broken = Vec::new();
    for txn in &history.txns {
        for step in &txn.steps {
            let statement = &workload.statements[step.statement];
            let mut fail = |invariant: &str, what: String| {
                broken.push(Violation {
                    invariant: invariant.to_string(),
                    key: Some(step.key),
                    at: Some(step.end()),
                    what: format!("client {}, {}: {what}", txn.client, statement.name),
                })
            };
            if let Some((code, message)) = step.error() {
                let known = workload.allowed.iter().chain(&statement.allowed);
                if !known.chain(&statement.must_fail).any(|allowed| *allowed == code) {
                    fail(UNEXPECTED, format!("{code}: {message}"));
                }
            }
            let failed_at = step.sent.len().checked_sub(1);
            let timed_out = step
                .error()
                .filter(|(code, message)| *code == "55P03" && waited_for_a_writer(message));
            if let Some((_, message)) = timed_out
                && failed_at.is_some()
                && statement.at_once == failed_at
            {
                fail(WAITED, message.to_string());
            }
            let finished = step.sent.len() == statement.sql.len();
            let Some(Reply::Rows(rows)) = step.sent.last().map(|s| &s.reply) else {
                continue;
            };
            if let (true, Some(code)) = (finished && !rows.is_empty(), statement.must_fail) {
                fail(UNREFUSED, format!("passed, and had to be refused with {code}"));
            }
            if let (true, Some(must)) = (finished, statement.must_return)
                && rows.len() != must
            {
                fail(SWALLOWED, format!("{} rows came back and not {must}", rows.len()));
            }
        }
        if let Some((code, message)) = &txn.commit_error
            && !workload.allowed.contains(&code.as_str())
        {
            broken.push(Violation {
                invariant: UNEXPECTED.to_string(),
                key: None,
                at: Some(txn.end_sent),
                what: format!("client {}, COMMIT: {code}: {message}", txn.client),
            });
        }
    }
    broken
}
