//! What the attacker must not reach: bob's rows and definitions, stronger locks on his tables, his texts, his or the
//! superuser's rights.

use crate::bob::{ROWS, SECRETS, SECRET_NUMBERS, VIEWS, WRITES};
use crate::{ATTACKERS, BOB};
use postgres::Client;
use raceguard_fuzz::judge::Fault;
use raceguard_fuzz::model::rows;
use raceguard_fuzz::play::Watch;
use raceguard_fuzz::steps::Step;

/// One line for each of bob's rows and each object that must stay as it is. Version columns of v.open may move, for the
/// attacker may update it; what a changed row there must look like is checked apart.
fn standing() -> String {
    let mut parts: Vec<String> = ["secret", "hidden", "inbox", "cool", "parent", "kid"]
        .iter()
        .map(|t| format!("SELECT '{t}', t::text FROM v.{t} t WHERE id BETWEEN 1 AND {ROWS}"))
        .collect();
    parts.push(
        "SELECT 'hidden rows', count(*)::text FROM v.hidden WHERE note LIKE 'canary%'".into(),
    );
    parts.push(format!("SELECT 'open', id::text FROM v.open WHERE id BETWEEN 1 AND {ROWS}"));
    let ours = "('v'::regnamespace, 'raceguard'::regnamespace)";
    parts.extend([
        format!("SELECT 'relation', ROW(oid, relname, relowner, relfilenode, relkind, relnatts, relchecks, relrowsecurity, relacl)::text \
                 FROM pg_class WHERE relnamespace IN {ours}"),
        format!("SELECT 'column', ROW(a.*)::text FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace IN {ours}"),
        format!("SELECT 'trigger', ROW(t.*)::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid \
                 WHERE relnamespace IN {ours} AND NOT tgisinternal"),
        format!("SELECT 'constraint', ROW(k.*)::text FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid WHERE relnamespace IN {ours}"),
        format!("SELECT 'function', ROW(p.*)::text FROM pg_proc p WHERE pronamespace IN {ours}"),
        "SELECT 'policy', ROW(p.*)::text FROM pg_policy p JOIN pg_class c ON c.oid = polrelid WHERE relnamespace = 'v'::regnamespace".into(),
        "SELECT 'role', ROW(a.*)::text FROM pg_authid a".into(),
        "SELECT 'member', ROW(m.*)::text FROM pg_auth_members m".into(),
        "SELECT 'extension', ROW(e.*)::text FROM pg_extension e".into(),
        "SELECT 'setting', ROW(s.*)::text FROM pg_db_role_setting s".into(),
        "SELECT 'schema', ROW(n.*)::text FROM pg_namespace n WHERE nspname <> 'f' AND nspname NOT LIKE 'pg\\_%temp%'".into(),
    ]);
    format!("SELECT * FROM ({}) AS standing (what, which) ORDER BY 1, 2", parts.join(" UNION ALL "))
}

/// What bob's guards promise, each query empty as long as they hold.
const PROMISES: [(&str, &str); 6] = [
    (
        "a cap of 3 holds more",
        "SELECT user_id, count(*) FROM v.inbox WHERE user_id IS NOT NULL GROUP BY 1 HAVING count(*) > 3",
    ),
    (
        "a cooldown of 7 days let two rows pass",
        "SELECT a.at, b.at FROM v.cool a JOIN v.cool b USING (user_id) WHERE a.id < b.id AND isfinite(a.at) AND isfinite(b.at) \
         AND abs(extract(epoch FROM a.at) - extract(epoch FROM b.at)) < 7 * 86400",
    ),
    (
        "a total is not what stands under it",
        "SELECT e.id, e.taken, e.rows, sum(s.n), count(s) FROM v.event e LEFT JOIN v.seat s ON s.user_id = e.id GROUP BY e.id \
         HAVING (e.taken, e.rows) <> (coalesce(sum(s.n), 0), count(s))",
    ),
    ("a total is beyond its bounds", "SELECT id, taken FROM v.event WHERE taken NOT BETWEEN 0 AND 5"),
    (
        "numbers have a gap",
        "SELECT user_id, count(*), max(number) FROM v.bill WHERE user_id IS NOT NULL GROUP BY 1 HAVING count(*) <> max(number)",
    ),
    (
        "a row was changed and its version not",
        "SELECT id, note, version FROM v.open WHERE id BETWEEN 1 AND 6 AND version = 7770000 + id AND note <> 'canary ' || id",
    ),
];

pub struct Look {
    standing: Vec<Vec<Option<String>>>,
    locks: String,
    references: String,
}

impl Look {
    pub fn new(observer: &mut Client, pids: &[String]) -> Result<Look, String> {
        let standing = rows(observer, &standing()).map_err(|e| format!("{e:?}"))?;
        let pids = pids[..ATTACKERS].join(", ");
        Ok(Look { standing, locks: locks(&pids), references: references(&pids) })
    }
}

