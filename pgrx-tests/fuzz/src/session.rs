//! One connection of a round.

use crate::judge::Fault;
use crate::model::rows;
use postgres::{Client, NoTls, SimpleQueryMessage};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A statement that Postgres cannot even cancel: the round is given up.
const STUCK: Duration = Duration::from_secs(60);

/// What a statement was answered with: its rows, each value as a line of text.
pub type Reply = Result<Vec<String>, postgres::Error>;

/// Runs a statement on a thread of its own, so that a server that never answers is noticed.
pub struct Session {
    sender: mpsc::Sender<String>,
    answers: mpsc::Receiver<Reply>,
    pub pid: String,
}

/// A connection; `user` is empty for that of the DSN.
pub fn connect(dsn: &str, user: &str, options: &str) -> Result<Client, String> {
    let until = Instant::now() + Duration::from_secs(60);
    let user = if user.is_empty() { String::new() } else { format!("user={user}") };
    loop {
        match Client::connect(&format!("{dsn} {user} options='{options}'"), NoTls) {
            Ok(client) => return Ok(client),
            // The server may be on its way up again.
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(200)),
            Err(error) => return Err(format!("no connection: {error}")),
        }
    }
}

impl Session {
    pub fn open(dsn: &str, user: &str, timeout: &str) -> Result<Session, String> {
        let mut client = connect(
            dsn,
            user,
            &format!(
                "-c statement_timeout={timeout} -c lock_timeout=50ms -c client_min_messages=error"
            ),
        )?;
        // What a function draws by random() is part of the round.
        let pid = rows(&mut client, "SELECT pg_backend_pid(), setseed(0.5)")
            .map_err(|e| e.to_string())?;
        let pid = pid.first().and_then(|row| row[0].clone()).unwrap_or_default();
        let (sender, statements) = mpsc::channel::<String>();
        let (answered, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for sql in statements {
                if answered.send(client.simple_query(&sql).map(texts)).is_err() {
                    break;
                }
            }
        });
        Ok(Session { sender, answers, pid })
    }

    /// The answer, and how long it took; a fault where there was none.
    pub fn run(&self, sql: &str) -> Result<(Reply, Duration), Fault> {
        let begin = Instant::now();
        let stuck = |_| Fault::new("stuck", format!("no answer in {} s", STUCK.as_secs()));
        self.sender
            .send(sql.to_owned())
            .map_err(|_| Fault::new("connection", "session is gone".into()))?;
        let answer = self.answers.recv_timeout(STUCK).map_err(stuck)?;
        Ok((answer, begin.elapsed()))
    }
}

fn texts(messages: Vec<SimpleQueryMessage>) -> Vec<String> {
    let mut texts = Vec::new();
    for message in &messages {
        if let SimpleQueryMessage::Row(row) = message {
            texts.extend((0..row.len()).filter_map(|i| row.get(i)).map(str::to_owned));
        }
    }
    texts
}
