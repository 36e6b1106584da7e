//! What is tried: two keys, a few rows, two or three sessions.

use super::answers::KeySession;
use super::monitor::KeyMonitor;
use super::mutants::Mutant;
use super::script::{run, Statement};
use super::TABLE;
use crate::engine::explore::Way;
use crate::engine::run::Case;
use crate::protocols::combinations::{scripts, together};
use crate::protocols::{Family, Protocol};
use crate::server::Server;
use Statement::*;

/// A table with a key lock, the rows that stand in it, and what sessions do.
#[derive(Clone)]
pub struct KeyLock {
    /// Rows and their keys.
    pub standing: Vec<(u16, i64)>,
    pub scripts: Vec<Vec<Statement>>,
    pub cancels: u8,
    /// After how many single locks a transaction locks the whole table; 0 as if others of its tables had used them up.
    pub limit: i32,
    pub namespace: Option<i32>,
    /// Whether it matters what a session remembers from one transaction to the next.
    pub remembered: bool,
    pub may_deadlock: bool,
    pub mutant: Option<Mutant>,
}

impl KeyLock {
    fn new(scripts: Vec<Vec<Statement>>) -> KeyLock {
        KeyLock {
            standing: Vec::new(),
            scripts,
            cancels: 0,
            limit: 64,
            namespace: None,
            remembered: false,
            may_deadlock: false,
            mutant: None,
        }
    }

    fn standing(self, standing: &[(u16, i64)]) -> KeyLock {
        KeyLock { standing: standing.to_vec(), ..self }
    }

    fn cancelled(self) -> KeyLock {
        KeyLock { cancels: 1, ..self }
    }

    fn limited(self, limit: i32) -> KeyLock {
        KeyLock { limit, ..self }
    }

    fn in_namespace(self) -> KeyLock {
        KeyLock { namespace: Some(7), ..self }
    }

    fn remembering(self) -> KeyLock {
        KeyLock { remembered: true, ..self }
    }

    fn may_deadlock(self) -> KeyLock {
        KeyLock { may_deadlock: true, ..self }
    }

    fn does(&self, what: impl Fn(&Statement) -> bool) -> bool {
        self.scripts.iter().flatten().any(what)
    }
}

impl Case for KeyLock {
    type Monitor = KeyMonitor;

    fn name(&self) -> String {
        let KeyLock { standing, scripts, cancels, limit, namespace, .. } = self;
        format!(
            "{standing:?}, {scripts:?}, {cancels} cancels, limit {limit}, namespace {namespace:?}"
        )
    }

    fn sessions(&self) -> usize {
        self.scripts.len()
    }

    fn cancels(&self) -> u8 {
        self.cancels
    }

    fn server(&self) -> Server {
        let mut server = Server::new(self.scripts.len());
        for (row, key) in &self.standing {
            server.plant(TABLE, *row, [*key, 0, 0]);
        }
        server
    }

    /// An upsert counts nothing. A try past the limit takes one more lock rather than wait, and a namespace has no limit.
    fn monitor(&self) -> KeyMonitor {
        let counts = !self.does(|s| matches!(s, Upsert(..)));
        let limits = self.namespace.is_none() && !self.does(|s| matches!(s, TryLock(_)));
        KeyMonitor::new(self.scripts.len(), counts, limits.then_some(self.limit as usize))
    }

    fn run(&self, session: &KeySession) {
        run(self, session, &self.scripts[session.id]);
    }
}

/// So many of the scripts together, in any combination.
fn crowds(scripts: &[Vec<Statement>], sessions: usize) -> Vec<KeyLock> {
    together(scripts, sessions).into_iter().map(KeyLock::new).collect()
}

/// A lock that a rollback to a savepoint lets go of, and one that it does not.
const UNDONE: [Statement; 3] = [Savepoint, Lock(1), RollbackTo];
const MERGED: [Statement; 3] = [Savepoint, Lock(2), ReleaseSavepoint];

