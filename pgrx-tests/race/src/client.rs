//! Runs the transactions of one client and writes down what happened.

use crate::history::{Fact, Fate, Reply, Sent, StepLog, TxnLog};
use crate::language::{Effect, Savepoint, Statement, Step, Txn, Workload};
use crate::session::{Session, IMPATIENT};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub struct Worker<'a> {
    pub workload: &'a Workload,
    pub session: &'a mut Session,
    pub client: usize,
    pub epoch: Instant,
    /// Whether backends end: then every transaction signs the ledger, which settles a lost COMMIT.
    pub faults: bool,
}

/// What became of a statement that only controls the transaction.
enum Control {
    Done,
    /// It ran into statement_timeout, and the server has rolled back.
    OutOfTime,
    Lost,
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

    fn new_log(&self, number: usize, txn: &Txn) -> TxnLog {
        let begin = self.now();
        TxnLog {
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
        }
    }

    /// An Err is a failure of the harness or the server, not of an invariant.
    pub fn transaction(&mut self, number: usize, txn: &Txn) -> Result<TxnLog, String> {
        let mut log = self.new_log(number, txn);
        if self.workload.no_block {
            return self.single(txn, log);
        }
        let mut open = format!("BEGIN ISOLATION LEVEL {}", txn.isolation.sql());
        if let Some(ms) = txn.lock_timeout_ms {
            open += &format!("; {IMPATIENT}; SET LOCAL lock_timeout = '{ms}ms'");
        }
        if let Some(ms) = txn.statement_timeout_ms {
            open += &format!("; SET LOCAL statement_timeout = '{ms}ms'");
        }
        match self.control(&open, &mut log)? {
            Control::Done => {}
            Control::OutOfTime => return self.roll_back(log, true),
            Control::Lost => return self.lost(log),
        }
        for step in &txn.steps {
            match self.step(step, &mut log)? {
                After::GoesOn => sleep(Duration::from_micros(step.think_us)),
                After::MustRollBack => return self.roll_back(log, true),
                After::Lost => return self.lost(log),
            }
        }
        if txn.commit {
            self.commit(log)
        } else {
            self.roll_back(log, false)
        }
    }

    /// One statement in no transaction block. If its answer is lost, its receipt tells how it ended:
    /// the backend that was to commit it is gone, or its connection could not have broken.
    fn single(&mut self, txn: &Txn, mut log: TxnLog) -> Result<TxnLog, String> {
        let Some(step) = txn.steps.first() else {
            return Ok(log);
        };
        let statement = &self.workload.statements[step.statement];
        let mut done = self.statement(step, &mut log);
        log.end_sent = done.sent.last().map_or(log.begin, |sent| sent.start);
        match done.sent.last().map(|sent| &sent.reply) {
            Some(Reply::Rows(_)) => log.fate = Fate::Committed,
            Some(Reply::Lost(_)) => {
                self.session.reconnect()?;
                log.lost = true;
                let receipt = statement.receipt.and_then(|sql| step.render(sql, &[]));
                let rows = match receipt {
                    Some(sql) => self.session.until_done(&sql)?,
                    None => return Err(format!("{} has no receipt", statement.name)),
                };
                if !rows.is_empty() {
                    log.fate = Fate::Committed;
                    conclude(statement, step, &rows, &mut done);
                }
            }
            _ => {}
        }
        log.ended = self.now();
        log.steps.push(done);
        sleep(Duration::from_micros(step.think_us));
        Ok(log)
    }

    /// Transaction control, which fails for want of time alone.
    fn control(&mut self, sql: &str, log: &mut TxnLog) -> Result<Control, String> {
        match self.send(sql.to_string(), log).reply {
            Reply::Rows(_) => Ok(Control::Done),
            Reply::Lost(_) => Ok(Control::Lost),
            Reply::Error { code, .. }
                if code == "57014" && self.workload.allowed.contains(&"57014") =>
            {
                Ok(Control::OutOfTime)
            }
            Reply::Error { code, message } => Err(format!("{sql}: {code}: {message}")),
        }
    }

    /// The same as the end of a step that has gone well so far.
    fn then(&mut self, sql: &str, log: &mut TxnLog) -> Result<After, String> {
        Ok(match self.control(sql, log)? {
            Control::Done => After::GoesOn,
            Control::OutOfTime => After::MustRollBack,
            Control::Lost => After::Lost,
        })
    }

