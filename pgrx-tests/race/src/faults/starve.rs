//! Somebody whose advisory locks fill the server's lock table, gives back a few of them now and
//! then, so that the others get on by a lock or two before they fail, and sometimes all.

use super::pause;
use crate::history::Reply;
use crate::rng::Rng;
use crate::run::Shared;
use crate::session::Session;
use std::time::Duration;

/// More than any server's lock table holds.
const MANY: u64 = 10_000_000;

/// Locks given back at once, at most.
const FEW: u64 = 60;

/// Returns how often the lock table was full.
pub fn run(mut rng: Rng, session: &mut Session, shared: &Shared) -> Result<u64, String> {
    let mut full = 0;
    while !shared.over() {
        full += u64::from(fill(session, 0)?);
        let mut given_back = 0;
        for again in 1..5 {
            let from = given_back + 1;
            given_back += rng.below(FEW);
            session.until_done(&format!(
                "SELECT count(pg_advisory_unlock(77001, g)) \
                 FROM generate_series({from}, {given_back}) g"
            ))?;
            if !pause(Duration::from_millis(rng.below(12)), shared) {
                break;
            }
            full += u64::from(fill(session, again)?);
        }
        session.until_done("SELECT pg_advisory_unlock_all()")?;
        pause(Duration::from_millis(rng.below(40)), shared);
    }
    Ok(full)
}

/// Session locks stay although the statement fails. False: the connection was lost, and its locks.
fn fill(session: &mut Session, time: u64) -> Result<bool, String> {
    let (from, to) = (time * MANY + 1, (time + 1) * MANY);
    let sql = format!(
        "SELECT count(pg_advisory_lock(77001, g)) FROM (SELECT generate_series({from}, {to}) AS g) s"
    );
    match session.send(&sql) {
        Reply::Error { code, .. } if code == "53200" => Ok(true),
        Reply::Error { code, message } => Err(format!("{code}: {message}\n  in: {sql}")),
        Reply::Rows(_) => Err("the server's lock table never became full".into()),
        Reply::Lost(_) => session.reconnect().map(|()| false),
    }
}
