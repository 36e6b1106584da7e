//! One round: fresh tables, all clients at once, an observer and a terminator beside them.

use crate::client::Worker;
use crate::faults::Faults;
use crate::history::{History, Seen, TxnLog};
use crate::language::{Invariant, Script, Workload};
use crate::rng::Rng;
use crate::session::Session;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Every transaction leaves its number here, and so is known to have committed although the answer to
/// its COMMIT was lost. Its transaction id would not do: after a crash the server may assign it again.
/// Who signs waits for the ledger to grow, if need be, however impatient the transaction. The function has a name
/// that pg_catalog does not: its own would come first.
const LEDGER: &str = "CREATE TABLE ledger (txn bigint PRIMARY KEY); \
                      CREATE FUNCTION sign_ledger(bigint) RETURNS void LANGUAGE sql SET lock_timeout = 0 \
                      AS 'INSERT INTO ledger VALUES ($1)'";

/// The sessions of a workload, kept from round to round: the guards' per-session caches then meet
/// tables that were dropped and made again.
pub struct Harness {
    dsn: String,
    schema: String,
    pub admin: Session,
    observer: Session,
    sessions: Vec<Session>,
    faults: Faults,
}

impl Harness {
    pub fn new(dsn: &str, workload: &Workload, faults: Faults) -> Result<Harness, String> {
        let schema = format!("race_{}", workload.name);
        let path = format!("SET search_path = {schema}");
        let settings = workload.settings.iter().map(|s| format!("; {s}"));
        let clients = path.clone() + &settings.collect::<String>();
        let sessions = (0..workload.clients).map(|_| Session::connect(dsn, &clients));
        Ok(Harness {
            admin: Session::connect(dsn, &path)?,
            observer: Session::connect(dsn, &path)?,
            sessions: sessions.collect::<Result<_, _>>()?,
            dsn: dsn.to_string(),
            schema,
            faults,
        })
    }

    fn set_up(&mut self, workload: &Workload) -> Result<(), String> {
        let schema = &self.schema;
        self.admin
            .rows(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"))?;
        self.admin.rows(LEDGER)?;
        for sql in workload.setup.iter().chain(&workload.guard) {
            self.admin.rows(&sql.replace("{keys}", &workload.keys.to_string()))?;
        }
        Ok(())
    }

    pub fn tear_down(mut self) -> Result<(), String> {
        self.admin.rows(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema))?;
        Ok(())
    }

