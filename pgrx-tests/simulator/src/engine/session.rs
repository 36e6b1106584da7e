//! A session as its code sees it: each step that others can notice is offered to the scheduler first.

use crate::engine::digest::Digest;
use crate::server::{Server, Wait};
use corosensei::Yielder;
use std::cell::RefCell;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::rc::Rc;

/// What a session can do next.
#[derive(Clone, Copy, Debug)]
pub enum Offer {
    /// One step.
    Step,
    /// One that no error comes in the way of.
    SureStep,
    /// Nothing, until this is there.
    Blocked(Wait),
    /// One of so many ways to go on, none of which others notice.
    Choice(u8),
}

/// What the scheduler says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    Go,
    Pick(u8),
    /// A cancel, a timeout, the end of a backend: an ERROR instead of the step.
    Cancel,
    /// 40P01 instead of waiting on.
    Deadlock,
    /// The run is over.
    Abandon,
}

/// Why a statement failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    Cancelled,
    Deadlock,
    /// 40001.
    Serialization,
    /// 23505.
    Duplicate,
    /// An RG error.
    Refused,
}

/// What a protocol's invariants keep, and how they judge.
pub trait Monitor: Hash {
    /// Looks at the server right before a step of a session, whose code up to there has run when its last step was done.
    fn before_step(&mut self, server: &Server, session: usize);
    /// Looks at it after each step of any session.
    fn after_step(&mut self, server: &Server) -> Result<(), String>;
    /// Looks at it once all sessions have ended.
    fn at_end(&self, server: &Server) -> Result<(), String>;
}

/// Everything that sessions share in one run.
pub struct World<M> {
    pub server: Server,
    pub monitor: M,
    /// A hash of what each session has learnt so far: what it does next depends on nothing else.
    pub learnt: Vec<u64>,
    pub violation: Option<String>,
    /// What happened, where somebody wants to read it.
    pub trace: Option<Vec<String>>,
}

impl<M: Monitor> World<M> {
    /// A hash of the state: of two equal ones only one need be followed.
    pub fn digest(&self, seed: u64) -> u64 {
        let mut digest = Digest::new(seed);
        self.server.hash(&mut digest);
        self.monitor.hash(&mut digest);
        self.learnt.hash(&mut digest);
        digest.finish()
    }

    pub fn judge(&mut self, verdict: Result<(), String>) {
        if let (Err(violation), None) = (verdict, &self.violation) {
            self.violation = Some(violation);
        }
    }

    pub fn tell(&mut self, session: usize, what: std::fmt::Arguments) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{}: {what}", session + 1));
        }
    }
}

/// Ends a session's code where the run is over.
struct Abandoned;

/// A session. Its code runs until the next step that others can notice.
pub struct Session<'y, M> {
    pub id: usize,
    pub world: Rc<RefCell<World<M>>>,
    pub yielder: &'y Yielder<Resume, Offer>,
}

impl<M: Monitor> Session<'_, M> {
    /// One step: what it does is done at one moment, and the session learns the answer.
    pub fn step<T: Hash + Debug>(&self, what: &str, act: impl FnOnce(&mut World<M>) -> T) -> T {
        self.resumed(self.yielder.suspend(Offer::Step));
        self.act(what, act)
    }

    /// As [`Session::step`], where Postgres allows no cancel.
    pub fn sure_step<T: Hash + Debug>(
        &self,
        what: &str,
        act: impl FnOnce(&mut World<M>) -> T,
    ) -> T {
        self.resumed(self.yielder.suspend(Offer::SureStep));
        self.act(what, act)
    }

    /// What others do not notice, and what depends on nothing of theirs.
    pub fn aside<T>(&self, act: impl FnOnce(&mut World<M>) -> T) -> T {
        act(&mut self.world.borrow_mut())
    }

    fn act<T: Hash + Debug>(&self, what: &str, act: impl FnOnce(&mut World<M>) -> T) -> T {
        let mut world = self.world.borrow_mut();
        let World { server, monitor, .. } = &mut *world;
        monitor.before_step(server, self.id);
        let answer = act(&mut world);
        self.learn(&mut world, what, &answer);
        let World { server, monitor, .. } = &mut *world;
        let verdict = monitor.after_step(server);
        world.judge(verdict);
        answer
    }

    fn learn<T: Hash + Debug>(&self, world: &mut World<M>, what: &str, answer: &T) {
        world.learnt[self.id] = Digest::of(world.learnt[self.id], &(what, answer));
        world.tell(self.id, format_args!("{what}: {answer:?}"));
    }

    /// Waits for what is not there yet; `done` is done at the moment at which it is.
    pub fn wait<T: Hash + Debug>(
        &self,
        what: &str,
        wait: Wait,
        done: impl FnOnce(&mut World<M>) -> T,
    ) -> Result<T, Failure> {
        self.aside(|world| world.tell(self.id, format_args!("waits for {what}, {wait:?}")));
        match self.yielder.suspend(Offer::Blocked(wait)) {
            Resume::Cancel => Err(self.gave_up(wait, Failure::Cancelled)),
            Resume::Deadlock => Err(self.gave_up(wait, Failure::Deadlock)),
            resume => {
                self.resumed(resume);
                Ok(self.act(what, done))
            }
        }
    }

    fn gave_up(&self, wait: Wait, failure: Failure) -> Failure {
        let mut world = self.world.borrow_mut();
        world.server.stop_waiting(self.id, wait);
        self.learn(&mut world, "gives up", &failure);
        failure
    }

    /// One of several ways to go on.
    pub fn choose(&self, what: &str, ways: u8) -> u8 {
        let Resume::Pick(way) = self.yielder.suspend(Offer::Choice(ways)) else {
            resume_unwind(Box::new(Abandoned));
        };
        self.learn(&mut self.world.borrow_mut(), what, &way);
        way
    }

    fn resumed(&self, resume: Resume) {
        match resume {
            Resume::Go => {}
            Resume::Cancel => {
                self.learn(&mut self.world.borrow_mut(), "an error instead", &());
                self.raise(Failure::Cancelled);
            }
            _ => resume_unwind(Box::new(Abandoned)),
        }
    }

    /// An ERROR, past everything that runs in the statement.
    pub fn raise(&self, failure: Failure) -> ! {
        resume_unwind(Box::new(failure));
    }

    /// Runs something that an ERROR may end.
    pub fn attempt<T>(&self, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|thrown| {
            match thrown.downcast::<Failure>() {
                Ok(failure) => Err(*failure),
                Err(other) => resume_unwind(other),
            }
        })
    }

    /// What the session has learnt does not matter any more: what it does depends on where it stands.
    pub fn forget(&self, stands: impl Hash) {
        self.aside(|world| world.learnt[self.id] = Digest::of(0, &stands));
    }

    /// An invariant that the session itself has to judge.
    pub fn judge(&self, verdict: Result<(), String>) {
        self.aside(|world| world.judge(verdict));
    }
}

/// Whether a session's code has ended because the run is over.
pub fn is_abandoned(thrown: &(dyn std::any::Any + Send)) -> bool {
    thrown.is::<Abandoned>()
}
