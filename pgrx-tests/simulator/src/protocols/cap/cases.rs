//! What is tried: few slots, few rows, two or three sessions.

use super::answers::CapSession;
use super::monitor::CapMonitor;
use super::mutants::Mutant;
use super::script::{run, Statement};
use super::TABLE;
use crate::cap::protocol::Fill;
use crate::engine::explore::Way;
use crate::engine::run::Case;
use crate::protocols::combinations::{scripts, together};
use crate::protocols::{Family, Protocol};
use crate::server::transactions::Level;
use crate::server::Server;
use Statement::*;

/// A cap, the rows that stand under it, and what sessions do.
#[derive(Clone)]
pub struct Cap {
    pub slots: i64,
    pub fill: Fill,
    /// Keys and slots; row `10 * key + slot` is the one there.
    pub standing: Vec<(i64, i64)>,
    pub scripts: Vec<Vec<Statement>>,
    pub levels: Vec<Level>,
    pub cancels: u8,
    /// After how many slots a transaction locks the whole table.
    pub limit: Option<usize>,
    /// Whether sessions remember how far keys are filled, which then matters from one transaction to the next.
    pub remembered: bool,
    pub may_deadlock: bool,
    pub mutant: Option<Mutant>,
}

impl Cap {
    fn new(slots: i64, scripts: Vec<Vec<Statement>>) -> Cap {
        Cap {
            slots,
            fill: Fill::Lowest,
            standing: Vec::new(),
            levels: vec![Level::ReadCommitted; scripts.len()],
            scripts,
            cancels: 0,
            limit: None,
            remembered: false,
            may_deadlock: false,
            mutant: None,
        }
    }

    fn standing(self, standing: &[(i64, i64)]) -> Cap {
        Cap { standing: standing.to_vec(), ..self }
    }

    fn kept_snapshots(self) -> Cap {
        Cap { levels: vec![Level::RepeatableRead; self.scripts.len()], ..self }
    }

    fn cancelled(self) -> Cap {
        Cap { cancels: 1, ..self }
    }

    fn remembering(self) -> Cap {
        Cap { remembered: true, ..self }
    }

    fn appending(self) -> Cap {
        Cap { fill: Fill::Append, ..self }
    }

    fn limited(self, limit: usize) -> Cap {
        Cap { limit: Some(limit), ..self }
    }

    fn may_deadlock(self) -> Cap {
        Cap { may_deadlock: true, ..self }
    }

    pub fn level(&self, session: usize) -> Level {
        self.levels[session]
    }

    pub fn remembers(&self) -> bool {
        self.remembered
    }

    /// Whether it matters when a statement's snapshot is taken.
    pub fn snapshots(&self) -> bool {
        self.levels.contains(&Level::RepeatableRead)
            || self.mutant == Some(Mutant::StatementSnapshot)
    }
}

impl Case for Cap {
    type Monitor = CapMonitor;

    fn name(&self) -> String {
        let Cap { slots, standing, scripts, levels, cancels, limit, .. } = self;
        format!("{slots} slots, {standing:?}, {scripts:?}, {levels:?}, {cancels} cancels, limit {limit:?}")
    }

    fn sessions(&self) -> usize {
        self.scripts.len()
    }

    fn cancels(&self) -> u8 {
        self.cancels
    }

    fn server(&self) -> Server {
        let mut server = Server::new(self.scripts.len());
        for (key, slot) in &self.standing {
            server.plant(TABLE, (key * 10 + slot) as u16, [*key, *slot, 0]);
        }
        server
    }

    fn monitor(&self) -> CapMonitor {
        CapMonitor::new(self.slots, vec![1, 2], self.scripts.len())
    }

    fn run(&self, session: &CapSession) {
        run(self, session, &self.scripts[session.id]);
    }
}

/// The insert of a row, rolled back to a savepoint.
const UNDONE: [Statement; 3] = [Savepoint, Insert(1, 1), RollbackTo];

/// So many of the scripts together, where one of them needs a slot.
fn crowds(scripts: &[Vec<Statement>], sessions: usize) -> Vec<Vec<Vec<Statement>>> {
    let needs = |s: &Statement| matches!(s, Insert(..) | Move(..));
    let mut all = together(scripts, sessions);
    all.retain(|scripts| scripts.iter().flatten().any(needs));
    all
}

/// Two sessions with three statements, and three with two, every order of steps.
fn exhaustive() -> Vec<Family<Cap>> {
    let (insert, delete, touch) = (&[Insert(1, 1)][..], &[Delete(11)][..], &[Touch(11)][..]);
    let (arrive, undone) = (&[Move(21, 1)][..], &UNDONE[..]);
    let pair = |scripts| Cap::new(2, scripts).standing(&[(1, 1), (2, 1)]).may_deadlock();
    let errors = crowds(&scripts(&[insert, delete, touch], 3, End), 2);
    let undone = crowds(&scripts(&[insert, delete, undone], 2, End), 2);
    let threes = crowds(&scripts(&[insert, delete, touch, arrive], 3, End), 2);
    let trios = crowds(&scripts(&[insert, delete], 2, End), 3);
    let all = |name, scripts: Vec<Vec<Vec<Statement>>>, case: &dyn Fn(Cap) -> Cap| {
        let cases = scripts.into_iter().map(|scripts| case(pair(scripts))).collect();
        Family { name, way: Way::All, cases }
    };
    vec![
        all("2 sessions, 3 statements", threes, &|case| case),
        all("3 sessions, 2 statements", trios, &|case| case),
        all("2 sessions, 3 statements, an error anywhere", errors, &Cap::cancelled),
        all("2 sessions, 2 statements, savepoints", undone.clone(), &|case| case),
        all("2 sessions, 2 statements, kept snapshots", undone, &Cap::kept_snapshots),
        Family { name: "one case for each danger", way: Way::All, cases: dangers() },
    ]
}

