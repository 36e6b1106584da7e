//! Where one half of a case is played: a schema of its own, so that every case can use the
//! article's table names and all tables are still there for a look with psql.

use std::sync::{Arc, Mutex};

use postgres::Client;

use crate::cases::{Case, Half};
use crate::crowd::{self, Tally, Told, WRITERS};
use crate::screen::{Screen, Tone};
use crate::server::{Result, Server};
use crate::story::Story;
use crate::timeline::Timeline;

pub struct Stage<'a> {
    server: &'a Server,
    screen: &'a Screen,
    case: &'a Case,
    schema: String,
    control: Client,
    notices: Arc<Mutex<Vec<String>>>,
}

impl<'a> Stage<'a> {
    pub fn set(server: &'a Server, screen: &'a Screen, case: &'a Case, half: Half) -> Result<Self> {
        let schema = format!("{}_{}", case.schema, half.name());
        let notices = Arc::new(Mutex::new(Vec::new()));
        let mut control = server.connect_listening(&schema, "raceguard demo", notices.clone())?;
        control.batch_execute(&format!(
            "SET client_min_messages = warning; DROP SCHEMA IF EXISTS {schema} CASCADE; \
             CREATE SCHEMA {schema}; RESET client_min_messages"
        ))?;
        Ok(Stage { server, screen, case, schema, control, notices })
    }

    /// The article's tables and rows.
    pub fn prepare(&mut self, sql: &str) -> Result<()> {
        Ok(self.control.batch_execute(sql)?)
    }

    /// The case's one call, shown with what it says.
    pub fn guard(&mut self) -> Result<()> {
        let statement = self.case.statement();
        self.screen.line(Tone::Strong, &format!("   {statement}"))?;
        self.forget_notices();
        let made = self.control.batch_execute(&statement);
        for notice in self.forget_notices() {
            self.screen.line(Tone::Faint, &notice)?;
        }
        Ok(made?)
    }

    pub fn count(&mut self, sql: &str) -> Result<i64> {
        Ok(self.control.query_one(sql, &[])?.try_get(0)?)
    }

    pub fn text(&mut self, sql: &str) -> Result<String> {
        Ok(self.control.query_one(sql, &[])?.try_get(0)?)
    }

    /// Two sessions, led step by step.
    pub fn story(&mut self, roles: [&str; 2]) -> Result<Story<'_>> {
        let clients = [
            self.server.connect(&self.schema, "raceguard demo: session 1")?,
            self.server.connect(&self.schema, "raceguard demo: session 2")?,
        ];
        Story::begin(&mut self.control, Timeline::open(self.screen, roles)?, clients)
    }

    /// Eight sessions, running freely.
    pub fn crowd(
        &mut self,
        title: &str,
        statement: &str,
        rounds: usize,
        act: impl Fn(&mut Client, usize, usize) -> Result<Vec<Told>> + Sync,
    ) -> Result<Tally> {
        let mut clients = (1..=WRITERS)
            .map(|number| {
                self.server.connect(&self.schema, &format!("raceguard demo: writer {number}"))
            })
            .collect::<Result<Vec<_>>>()?;
        let tally = crowd::release(&mut clients, rounds, act)?;
        let mut lines = vec![(Tone::Plain, statement.to_owned())];
        lines.extend(tally.lines());
        self.screen.panel(title, &lines)?;
        Ok(tally)
    }

    fn forget_notices(&self) -> Vec<String> {
        self.notices.lock().map(|mut heard| std::mem::take(&mut *heard)).unwrap_or_default()
    }
}
