//! One round: a world, two sessions, random steps. The same script can be run again, whole or in part.

use crate::calls;
use crate::draw::Draw;
use crate::judge::{answer, Fault};
use crate::model::{rows, Model};
use crate::steps::{self, Step};
use crate::world;
use postgres::{Client, NoTls};
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A statement that Postgres cannot even cancel: the round is given up.
const STUCK: Duration = Duration::from_secs(60);

/// So many guards as they are meant stand at the beginning.
const GUARDS: usize = 6;

#[derive(Default)]
pub struct Report {
    pub script: Vec<Step>,
    pub fault: Option<Fault>,
    /// How often each SQLSTATE came; success as 00000.
    pub answers: BTreeMap<String, u64>,
    /// Each function of the catalogue, and whether a statement that calls it has succeeded.
    pub functions: BTreeMap<String, bool>,
}

/// Runs a statement on a thread of its own, so that a server that never answers is noticed.
struct Session {
    sender: mpsc::Sender<String>,
    answers: mpsc::Receiver<Result<(), postgres::Error>>,
    pid: String,
}

fn connect(dsn: &str, options: &str) -> Result<Client, String> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match Client::connect(&format!("{dsn} options='{options}'"), NoTls) {
            Ok(client) => return Ok(client),
            // The server may be on its way up again.
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(200)),
            Err(error) => return Err(format!("no connection: {error}")),
        }
    }
}

impl Session {
    fn open(dsn: &str) -> Result<Session, String> {
        let mut client = connect(
            dsn,
            "-c statement_timeout=20s -c lock_timeout=50ms -c client_min_messages=error -c idle_in_transaction_session_timeout=0",
        )?;
        let pid = rows(&mut client, "SELECT pg_backend_pid()").map_err(|e| e.to_string())?;
        let pid = pid.first().and_then(|row| row[0].clone()).unwrap_or_default();
        let (sender, statements) = mpsc::channel::<String>();
        let (answered, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for sql in statements {
                if answered.send(client.simple_query(&sql).map(|_| ())).is_err() {
                    break;
                }
            }
        });
        Ok(Session { sender, answers, pid })
    }

    /// The answer, and how long it took; a fault where there was none.
    fn run(&self, sql: &str) -> Result<(Result<(), postgres::Error>, Duration), Fault> {
        let begin = Instant::now();
        let stuck = |_| Fault::new("stuck", format!("no answer in {} s", STUCK.as_secs()));
        self.sender
            .send(sql.to_owned())
            .map_err(|_| Fault::new("connection", "session is gone".into()))?;
        let answer = self.answers.recv_timeout(STUCK).map_err(stuck)?;
        Ok((answer, begin.elapsed()))
    }
}

/// Where the steps come from.
pub enum Source<'a> {
    /// So many, drawn by chance; sensible guards and a call of each function in the catalogue come first.
    Random(&'a mut Draw, usize),
    Script(&'a [Step]),
}

/// Runs a round in a fresh world. Err: the round could not be run at all.
pub fn run(dsn: &str, world_seed: u64, source: Source, trace: bool) -> Result<Report, String> {
    let mut observer = connect(dsn, "-c client_min_messages=error -c lock_timeout=10s")?;
    let mut report = Report::default();
    for sql in world::statements(&mut Draw::new(world_seed)) {
        observer.simple_query(&sql).map_err(|e| format!("{sql}: {e:?}"))?;
    }
    let mut model = Model::read(&mut observer).map_err(|e| format!("{e:?}"))?;
    let sessions = [Session::open(dsn)?, Session::open(dsn)?];
    let mut source = source;
    let mut n = 0;
    // Which sessions' transactions have failed: they refuse everything until they are rolled back.
    let mut aborted = [false; 2];
    while report.fault.is_none() {
        let step = match &mut source {
            Source::Script(script) => match script.get(n) {
                Some(step) => step.clone(),
                None => break,
            },
            Source::Random(_, steps) if n >= *steps => break,
            Source::Random(draw, _) => {
                if n % 8 == 7 {
                    // A lock on a catalogue, or a server that went down: the model stays as it is.
                    let _ = model.refresh(&mut observer);
                }
                match n.checked_sub(GUARDS).map(|n| model.functions.get(n)) {
                    None => Step { session: 0, sql: calls::sensible(draw) },
                    Some(Some(function)) => {
                        Step { session: 0, sql: calls::of(draw, &model, function) }
                    }
                    Some(None) => steps::any(draw, &model, &aborted),
                }
            }
        };
        n += 1;
        if trace {
            eprintln!("{}: {}", step.session, step.sql);
        }
        let (code, fault) = one(&sessions[step.session], &step.sql);
        aborted[step.session] = code == "25P02";
        for function in &model.functions {
            let called = step.sql.contains(&format!("raceguard.{}(", function.name));
            *report.functions.entry(function.name.clone()).or_default() |=
                called && code == "00000";
        }
        *report.answers.entry(code).or_default() += 1;
        report.fault = fault;
        report.script.push(step);
    }
    if report.fault.is_none() {
        report.fault = finish(&mut observer, &sessions);
    }
    Ok(report)
}

/// The SQLSTATE that a statement was answered with, and what is wrong with it.
fn one(session: &Session, sql: &str) -> (String, Option<Fault>) {
    match session.run(sql) {
        Ok((reply, elapsed)) => {
            let code = match &reply {
                Ok(()) => "00000".to_owned(),
                Err(error) => error.code().map_or("broken".into(), |c| c.code().to_owned()),
            };
            (code, answer(sql, &reply, elapsed))
        }
        Err(fault) => ("broken".into(), Some(fault)),
    }
}

/// Rolls back, and looks for locks that were left behind.
fn finish(observer: &mut Client, sessions: &[Session; 2]) -> Option<Fault> {
    for session in sessions {
        for sql in ["ROLLBACK", "CLOSE ALL"] {
            match session.run(sql) {
                Ok((Ok(()), _)) => {}
                Ok((Err(error), _)) => {
                    return Some(Fault::new("connection", format!("{sql}: {error}")))
                }
                Err(fault) => return Some(fault),
            }
        }
    }
    let held = format!(
        "SELECT classid, objid, objsubid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid IN ({}, {})",
        sessions[0].pid, sessions[1].pid
    );
    match rows(observer, &held) {
        Ok(rows) if rows.is_empty() => None,
        Ok(rows) => {
            Some(Fault::new("lock left behind", format!("advisory locks left behind: {rows:?}")))
        }
        Err(error) => Some(Fault::new("connection", error.to_string())),
    }
}
