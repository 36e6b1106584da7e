//! Transactions, their parts between savepoints, and who has ended.

/// A transaction or a part of one, numbered in its session: so that the number does not depend on what others did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Xid(u8);

/// How many a session can have in one run.
const EACH: u8 = 16;

impl Xid {
    /// What was committed before the sessions began.
    pub const BEFORE: Xid = Xid(127);

    /// What a later one of the same session has more of.
    pub fn number(self) -> u32 {
        self.0.into()
    }

    pub fn session(self) -> usize {
        usize::from(self.0 / EACH)
    }
}

/// Some transactions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Xids(u128);

impl Xids {
    pub fn has(self, xid: Xid) -> bool {
        self.0 & 1 << xid.0 != 0
    }

    pub fn add(&mut self, xid: Xid) {
        self.0 |= 1 << xid.0;
    }
}

/// What counts as committed, and how far the session's own commands are seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Snapshot {
    pub committed: Xids,
    pub command: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Level {
    ReadCommitted,
    /// SERIALIZABLE is the same here: what it adds are 40001s, and an error at any step is tried anyway.
    RepeatableRead,
}

/// The state of one session's transaction.
#[derive(Clone, Hash)]
struct Own {
    level: Level,
    /// The transaction, and its open savepoints.
    open: Vec<Xid>,
    /// Parts whose savepoints were released.
    merged: Vec<(Xid, Xid)>,
    next: u8,
    command: u32,
    kept: Option<Snapshot>,
    wrote: Xids,
}

#[derive(Clone, Hash)]
pub struct Transactions {
    own: Vec<Own>,
    committed: Xids,
    aborted: Xids,
    /// Those whose locks are let go.
    released: Xids,
    /// `xactCompletionCount`: how many that wrote have ended, parts of transactions that were rolled back too.
    ended: u32,
}

impl Transactions {
    pub fn new(sessions: usize) -> Transactions {
        let own = |session| Own {
            level: Level::ReadCommitted,
            open: Vec::new(),
            merged: Vec::new(),
            next: session as u8 * EACH,
            command: 0,
            kept: None,
            wrote: Xids::default(),
        };
        let mut committed = Xids::default();
        committed.add(Xid::BEFORE);
        let (aborted, released) = (Xids::default(), committed);
        Transactions {
            own: (0..sessions).map(own).collect(),
            committed,
            aborted,
            released,
            ended: 0,
        }
    }

    pub fn begin(&mut self, session: usize, level: Level) {
        let own = &mut self.own[session];
        let (next, wrote) = (own.next, own.wrote);
        *own = Own {
            level,
            open: Vec::new(),
            merged: Vec::new(),
            next,
            command: 0,
            kept: None,
            wrote,
        };
        self.open(session);
    }

    /// Opens the transaction, or a savepoint in it.
    pub fn open(&mut self, session: usize) {
        let own = &mut self.own[session];
        assert!(
            own.next < (session as u8 + 1) * EACH,
            "a session has more transactions than it can number"
        );
        own.open.push(Xid(own.next));
        own.next += 1;
    }

    /// Releases the innermost savepoint: what it did is now part of what surrounds it.
    pub fn merge(&mut self, session: usize) {
        let own = &mut self.own[session];
        if let [.., outer, inner] = own.open[..] {
            own.open.pop();
            own.merged.push((inner, outer));
        }
    }

    /// The innermost part that is open, and what was merged into it.
    fn innermost(&self, session: usize) -> Vec<Xid> {
        let own = &self.own[session];
        let mut parts: Vec<Xid> = own.open.last().copied().into_iter().collect();
        let mut at = 0;
        while let Some(part) = parts.get(at).copied() {
            parts.extend(
                own.merged.iter().filter(|(_, outer)| *outer == part).map(|(inner, _)| *inner),
            );
            at += 1;
        }
        parts
    }

    fn end(&mut self, session: usize, parts: &[Xid], committed: bool) {
        let wrote = parts.iter().any(|part| self.own[session].wrote.has(*part));
        self.ended += u32::from(wrote);
        for part in parts {
            match committed {
                true => self.committed.add(*part),
                false => self.aborted.add(*part),
            }
        }
    }

    /// Rolls the innermost part back; its locks are let go afterwards. The parts it consists of.
    pub fn undo_innermost(&mut self, session: usize) -> Vec<Xid> {
        let parts = self.innermost(session);
        self.end(session, &parts, false);
        self.own[session].open.pop();
        parts
    }

    /// Ends the transaction; its locks are let go afterwards. The parts it consisted of.
    pub fn end_all(&mut self, session: usize, committed: bool) -> Vec<Xid> {
        while self.own[session].open.len() > 1 {
            self.merge(session);
        }
        let parts = self.innermost(session);
        self.end(session, &parts, committed);
        self.own[session].open.clear();
        parts
    }

    pub fn release(&mut self, parts: &[Xid]) {
        parts.iter().for_each(|part| self.released.add(*part));
    }

    /// How many parts are open.
    pub fn depth(&self, session: usize) -> usize {
        self.own[session].open.len()
    }

    /// The transaction of a session, and the innermost part of it.
    pub fn current(&self, session: usize) -> Option<(Xid, Xid)> {
        let open = &self.own[session].open;
        Some((*open.first()?, *open.last()?))
    }

    pub fn command(&self, session: usize) -> u32 {
        self.own[session].command
    }

    pub fn next_command(&mut self, session: usize) {
        self.own[session].command += 1;
    }

    pub fn level(&self, session: usize) -> Level {
        self.own[session].level
    }

    /// The number under which a session writes now.
    pub fn writer(&mut self, session: usize) -> Xid {
        let own = &mut self.own[session];
        let xid = own.open.last().copied().unwrap_or(Xid::BEFORE);
        own.wrote.add(xid);
        xid
    }

    /// A snapshot as of now, `GetLatestSnapshot`.
    pub fn latest(&self, session: usize) -> Snapshot {
        Snapshot { committed: self.committed, command: self.own[session].command }
    }

    /// The snapshot of a statement that begins: at REPEATABLE READ that of the transaction.
    pub fn of_statement(&mut self, session: usize) -> Snapshot {
        let latest = self.latest(session);
        let own = &mut self.own[session];
        match own.level {
            Level::ReadCommitted => latest,
            Level::RepeatableRead => {
                let kept = *own.kept.get_or_insert(latest);
                Snapshot { command: own.command, ..kept }
            }
        }
    }

    pub fn ended(&self) -> u32 {
        self.ended
    }

    pub fn is_committed(&self, xid: Xid) -> bool {
        self.committed.has(xid)
    }

    pub fn is_aborted(&self, xid: Xid) -> bool {
        self.aborted.has(xid)
    }

    pub fn is_released(&self, xid: Xid) -> bool {
        self.released.has(xid)
    }

    pub fn is_running(&self, xid: Xid) -> bool {
        !self.committed.has(xid) && !self.aborted.has(xid)
    }

    /// Whether a transaction is the session's own, and still running.
    pub fn is_own(&self, session: usize, xid: Xid) -> bool {
        xid.session() == session && !self.committed.has(xid) && !self.aborted.has(xid)
    }
}
