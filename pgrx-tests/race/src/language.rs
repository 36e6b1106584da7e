//! The language of workloads: what clients do, in which transactions, and what must stay true.
//!
//! A workload is data. From a seed it gives a script (every transaction of every client, written
//! out before the first one runs), so a failing run can be run again and cut down.

use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// READ COMMITTED more often: the levels above it end most meetings in a 40001.
pub const ALL_LEVELS: &[Isolation] = &[
    Isolation::ReadCommitted,
    Isolation::ReadCommitted,
    Isolation::ReadCommitted,
    Isolation::RepeatableRead,
    Isolation::Serializable,
];

impl Isolation {
    pub fn sql(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        }
    }
}

/// What a statement that succeeded did to the model. "The rows" are those that the last SQL of the
/// statement returned; their first column is a row id. No row returned: nothing happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Adds 1 to the counter of `key`.
    Add,
    /// As `Add`, for `other`.
    AddOther,
    /// Adds `{n}` to the counter of `key`.
    AddNumber,
    /// Takes 1 from the counter of `key`.
    Subtract,
    /// The transaction touched `key`; counted once per transaction.
    Touch,
    /// As `Touch`, for `other`.
    TouchOther,
    /// From here to its end the transaction alone may be inside `key`.
    Enter,
    /// As `Enter`, for `other`.
    EnterOther,
    /// As `Enter`, but from the answer to the statement's first SQL on.
    EnterFirst,
    /// The rows now take a place in `key` (at the time `{n}`, where places have a time).
    Hold,
    /// The rows no longer take a place in `key`.
    Free,
    /// The rows gave up their place in `key` for one in `other`.
    Move,
    /// The rows keep their place in `key` but at the time `{n}`.
    Retime,
    /// Rows whose second column is true now take a place in `key`; the others were there already.
    Get,
}

/// One thing a client may do. Placeholders in the SQL: `{key}` and `{other}` (two different keys,
/// `{low}` and `{high}` the same two in order), `{id}` (a number of this step alone: `{id}0`, `{id}1` are
/// ids of several rows), `{n}` (a number below the workload's `numbers`), and `{0}`, `{1}`, ... the
/// columns of the last row that an earlier SQL of the same statement returned. A statement whose
/// `{0}` has nothing to stand for ends there, as an application that found no row would.
#[derive(Clone)]
pub struct Statement {
    pub name: &'static str,
    pub weight: u64,
    pub sql: Vec<String>,
    pub effects: Vec<Effect>,
    /// Rows that the last SQL must return, where the client can know it.
    pub must_return: Option<usize>,
    /// The SQLSTATE with which the statement must be refused whenever it finds a row.
    pub must_fail: Option<&'static str>,
    /// The SQL, by position, that never waits. With more SQL after it, under `Alone`, it tries to lock: it
    /// returns no row only where another transaction may have been inside the key.
    pub at_once: Option<usize>,
    /// Places that one run of the statement asks for.
    pub places: usize,
    /// SQLSTATEs that are no failure of this statement, beside the workload's.
    pub allowed: Vec<&'static str>,
    /// Where it runs in no transaction block: the SQL that returns a row once it has committed.
    pub receipt: Option<&'static str>,
}

impl Statement {
    pub fn new(name: &'static str, weight: u64, sql: &[&str], effects: &[Effect]) -> Statement {
        Statement {
            name,
            weight,
            sql: sql.iter().map(|s| s.to_string()).collect(),
            effects: effects.to_vec(),
            must_return: None,
            must_fail: None,
            at_once: None,
            places: 1,
            allowed: Vec::new(),
            receipt: None,
        }
    }

    pub fn returning(mut self, rows: usize) -> Statement {
        self.must_return = Some(rows);
        self
    }

    pub fn refused_with(mut self, code: &'static str) -> Statement {
        self.must_fail = Some(code);
        self
    }

    pub fn at_once(mut self, sql: usize) -> Statement {
        self.at_once = Some(sql);
        self
    }

    pub fn places(mut self, places: usize) -> Statement {
        self.places = places;
        self
    }

    pub fn allowing(mut self, code: &'static str) -> Statement {
        self.allowed.push(code);
        self
    }