    fn step(&mut self, step: &Step, log: &mut TxnLog) -> Result<After, String> {
        let guarded = step.savepoint != Savepoint::None;
        if guarded {
            match self.then("SAVEPOINT step", log)? {
                After::GoesOn => {}
                ended => return Ok(ended),
            }
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
            _ if guarded => self.then("RELEASE SAVEPOINT step", log)?,
            _ => After::GoesOn,
        };
        log.steps.push(done);
        Ok(after)
    }

    fn undo(&mut self, done: &mut StepLog, log: &mut TxnLog) -> Result<After, String> {
        let start = self.now();
        let after = self.then("ROLLBACK TO SAVEPOINT step; RELEASE SAVEPOINT step", log)?;
        if let After::GoesOn = after {
            done.undone = Some((start, self.now()));
        }
        Ok(after)
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
        let sign = format!("SELECT sign_ledger({})", self.client * 1_000_000 + log.number);
        if self.faults {
            match self.send(sign.clone(), &mut log).reply {
                Reply::Rows(_) => {}
                Reply::Lost(_) => return self.lost(log),
                Reply::Error { code, message } => {
                    log.commit_error = Some((code, message));
                    return self.roll_back(log, true);
                }
            }
        }
        let commit = self.send("COMMIT".into(), &mut log);
        log.end_sent = commit.start;
        log.ended = commit.end;
        match commit.reply {
            Reply::Rows(_) => log.fate = Fate::Committed,
            Reply::Error { code, message } => {
                log.commit_error = Some((code, message));
                // One that ran out of time before it began leaves the transaction open.
                return self.roll_back(log, true);
            }
            Reply::Lost(_) => {
                self.session.reconnect()?;
                if !self.faults {
                    return Err("a COMMIT was lost although nothing was killed".into());
                }
                log.fate = self.settle(&sign)?;
                log.ended = self.now();
                log.lost = true;
            }
        }
        Ok(log)
    }

    /// Finds out how a transaction ended whose COMMIT was never answered, by signing for it once more:
    /// that waits for a backend that has not noticed yet, and meets the first signature if it counts.
    fn settle(&mut self, sign: &str) -> Result<Fate, String> {
        // Taken back at once: with another crash just here it would look like the first when asked again.
        match self.session.until_done(&format!("{sign}; ROLLBACK")) {
            Ok(_) => Ok(Fate::RolledBack),
            Err(error) if error.starts_with("23505") => Ok(Fate::Committed),
            Err(error) => Err(error),
        }
    }

    /// `aborted`: after an error the server had let go of everything before ROLLBACK was sent.
    fn roll_back(&mut self, mut log: TxnLog, aborted: bool) -> Result<TxnLog, String> {
        let alive = log.alive;
        log.end_sent = self.now();
        loop {
            match self.control("ROLLBACK", &mut log)? {
                Control::Done => break,
                Control::OutOfTime => {}
                Control::Lost => return self.lost(log),
            }
        }
        if aborted {
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
            Effect::Subtract => Some(Fact::Add { key, amount: -1 }),
            Effect::AddNumber => Some(Fact::Add { key, amount: step.number }),
            Effect::Touch => Some(Fact::Touch { key }),
            Effect::TouchOther => Some(Fact::Touch { key: other }),
            Effect::Enter => Some(Fact::Enter { key, from }),
            Effect::EnterOther => Some(Fact::Enter { key: other, from }),
            Effect::EnterFirst => Some(Fact::Enter { key, from: first }),
            Effect::Hold | Effect::Free | Effect::Move | Effect::Retime | Effect::Get => None,
        };
        done.facts.extend(once);
        for (row, cells) in rows.iter().filter_map(|cells| Some((number(cells)?, cells))) {
            let at = step.number;
            let is_new = cells.get(1).is_some_and(|cell| cell.as_deref() == Some("t"));
            let hold = |key| Fact::Hold { key, row, at };
            match effect {
                Effect::Hold => done.facts.push(hold(key)),
                Effect::Free => done.facts.push(Fact::Free { key, row }),
                Effect::Move => done.facts.extend([Fact::Free { key, row }, hold(other)]),
                Effect::Retime => done.facts.extend([Fact::Free { key, row }, hold(key)]),
                Effect::Get if is_new => done.facts.push(hold(key)),
                Effect::Get => done.facts.push(Fact::See { key, row }),
                _ => {}
            }
        }
    }
}
