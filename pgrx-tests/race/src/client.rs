//! Runs the transactions of one client and writes down what happened.

use crate::history::{Fact, Fate, Reply, Sent, StepLog, TxnLog};
use crate::language::{Effect, Savepoint, Statement, Step, Txn, Workload};
use crate::session::Session;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub struct Worker<'a> {
    pub workload: &'a Workload,
    pub session: &'a mut Session,
    pub client: usize,
    pub epoch: Instant,
    /// Whether backends get terminated: then a lost COMMIT is settled by its transaction id.
    pub faults: bool,
}

/// How a step left its transaction.
enum After {
    GoesOn,
    MustRollBack,
    Lost,
}

impl Worker<'_> {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn send(&mut self, sql: String, txn: &mut TxnLog) -> Sent {
        let start = self.now();
        let reply = self.session.send(&sql);
        let end = self.now();
        if matches!(reply, Reply::Rows(_)) {
            txn.alive = start;
        }
        Sent { sql, start, end, reply }
    }

    /// An Err is a failure of the harness or the server, not of an invariant.
    pub fn transaction(&mut self, number: usize, txn: &Txn) -> Result<TxnLog, String> {
        let begin = self.now();
        let mut log = TxnLog {
            client: self.client,
            number,
            begin,
            isolation: txn.isolation.sql(),
            steps: Vec::new(),
            fate: Fate::RolledBack,
            end_sent: begin,
            ended: begin,
            alive: begin,
            lost: false,
            commit_error: None,
        };
        let mut open = format!("BEGIN ISOLATION LEVEL {}", txn.isolation.sql());
        if let Some(ms) = txn.lock_timeout_ms {
            open += &format!("; SET LOCAL lock_timeout = '{ms}ms'");
        }
        if !self.plain(open, &mut log)? {
            return self.lost(log);
        }
        for step in &txn.steps {
            match self.step(step, &mut log)? {
                After::GoesOn => sleep(Duration::from_micros(step.think_us)),
                After::MustRollBack => return self.roll_back(log),
                After::Lost => return self.lost(log),
            }
        }
        if txn.commit {
            self.commit(log)
        } else {
            self.roll_back(log)
        }
    }

    /// Transaction control that cannot fail while the connection lives; false: it does not.
    fn plain(&mut self, sql: String, log: &mut TxnLog) -> Result<bool, String> {
        match self.send(sql.clone(), log).reply {
            Reply::Rows(_) => Ok(true),
            Reply::Lost(_) => Ok(false),
            Reply::Error { code, message } => Err(format!("{sql}: {code}: {message}")),
        }
    }

    fn step(&mut self, step: &Step, log: &mut TxnLog) -> Result<After, String> {
        let guarded = step.savepoint != Savepoint::None;
        if guarded && !self.plain("SAVEPOINT step".into(), log)? {
            return Ok(After::Lost);
        }
        let mut done = self.statement(step, log);
        let reply = done.sent.last().map(|sent| &sent.reply);
        let after = match reply {
            Some(Reply::Lost(_)) => After::Lost,
            // After these two an application has to begin again, savepoint or not.
            Some(Reply::Error { code, .. }) if code == "40001" || code == "40P01" => {
                After::MustRollBack
            }
            Some(Reply::Error { .. }) if !guarded => After::MustRollBack,
            Some(Reply::Error { .. }) => self.undo(&mut done, log)?,
            _ if step.savepoint == Savepoint::Undo => {
                sleep(Duration::from_micros(step.think_us));
                self.undo(&mut done, log)?
            }
            _ if guarded && !self.plain("RELEASE SAVEPOINT step".into(), log)? => After::Lost,
            _ => After::GoesOn,
        };
        log.steps.push(done);
        Ok(after)
    }

    fn undo(&mut self, done: &mut StepLog, log: &mut TxnLog) -> Result<After, String> {
        let start = self.now();
        if !self.plain("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step".into(), log)? {
            return Ok(After::Lost);
        }
        done.undone = Some((start, self.now()));
        Ok(After::GoesOn)
    }

    fn statement(&mut self, step: &Step, log: &mut TxnLog) -> StepLog {
        let statement = &self.workload.statements[step.statement];
        let mut done = StepLog {
            statement: step.statement,
            key: step.key,
            other: step.other,
            number: step.number,
            sent: Vec::new(),
            facts: Vec::new(),
            subject: None,
            declined: false,
            undone: None,
        };
        let mut row: Vec<Option<String>> = Vec::new();
        for (position, template) in statement.sql.iter().enumerate() {
            let Some(sql) = step.render(template, &row) else {
                return done;
            };
            if position > 0 {
                sleep(Duration::from_micros(step.think_us));
                done.subject = number(&row);
            }
            let sent = self.send(sql, log);
            let rows = match &sent.reply {
                Reply::Rows(rows) => rows.clone(),
                _ => {
                    done.sent.push(sent);
                    return done;
                }
            };
            done.sent.push(sent);
            if position + 1 == statement.sql.len() {
                conclude(statement, step, &rows, &mut done);
            } else {
                row = rows.into_iter().last().unwrap_or_default();
            }
        }
        done
    }

    fn commit(&mut self, mut log: TxnLog) -> Result<TxnLog, String> {
        let mut xid = None;
        if self.faults {
            let sql = "SELECT pg_current_xact_id_if_assigned()".to_string();
            match self.send(sql, &mut log).reply {
                Reply::Rows(rows) => xid = rows.into_iter().flatten().flatten().next(),
                _ => return self.lost(log),
            }
        }
        let commit = self.send("COMMIT".into(), &mut log);
        log.end_sent = commit.start;
        log.ended = commit.end;
        match commit.reply {
            Reply::Rows(_) => log.fate = Fate::Committed,
            Reply::Error { code, message } => log.commit_error = Some((code, message)),
            Reply::Lost(_) => {
                self.session.reconnect()?;
                if let Some(xid) = xid {
                    log.fate = self.settle(&xid)?;
                } else if !self.faults {
                    return Err("a COMMIT was lost although nothing was killed".into());
                }
                log.ended = self.now();
                log.lost = true;
            }
        }
        Ok(log)
    }

    /// Asks the server how a transaction ended whose COMMIT was never answered.
    fn settle(&mut self, xid: &str) -> Result<Fate, String> {
        let give_up = Instant::now() + Duration::from_secs(30);
        while Instant::now() < give_up {
            let rows = self.session.rows(&format!("SELECT pg_xact_status('{xid}')"))?;
            match rows.into_iter().flatten().flatten().next().as_deref() {
                Some("committed") => return Ok(Fate::Committed),
                Some("aborted") => return Ok(Fate::RolledBack),
                _ => sleep(Duration::from_millis(2)),
            }
        }
        Err(format!("transaction {xid} of a lost connection is still in progress"))
    }

    fn roll_back(&mut self, mut log: TxnLog) -> Result<TxnLog, String> {
        let alive = log.alive;
        log.end_sent = self.now();
        if !self.plain("ROLLBACK".into(), &mut log)? {
            return self.lost(log);
        }
        // After an error the server had let go of everything before ROLLBACK was sent.
        if log.steps.last().is_some_and(|s| s.error().is_some() && s.undone.is_none()) {
            log.alive = alive;
        }
        log.ended = self.now();
        Ok(log)
    }

    fn lost(&mut self, mut log: TxnLog) -> Result<TxnLog, String> {
        self.session.reconnect()?;
        log.ended = self.now();
        log.lost = true;
        Ok(log)
    }
}

