//! The terminal: colour, wrapping, headings and boxes.

use std::io::{self, IsTerminal, Write};

use crate::cases::Ending;

/// Every line fits a terminal of 100 columns.
pub const WIDTH: usize = 99;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Waiting,
}

impl Tone {
    pub fn of(ending: &Ending) -> Tone {
        match ending {
            Ending::Held(_) => Tone::Good,
            Ending::Race(_) | Ending::Unclear(_) => Tone::Bad,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Waiting => "33",
        }
    }
}

pub struct Screen {
    colour: bool,
}

impl Screen {
    /// Colour only on a terminal, and not if NO_COLOR is set to anything (no-color.org).
    pub fn new() -> Self {
        let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen { colour: io::stdout().is_terminal() && !asked_not_to }
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        match (self.colour, tone) {
            (false, _) | (_, Tone::Plain) => text.to_owned(),
            (true, _) => format!("\x1b[{}m{text}\x1b[0m", tone.code()),
        }
    }

    pub fn line(&self, tone: Tone, text: &str) -> io::Result<()> {
        for part in wrap(text, WIDTH, "   ") {
            self.raw(&self.paint(tone, &part))?;
        }
        Ok(())
    }

    /// One finished line, at once: the reader watches the sessions as they go.
    pub fn raw(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text.trim_end())?;
        out.flush()
    }

    pub fn heading(&self, text: &str) -> io::Result<()> {
        self.raw(&self.paint(Tone::Strong, text))?;
        self.raw(&self.paint(Tone::Strong, &"═".repeat(text.chars().count())))
    }

    /// A box over the whole width; each line has its own tone.
    pub fn panel(&self, title: &str, lines: &[(Tone, String)]) -> io::Result<()> {
        let inner = WIDTH - 4;
        self.raw(&format!("┌─ {}┐", fill(&format!("{title} "), inner, '─')))?;
        for (tone, text) in lines {
            for part in wrap(text, inner, "    ") {
                self.raw(&format!("│ {} │", self.paint(*tone, &fill(&part, inner, ' '))))?;
            }
        }
        self.raw(&format!("└{}┘", "─".repeat(inner + 2)))
    }
}

/// `text` made `width` wide.
pub fn fill(text: &str, width: usize, with: char) -> String {
    let mut filled = text.to_owned();
    filled.extend(std::iter::repeat_n(with, width.saturating_sub(text.chars().count())));
    filled
}

/// `text` in lines of at most `width`. Its own line ends and their indentation stay; what does not
/// fit goes on behind `indent`. Always at least one line.
pub fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let own: String = line.chars().take_while(|letter| *letter == ' ').collect();
        wrap_line(line, width, &own, &format!("{own}{indent}"), &mut lines);
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

fn wrap_line(text: &str, width: usize, own: &str, indent: &str, lines: &mut Vec<String>) {
    let mut line = own.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        loop {
            let gap = usize::from(!empty);
            let room = width.saturating_sub(line.chars().count() + gap);
            if rest.len() <= room {
                if !empty {
                    line.push(' ');
                }
                line.extend(rest);
                empty = false;
                break;
            }
            if empty {
                line.extend(rest.drain(..cut(&rest, room.max(1))));
            }
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
            empty = true;
        }
    }
    lines.push(line);
}

/// Where to cut a word that no line can hold: behind the last of its joints that fits.
fn cut(word: &[char], room: usize) -> usize {
    let fits = &word[..room.min(word.len())];
    fits.iter().rposition(|letter| "(,._".contains(*letter)).map_or(fits.len(), |at| at + 1)
}

/// `1 row`, `2 rows`.
pub fn counted(count: i64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_lines_within_the_width() {
        assert_eq!(wrap("one two three", 7, "  "), ["one two", "  three"]);
        assert_eq!(wrap("", 7, "  "), [""]);
        assert_eq!(wrap("  one\n   two ", 20, ""), ["  one", "   two"]);
        assert_eq!(wrap("  one two", 7, "  "), ["  one", "    two"]);
    }

    #[test]
    fn a_word_longer_than_the_line_is_cut() {
        assert_eq!(wrap("abcdefgh", 3, ""), ["abc", "def", "gh"]);
        assert_eq!(wrap("a bcdefgh", 4, " "), ["a", " bcd", " efg", " h"]);
        assert_eq!(wrap("add_cap('posts')", 10, ""), ["add_cap(", "'posts')"]);
        for width in 3..30 {
            let lines = wrap("SELECT date_trunc(''week'',\"createdAt\") FROM posts", width, "  ");
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
        }
    }

    #[test]
    fn nouns_agree_with_their_number() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "row")), ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn filling_counts_letters_and_not_bytes() {
        assert_eq!(fill("é", 3, '─'), "é──");
        assert_eq!(fill("long", 2, ' '), "long");
    }

    #[test]
    fn without_colour_no_escape_is_written() {
        assert_eq!(Screen { colour: false }.paint(Tone::Bad, "x"), "x");
        assert_eq!(Screen { colour: true }.paint(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