fn exhaustive() -> Vec<Family<KeyLock>> {
    let (insert, delete, arrive) = (&[InsertIfNone(1)][..], &[Delete(12)][..], &[Move(12, 1)][..]);
    let (one, two, undone, merged) = (&[Lock(1)][..], &[Lock(2)][..], &UNDONE[..], &MERGED[..]);
    let (many, all, attempt) = (&[LockMany(&[2, 1])][..], &[LockWhole][..], &[TryLock(1)][..]);
    let seen = &[Observe(1)][..];
    let (away, upsert, touch) = (&[Move(11, 2)][..], &[Upsert(11, 2)][..], &[Touch(11)][..]);
    let threes = crowds(&scripts(&[insert, delete, arrive], 3, End), 2);
    let trios = crowds(&scripts(&[insert, arrive], 2, End), 3);
    let locks = crowds(&scripts(&[one, two, undone, merged], 3, End), 2);
    let calls = crowds(&scripts(&[one, two, many, all, attempt, seen], 2, End), 2);
    let parts = crowds(&scripts(&[insert, two, undone, merged], 2, End), 2);
    let ordered = crowds(&scripts(&[arrive, away, many, insert], 1, End), 3);
    let upserts = crowds(&scripts(&[upsert, touch, delete], 2, End), 2);
    let family = |name, cases: Vec<KeyLock>, with: &dyn Fn(KeyLock) -> KeyLock| {
        let standing = |case: KeyLock| with(case.standing(&[(12, 2)]));
        Family { name, way: Way::All, cases: cases.into_iter().map(standing).collect() }
    };
    let at = |limit| move |case: KeyLock| case.limited(limit).may_deadlock();
    let two_rows = |case: KeyLock| case.standing(&[(11, 1), (12, 2)]);
    vec![
        family("2 sessions, 3 statements", threes.clone(), &KeyLock::may_deadlock),
        family("2 sessions, 3 statements, a limit of 1", threes, &at(1)),
        family("3 sessions, 2 statements", trios, &KeyLock::may_deadlock),
        family("2 sessions, 3 locks, savepoints", locks.clone(), &KeyLock::may_deadlock),
        family("2 sessions, 3 locks, savepoints, a limit of 0", locks.clone(), &at(0)),
        family("2 sessions, 3 locks, savepoints, a limit of 1", locks.clone(), &at(1)),
        family("2 sessions, 3 locks, savepoints, a namespace", locks, &|case| {
            case.in_namespace().may_deadlock()
        }),
        family("2 sessions, 2 calls, an error anywhere", calls, &|case| at(1)(case).cancelled()),
        family("2 sessions, 2 statements, savepoints, an error anywhere", parts, &|case| {
            at(1)(case).cancelled()
        }),
        family("3 sessions, 1 statement, in order", ordered.clone(), &two_rows),
        family("3 sessions, 1 statement, in order, an error anywhere", ordered, &|case| {
            two_rows(case).cancelled()
        }),
        family("2 sessions, 2 statements, upserts", upserts, &|case| two_rows(case).may_deadlock()),
        Family { name: "one case for each danger", way: Way::All, cases: dangers() },
    ]
}

fn one(statement: Statement) -> Vec<Statement> {
    vec![statement, End]
}

fn inserts() -> KeyLock {
    KeyLock::new(vec![one(InsertIfNone(1)), one(InsertIfNone(1))])
}

/// The locks that a transaction may have are used up in other tables.
fn beyond() -> KeyLock {
    inserts().limited(0)
}

/// One goes past the limit, the other does not.
fn past_the_limit() -> KeyLock {
    let bulk = vec![Lock(2), InsertIfNone(1), End];
    KeyLock::new(vec![bulk, one(InsertIfNone(1))]).limited(1).may_deadlock()
}

/// Both know that they go past the limit.
fn lists() -> KeyLock {
    KeyLock::new(vec![one(LockMany(&[1, 2, 3])), one(LockMany(&[4, 5, 6]))]).limited(2)
}

fn undone() -> KeyLock {
    let script = [&UNDONE[..], &[InsertIfNone(1), End]].concat();
    KeyLock::new(vec![script, one(InsertIfNone(1))])
}

/// The table's lock is let go too.
fn undone_beside_whole() -> KeyLock {
    let scripts = vec![undone().scripts.swap_remove(0), one(LockWhole)];
    KeyLock::new(scripts)
}

fn again() -> KeyLock {
    let script = vec![Lock(1), End, InsertIfNone(1), End];
    KeyLock::new(vec![script, one(InsertIfNone(1))]).remembering()
}

fn crossing() -> KeyLock {
    KeyLock::new(vec![one(Move(11, 2)), one(Move(12, 1))]).standing(&[(11, 1), (12, 2)])
}

/// A row leaves the key of another.
fn leaver() -> KeyLock {
    KeyLock::new(vec![one(Move(11, 2)), one(InsertIfNone(1))]).standing(&[(11, 1)])
}

fn crossing_lists() -> KeyLock {
    KeyLock::new(vec![one(LockMany(&[1, 2])), one(LockMany(&[2, 1]))])
}