fn one() -> Vec<Statement> {
    vec![Insert(1, 1), End]
}

fn rows(rows: u8) -> Vec<Statement> {
    vec![Insert(1, rows), End]
}

fn leaver() -> Cap {
    Cap::new(1, vec![vec![Delete(11), End], one(), one()]).standing(&[(1, 1)])
}

fn bulk() -> Cap {
    Cap::new(3, vec![rows(3), one()]).may_deadlock().remembering()
}

fn limited() -> Cap {
    Cap::new(2, vec![vec![Insert(1, 1), Insert(1, 1), End], one()]).limited(1).may_deadlock()
}

fn touched() -> Cap {
    Cap::new(2, vec![vec![Touch(11), Delete(11), End], vec![Insert(1, 2), End]]).standing(&[(1, 1)])
}

/// Small cases, each for something that can go wrong.
fn dangers() -> Vec<Cap> {
    let last = Cap::new(1, vec![one(); 3]);
    let undone = [&UNDONE[..], &[End]].concat();
    let merged = vec![Savepoint, Insert(1, 1), ReleaseSavepoint, End];
    let there_and_back = vec![Delete(11), Insert(1, 1), End];
    vec![
        last.clone().cancelled(),
        last.kept_snapshots(),
        leaver().cancelled(),
        leaver().kept_snapshots(),
        Cap::new(1, vec![vec![Move(11, 2), End], one()]).standing(&[(1, 1)]).cancelled(),
        Cap::new(1, vec![undone, one()]).cancelled(),
        Cap::new(1, vec![merged, one()]).cancelled(),
        bulk(),
        Cap::new(3, vec![rows(3), vec![Delete(11), End]]).standing(&[(1, 1)]).remembering(),
        Cap::new(3, vec![one(), there_and_back]).standing(&[(1, 1), (1, 2)]).remembering(),
        Cap::new(2, vec![rows(2), vec![Delete(11), End]]).standing(&[(1, 1)]).appending(),
        Cap::new(2, vec![vec![InsertAt(1, 1), End], one(), one()]),
        limited(),
        touched(),
    ]
}

/// The smallest case in which something wrong shows.
fn shown_by(mutant: Mutant) -> Cap {
    use Mutant::*;
    let two = |slots| Cap::new(slots, vec![one(), one()]);
    match mutant {
        NoSecondLook | AlwaysCurrent | NoReservation | KeepsUseless | ReleasesFirst => two(2),
        SeesArrivals | Unrefused => two(1),
        NoDirtyLook => leaver(),
        NeverWaits => Cap::new(1, vec![vec![Delete(11), End], one()]).standing(&[(1, 1)]),
        StatementSnapshot => two(2).kept_snapshots(),
        CommandNotRaised | SpareForEver => bulk(),
        DirtyPass => Cap::new(2, vec![vec![Touch(11), End], one()]).standing(&[(1, 1)]),
        GoingCounts => touched(),
        NoTableLock | EscalatesUnlocked => limited(),
    }
}

/// Larger ones, of whose ways only some can be tried.
fn sampled() -> Vec<Family<Cap>> {
    let busy = vec![
        Insert(1, 1),
        Delete(11),
        Insert(1, 2),
        End,
        Touch(12),
        Savepoint,
        Insert(1, 1),
        RollbackTo,
        End,
    ];
    let other = vec![Delete(12), Insert(1, 1), End, Move(21, 1), Insert(1, 1), End];
    let scripts = vec![busy.clone(), other.clone(), busy, other];
    let case = Cap::new(3, scripts).standing(&[(1, 1), (1, 2), (2, 1)]).may_deadlock().cancelled();
    let cases = vec![
        case.clone(),
        case.clone().kept_snapshots(),
        case.clone().remembering(),
        case.appending(),
    ];
    vec![
        Family { name: "4 sessions at random", way: Way::Random(3_000), cases: cases.clone() },
        Family { name: "4 sessions by priority", way: Way::ByPriority(3_000, 3, 200), cases },
    ]
}

impl Protocol for Cap {
    type Mutant = Mutant;

    const NAME: &'static str = "cap";

    fn families() -> Vec<Family<Cap>> {
        exhaustive().into_iter().chain(sampled()).collect()
    }

    fn mutants() -> &'static [Mutant] {
        Mutant::ALL
    }

    fn shown_by(mutant: Mutant) -> Vec<Cap> {
        vec![shown_by(mutant)]
    }

    fn with(self, mutant: Mutant) -> Cap {
        Cap { mutant: Some(mutant), ..self }
    }
}
