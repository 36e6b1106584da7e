//! The counters of all guards of the server, in blocks of shared memory.
//!
//! A guard's place is found by its key, database and trigger, from the place that the key's hash names onwards.
//! A place is taken by one exchange of its key; nothing waits. Two sessions that take a place for one guard at the
//! same moment may, where a third is just giving places back, end up with two: whoever reads adds them up.
//!
//! A place is given back when nothing is left of its trigger, which is looked for only where there is no room.

use crate::guard::stats::counters::{Counters, Word, WORDS};
use crate::guard::stats::layout::Heading;
use crate::guard::stats::winners;
use crate::pg::guc;
use crate::pg::per_backend::PerBackend;
use crate::pg::shared_memory;
use core::cell::Cell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering};

/// No guard has been here.
const EMPTY: u64 = 0;
/// One was, and the place is free: the search for others goes on past it.
const FREE: u64 = 1;
/// Somebody is making the place his.
const TAKING: u64 = 2;

/// One block: a heading of [`WORDS`] words, then the places.
#[derive(Clone, Copy)]
pub struct Block(&'static [AtomicU64]);

impl Block {
    /// A block of at least one place.
    pub fn new(words: &'static [AtomicU64]) -> Block {
        Block(words)
    }

    pub fn heading(self, word: Heading) -> &'static AtomicU64 {
        &self.0[word as usize]
    }

    /// How many guards have room.
    pub fn room(self) -> usize {
        self.0.len() / WORDS - 1
    }

    fn place(self, n: usize) -> Option<Counters> {
        let from = (n + 1) * WORDS;
        let words = self.0.get(from..from + WORDS)?;
        words.try_into().ok().map(Counters)
    }

    /// Every place that is somebody's.
    pub fn taken(self) -> impl Iterator<Item = Counters> {
        (0..self.room()).filter_map(move |n| self.place(n)).filter(|c| c.key() > TAKING)
    }

    /// The places in the order in which a key is looked for.
    fn places_for(self, key: u64) -> impl Iterator<Item = Counters> {
        let room = self.room();
        let first = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % room.max(1);
        (0..room).filter_map(move |n| self.place((first + n) % room))
    }

    /// The counters of a guard, if it has some.
    pub fn find(self, key: u64) -> Option<Counters> {
        self.places_for(key)
            .take_while(|place| place.key() != EMPTY)
            .find(|place| place.key() == key)
    }

    /// Takes a place for a guard that has none.
    pub fn take(self, key: u64) -> Option<Counters> {
        self.places_for(key).find(|place| Block::take_place(*place, key))
    }

    fn take_place(place: Counters, key: u64) -> bool {
        let word = place.word(Word::Key);
        // Whoever takes a place stores sixteen words; but he may have been stopped in the middle.
        for _ in 0..100_000 {
            match place.key() {
                TAKING => core::hint::spin_loop(),
                found @ (EMPTY | FREE) => {
                    let taken =
                        word.compare_exchange(found, TAKING, Ordering::Acquire, Ordering::Relaxed);
                    if taken.is_ok() {
                        place.clear();
                        word.store(key, Ordering::Release);
                        return true;
                    }
                }
                found => return found == key,
            }
        }
        false
    }

    /// Gives a place back, unless somebody has done so.
    pub fn give_back(place: Counters, key: u64) {
        let _ =
            place.word(Word::Key).compare_exchange(key, FREE, Ordering::Release, Ordering::Relaxed);
    }
}

/// The names of the blocks, with the layout's number: sessions may run two versions of the library at once.
const NAMES: [&CStr; 3] = [c"raceguard stats 1.0", c"raceguard stats 1.1", c"raceguard stats 1.2"];

/// How many blocks there may be: one of the size that was asked for, or modest ones.
fn most_blocks() -> usize {
    match guc::max_guards() {
        Some(_) => 1,
        None => shared_memory::MODEST_BLOCKS.min(NAMES.len()),
    }
}

/// The words of each block.
fn words() -> usize {
    match guc::max_guards() {
        Some(guards) => (guards + 1) * WORDS,
        None => shared_memory::MODEST_BYTES / size_of::<u64>(),
    }
}

/// The shared memory that all blocks take.
pub fn bytes() -> usize {
    words() * size_of::<u64>()
}

