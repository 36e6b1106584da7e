//! The guards' protocols, each with its answers, cases, invariants and mutants.

pub mod cap;
pub mod key_lock;
pub mod parent;

use crate::engine::explore::Way;
use crate::engine::run::Case;

/// Cases of one kind, all of which have to hold.
pub struct Family<C> {
    pub name: &'static str,
    pub way: Way,
    pub cases: Vec<C>,
}

/// A case in which something is wrong can be made of one in which nothing is.
pub trait Protocol: Case + Clone + Send + Sync {
    type Mutant: Copy + std::fmt::Debug + Send + Sync;

    const NAME: &'static str;

    fn families() -> Vec<Family<Self>>;
    fn mutants() -> Vec<Self::Mutant>;
    /// The cases of which one has to show that something is wrong.
    fn shown_by(mutant: Self::Mutant) -> Vec<Self>;
    /// The same with something wrong.
    fn with(self, mutant: Self::Mutant) -> Self;
}