fn number(row: &[Option<String>]) -> Option<i64> {
    row.first()?.as_deref()?.parse().ok()
}

/// Turns the rows of a statement's last SQL into facts.
fn conclude(statement: &Statement, step: &Step, rows: &[Vec<Option<String>>], done: &mut StepLog) {
    let (key, other) = (step.key, step.other);
    if rows.is_empty() {
        return;
    }
    let places = statement.effects.contains(&Effect::Hold);
    done.declined = places && rows.iter().any(|row| row.first() == Some(&None));
    let from = done.end();
    let first = done.sent.first().map_or(from, |s| s.end);
    for effect in &statement.effects {
        let once = match effect {
            Effect::Add => Some(Fact::Add { key, amount: 1 }),
            Effect::AddOther => Some(Fact::Add { key: other, amount: 1 }),
            Effect::AddNumber => Some(Fact::Add { key, amount: step.number }),
            Effect::Touch => Some(Fact::Touch { key }),
            Effect::TouchOther => Some(Fact::Touch { key: other }),
            Effect::Enter => Some(Fact::Enter { key, from }),
            Effect::EnterOther => Some(Fact::Enter { key: other, from }),
            Effect::EnterFirst => Some(Fact::Enter { key, from: first }),
            Effect::Hold | Effect::Free | Effect::Move | Effect::Retime => None,
        };
        done.facts.extend(once);
        for row in rows.iter().filter_map(|row| number(row)) {
            let at = step.number;
            let hold = |key| Fact::Hold { key, row, at };
            match effect {
                Effect::Hold => done.facts.push(hold(key)),
                Effect::Free => done.facts.push(Fact::Free { key, row }),
                Effect::Move => done.facts.extend([Fact::Free { key, row }, hold(other)]),
                Effect::Retime => done.facts.extend([Fact::Free { key, row }, hold(key)]),
                _ => {}
            }
        }
    }
}
