//! The ways through a case: all of them, each state once; or some, by chance.

use crate::engine::digest::Digest;
use crate::engine::run::{Case, Chooser, Next, Outcome, Runner};
use crate::engine::session::{Monitor, World};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::rc::Rc;

/// What was tried.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    pub runs: u64,
    pub states: u64,
    pub steps: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.runs += other.runs;
        self.states += other.states;
        self.steps += other.steps;
    }
}

/// A run that broke an invariant.
pub struct Broken {
    pub what: String,
    pub trace: Vec<String>,
}

impl Broken {
    fn of(again: Outcome) -> Broken {
        match again {
            Outcome::Violation { what, trace } => Broken { what, trace },
            // What happens depends on nothing but the order of steps.
            Outcome::Fine => {
                Broken { what: "the same steps went otherwise".to_owned(), trace: Vec::new() }
            }
        }
    }
}

/// States are hashed already.
#[derive(Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Follows the way that was taken last, with another end.
#[derive(Default)]
struct DepthFirst {
    /// What was chosen, of how many.
    way: Vec<(usize, usize)>,
    at: usize,
    seen: HashSet<u64, BuildHasherDefault<AsItIs>>,
}

impl DepthFirst {
    /// On to the next way; `false` after the last.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, options)) = self.way.pop() {
            if chosen + 1 < options {
                self.way.push((chosen + 1, options));
                return true;
            }
        }
        false
    }
}

impl<M: Monitor> Chooser<M> for DepthFirst {
    fn choose(&mut self, options: &[Next], seed: u64, world: &World<M>) -> Option<usize> {
        let known = self.way.get(self.at).map(|(chosen, _)| *chosen);
        self.at += 1;
        if known.is_some() {
            return known;
        }
        // Where there is one way only, nothing is decided.
        if options.len() > 1 && !self.seen.insert(world.digest(seed)) {
            return None;
        }
        self.way.push((0, options.len()));
        Some(0)
    }
}

/// Tries every order of steps.
fn explore<C: Case>(case: &Rc<C>) -> io::Result<(Tally, Option<Broken>)> {
    let (mut runner, mut depth_first) = (Runner::default(), DepthFirst::default());
    let mut tally = Tally::default();
    let mut broken = None;
    loop {
        tally.runs += 1;
        let outcome = runner.run(case, &mut depth_first, false)?;
        if let Outcome::Violation { .. } = outcome {
            // Once more, to be read.
            depth_first.at = 0;
            broken = Some(Broken::of(runner.run(case, &mut depth_first, true)?));
            break;
        }
        if !depth_first.next() {
            break;
        }
    }
    tally.states = depth_first.seen.len() as u64;
    tally.steps = runner.steps;
    Ok((tally, broken))
}

/// Numbers that a seed determines.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(Digest::of(seed, &"chance"))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = Digest::of(self.0, &());
        ((u128::from(mixed) * bound as u128) >> 64) as usize
    }
}

/// Any step, each as likely.
struct Random(Chance);

impl<M> Chooser<M> for Random {
    fn choose(&mut self, options: &[Next], _: u64, _: &World<M>) -> Option<usize> {
        Some(self.0.below(options.len()))
    }
}

/// Probabilistic concurrency testing: the session with the highest priority goes on, and loses it at a few moments.
/// Finds what needs few changes of session, however many steps lie between them (Burckhardt et al., ASPLOS 2010).
struct ByPriority {
    chance: Chance,
    priorities: Vec<usize>,
    /// At which steps the running session goes to the end of the queue.
    changes: Vec<usize>,
    step: usize,
}

impl<M> Chooser<M> for ByPriority {
    fn choose(&mut self, options: &[Next], _: u64, _: &World<M>) -> Option<usize> {
        self.step += 1;
        let first = self.priorities.iter().position(|s| options.iter().any(|o| o.session == *s))?;
        if self.changes.contains(&self.step) {
            let session = self.priorities.remove(first);
            self.priorities.push(session);
        }
        let running =
            self.priorities.iter().find(|s| options.iter().any(|o| o.session == **s)).copied()?;
        let own: Vec<usize> =
            (0..options.len()).filter(|i| options[*i].session == running).collect();
        // An error out of the blue is rare.
        let which = match own.len() {
            2 if self.chance.below(20) > 0 => 0,
            ways => self.chance.below(ways),
        };
        Some(own[which])
    }
}

/// Which ways through a case are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    All,
    /// So many, by chance.
    Random(u64),
    /// So many, with so many changes of priority in so many steps.
    ByPriority(u64, usize, usize),
}

/// Tries the ways through a case; chance goes by the seed.
pub fn try_ways<C: Case>(case: &Rc<C>, way: Way, seed: u64) -> io::Result<(Tally, Option<Broken>)> {
    match way {
        Way::All => explore(case),
        Way::Random(runs) => sample(case, runs, seed, Random),
        Way::ByPriority(runs, changes, steps) => sample(case, runs, seed, |mut chance| {
            let mut priorities: Vec<usize> = (0..case.sessions()).collect();
            for i in (1..priorities.len()).rev() {
                priorities.swap(i, chance.below(i + 1));
            }
            let changes = (0..changes).map(|_| 1 + chance.below(steps)).collect();
            ByPriority { chance, priorities, changes, step: 0 }
        }),
    }
}

fn sample<C: Case, P: Chooser<C::Monitor>>(
    case: &Rc<C>,
    runs: u64,
    seed: u64,
    chooser: impl Fn(Chance) -> P,
) -> io::Result<(Tally, Option<Broken>)> {
    let mut runner = Runner::default();
    for number in 0..runs {
        let chance = || Chance::new(Digest::of(seed, &number));
        let tally = |runner: &Runner| Tally { runs: number + 1, states: 0, steps: runner.steps };
        if let Outcome::Violation { .. } = runner.run(case, &mut chooser(chance()), false)? {
            let again = runner.run(case, &mut chooser(chance()), true)?;
            return Ok((tally(&runner), Some(Broken::of(again))));
        }
    }
    Ok((Tally { runs, states: 0, steps: runner.steps }, None))
}
