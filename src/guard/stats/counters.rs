//! The counters of one guard: a cache line pair of shared memory, written by every session without a lock.

use core::sync::atomic::{AtomicU64, Ordering};

/// The words of one guard. Two cache lines: guards do not slow each other down.
pub const WORDS: usize = 16;

/// What stands where. [`Word::Key`] says whose the counters are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Word {
    Key = 0,
    Passed,
    Conflicts,
    Missing,
    Refused,
    Observed,
    Bypassed,
    Waited,
    /// Microseconds.
    WaitTime,
    Escalated,
    Failed,
    /// Microseconds on Postgres's clock; 0 before the first.
    LastConflictAt,
    /// The transaction that had written the row; 0 where that is not known.
    LastConflictXid,
    /// The minute that [`Word::LogLines`] and [`Word::LogLeftOut`] count.
    LogMinute,
    LogLines,
    LogLeftOut,
}

/// The counters of one guard.
#[derive(Clone, Copy)]
pub struct Counters(pub &'static [AtomicU64; WORDS]);

impl Counters {
    pub fn word(self, word: Word) -> &'static AtomicU64 {
        &self.0[word as usize]
    }

    pub fn add(self, word: Word, count: u64) {
        self.word(word).fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(self, word: Word) -> u64 {
        self.word(word).load(Ordering::Relaxed)
    }

    pub fn set(self, word: Word, value: u64) {
        self.word(word).store(value, Ordering::Relaxed);
    }

    /// Whose they are.
    pub fn key(self) -> u64 {
        self.word(Word::Key).load(Ordering::Acquire)
    }

    /// Sets everything but the key to zero.
    pub fn clear(self) {
        for word in &self.0[Word::Key as usize + 1..] {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// What a guard may log now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowance {
    /// This line. So many were left out in an earlier minute, which nobody has told of.
    Line {
        left_out: u64,
    },
    /// The last one of this minute: that more are left out.
    Last,
    Nothing,
}

impl Counters {
    /// Counts one more log line in the running minute, of which `limit` are written.
    pub fn allow_line(self, minute: u64, limit: u64) -> Allowance {
        let mut left_out = 0;
        let began = self.get(Word::LogMinute);
        let begins = began != minute
            && self
                .word(Word::LogMinute)
                .compare_exchange(began, minute, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if begins {
            self.set(Word::LogLines, 0);
            left_out = self.word(Word::LogLeftOut).swap(0, Ordering::Relaxed);
        }
        let before = self.word(Word::LogLines).fetch_add(1, Ordering::Relaxed);
        if before < limit {
            return Allowance::Line { left_out };
        }
        match self.word(Word::LogLeftOut).fetch_add(1, Ordering::Relaxed) {
            0 => Allowance::Last,
            _ => Allowance::Nothing,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Counters of a guard that lives as long as the test.
    pub fn fresh() -> Counters {
        Counters(Box::leak(Box::new([const { AtomicU64::new(0) }; WORDS])))
    }

    #[test]
    fn a_minute_has_its_lines_and_the_next_one_tells_what_was_left_out() {
        let guard = fresh();
        let lines = |minute, n| (0..n).map(|_| guard.allow_line(minute, 2)).collect::<Vec<_>>();
        let line = |left_out| Allowance::Line { left_out };
        assert_eq!(
            lines(7, 5),
            [line(0), line(0), Allowance::Last, Allowance::Nothing, Allowance::Nothing]
        );
        assert_eq!(lines(8, 3), [line(3), line(0), Allowance::Last]);
        assert_eq!(lines(20, 1), [line(1)]);
        // With no line at all there is one that says so.
        assert_eq!(guard.allow_line(21, 0), Allowance::Last);
        assert_eq!(guard.allow_line(21, 0), Allowance::Nothing);
    }

    #[test]
    fn the_key_outlives_a_reset() {
        let guard = fresh();
        guard.set(Word::Key, 9);
        guard.add(Word::Passed, 3);
        guard.add(Word::LogLeftOut, 3);
        guard.clear();
        assert_eq!((guard.key(), guard.get(Word::Passed), guard.get(Word::LogLeftOut)), (9, 0, 0));
    }
}
