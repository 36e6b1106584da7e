//! Two sessions, each a connection in a thread of its own, led through a race step by step.
//!
//! A step ends when its statement is answered, or when Postgres itself says that the statement
//! waits for the other session (`pg_blocking_pids`); the order of events is therefore the same in
//! every run, without any sleep.

use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::reply::{ask, Reply};
use crate::server::{Failure, Result};
use crate::timeline::{Timeline, Who};

/// How often a statement without an answer is looked up in the lock table.
const LOOK: Duration = Duration::from_millis(2);
/// Above statement_timeout, so that the server's own error comes first.
const PATIENCE: Duration = Duration::from_secs(12);

struct Session {
    pid: i32,
    statements: Option<Sender<String>>,
    replies: Receiver<Result<Reply>>,
    thread: Option<JoinHandle<()>>,
    waiting: bool,
    statement: String,
    last: Option<Reply>,
}

impl Session {
    fn start(mut client: Client) -> Result<Self> {
        let pid = client.query_one("SELECT pg_backend_pid()", &[])?.try_get(0)?;
        let (statements, inbox) = channel::<String>();
        let (outbox, replies) = channel();
        let thread = thread::spawn(move || {
            while let Ok(statement) = inbox.recv() {
                if outbox.send(ask(&mut client, &statement)).is_err() {
                    break;
                }
            }
        });
        Ok(Session {
            pid,
            statements: Some(statements),
            replies,
            thread: Some(thread),
            waiting: false,
            statement: String::new(),
            last: None,
        })
    }
}

pub struct Story<'a> {
    observer: &'a mut Client,
    timeline: Timeline<'a>,
    sessions: [Session; 2],
}

impl<'a> Story<'a> {
    pub fn begin(
        observer: &'a mut Client,
        timeline: Timeline<'a>,
        clients: [Client; 2],
    ) -> Result<Self> {
        let [one, two] = clients;
        Ok(Story { observer, timeline, sessions: [Session::start(one)?, Session::start(two)?] })
    }

    /// Sends a statement and returns once it is answered or waits for the other session.
    pub fn step(&mut self, who: Who, statement: &str) -> Result<()> {
        if self.waits(who) {
            return Err(Failure::new(format!("{} is still waiting", who.name())));
        }
        self.timeline.statement(who, statement)?;
        let session = self.session(who);
        session.last = None;
        session.statement = statement.to_owned();
        let sent = session.statements.as_ref().map(|to| to.send(statement.to_owned()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(Failure::new(format!("{} has ended", who.name())));
        }
        let begun = Instant::now();
        loop {
            match self.session(who).replies.recv_timeout(LOOK) {
                Ok(reply) => return self.take_down(who, reply?, false),
                Err(RecvTimeoutError::Timeout) if begun.elapsed() < PATIENCE => {
                    if self.is_blocked(who)? {
                        self.session(who).waiting = true;
                        self.timeline.waits(who)?;
                        return Ok(());
                    }
                }
                Err(_) => return Err(Failure::new(format!("{} did not answer", who.name()))),
            }
        }
    }

    /// Whether the session's last statement has been found waiting and not been answered yet.
    pub fn waits(&mut self, who: Who) -> bool {
        self.session(who).waiting
    }

    /// The answer to the session's last statement, once it is there.
    pub fn reply(&mut self, who: Who) -> Result<Reply> {
        if self.waits(who) {
            let reply = self
                .session(who)
                .replies
                .recv_timeout(PATIENCE)
                .map_err(|_| Failure::new(format!("{} is still waiting", who.name())))?;
            self.session(who).waiting = false;
            self.take_down(who, reply?, true)?;
        }
        self.session(who)
            .last
            .clone()
            .ok_or_else(|| Failure::new(format!("{} has no answer", who.name())))
    }

    /// A step that is not expected to wait, and its answer.
    pub fn ask(&mut self, who: Who, statement: &str) -> Result<Reply> {
        self.step(who, statement)?;
        self.reply(who)
    }

    fn take_down(&mut self, who: Who, reply: Reply, waited: bool) -> Result<()> {
        let session = &mut self.sessions[who.index()];
        self.timeline.reply(who, &session.statement, &reply, waited)?;
        session.last = Some(reply);
        Ok(())
    }

    fn is_blocked(&mut self, who: Who) -> Result<bool> {
        let (waiter, holder) = (self.session(who).pid, self.session(who.other()).pid);
        let row = self
            .observer
            .query_one("SELECT $2 = ANY (pg_blocking_pids($1))", &[&waiter, &holder])?;
        Ok(row.try_get(0)?)
    }

    fn session(&mut self, who: Who) -> &mut Session {
        &mut self.sessions[who.index()]
    }
}

impl Drop for Story<'_> {
    /// Ends the story. Both sessions are let go before either is waited for: one may be waiting for the other.
    fn drop(&mut self) {
        for session in &mut self.sessions {
            session.statements = None;
        }
        for session in &mut self.sessions {
            if let Some(thread) = session.thread.take() {
                // A thread that panicked has already said so on stderr.
                let _ = thread.join();
            }
        }
    }
}