    pub fn receipt(mut self, sql: &'static str) -> Statement {
        self.receipt = Some(sql);
        self
    }
}

/// What must be true. SQL in here runs in a fresh snapshot.
#[derive(Clone)]
pub enum Invariant {
    /// At any moment, and at the end, the SQL returns no row.
    Never { name: &'static str, sql: &'static str },
    /// At the end the SQL's (key, value) rows equal what committed `Add`s and `AddNumber`s add up to.
    Counted { name: &'static str, sql: &'static str },
    /// At the end the SQL's (key, value) rows equal the number of committed transactions that
    /// touched the key.
    Touched { name: &'static str, sql: &'static str },
    /// No two transactions are inside one key at once. `escalates`: who asks for a second key may
    /// get all of them.
    Alone { escalates: bool },
    /// At most `most` rows of one key at once (within any `period`, where one is given), and a
    /// refusal with `code` only where `enough` rows were in the way. Without a period: no waiting
    /// either, unless that many places were taken or being taken. A row that `Get` found there
    /// was there.
    Room { code: &'static str, most: usize, enough: usize, period: Option<i64> },
    /// A refusal with `code` only where so much of `at_first` may have been taken (`Add`,
    /// `AddNumber`) that less was left than the statement asked for.
    Stock { code: &'static str, at_first: i64 },
    /// The SQL returns (key, version, state): a version never goes back, and another state means
    /// another version.
    Versioned { sql: &'static str },
}

#[derive(Clone)]
pub struct Workload {
    pub name: &'static str,
    pub story: &'static str,
    /// Tables and rows; `{keys}` is the number of keys.
    pub setup: Vec<&'static str>,
    /// What puts the guard on them.
    pub guard: Vec<&'static str>,
    /// What every client's session begins with.
    pub settings: Vec<&'static str>,
    pub clients: usize,
    pub keys: u64,
    pub numbers: u64,
    /// Transactions per client in one round.
    pub transactions: usize,
    /// Most statements in one transaction.
    pub steps: u64,
    pub isolation: &'static [Isolation],
    /// Longest pause within and between statements, in microseconds.
    pub think_us: u64,
    /// Odds in percent: the transaction ends in ROLLBACK; a statement runs in a savepoint; that
    /// savepoint is rolled back; the transaction has a short lock_timeout.
    pub rollback: u64,
    pub savepoint: u64,
    pub undo: u64,
    pub impatient: u64,
    /// Odds in percent that the transaction has a short statement_timeout.
    pub hurried: u64,
    /// How many times a second some client's backend is terminated.
    pub terminate_per_second: f64,
    /// Each statement is a transaction of its own, in no transaction block; needs receipts.
    pub no_block: bool,
    pub statements: Vec<Statement>,
    /// SQLSTATEs that are no failure. Any other is.
    pub allowed: Vec<&'static str>,
    pub invariants: Vec<Invariant>,
}

impl Workload {
    pub fn new(name: &'static str, story: &'static str) -> Workload {
        Workload {
            name,
            story,
            setup: Vec::new(),
            guard: Vec::new(),
            settings: Vec::new(),
            clients: 8,
            keys: 3,
            numbers: 100,
            transactions: 60,
            steps: 2,
            isolation: ALL_LEVELS,
            think_us: 1500,
            rollback: 15,
            savepoint: 20,
            undo: 40,
            impatient: 0,
            hurried: 0,
            terminate_per_second: 2.0,
            no_block: false,
            statements: Vec::new(),
            allowed: vec!["40001", "40P01"],
            invariants: Vec::new(),
        }
    }

    /// Every transaction of one round.
    pub fn script(&self, seed: u64) -> Script {
        let clients = (0..self.clients)
            .map(|client| {
                let mut rng = Rng::new(seed, client as u64 + 1);
                (0..self.transactions)
                    .map(|number| self.transaction(&mut rng, client, number))
                    .collect()
            })
            .collect();
        Script { clients }
    }

    fn transaction(&self, rng: &mut Rng, client: usize, number: usize) -> Txn {
        let isolation = self.isolation[rng.below(self.isolation.len() as u64) as usize];
        let lock_timeout_ms = rng.percent(self.impatient).then(|| 3 + rng.below(20));
        // Drawn only where it is wanted: otherwise a seed gives what it gave without it.
        let hurried = self.hurried > 0 && rng.percent(self.hurried);
        let statement_timeout_ms = hurried.then(|| 1 + rng.below(50));
        let steps = (0..1 + rng.below(self.steps))
            .map(|step| {
                let id = (client as u64 + 1) * 1_000_000 + number as u64 * 100 + step;
                self.step(rng, id)
            })
            .collect();
        Txn {
            isolation,
            lock_timeout_ms,
            statement_timeout_ms,
            steps,
            commit: !rng.percent(self.rollback),
        }
    }

    fn step(&self, rng: &mut Rng, id: u64) -> Step {
        let total: u64 = self.statements.iter().map(|s| s.weight).sum();
        let mut ticket = rng.below(total);
        let statement = self
            .statements
            .iter()
            .position(|s| {
                let mine = ticket < s.weight;
                ticket = ticket.saturating_sub(s.weight);
                mine
            })
            .unwrap_or(0);
        let key = 1 + rng.below(self.keys);
        let other = 1 + (key + rng.below(self.keys.saturating_sub(1))) % self.keys;
        let savepoint = match (rng.percent(self.savepoint), rng.percent(self.undo)) {
            (false, _) => Savepoint::None,
            (true, false) => Savepoint::Release,
            (true, true) => Savepoint::Undo,
        };
        Step {
            statement,
            key: key as i64,
            other: other as i64,
            id,
            number: rng.below(self.numbers) as i64,
            think_us: rng.below(self.think_us),
            savepoint,
        }
    }
}

#[derive(Clone)]
pub struct Script {
    pub clients: Vec<Vec<Txn>>,
}

#[derive(Clone)]
pub struct Txn {
    pub isolation: Isolation,
    pub lock_timeout_ms: Option<u64>,
    pub statement_timeout_ms: Option<u64>,
    pub steps: Vec<Step>,
    pub commit: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Savepoint {
    None,
    Release,
    Undo,
}

#[derive(Clone)]
pub struct Step {
    pub statement: usize,
    pub key: i64,
    pub other: i64,
    pub id: u64,
    pub number: i64,
    pub think_us: u64,
    pub savepoint: Savepoint,
}

impl Step {
    /// The SQL to send, or None where it needs a column that no earlier SQL returned.
    pub fn render(&self, template: &str, row: &[Option<String>]) -> Option<String> {
        let mut sql = template
            .replace("{key}", &self.key.to_string())
            .replace("{other}", &self.other.to_string())
            .replace("{low}", &self.key.min(self.other).to_string())
            .replace("{high}", &self.key.max(self.other).to_string())
            .replace("{id}", &self.id.to_string())
            .replace("{n}", &self.number.to_string());
        for column in 0..4 {
            let name = format!("{{{column}}}");
            if sql.contains(&name) {
                let value = row.get(column)?.as_deref()?;
                sql = sql.replace(&name, value);
            }
        }
        Some(sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Workload {
        let mut workload = Workload::new("sample", "");
        workload.statements = vec![
            Statement::new("a", 1, &["SELECT {key}, {other}"], &[]),
            Statement::new("b", 3, &["SELECT {id}1"], &[]),
        ];
        workload
    }

    #[test]
    fn the_same_seed_gives_the_same_script() {
        let text = |seed| {
            let mut out = String::new();
            for step in sample().script(seed).clients.iter().flatten().flat_map(|t| &t.steps) {
                out += &format!("{} {} {} {};", step.statement, step.key, step.other, step.id);
            }
            out
        };
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn keys_are_in_range_and_different() {
        for step in sample().script(3).clients.iter().flatten().flat_map(|t| &t.steps) {
            assert!((1..=3).contains(&step.key) && (1..=3).contains(&step.other));
            assert_ne!(step.key, step.other);
        }
    }

    #[test]
    fn a_missing_column_ends_the_statement() {
        let step = sample().script(1).clients[0][0].steps[0].clone();
        assert_eq!(step.render("SELECT {0}", &[]), None);
        assert_eq!(step.render("SELECT {0}", &[None]), None);
        let row = [Some("9".to_string())];
        assert_eq!(step.render("SELECT {0}", &row).as_deref(), Some("SELECT 9"));
    }
}
