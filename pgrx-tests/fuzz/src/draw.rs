//! What the generators draw from.

use raceguard_race::rng::Rng;

pub struct Draw(Rng);

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw(Rng::new(seed, 0))
    }

    /// A number from 0 up to, not including, `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    pub fn percent(&mut self, odds: u64) -> bool {
        self.0.percent(odds)
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// One of a list that may be empty.
    pub fn any<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
