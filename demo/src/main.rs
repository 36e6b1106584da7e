//! `make demo`: every race of the four articles, on a running Postgres with concurrent sessions,
//! first as the article has it and then with the one raceguard call that ends it.
//!
//! Nothing that is printed is written down beforehand: statements are shown as they were sent,
//! answers as they were received, and figures are counted in the tables afterwards.
//!
//! Exit status: 0 every guarded case held and every unguarded one showed its race, 1 one did not,
//! 2 the demo could not run at all.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cases;
mod crowd;
mod reply;
mod screen;
mod server;
mod stage;
mod story;
mod summary;
mod timeline;

use std::process::ExitCode;
use std::time::Instant;

use cases::{Case, Ending, Half};
use screen::{Screen, Tone};
use server::{Result, Server};
use stage::Stage;
use summary::Line;

/// A free-running race may, by luck, not happen; it is started again this often before the demo
/// says that it proves nothing.
const ATTEMPTS: u32 = 5;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("raceguard-demo: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let begun = Instant::now();
    let server = Server::from_environment()?;
    let screen = Screen::new();
    screen.line(Tone::Plain, &server.greeting()?)?;
    screen.raw("")?;

    let mut lines = Vec::new();
    for case in cases::ALL {
        screen.heading(&format!("{}  {}", case.tag, case.title))?;
        let without = play(&server, &screen, case, Half::Without)?;
        let with = play(&server, &screen, case, Half::With)?;
        lines.push(Line {
            race: format!("{} {}", case.tag, case.title),
            call: case.call.to_owned(),
            without,
            with,
        });
    }

    let held = summary::print(&screen, &lines)?;
    let seconds = begun.elapsed().as_secs_f64();
    let (tone, verdict) = if held == lines.len() {
        (Tone::Good, "every race happened without and none with")
    } else {
        (Tone::Bad, "the demo FAILED")
    };
    screen.line(
        tone,
        &format!("{held} of {} cases hold in {seconds:.1} s: {verdict}", lines.len()),
    )?;
    Ok(held == lines.len())
}

/// Plays one half of a case. What goes wrong in it is that half's ending, so that the other cases
/// are still shown.
fn play(server: &Server, screen: &Screen, case: &Case, half: Half) -> Result<Ending> {
    let opening = match half {
        Half::Without => format!("Without: {}", case.without),
        Half::With if case.is_guarded() => "With raceguard, one call:".to_owned(),
        Half::With => "With Postgres's own means, no guard needed:".to_owned(),
    };
    screen.line(Tone::Strong, &opening)?;
    let attempts = if case.free_running && half == Half::Without { ATTEMPTS } else { 1 };
    let mut ending = Ending::Unclear(String::new());
    for attempt in 1..=attempts {
        if attempt > 1 {
            screen.line(
                Tone::Faint,
                &format!("no race this time; attempt {attempt} of {attempts}"),
            )?;
        }
        ending = Stage::set(server, screen, case, half)
            .and_then(|mut stage| (case.play)(&mut stage, half))
            .unwrap_or_else(|failure| Ending::Unclear(failure.to_string()));
        if matches!(ending, Ending::Race(_)) {
            break;
        }
    }
    let tone = if ending.is_due(half) { Tone::of(&ending) } else { Tone::Bad };
    screen.line(tone, &format!("=> {}", ending.text()))?;
    screen.line(Tone::Plain, "")?;
    Ok(ending)
}
