//! The harness's random numbers. Written out here (SplitMix64) and not taken from a crate: a seed
//! printed today must give the same transactions after any dependency was updated.

#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// One independent stream per `stream` (a client, the fault thread) of a seed.
    pub fn new(seed: u64, stream: u64) -> Rng {
        let mut mixer = Rng(seed ^ 0x9e37_79b9_7f4a_7c15);
        let first = mixer.next();
        Rng(first.wrapping_add(stream.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    /// Not an iterator's: the numbers never end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.next() % bound
        }
    }

    pub fn percent(&mut self, odds: u64) -> bool {
        self.below(100) < odds
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut rng = Rng::new(1, 0);
        assert_eq!(
            [rng.next(), rng.next()],
            [Rng::new(1, 0).next(), {
                let mut again = Rng::new(1, 0);
                again.next();
                again.next()
            }]
        );
        assert_ne!(Rng::new(1, 0).next(), Rng::new(1, 1).next());
        assert_ne!(Rng::new(1, 0).next(), Rng::new(2, 0).next());
    }
}
