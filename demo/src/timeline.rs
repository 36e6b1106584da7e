//! Two sessions side by side, time running down.

use std::io;

use crate::reply::Reply;
use crate::screen::{fill, wrap, Screen, Tone, WIDTH};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Who {
    One,
    Two,
}

impl Who {
    pub fn other(self) -> Who {
        match self {
            Who::One => Who::Two,
            Who::Two => Who::One,
        }
    }

    pub fn index(self) -> usize {
        match self {
            Who::One => 0,
            Who::Two => 1,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Who::One => "session 1",
            Who::Two => "session 2",
        }
    }
}

/// Three bars, and a space on each side of both columns.
const COLUMN: usize = (WIDTH - 7) / 2;

pub struct Timeline<'a> {
    screen: &'a Screen,
}

impl<'a> Timeline<'a> {
    /// `roles` says who the two sessions are.
    pub fn open(screen: &'a Screen, roles: [&str; 2]) -> io::Result<Self> {
        let title = |who: Who, role: &str| fill(&format!(" {}: {role} ", who.name()), COLUMN, '─');
        screen.raw(&format!(
            "┌─{}─┬─{}─┐",
            title(Who::One, roles[0]),
            title(Who::Two, roles[1])
        ))?;
        Ok(Timeline { screen })
    }

    pub fn statement(&self, who: Who, statement: &str) -> io::Result<()> {
        self.cell(who, Tone::Plain, statement, "  ")
    }

    pub fn waits(&self, who: Who) -> io::Result<()> {
        self.cell(who, Tone::Waiting, &format!("... waits for {}", who.other().name()), "  ")
    }

    /// `waited`: the statement stands further up, so the answer says that it belongs to it.
    pub fn reply(&self, who: Who, statement: &str, reply: &Reply, waited: bool) -> io::Result<()> {
        // COMMIT answered with COMMIT is not worth a line.
        if !waited && reply.to_string() == statement {
            return Ok(());
        }
        let mark = if waited { "... ->" } else { "->" };
        let Reply::Refused(refusal) = reply else {
            return self.cell(who, Tone::Faint, &format!("{mark} {reply}"), "   ");
        };
        self.cell(who, Tone::Bad, &format!("{mark} {refusal}"), "   ")?;
        for (label, text) in [("DETAIL", &refusal.detail), ("HINT", &refusal.hint)] {
            if let Some(text) = text {
                self.cell(who, Tone::Bad, &format!("{label}: {text}"), "   ")?;
            }
        }
        Ok(())
    }

    fn cell(&self, who: Who, tone: Tone, text: &str, indent: &str) -> io::Result<()> {
        for part in wrap(text, COLUMN, indent) {
            let painted = self.screen.paint(tone, &fill(&part, COLUMN, ' '));
            let blank = " ".repeat(COLUMN);
            let (left, right) = match who {
                Who::One => (&painted, &blank),
                Who::Two => (&blank, &painted),
            };
            self.screen.raw(&format!("│ {left} │ {right} │"))?;
        }
        Ok(())
    }
}

impl Drop for Timeline<'_> {
    /// The box is closed also when a story breaks off; the failure is told below it.
    fn drop(&mut self) {
        let rule = "─".repeat(COLUMN + 2);
        let _ = self.screen.raw(&format!("└{rule}┴{rule}┘"));
    }
}
