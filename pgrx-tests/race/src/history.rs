//! What a round recorded: every transaction of every client with the instants (nanoseconds since
//! the round began) at which each SQL was sent and its answer came back, and what observers saw.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The rows that came back, of all statements sent at once.
    Rows(Vec<Vec<Option<String>>>),
    Error {
        code: String,
        message: String,
    },
    /// The connection is gone.
    Lost(String),
}

#[derive(Clone, Debug)]
pub struct Sent {
    pub sql: String,
    pub start: u64,
    pub end: u64,
    pub reply: Reply,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    Add {
        key: i64,
        amount: i64,
    },
    Touch {
        key: i64,
    },
    Enter {
        key: i64,
        from: u64,
    },
    Hold {
        key: i64,
        row: i64,
        at: i64,
    },
    Free {
        key: i64,
        row: i64,
    },
    /// The row was there.
    See {
        key: i64,
        row: i64,
    },
}

#[derive(Clone, Debug)]
pub struct StepLog {
    pub statement: usize,
    pub key: i64,
    pub other: i64,
    pub number: i64,
    pub sent: Vec<Sent>,
    pub facts: Vec<Fact>,
    /// The row a statement of several SQLs had picked before its last one.
    pub subject: Option<i64>,
    /// It asked for a place and was given NULL: a refusal without an error.
    pub declined: bool,
    /// When ROLLBACK TO its savepoint was sent and answered.
    pub undone: Option<(u64, u64)>,
}

impl StepLog {
    pub fn start(&self) -> u64 {
        self.sent.first().map_or(0, |s| s.start)
    }

    pub fn end(&self) -> u64 {
        self.sent.last().map_or(0, |s| s.end)
    }

    pub fn error(&self) -> Option<(&str, &str)> {
        match &self.sent.last()?.reply {
            Reply::Error { code, message } => Some((code, message)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Committed,
    RolledBack,
}

#[derive(Clone, Debug)]
pub struct TxnLog {
    pub client: usize,
    /// Its position in the client's script.
    pub number: usize,
    pub begin: u64,
    pub isolation: &'static str,
    pub steps: Vec<StepLog>,
    pub fate: Fate,
    /// When COMMIT or ROLLBACK was sent, and when its outcome was known.
    pub end_sent: u64,
    pub ended: u64,
    /// The last instant at which the server certainly still ran this transaction: when the last
    /// SQL that was answered with success had been sent.
    pub alive: u64,
    /// The connection broke; the server may have noticed later than the client.
    pub lost: bool,
    /// The answer to COMMIT, where it was an error.
    pub commit_error: Option<(String, String)>,
}

impl TxnLog {
    /// The facts that count once the transaction has committed.
    pub fn facts(&self) -> impl Iterator<Item = (&StepLog, Fact)> {
        self.steps
            .iter()
            .filter(|step| step.undone.is_none())
            .flat_map(|step| step.facts.iter().map(move |fact| (step, *fact)))
    }
}

#[derive(Clone, Debug)]
pub struct Seen {
    pub at: u64,
    /// Index of the invariant whose SQL it was.
    pub invariant: usize,
    pub row: Vec<Option<String>>,
}

#[derive(Default)]
pub struct History {
    pub txns: Vec<TxnLog>,
    pub seen: Vec<Seen>,
    pub looks: u64,
    pub terminated: u64,
    /// DDL statements that were carried out meanwhile.
    pub rebuilt: u64,
    /// How often the server's lock table was full.
    pub starved: u64,
}

impl History {
    pub fn committed(&self) -> impl Iterator<Item = &TxnLog> {
        self.txns.iter().filter(|t| t.fate == Fate::Committed)
    }

    /// SQLSTATEs that clients were given, at COMMIT too.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.txns.iter().flat_map(|txn| {
            let at_commit = txn.commit_error.iter().map(|(code, _)| code.as_str());
            let in_steps = txn.steps.iter().filter_map(|s| Some(s.error()?.0));
            in_steps.chain(at_commit)
        })
    }
}

/// One broken invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: String,
    pub key: Option<i64>,
    /// When, where it has a moment.
    pub at: Option<u64>,
    pub what: String,
}
