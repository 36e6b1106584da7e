//! One round: a world, some sessions, random steps. The same script can be run again, whole or in part.

use crate::draw::Draw;
use crate::judge::{answer, Fault};
use crate::model::{rows, Model};
use crate::play::Play;
use crate::session::{connect, Reply, Session};
use crate::steps::Step;
use postgres::Client;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Report {
    pub script: Vec<Step>,
    pub fault: Option<Fault>,
    /// How often each SQLSTATE came; success as 00000.
    pub answers: BTreeMap<String, u64>,
    /// Each function of the catalogue, and whether a statement that calls it has succeeded.
    pub functions: BTreeMap<String, bool>,
}

/// Where the steps come from.
pub enum Source<'a> {
    /// So many, drawn by chance.
    Random(&'a mut Draw, usize),
    Script(&'a [Step]),
}

/// Runs a round in a fresh world. Err: the round could not be run at all.
pub fn run(
    play: &dyn Play,
    dsn: &str,
    world_seed: u64,
    source: Source,
    trace: bool,
) -> Result<Report, String> {
    let mut observer = connect(dsn, "", "-c client_min_messages=error -c lock_timeout=10s")?;
    let mut report = Report::default();
    for sql in play.world(&mut Draw::new(world_seed)) {
        observer.simple_query(&sql).map_err(|e| format!("{sql}: {e:?}"))?;
    }
    let mut model = Model::read(&mut observer).map_err(|e| format!("{e:?}"))?;
    let sessions: Vec<Session> = play
        .users()
        .iter()
        .map(|user| Session::open(dsn, user, play.statement_timeout()))
        .collect::<Result<_, _>>()?;
    let pids: Vec<String> = sessions.iter().map(|session| session.pid.clone()).collect();
    let mut watch = play.watch(&mut observer, &pids)?;
    let mut source = source;
    let mut n = 0;
    // Which sessions' transactions have failed: they refuse everything until they are rolled back.
    let mut aborted = vec![false; sessions.len()];
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
                play.step(draw, &model, n, &aborted)
            }
        };
        n += 1;
        if trace {
            eprintln!("{}: {}", step.session, step.sql);
        }
        let (code, found, fault) = one(play, &sessions[step.session], &step.sql);
        aborted[step.session] = code == "25P02";
        for function in &model.functions {
            let called = step.sql.contains(&format!("raceguard.{}(", function.name));
            *report.functions.entry(function.name.clone()).or_default() |=
                called && code == "00000";
        }
        *report.answers.entry(code).or_default() += 1;
        report.fault = fault.or_else(|| watch.step(&mut observer, &step, &found));
        report.script.push(step);
    }
    if report.fault.is_none() {
        report.fault = finish(&mut observer, &sessions).or_else(|| watch.end(&mut observer));
    }
    Ok(report)
}

/// The SQLSTATE that a statement was answered with, all texts that came with it (those of an error begin with
/// "ERROR"), and what is wrong with it.
fn one(play: &dyn Play, session: &Session, sql: &str) -> (String, Vec<String>, Option<Fault>) {
    match session.run(sql) {
        Ok((reply, elapsed)) => {
            let code = match &reply {
                Ok(_) => "00000".to_owned(),
                Err(error) => error.code().map_or("broken".into(), |c| c.code().to_owned()),
            };
            let fault = answer(play, sql, &reply, elapsed);
            (code, told(reply), fault)
        }
        Err(fault) => ("broken".into(), Vec::new(), Some(fault)),
    }
}

fn told(reply: Reply) -> Vec<String> {
    reply.unwrap_or_else(|error| match error.as_db_error() {
        Some(error) => {
            std::iter::once(format!("ERROR {}: {}", error.code().code(), error.message()))
                .chain(
                    [error.detail(), error.hint(), error.where_()]
                        .into_iter()
                        .flatten()
                        .map(str::to_owned),
                )
                .collect()
        }
        None => Vec::new(),
    })
}

/// Rolls back, and looks for locks that were left behind.
fn finish(observer: &mut Client, sessions: &[Session]) -> Option<Fault> {
    for session in sessions {
        for sql in ["ROLLBACK", "CLOSE ALL"] {
            match session.run(sql) {
                Ok((Ok(_), _)) => {}
                Ok((Err(error), _)) => {
                    return Some(Fault::new("connection", format!("{sql}: {error}")))
                }
                Err(fault) => return Some(fault),
            }
        }
    }
    let pids: Vec<&str> = sessions.iter().map(|session| session.pid.as_str()).collect();
    let held = format!(
        "SELECT classid, objid, objsubid, mode FROM pg_locks WHERE locktype = 'advisory' AND pid IN ({})",
        pids.join(", ")
    );
    match rows(observer, &held) {
        Ok(rows) if rows.is_empty() => None,
        Ok(rows) => {
            Some(Fault::new("lock left behind", format!("advisory locks left behind: {rows:?}")))
        }
        Err(error) => Some(Fault::new("connection", error.to_string())),
    }
}