/// The attacker's locks on v.parent that stop bob's writes to it without any guard: who may reference a table may leave a
/// transaction open in which he has added a foreign key.
fn references(pids: &str) -> String {
    format!(
        "SELECT mode FROM pg_locks l WHERE l.pid IN ({pids}) AND l.granted AND l.relation = 'v.parent'::regclass \
         AND l.mode = 'ShareRowExclusiveLock'"
    )
}

/// Locks of the attacker on bob's tables that his rights do not cover. Weak table locks come with parsing a statement, before
/// any rights are looked at; a foreign key that references v.parent locks it. A lock on all keys is covered by a thousand
/// keys locked before it.
fn locks(pids: &str) -> String {
    format!(
        "SELECT c.relname, l.locktype, l.objsubid, l.mode FROM pg_locks l \
         JOIN pg_class c ON c.oid = CASE l.locktype WHEN 'relation' THEN l.relation WHEN 'advisory' THEN l.classid END \
         WHERE l.pid IN ({pids}) AND l.granted AND c.relnamespace = 'v'::regnamespace AND \
         CASE WHEN l.locktype = 'relation' THEN c.relname NOT LIKE 'parent%' \
                   AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'SIReadLock') \
              WHEN l.objsubid NOT BETWEEN 21063 AND 21066 THEN false \
              WHEN c.relname IN ('secret', 'kid') THEN true \
              WHEN l.objsubid = 21064 THEN l.mode IN ('ExclusiveLock', 'AccessExclusiveLock') AND \
                   (SELECT count(*) FROM pg_locks k WHERE k.pid = l.pid AND k.classid = l.classid AND k.objsubid = 21063) < 1000 \
              ELSE false END"
    )
}

fn fault(kind: &str, told: String) -> Option<Fault> {
    Some(Fault { kind: kind.into(), told: format!("{kind}: {told}") })
}

impl Look {
    fn none(&self, observer: &mut Client, kind: &str, sql: &str) -> Option<Fault> {
        match rows(observer, sql) {
            Ok(rows) if rows.is_empty() => None,
            Ok(rows) => fault(kind, format!("{rows:?}")),
            Err(error) => fault(kind, format!("cannot look: {error:?}")),
        }
    }
}

impl Watch for Look {
    fn step(&mut self, observer: &mut Client, step: &Step, told: &[String]) -> Option<Fault> {
        if step.session == BOB
            && (WRITES.contains(&step.sql.as_str()) || VIEWS.contains(&step.sql.as_str()))
        {
            // One word of an answer that is an error comes with its SQLSTATE.
            if let Some(error) = told.iter().find(|t| t.starts_with("ERROR ")) {
                let referenced = error.starts_with("ERROR 55P03") && step.sql.contains("v.kid");
                if !referenced || self.none(observer, "references", &self.references).is_none() {
                    return fault("bob is stopped", error.clone());
                }
            }
        }
        const ESCALATED: &str = "SELECT last_value FROM w.escalated WHERE is_called";
        let escalated = self.none(observer, "ran as somebody else", ESCALATED);
        if let Some(mut fault) = escalated {
            fault.told += &format!("\n{}", told.join("\n"));
            return Some(fault);
        }
        if step.session >= ATTACKERS {
            return None;
        }
        // A row of his own there has a slot, which he may read like the rest of it.
        let reads_rows = step.sql.contains("FROM v.hidden") || step.sql.contains("RETURNING");
        for text in told {
            let secret = SECRETS.iter().any(|s| text.contains(s) && !step.sql.contains(s));
            let number = SECRET_NUMBERS.contains(&text.as_str());
            if secret || (number && !reads_rows) {
                return fault("reads what it may not", text.clone());
            }
        }
        // An error reaches the client before its transaction has let go of its locks.
        let held = |observer: &mut Client| {
            self.none(observer, "holds a lock that it may not", &self.locks)
        };
        held(observer)?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        held(observer)
    }

    fn end(&mut self, observer: &mut Client) -> Option<Fault> {
        match rows(observer, &standing()) {
            Ok(now) if now == self.standing => {}
            Ok(now) => {
                let gone = self.standing.iter().filter(|row| !now.contains(row));
                let new = now.iter().filter(|row| !self.standing.contains(row));
                let told: Vec<String> = gone
                    .map(|row| format!("- {row:?}"))
                    .chain(new.map(|row| format!("+ {row:?}")))
                    .take(6)
                    .collect();
                return fault("writes what it may not", told.join("\n"));
            }
            Err(error) => {
                return fault("writes what it may not", format!("cannot look: {error:?}"))
            }
        }
        PROMISES.iter().find_map(|(kind, sql)| self.none(observer, kind, sql))
    }
}