/// The blocks as far as this session has found them.
static BLOCKS: PerBackend<[Cell<FoundBlock>; NAMES.len()]> =
    PerBackend::new([const { Cell::new(FoundBlock::Unknown) }; NAMES.len()]);

#[derive(Clone, Copy)]
enum FoundBlock {
    Unknown,
    Nothing,
    Block(Block),
}

/// A block, found or made. Plain frames, or inside `catch`.
fn block(n: usize) -> Option<Block> {
    let known = BLOCKS.get(n)?;
    match known.get() {
        FoundBlock::Block(block) => return Some(block),
        FoundBlock::Nothing => return None,
        FoundBlock::Unknown => {}
    }
    let block = shared_memory::attach(NAMES[n], words()).map(Block::new);
    // While there is room: what is spare goes to the server's lock table too, for good, as that grows.
    if n == 0 && shared_memory::COMES_FROM_THE_SPARE {
        winners::reserve();
    }
    known.set(block.map_or(FoundBlock::Nothing, FoundBlock::Block));
    block
}

/// The first block; `None` where the server has no room for it. Plain frames, or inside `catch`.
pub fn first_block() -> Option<Block> {
    block(0)
}

/// The blocks that there are. Plain frames, or inside `catch`.
pub fn blocks() -> [Option<Block>; NAMES.len()] {
    let mut blocks = [first_block(), None, None];
    let Some(first) = blocks[0] else { return blocks };
    let more = first.heading(Heading::Blocks).load(Ordering::Relaxed) as usize;
    for (n, found) in blocks.iter_mut().enumerate().take(most_blocks()).skip(1) {
        *found = if n <= more { block(n) } else { None };
    }
    blocks
}

/// The counters of a guard, if it has some. Plain frames, or inside `catch`.
pub fn find(key: u64) -> Option<Counters> {
    blocks().into_iter().flatten().find_map(|block| block.find(key))
}

/// The counters of a guard, new ones if it has none; `None` where there is no room. Plain frames, or inside `catch`.
pub fn find_or_take(key: u64) -> Option<Counters> {
    find(key)
        .or_else(|| blocks().into_iter().flatten().find_map(|block| block.take(key)))
        .or_else(|| another_block()?.take(key))
}

/// One more block, where there may be one.
fn another_block() -> Option<Block> {
    let next = blocks().into_iter().flatten().count();
    if next == 0 || next >= most_blocks() {
        return None;
    }
    let another = block(next)?;
    first_block()?.heading(Heading::Blocks).fetch_max(next as u64, Ordering::Relaxed);
    Some(another)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn block(room: usize) -> Block {
        let words = (0..(room + 1) * WORDS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Block::new(words.leak())
    }

    proptest! {
        /// Each guard finds its own counters, however places were taken and given back.
        #[test]
        fn a_key_leads_to_its_own_counters(
            steps in prop::collection::vec((10u64..40, any::<bool>()), 1..200),
        ) {
            let block = block(16);
            let mut model = HashMap::new();
            for (key, takes) in steps {
                match block.find(key) {
                    Some(place) => {
                        prop_assert_eq!(Some(&place.get(Word::Passed)), model.get(&key));
                        if takes {
                            place.add(Word::Passed, 1);
                            *model.entry(key).or_default() += 1;
                        } else {
                            Block::give_back(place, key);
                            model.remove(&key);
                        }
                    }
                    None => {
                        prop_assert_eq!(model.get(&key), None);
                        if let Some(place) = block.take(key) {
                            prop_assert_eq!(place.get(Word::Passed), 0);
                            model.insert(key, 0u64);
                        } else {
                            prop_assert_eq!(model.len(), 16);
                        }
                    }
                }
                prop_assert_eq!(block.taken().count(), model.len());
            }
        }
    }

    #[test]
    fn sessions_that_come_at_once_share_one_place() {
        for _ in 0..100 {
            let block = block(16);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let place = block.find(77).or_else(|| block.take(77));
                        place.unwrap().add(Word::Passed, 1);
                    });
                }
            });
            assert_eq!(block.taken().count(), 1);
            assert_eq!(block.find(77).unwrap().get(Word::Passed), 8);
        }
    }
}