fn upsert_and_update() -> KeyLock {
    KeyLock::new(vec![one(Upsert(11, 1)), one(Touch(11))]).standing(&[(11, 1)])
}

/// The row comes into the way of the second upsert while that waits for the key, and a third session writes it.
fn late_row() -> KeyLock {
    KeyLock::new(vec![one(Upsert(11, 1)), one(Upsert(11, 1)), one(Touch(11))])
}

/// The same, where the third wants the whole table once it has the row.
fn late_row_past_the_limit() -> KeyLock {
    let mut scripts = late_row().scripts;
    scripts[2] = vec![Lock(2), Touch(11), End];
    KeyLock::new(scripts).limited(1)
}

/// Small cases, each for something that can go wrong.
fn dangers() -> Vec<KeyLock> {
    let mixed = KeyLock::new(vec![one(LockMany(&[1, 2, 3])), one(LockWhole), one(InsertIfNone(1))]);
    let whole = vec![Lock(1), Lock(2), End, InsertIfNone(1), End];
    let whole = KeyLock::new(vec![whole, one(InsertIfNone(1))]).remembering();
    let seen = [&UNDONE[..], &[Observe(2), InsertIfNone(1), End]].concat();
    let tries = vec![TryLock(1), InsertIfNone(2), End];
    vec![
        inserts().cancelled(),
        beyond().cancelled(),
        past_the_limit().cancelled(),
        lists().cancelled(),
        mixed.limited(2).cancelled(),
        undone().cancelled(),
        undone().limited(1).may_deadlock(),
        undone_beside_whole().cancelled(),
        KeyLock::new(vec![seen, vec![Lock(2), InsertIfNone(1), End]]),
        again().cancelled(),
        again().in_namespace(),
        again().limited(0),
        whole.limited(0).cancelled(),
        crossing().cancelled(),
        crossing().in_namespace(),
        crossing_lists().in_namespace(),
        leaver().cancelled(),
        KeyLock::new(vec![tries, one(LockWhole), one(InsertIfNone(1))]).limited(0).may_deadlock(),
        upsert_and_update().cancelled(),
        upsert_and_update().in_namespace(),
        late_row(),
        late_row().in_namespace(),
        late_row().limited(0).may_deadlock(),
        late_row_past_the_limit(),
    ]
}

/// The smallest case in which something wrong shows.
fn shown_by(mutant: Mutant) -> KeyLock {
    use Mutant::*;
    match mutant {
        NoTableLock | EscalatesUnlocked | Uncounted => past_the_limit(),
        EscalatesMidway => lists(),
        SharesFirst => beyond(),
        OneSubtransaction => undone(),
        OneTransaction => again(),
        OldKeyFirst => crossing(),
        NewKeyOnly => leaver(),
        AsGiven => crossing_lists(),
        KeyBeforeRow => upsert_and_update(),
        NothingEnds | KeepsTrial => late_row(),
        SnapshotFirst | ReleasesFirst => inserts(),
    }
}

/// Larger ones, of whose ways only some can be tried.
fn sampled() -> Vec<Family<KeyLock>> {
    let busy = vec![
        InsertIfNone(1),
        Savepoint,
        Move(12, 1),
        RollbackTo,
        TryLock(2),
        InsertIfNone(2),
        End,
        LockMany(&[3, 2, 1]),
        Delete(12),
        End,
    ];
    let other = vec![Move(12, 1), End, Savepoint, Lock(2), RollbackTo, InsertIfNone(2), End];
    let scripts = vec![busy.clone(), other.clone(), busy, other];
    let case = KeyLock::new(scripts).standing(&[(12, 2)]).may_deadlock().cancelled().remembering();
    let cases = vec![case.clone(), case.clone().limited(1), case.limited(2)];
    vec![
        Family { name: "4 sessions at random", way: Way::Random(3_000), cases: cases.clone() },
        Family { name: "4 sessions by priority", way: Way::ByPriority(3_000, 3, 200), cases },
    ]
}

impl Protocol for KeyLock {
    type Mutant = Mutant;

    const NAME: &'static str = "key lock";

    fn families() -> Vec<Family<KeyLock>> {
        exhaustive().into_iter().chain(sampled()).collect()
    }

    fn mutants() -> &'static [Mutant] {
        Mutant::ALL
    }

    fn shown_by(mutant: Mutant) -> Vec<KeyLock> {
        vec![shown_by(mutant)]
    }

    fn with(self, mutant: Mutant) -> KeyLock {
        KeyLock { mutant: Some(mutant), ..self }
    }
}
