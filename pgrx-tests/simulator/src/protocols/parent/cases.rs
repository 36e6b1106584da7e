//! What is tried: two parents, two or three sessions.

use super::answers::ParentSession;
use super::monitor::ParentMonitor;
use super::mutants::Mutant;
use super::script::{run, Statement};
use super::PARENTS;
use crate::engine::explore::Way;
use crate::engine::run::Case;
use crate::protocols::combinations::{scripts, together};
use crate::protocols::{Family, Protocol};
use crate::server::transactions::Level;
use crate::server::Server;
use Statement::*;

/// Two parents, and what sessions do.
#[derive(Clone)]
pub struct Parents {
    pub scripts: Vec<Vec<Statement>>,
    pub level: Level,
    pub cancels: u8,
    pub may_deadlock: bool,
    pub mutant: Option<Mutant>,
}

impl Parents {
    /// Who moves a version himself, or at once, is out of the common order.
    fn new(scripts: Vec<Vec<Statement>>) -> Parents {
        let disorders =
            |statement: &Statement| matches!(statement, Swap(_) | Replace(_) | Immediate);
        let may_deadlock = scripts.iter().flatten().any(disorders);
        Parents { scripts, level: Level::ReadCommitted, cancels: 0, may_deadlock, mutant: None }
    }

    fn cancelled(self) -> Parents {
        Parents { cancels: 1, ..self }
    }

    fn kept_snapshots(self) -> Parents {
        Parents { level: Level::RepeatableRead, ..self }
    }
}

impl Case for Parents {
    type Monitor = ParentMonitor;

    fn name(&self) -> String {
        format!("{:?}, {:?}, {} cancels", self.scripts, self.level, self.cancels)
    }

    fn sessions(&self) -> usize {
        self.scripts.len()
    }

    fn cancels(&self) -> u8 {
        self.cancels
    }

    fn server(&self) -> Server {
        let mut server = Server::new(self.scripts.len());
        server.plant(PARENTS, 1, [1, 0, 0]);
        server.plant(PARENTS, 2, [2, 0, 0]);
        server
    }

    fn monitor(&self) -> ParentMonitor {
        ParentMonitor::new(self.scripts.len())
    }

    fn run(&self, session: &ParentSession) {
        run(self, session, &self.scripts[session.id]);
    }
}

/// The write of a child, undone; a move, undone.
const UNDONE: [Statement; 3] = [Savepoint, Child(1), RollbackTo];
const UNMOVED: [Statement; 3] = [Savepoint, Immediate, RollbackTo];

/// So many of the scripts together, in any combination.
fn crowds(scripts: &[Vec<Statement>], sessions: usize) -> Vec<Parents> {
    together(scripts, sessions).into_iter().map(Parents::new).collect()
}

/// A parent that is put again in so many transactions.
fn replaced(times: usize) -> Vec<Statement> {
    [Replace(1), End].repeat(times)
}

/// The smallest case in which something wrong shows.
fn shown_by(mutant: Mutant) -> Parents {
    let one = vec![Child(1), End];
    Parents::new(match mutant {
        Mutant::InAnyOrder => vec![vec![Child(1), Child(2), End], vec![Child(2), Child(1), End]],
        Mutant::MovesTwice => vec![vec![Swap(1), Child(1), End]],
        Mutant::OneTry => vec![one.clone(), one],
        Mutant::NeverLocks => vec![one, replaced(4)],
        Mutant::ForgetsUndone => vec![[&[Child(1)][..], &UNMOVED, &[End]].concat()],
        Mutant::NotesUndone => vec![[&UNDONE[..], &[End]].concat()],
        Mutant::EachRow => vec![vec![Child(1), Child(1), End]],
        Mutant::AfterCommit => vec![one],
    })
}

impl Protocol for Parents {
    type Mutant = Mutant;

    const NAME: &'static str = "parent version";

    fn families() -> Vec<Family<Parents>> {
        let (one, other, swap) = (&[Child(1)][..], &[Child(2)][..], &[Swap(1)][..]);
        let threes = scripts(&[one, other, swap], 3, End);
        let twos = scripts(&[one, other, swap, &UNDONE, &UNMOVED], 2, End);
        let simple = scripts(&[one, other], 2, End);
        let all = |name, cases| Family { name, way: Way::All, cases };
        let kept = crowds(&twos, 2).into_iter().map(Parents::kept_snapshots).collect();
        let cancelled = crowds(&twos, 2).into_iter().map(Parents::cancelled).collect();
        vec![
            all("2 sessions, 3 statements", crowds(&threes, 2)),
            all("3 sessions, 2 statements", crowds(&simple, 3)),
            all("2 sessions, 2 statements, kept snapshots", kept),
            all(
                "parents put again",
                vec![
                    Parents::new(vec![vec![Child(1), End], replaced(4)]),
                    Parents::new(vec![vec![Child(1), End], replaced(2), vec![Child(1), End]]),
                    Parents::new(vec![vec![Child(1), Child(2), End], replaced(2)]).cancelled(),
                ],
            ),
            all("2 sessions, 2 statements, an error anywhere", cancelled),
        ]
    }

    fn mutants() -> &'static [Mutant] {
        Mutant::ALL
    }

    fn shown_by(mutant: Mutant) -> Vec<Parents> {
        vec![shown_by(mutant)]
    }

    fn with(self, mutant: Mutant) -> Parents {
        Parents { mutant: Some(mutant), ..self }
    }
}
