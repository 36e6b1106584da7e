//! The table at the end.

use std::io;

use crate::cases::{Ending, Half};
use crate::screen::{fill, wrap, Screen, Tone};

pub struct Line {
    pub race: String,
    pub without: Ending,
    pub with: Ending,
    pub call: String,
}

impl Line {
    fn verdict(&self) -> (Tone, &'static str) {
        match (self.without.is_due(Half::Without), self.with.is_due(Half::With)) {
            (true, true) => (Tone::Good, "held"),
            (_, false) => (Tone::Bad, "FAILED"),
            (false, true) => (Tone::Bad, "NO RACE"),
        }
    }
}

/// Race, without, with, call, verdict; with the bars and spaces 99 columns.
const COLUMNS: [usize; 5] = [16, 19, 19, 22, 7];

/// Prints the table and returns in how many lines the race happened without and not with.
pub fn print(screen: &Screen, lines: &[Line]) -> io::Result<usize> {
    screen.heading("Summary")?;
    rule(screen, ['┌', '┬', '┐'])?;
    let plain = Tone::Strong;
    row(
        screen,
        &[
            (plain, "race"),
            (plain, "without"),
            (plain, "with raceguard"),
            (plain, "call"),
            (plain, "verdict"),
        ],
    )?;
    let mut held = 0;
    for line in lines {
        rule(screen, ['├', '┼', '┤'])?;
        let verdict = line.verdict();
        held += usize::from(verdict.0 == Tone::Good);
        row(
            screen,
            &[
                (Tone::Plain, &line.race),
                (Tone::of(&line.without), line.without.text()),
                (Tone::of(&line.with), line.with.text()),
                (Tone::Plain, &line.call),
                verdict,
            ],
        )?;
    }
    rule(screen, ['└', '┴', '┘'])?;
    Ok(held)
}

fn rule(screen: &Screen, [left, middle, right]: [char; 3]) -> io::Result<()> {
    let parts: Vec<String> = COLUMNS.iter().map(|width| "─".repeat(width + 2)).collect();
    screen.raw(&format!("{left}{}{right}", parts.join(&middle.to_string())))
}

fn row(screen: &Screen, cells: &[(Tone, &str); 5]) -> io::Result<()> {
    let wrapped: Vec<Vec<String>> =
        cells.iter().zip(COLUMNS).map(|((_, text), width)| wrap(text, width, "")).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..height {
        let parts: Vec<String> = wrapped
            .iter()
            .zip(COLUMNS)
            .zip(cells)
            .map(|((cell, width), (tone, _))| {
                let text = cell.get(at).map(String::as_str).unwrap_or_default();
                screen.paint(*tone, &fill(text, width, ' '))
            })
            .collect();
        screen.raw(&format!("│ {} │", parts.join(" │ ")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::WIDTH;

    fn line(without: Ending, with: Ending) -> Line {
        Line { race: String::new(), without, with, call: String::new() }
    }

    #[test]
    fn a_row_is_as_wide_as_every_other_line() {
        assert_eq!(COLUMNS.iter().sum::<usize>() + 3 * COLUMNS.len() + 1, WIDTH);
    }

    #[test]
    fn only_a_race_without_and_none_with_counts() {
        let (race, held) = (|| Ending::Race("r".into()), || Ending::Held("h".into()));
        let unclear = || Ending::Unclear("u".into());
        assert_eq!(line(race(), held()).verdict().1, "held");
        assert_eq!(line(held(), held()).verdict().1, "NO RACE");
        assert_eq!(line(unclear(), held()).verdict().1, "NO RACE");
        assert_eq!(line(race(), race()).verdict().1, "FAILED");
        assert_eq!(line(race(), unclear()).verdict().1, "FAILED");
    }
}
