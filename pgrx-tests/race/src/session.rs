//! One client connection: connects, sends, tells a lost connection from an error.

use crate::history::Reply;
use postgres::error::SqlState;
use postgres::{Client, NoTls, SimpleQueryMessage};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

type Row = Vec<Option<String>>;

/// Shown in pg_stat_activity, so that a DBA can tell the harness's sessions from others.
pub const APPLICATION: &str = "raceguard-race";

/// A server that was killed needs a moment for crash recovery; longer than this is a failure.
const RECONNECT_FOR: Duration = Duration::from_secs(60);

/// Errors that pass by themselves.
const PASSING: &[&str] = &["40P01", "53200", "55P03"];

/// For a transaction with a short lock_timeout: the server tells what a lock wait is for. lock_timeout also ends
/// waits of Postgres's own, where a table or an index grows by a page or VACUUM cuts one off, and on a busy
/// machine these take long enough.
pub const IMPATIENT: &str = "SET LOCAL deadlock_timeout = '1ms'; SET LOCAL log_lock_waits = on; \
                             SET LOCAL client_min_messages = log";

pub struct Session {
    dsn: String,
    /// Sent after connecting, each time.
    settings: String,
    client: Client,
    /// What the server said it was waiting for; see `IMPATIENT`.
    awaited: Arc<Mutex<Option<String>>>,
    pub pid: i32,
}

impl Session {
    pub fn connect(dsn: &str, settings: &str) -> Result<Session, String> {
        let failed = |e: postgres::Error| format!("cannot connect to \"{dsn}\": {}", describe(&e));
        let mut config: postgres::Config = dsn.parse().map_err(failed)?;
        config.application_name(APPLICATION);
        config.connect_timeout(Duration::from_secs(10));
        let awaited = Arc::new(Mutex::new(None));
        let told = awaited.clone();
        config.notice_callback(move |notice| {
            if let Some(lock) = lock_waited_for(notice.message()) {
                *told.lock().unwrap_or_else(|e| e.into_inner()) = Some(lock.to_string());
            }
        });
        let mut client = config.connect(NoTls).map_err(failed)?;
        // A statement that takes 30 s waits for something that never comes; its 57014 is a failure
        // in every workload. Deadlocks are part of the workloads: a second for each would leave
        // most of the time unused. A commit must survive the crash recovery after a kill -9 even on a
        // server that by default does not wait for it.
        client
            .batch_execute(&format!(
                "SET statement_timeout = '30s'; SET deadlock_timeout = '50ms'; \
                 SET synchronous_commit = on; SET client_min_messages = error; {settings}"
            ))
            .map_err(failed)?;
        let row = client.query_one("SELECT pg_backend_pid()", &[]).map_err(failed)?;
        Ok(Session {
            dsn: dsn.to_string(),
            settings: settings.to_string(),
            pid: row.get(0),
            client,
            awaited,
        })
    }

    /// Connects through a crash recovery, if need be.
    pub fn connect_patiently(dsn: &str, settings: &str) -> Result<Session, String> {
        let give_up = Instant::now() + RECONNECT_FOR;
        loop {
            match Session::connect(dsn, settings) {
                Err(_) if Instant::now() < give_up => sleep(Duration::from_millis(20)),
                result => return result,
            }
        }
    }

    /// Connects again after a lost connection.
    pub fn reconnect(&mut self) -> Result<(), String> {
        *self = Session::connect_patiently(&self.dsn, &self.settings)?;
        Ok(())
    }

    /// Sends SQL; the lines after a first line `COPY ... FROM STDIN` are its data.
    pub fn send(&mut self, sql: &str) -> Reply {
        self.awaited().take();
        let done = match sql.split_once('\n').filter(|(first, _)| first.starts_with("COPY ")) {
            Some((copy, data)) => self.copy(copy, data),
            None => self.client.simple_query(sql).map(rows),
        };
        match done {
            Ok(rows) => Reply::Rows(rows),
            Err(error) => match error.as_db_error() {
                Some(db) if db.severity() != "FATAL" && db.severity() != "PANIC" => Reply::Error {
                    code: db.code().code().to_string(),
                    message: match (db.detail(), self.awaited().take()) {
                        (_, Some(lock)) if *db.code() == SqlState::LOCK_NOT_AVAILABLE => {
                            format!("{} ({WAITING}{lock})", db.message())
                        }
                        (Some(detail), _) => format!("{} ({detail})", db.message()),
                        (None, _) => db.message().to_string(),
                    },
                },
                _ => Reply::Lost(describe(&error)),
            },
        }
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.awaited.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// As `rows`, again and again through what the harness itself does to the server: a lost
    /// connection, a full lock table, DDL in the way.
    pub fn until_done(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let give_up = Instant::now() + RECONNECT_FOR;
        loop {
            match self.send(sql) {
                Reply::Rows(rows) => return Ok(rows),
                Reply::Lost(_) => self.reconnect()?,
                Reply::Error { code, message } => {
                    if !PASSING.contains(&code.as_str()) || Instant::now() > give_up {
                        return Err(format!("{code}: {message}\n  in: {sql}"));
                    }
                    sleep(Duration::from_millis(1));
                }
            }
        }
    }

    fn copy(&mut self, copy: &str, data: &str) -> Result<Vec<Row>, postgres::Error> {
        let mut to = self.client.copy_in(copy)?;
        // An error of the server comes out in the end, with its SQLSTATE.
        let _ = to.write_all(data.as_bytes());
        to.finish().map(|_| Vec::new())
    }

    /// The rows, or an error text: for the harness's own work (setup, observers, final looks).
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Row>, String> {
        match self.send(sql) {
            Reply::Rows(rows) => Ok(rows),
            Reply::Error { code, message } => Err(format!("{code}: {message}\n  in: {sql}")),
            Reply::Lost(text) => Err(format!("connection lost: {text}\n  in: {sql}")),
        }
    }
}

const WAITING: &str = "waiting for ";

/// From `process 7 still waiting for ShareLock on transaction 745 after 1.023 ms`, the lock.
fn lock_waited_for(message: &str) -> Option<&str> {
    let (_, lock) = message.split_once(" still waiting for ")?;
    Some(lock.split_once(" after ").map_or(lock, |(lock, _)| lock))
}

/// Whether a lock_timeout ended a wait for another session's row, key or slot, as far as the server has said.
pub fn waited_for_a_writer(message: &str) -> bool {
    let own = [" on extension of relation ", " on relation "];
    message.split_once(WAITING).is_some_and(|(_, lock)| !own.iter().any(|own| lock.contains(own)))
}

fn rows(messages: Vec<SimpleQueryMessage>) -> Vec<Row> {
    let row = |m| match m {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).map(str::to_string)).collect())
        }
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

/// The server's own words; the driver's Display says only "db error".
fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
