//! A ring of the last guarded transactions, for the DETAIL of RG409: who wrote the row that changed meanwhile.
//!
//! Only transactions of sessions with `raceguard.explain_conflicts` are in it, from the moment they are about to
//! commit. A row bears the number of a transaction or of one of its subtransactions, of which the first few are kept.

use crate::guard::stats::counters::WORDS;
use crate::pg::client;
use crate::pg::guc;
use crate::pg::instant::Clock;
use crate::pg::per_backend::PerBackend;
use crate::pg::shared_memory;
use crate::pg::text::{cstr_of, PgText};
use crate::pg::trigger::Firing;
use crate::pg::xid;
use core::cell::Cell;
use core::fmt::Write;
use core::sync::atomic::{fence, AtomicU64, Ordering};

/// Room for 127 transactions.
pub const BYTES: usize = 16 << 10;
/// How many subtransactions of one are kept.
const CHILDREN: usize = 4;
/// The words of a name.
const NAME: usize = 8;
const _: () = assert!(2 + CHILDREN + 1 + NAME <= WORDS);

/// A guarded transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Winner {
    pub xid: u64,
    pub children: [u64; CHILDREN],
    pub pid: u32,
    pub role: u32,
    pub application: [u64; NAME],
}

/// The ring: a heading whose second word counts the transactions, then one place for each.
#[derive(Clone, Copy)]
struct Ring(&'static [AtomicU64]);

impl Ring {
    fn places(self) -> usize {
        self.0.len() / WORDS - 1
    }

    fn place(self, n: usize) -> &'static [AtomicU64] {
        let from = (n + 1) * WORDS;
        self.0.get(from..from + WORDS).unwrap_or_default()
    }

    /// Puts a transaction in, in place of the oldest. The first word of a place is odd while somebody writes there.
    fn put(self, winner: &Winner) {
        let n = self.0[1].fetch_add(1, Ordering::Relaxed) as usize % self.places();
        let Some((sequence, words)) = self.place(n).split_first() else { return };
        let before = sequence.load(Ordering::Relaxed);
        let claimed = before % 2 == 0
            && sequence
                .compare_exchange(before, before + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        // A ring has gone round while somebody was writing: this one is left out.
        if !claimed {
            return;
        }
        fence(Ordering::Release);
        for (word, value) in words.iter().zip(winner.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        sequence.store(before + 2, Ordering::Release);
    }

    /// The transaction of this number, or that of which it is a subtransaction.
    fn find(self, xid: u64) -> Option<Winner> {
        (0..self.places()).find_map(|n| {
            let (sequence, words) = self.place(n).split_first()?;
            let before = sequence.load(Ordering::Acquire);
            let mut values = [0; WORDS - 1];
            for (value, word) in values.iter_mut().zip(words) {
                *value = word.load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            let whole = before % 2 == 0 && sequence.load(Ordering::Relaxed) == before;
            let winner = Winner::of_words(&values);
            (whole && (winner.xid == xid || winner.children.contains(&xid))).then_some(winner)
        })
    }
}

impl Winner {
    fn to_words(self) -> [u64; WORDS - 1] {
        let mut words = [0; WORDS - 1];
        words[0] = self.xid;
        words[1..1 + CHILDREN].copy_from_slice(&self.children);
        words[1 + CHILDREN] = u64::from(self.pid) << 32 | u64::from(self.role);
        words[2 + CHILDREN..2 + CHILDREN + NAME].copy_from_slice(&self.application);
        words
    }

    fn of_words(words: &[u64; WORDS - 1]) -> Winner {
        let mut winner = Winner { xid: words[0], ..Winner::default() };
        winner.children.copy_from_slice(&words[1..1 + CHILDREN]);
        winner.pid = (words[1 + CHILDREN] >> 32) as u32;
        winner.role = words[1 + CHILDREN] as u32;
        winner.application.copy_from_slice(&words[2 + CHILDREN..2 + CHILDREN + NAME]);
        winner
    }
}

/// The server's ring, made at first use, or with the first counters; `None` where there is no room. Plain frames.
fn ring() -> Option<Ring> {
    static RING: PerBackend<Cell<Option<Option<Ring>>>> = PerBackend::new(Cell::new(None));
    if let Some(known) = RING.get() {
        return known;
    }
    let words = BYTES / size_of::<u64>();
    let found = shared_memory::attach(c"raceguard winners 1", words).map(Ring);
    RING.set(Some(found));
    found
}

/// Takes the room of the ring. Plain frames, or inside `catch`.
pub fn reserve() {
    ring();
}

/// Puts the running transaction into the ring, if it has written anything. Plain frames.
pub fn record() {
    let Some(top) = xid::top() else { return };
    let Some(ring) = ring() else { return };
    let mut children = [0; CHILDREN];
    xid::committed_children(|committed| {
        for (to, child) in children.iter_mut().zip(committed) {
            *to = xid::full(*child);
        }
    });
    let mut application = [0; NAME];
    let name = client::application_name();
    for (to, bytes) in application.iter_mut().zip(name.as_chunks().0) {
        *to = u64::from_ne_bytes(*bytes);
    }
    let role = client::role().to_u32();
    ring.put(&Winner { xid: top, children, pid: client::pid(), role, application });
}

/// ` It was written by transaction 771, ...`, as far as it is known and the user may read the row; empty unless
/// `raceguard.explain_conflicts`. Plain frames.
pub fn sentence(firing: Firing, column: i16) -> PgText {
    let wanted = guc::explains_conflicts() && firing.table().shows(&[column]);
    match firing.old().writer().filter(|_| wanted) {
        Some(writer) => sentence_of(writer),
        None => PgText::new(),
    }
}

/// The same of the transaction that wrote a row which the user may read. Plain frames.
pub fn sentence_of(writer: u32) -> PgText {
    let mut text = PgText::new();
    let winner = ring().and_then(|ring| ring.find(xid::full(writer)));
    let transaction = winner.map_or(xid::full(writer), |winner| winner.xid);
    // Writing to a PgText cannot fail (see there).
    let _ = write!(text, " It was written by transaction {transaction}");
    if let Some(at) = xid::commit_time(writer) {
        let _ = write!(text, ", committed at {}", Clock::TimestampTz.show(at));
    }
    if let Some(winner) = winner {
        let _ = write!(text, ", pid {}", winner.pid);
        if let Some(role) = client::role_name(winner.role.into()) {
            let _ = write!(text, ", role \"{role}\"");
        }
        let bytes = winner.application.map(u64::to_ne_bytes);
        let _ = write!(text, ", application \"{}\"", cstr_of(bytes.as_flattened()));
    }
    let _ = write!(text, ".");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(places: usize) -> Ring {
        let words = (0..(places + 1) * WORDS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Ring(words.leak())
    }

    /// No child of one bears the number of another.
    fn winner(xid: u64) -> Winner {
        let children = [xid + 1_000_000, 0, 0, 0];
        Winner { xid, children, pid: 7, role: 10, application: [xid; NAME] }
    }

    #[test]
    fn the_last_ones_are_found_by_their_own_number_and_by_a_child() {
        let ring = ring(3);
        for xid in 1..=5 {
            ring.put(&winner(xid));
        }
        assert_eq!(ring.find(2), None);
        assert_eq!(ring.find(3), Some(winner(3)));
        assert_eq!(ring.find(1_000_005), Some(winner(5)));
    }

    #[test]
    fn nobody_reads_a_mixture() {
        let ring = ring(2);
        std::thread::scope(|scope| {
            for first in [1u64, 100_000] {
                scope.spawn(move || (first..first + 20_000).for_each(|xid| ring.put(&winner(xid))));
            }
            for _ in 0..20_000 {
                for xid in [19_999, 119_999] {
                    assert!(ring.find(xid).is_none_or(|found| found == winner(xid)));
                }
            }
        });
    }
}