    /// Runs a script to its end, or to `deadline`: then each client finishes its transaction.
    pub fn round(
        &mut self,
        workload: &Workload,
        script: &Script,
        seed: u64,
        deadline: Instant,
    ) -> Result<History, String> {
        self.set_up(workload)?;
        let active: Vec<usize> =
            (0..script.clients.len()).filter(|c| !script.clients[*c].is_empty()).collect();
        let pids: Vec<AtomicI32> = self.sessions.iter().map(|s| AtomicI32::new(s.pid)).collect();
        let shared = Shared {
            epoch: Instant::now(),
            deadline,
            start: Barrier::new(active.len()),
            done: AtomicBool::new(false),
            failed: Mutex::new(None),
        };
        let (faults, dsn, schema) = (self.faults, &self.dsn, &self.schema);
        let connect = |settings: &str| {
            Session::connect_patiently(dsn, &format!("SET search_path = {schema}; {settings}"))
        };
        let rng = |stream| Rng::new(seed, stream);
        let mut history = History::default();
        let (observer, admin) = (&mut self.observer, &mut self.admin);
        let sessions = &mut self.sessions;
        scope(|s| {
            let observer = s.spawn(|| observe(workload, observer, &shared));
            let killer = s.spawn(|| faults.strike(workload, rng(0), admin, &pids, &shared));
            let others = [
                s.spawn(|| faults.rebuild(workload, rng(1001), connect, &shared)),
                s.spawn(|| faults.fill_lock_table(rng(1002), connect, &shared)),
            ];
            let workers: Vec<_> = sessions
                .iter_mut()
                .enumerate()
                .filter(|(client, _)| active.contains(client))
                .map(|(client, session)| {
                    let (shared, pid, txns) = (&shared, &pids[client], &script.clients[client]);
                    let faults = faults.end_backends(workload);
                    s.spawn(move || {
                        let worker =
                            Worker { workload, session, client, epoch: shared.epoch, faults };
                        work(worker, txns, pid, shared)
                    })
                })
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(txns) => history.txns.extend(txns),
                    Err(_) => shared.fail("a client thread of the harness panicked".into()),
                }
            }
            shared.done.store(true, Ordering::Relaxed);
            match (observer.join(), killer.join()) {
                (Ok((seen, looks)), Ok(Ok(terminated))) => {
                    history.seen = seen;
                    history.looks = looks;
                    history.terminated = terminated;
                }
                (_, Ok(Err(error))) => shared.fail(error),
                _ => shared.fail("a thread of the harness panicked".into()),
            }
            match others.map(|thread| thread.join()) {
                [Ok(Ok(rebuilt)), Ok(Ok(starved))] => {
                    history.rebuilt = rebuilt;
                    history.starved = starved;
                }
                [Ok(Err(error)), _] | [_, Ok(Err(error))] => shared.fail(error),
                _ => shared.fail("a thread of the harness panicked".into()),
            }
        });
        match shared.failed.into_inner() {
            Ok(None) => {}
            Ok(Some(error)) => return Err(error),
            Err(_) => return Err("a thread of the harness panicked".into()),
        }
        if self.admin.rows("SELECT 1").is_err() {
            self.admin.reconnect()?;
        }
        if self.faults.end_backends(workload) && !workload.no_block {
            self.audit(&history)?;
        }
        Ok(history)
    }

    /// Whether exactly the transactions that count as committed have signed.
    fn audit(&mut self, history: &History) -> Result<(), String> {
        let rows = self.admin.until_done("SELECT count(*) FROM ledger")?;
        let signed = rows.first().and_then(|row| row[0].as_deref()).unwrap_or_default();
        let committed = history.committed().count().to_string();
        match signed == committed {
            true => Ok(()),
            false => Err(format!("{signed} signed, and {committed} transactions committed")),
        }
    }
}

pub struct Shared {
    epoch: Instant,
    deadline: Instant,
    start: Barrier,
    done: AtomicBool,
    failed: Mutex<Option<String>>,
}

impl Shared {
    fn fail(&self, error: String) {
        if let Ok(mut failed) = self.failed.lock() {
            failed.get_or_insert(error);
        }
    }

    /// Whether the clients are done.
    pub fn over(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    fn failed(&self) -> bool {
        self.failed.lock().map_or(true, |failed| failed.is_some())
    }
}

fn work(
    mut worker: Worker,
    txns: &[crate::language::Txn],
    pid: &AtomicI32,
    shared: &Shared,
) -> Vec<TxnLog> {
    let mut logs = Vec::new();
    shared.start.wait();
    for (number, txn) in txns.iter().enumerate() {
        if Instant::now() > shared.deadline || shared.failed() {
            break;
        }
        match worker.transaction(number, txn) {
            Ok(log) => logs.push(log),
            Err(error) => {
                shared.fail(error);
                break;
            }
        }
        pid.store(worker.session.pid, Ordering::Relaxed);
    }
    logs
}

/// Looks at the tables with fresh snapshots until the clients are done, and once after that.
fn observe(workload: &Workload, session: &mut Session, shared: &Shared) -> (Vec<Seen>, u64) {
    let mut seen = Vec::new();
    let mut looks = 0;
    loop {
        let last = shared.over();
        for (invariant, what) in workload.invariants.iter().enumerate() {
            let (Invariant::Never { sql, .. } | Invariant::Versioned { sql }) = what else {
                continue;
            };
            match session.until_done(sql) {
                Ok(rows) => {
                    let at = shared.epoch.elapsed().as_nanos() as u64;
                    looks += 1;
                    seen.extend(rows.into_iter().map(|row| Seen { at, invariant, row }));
                }
                Err(error) => {
                    shared.fail(error);
                    return (seen, looks);
                }
            }
        }
        if last {
            return (seen, looks);
        }
        sleep(Duration::from_micros(700));
    }
}
