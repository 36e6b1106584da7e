//! Many sessions that start together and are then left to themselves.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use postgres::Client;

use crate::reply::{Refusal, Reply};
use crate::screen::Tone;
use crate::server::{Failure, Result};

/// More than the cap of three and the one item in stock, so that most of them have to lose.
pub const WRITERS: usize = 8;

/// One thing a writer was told, by the server or by what it read.
#[derive(Clone, Debug)]
pub struct Told {
    line: String,
    refusal: Option<Refusal>,
}

impl From<Reply> for Told {
    fn from(reply: Reply) -> Self {
        Told { line: reply.to_string(), refusal: reply.refusal().cloned() }
    }
}

impl From<&str> for Told {
    fn from(line: &str) -> Self {
        Told { line: line.to_owned(), refusal: None }
    }
}

/// Has every client do `act` once per round. All wait for each other before a round and nobody
/// is held up within one.
pub fn release(
    clients: &mut [Client],
    rounds: usize,
    act: impl Fn(&mut Client, usize, usize) -> Result<Vec<Told>> + Sync,
) -> Result<Tally> {
    let barrier = Barrier::new(clients.len());
    let (barrier, act) = (&barrier, &act);
    let told = thread::scope(|scope| {
        let writers: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(writer, client)| {
                scope.spawn(move || {
                    // Collected before a failure is looked at: a writer that left early would
                    // leave the others at the barrier for ever.
                    let rounds: Vec<_> = (0..rounds)
                        .map(|round| {
                            barrier.wait();
                            act(client, writer, round)
                        })
                        .collect();
                    rounds.into_iter().collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap_or_else(|_| Err(Failure::new("a writer panicked"))))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(Tally::of(told.into_iter().flatten().flatten()))
}

/// How often the writers were told what; of equal refusals the first is kept whole.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<String, (usize, Told)>,
}

impl Tally {
    fn of(told: impl Iterator<Item = Told>) -> Self {
        let mut tally = Tally::default();
        for told in told {
            tally.counts.entry(told.line.clone()).or_insert((0, told)).0 += 1;
        }
        tally
    }

    pub fn refused(&self, code: &str) -> usize {
        self.refusals().filter(|(_, refusal)| refusal.code == code).map(|(count, _)| count).sum()
    }

    /// A refusal other than `code`, or one that says neither why nor what to do.
    pub fn unexpected(&self, code: &str) -> Option<&Refusal> {
        self.refusals()
            .map(|(_, refusal)| refusal)
            .find(|refusal| refusal.code != code || !refusal.is_explained())
    }

    fn refusals(&self) -> impl Iterator<Item = (usize, &Refusal)> {
        self.counts.values().filter_map(|(count, told)| Some((*count, told.refusal.as_ref()?)))
    }

    pub fn lines(&self) -> Vec<(Tone, String)> {
        let mut lines = Vec::new();
        for (count, told) in self.counts.values() {
            let tone = if told.refusal.is_some() { Tone::Bad } else { Tone::Faint };
            lines.push((tone, format!("{count} x {}", told.line)));
            let Some(refusal) = &told.refusal else {
                continue;
            };
            for (label, text) in [("DETAIL", &refusal.detail), ("HINT", &refusal.hint)] {
                if let Some(text) = text {
                    lines.push((tone, format!("{label} of the first: {text}")));
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, detail: Option<&str>) -> Told {
        Told::from(Reply::Refused(Refusal {
            code: code.to_owned(),
            message: "no".to_owned(),
            detail: detail.map(str::to_owned),
            hint: detail.map(str::to_owned),
        }))
    }

    #[test]
    fn equal_answers_are_counted_together() {
        let told = [
            Told::from("a"),
            refused("RG403", Some("x")),
            Told::from("a"),
            refused("RG403", Some("y")),
        ];
        let tally = Tally::of(told.into_iter());
        assert_eq!(tally.refused("RG403"), 2);
        assert_eq!(tally.refused("23505"), 0);
        assert!(tally.unexpected("RG403").is_none());
        let lines: Vec<String> = tally.lines().into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            ["2 x ERROR RG403: no", "DETAIL of the first: x", "HINT of the first: x", "2 x a"]
        );
    }

    #[test]
    fn another_code_or_a_missing_detail_is_unexpected() {
        assert!(Tally::of([refused("23505", Some("x"))].into_iter()).unexpected("RG403").is_some());
        assert!(Tally::of([refused("RG403", None)].into_iter()).unexpected("RG403").is_some());
    }
}
