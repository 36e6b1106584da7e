//! The guards' protocols, each with its answers, cases, invariants and mutants.

/// Each way in which a protocol can be wrong, and the list of them.
macro_rules! mutants {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Mutant {
            $($(#[$about])* $name,)*
        }

        impl Mutant {
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)*];
        }
    };
}

pub mod cap;
mod combinations;
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
    type Mutant: Copy + std::fmt::Debug + Send + Sync + 'static;

    const NAME: &'static str;

    fn families() -> Vec<Family<Self>>;
    fn mutants() -> &'static [Self::Mutant];
    /// The cases of which one has to show that something is wrong.
    fn shown_by(mutant: Self::Mutant) -> Vec<Self>;
    /// The same with something wrong.
    fn with(self, mutant: Self::Mutant) -> Self;
}
