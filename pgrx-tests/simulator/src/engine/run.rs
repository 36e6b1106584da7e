//! One run: the sessions of a case step by step, in the order that a chooser says.

use crate::engine::session::{is_abandoned, Monitor, Offer, Resume, Session, World};
use crate::server::Server;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use std::cell::RefCell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::rc::Rc;

/// What sessions do, and from where they begin.
pub trait Case: 'static {
    type Monitor: Monitor + 'static;

    fn name(&self) -> String;
    fn sessions(&self) -> usize;
    /// How many errors come out of the blue in one run, at most.
    fn cancels(&self) -> u8;
    fn server(&self) -> Server;
    fn monitor(&self) -> Self::Monitor;
    /// What a session does.
    fn run(&self, session: &Session<Self::Monitor>);
}

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next {
    pub session: usize,
    pub resume: Resume,
}

/// Takes the next step of a run, or ends it.
pub trait Chooser<M> {
    fn choose(&mut self, options: &[Next], seed: u64, world: &World<M>) -> Option<usize>;
}

/// How a run ended.
pub enum Outcome {
    /// All sessions have ended, or the chooser has seen enough.
    Fine,
    Violation {
        what: String,
        trace: Vec<String>,
    },
}

/// More steps than any run that ends has.
const STEPS: usize = 500;

type Running = Coroutine<Resume, Offer, (), DefaultStack>;

/// Runs cases, on stacks that it keeps.
#[derive(Default)]
pub struct Runner {
    stacks: Vec<DefaultStack>,
    pub steps: u64,
}

impl Runner {
    fn start<C: Case>(
        &mut self,
        case: &Rc<C>,
        id: usize,
        world: &Rc<RefCell<World<C::Monitor>>>,
    ) -> std::io::Result<Running> {
        let stack = match self.stacks.pop() {
            Some(stack) => stack,
            None => DefaultStack::new(256 * 1024)?,
        };
        let (case, world) = (Rc::clone(case), Rc::clone(world));
        Ok(Coroutine::with_stack(stack, move |yielder, resume| {
            if resume != Resume::Go {
                return;
            }
            let session = Session { id, world, yielder };
            if let Err(thrown) = catch_unwind(AssertUnwindSafe(|| case.run(&session)))
                && !is_abandoned(&*thrown)
            {
                resume_unwind(thrown);
            }
        }))
    }

    /// One run from the beginning.
    pub fn run<C: Case>(
        &mut self,
        case: &Rc<C>,
        chooser: &mut impl Chooser<C::Monitor>,
        traced: bool,
    ) -> std::io::Result<Outcome> {
        let sessions = case.sessions();
        let world = Rc::new(RefCell::new(World {
            server: case.server(),
            monitor: case.monitor(),
            learnt: vec![0; sessions],
            violation: None,
            trace: traced.then(Vec::new),
        }));
        let mut running = Vec::new();
        let mut offers = Vec::new();
        for id in 0..sessions {
            let mut session = self.start(case, id, &world)?;
            offers.push(session.resume(Resume::Go).as_yield());
            running.push(session);
        }
        let violation = self.steps(&world, &mut running, &mut offers, case.cancels(), chooser);
        for (session, offer) in running.iter_mut().zip(&offers) {
            if offer.is_some() {
                while session.resume(Resume::Abandon).as_yield().is_some() {}
            }
        }
        self.stacks.extend(running.into_iter().map(Coroutine::into_stack));
        let trace = world.borrow_mut().trace.take().unwrap_or_default();
        Ok(violation.map_or(Outcome::Fine, |what| Outcome::Violation { what, trace }))
    }

    fn steps<M: Monitor>(
        &mut self,
        world: &Rc<RefCell<World<M>>>,
        running: &mut [Running],
        offers: &mut [Option<Offer>],
        mut cancels: u8,
        chooser: &mut impl Chooser<M>,
    ) -> Option<String> {
        let mut options = Vec::new();
        for _ in 0..STEPS {
            if let Some(violation) = world.borrow_mut().violation.take() {
                return Some(violation);
            }
            let chosen = {
                let world = world.borrow();
                list(&world.server, offers, cancels, &mut options);
                if options.is_empty() {
                    return match offers.iter().any(Option::is_some) {
                        true => Some("a session waits for what never comes".to_owned()),
                        false => world.monitor.at_end(&world.server).err(),
                    };
                }
                options[chooser.choose(&options, cancels.into(), &world)?]
            };
            cancels -= u8::from(chosen.resume == Resume::Cancel);
            self.steps += 1;
            offers[chosen.session] = match running[chosen.session].resume(chosen.resume) {
                CoroutineResult::Yield(offer) => Some(offer),
                CoroutineResult::Return(()) => None,
            };
        }
        Some(format!("no end after {STEPS} steps"))
    }
}

/// What can happen next. A choice that others do not notice is made before anything else.
fn list(server: &Server, offers: &[Option<Offer>], cancels: u8, options: &mut Vec<Next>) {
    options.clear();
    for (session, offer) in offers.iter().enumerate() {
        if let Some(Offer::Choice(ways)) = offer {
            options.extend((0..*ways).map(|way| Next { session, resume: Resume::Pick(way) }));
            return;
        }
    }
    for (session, offer) in offers.iter().enumerate() {
        let resume = match offer {
            None => continue,
            Some(Offer::Blocked(wait)) if !server.is_there(session, *wait) => {
                match server.is_in_a_circle(session, offers) {
                    true => Some(Resume::Deadlock),
                    false => None,
                }
            }
            Some(_) => Some(Resume::Go),
        };
        options.extend(resume.map(|resume| Next { session, resume }));
        if cancels > 0 && !matches!(offer, Some(Offer::SureStep)) {
            options.push(Next { session, resume: Resume::Cancel });
        }
    }
}
