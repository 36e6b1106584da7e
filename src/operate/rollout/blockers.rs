//! Who holds locks on tables that a step would have to wait for.

use crate::pg::error::Report;
use crate::pg::memory;
use crate::pg::spi::run;
use pgrx::pg_sys::Oid;

/// Postgres's table lock modes, as SQL writes them and as pg_locks does.
const MODES: [(&str, &str); 8] = [
    ("ACCESS SHARE", "AccessShareLock"),
    ("ROW SHARE", "RowShareLock"),
    ("ROW EXCLUSIVE", "RowExclusiveLock"),
    ("SHARE UPDATE EXCLUSIVE", "ShareUpdateExclusiveLock"),
    ("SHARE", "ShareLock"),
    ("SHARE ROW EXCLUSIVE", "ShareRowExclusiveLock"),
    ("EXCLUSIVE", "ExclusiveLock"),
    ("ACCESS EXCLUSIVE", "AccessExclusiveLock"),
];

/// The modes each of them conflicts with, by their place above.
const CONFLICTS: [&[usize]; 8] = [
    &[7],
    &[6, 7],
    &[4, 5, 6, 7],
    &[3, 4, 5, 6, 7],
    &[2, 3, 5, 6, 7],
    &[2, 3, 4, 5, 6, 7],
    &[1, 2, 3, 4, 5, 6, 7],
    &[0, 1, 2, 3, 4, 5, 6, 7],
];

/// Whether a step that takes a lock waits for one that is held. Modes that are not known wait for all.
fn waits(step: &str, held: &str) -> bool {
    let step = MODES.iter().position(|(sql, _)| *sql == step);
    let held = MODES.iter().position(|(_, shown)| *shown == held);
    match (step, held) {
        (Some(step), Some(held)) => CONFLICTS[step].contains(&held),
        _ => true,
    }
}

/// A lock that another session holds on a table, or on one below it.
struct HeldLock {
    table: Oid,
    mode: String,
    /// `None` for a prepared transaction.
    pid: Option<i64>,
    /// How long its transaction has lasted, and as text; `None` where the caller may not see it.
    seconds: Option<i64>,
    lasted: Option<String>,
}

/// The table locks of other sessions.
pub struct Blockers(Vec<HeldLock>);

impl Blockers {
    /// As they stand now. Call it inside `pinned_search_path`.
    pub fn now() -> Result<Blockers, Report> {
        let rows = run(
            "WITH RECURSIVE held AS MATERIALIZED ( \
               SELECT l.relation, l.mode, l.pid FROM pg_locks l \
               WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid() \
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())), \
             above(relation, target) AS ( \
               SELECT DISTINCT relation, relation FROM held \
               UNION SELECT a.relation, i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.target) \
             SELECT DISTINCT a.target, h.mode, h.pid, extract(epoch FROM clock_timestamp() - s.xact_start)::bigint, \
                    date_trunc('second', clock_timestamp() - s.xact_start) \
             FROM held h JOIN above a ON a.relation = h.relation LEFT JOIN pg_stat_activity s ON s.pid = h.pid",
            &[],
        )?;
        let mut held = Vec::new();
        for row in &rows {
            let (table, mode, pid) = (row.get(0)?, row.get(1)?, row.get(2)?);
            memory::push(
                &mut held,
                HeldLock { table, mode, pid, seconds: row.get(3)?, lasted: row.get(4)? },
            )?;
        }
        Ok(Blockers(held))
    }

    /// Who keeps a step from taking its lock on a table; `None` if nobody does.
    pub fn of(&self, table: Oid, lock: &str) -> Option<String> {
        let against: Vec<&HeldLock> =
            self.0.iter().filter(|held| held.table == table && waits(lock, &held.mode)).collect();
        let oldest = against.iter().max_by_key(|held| held.seconds)?;
        let mut pids: Vec<i64> = against.iter().filter_map(|held| held.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        let prepared = against.iter().any(|held| held.pid.is_none());
        let mut said = match &pids[..] {
            [] => String::new(),
            [pid] => format!("session {pid}"),
            _ => format!(
                "sessions {}",
                pids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
            ),
        };
        if prepared {
            said +=
                if pids.is_empty() { "a prepared transaction" } else { ", a prepared transaction" };
        }
        if let (Some(pid), Some(lasted)) = (oldest.pid, &oldest.lasted) {
            said += &format!("; oldest transaction: {pid}, for {lasted}");
        }
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_conflict_both_ways() {
        for (a, conflicts) in CONFLICTS.iter().enumerate() {
            for (b, others) in CONFLICTS.iter().enumerate() {
                assert_eq!(conflicts.contains(&b), others.contains(&a), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_trigger_waits_for_writers_and_a_column_for_readers() {
        assert!(!waits("SHARE ROW EXCLUSIVE", "AccessShareLock"));
        assert!(waits("SHARE ROW EXCLUSIVE", "RowExclusiveLock"));
        assert!(waits("ACCESS EXCLUSIVE", "AccessShareLock"));
        assert!(!waits("SHARE UPDATE EXCLUSIVE", "RowExclusiveLock"));
        assert!(waits("ROW EXCLUSIVE", "ShareLock"));
    }

    #[test]
    fn who_blocks_is_named_once_and_the_oldest_told() {
        let held = |pid, mode: &str, seconds: Option<i64>| HeldLock {
            table: Oid::from(1),
            mode: mode.to_owned(),
            pid,
            seconds,
            lasted: seconds.map(|s| format!("00:00:0{s}")),
        };
        let blockers = Blockers(vec![
            held(Some(9), "AccessShareLock", Some(2)),
            held(Some(8), "RowExclusiveLock", Some(5)),
            held(Some(8), "AccessShareLock", Some(5)),
            held(None, "RowExclusiveLock", None),
        ]);
        let of = |lock| blockers.of(Oid::from(1), lock);
        assert_eq!(
            of("ACCESS EXCLUSIVE").as_deref(),
            Some("sessions 8, 9, a prepared transaction; oldest transaction: 8, for 00:00:05")
        );
        assert_eq!(
            of("SHARE ROW EXCLUSIVE").as_deref(),
            Some("session 8, a prepared transaction; oldest transaction: 8, for 00:00:05")
        );
        assert_eq!(of("SHARE UPDATE EXCLUSIVE"), None);
        assert_eq!(blockers.of(Oid::from(2), "ACCESS EXCLUSIVE"), None);
    }
}
