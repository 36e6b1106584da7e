//! Random calls, guards, writes and DDL by superusers.

use postgres::Client;
use raceguard_fuzz::draw::Draw;
use raceguard_fuzz::model::Model;
use raceguard_fuzz::play::{Content, Play, Watch};
use raceguard_fuzz::steps::{self, Step};
use raceguard_fuzz::{calls, cli, world};
use std::process::ExitCode;

/// So many guards as they are meant stand at the beginning.
const GUARDS: usize = 6;

struct Anything;

impl Play for Anything {
    fn database(&self) -> &'static str {
        "fuzz"
    }

    fn once(&self) -> Vec<String> {
        world::ONCE.iter().map(|sql| sql.to_string()).collect()
    }

    fn world(&self, draw: &mut Draw) -> Vec<String> {
        world::statements(draw)
    }

    fn users(&self) -> &'static [&'static str] {
        &["", ""]
    }

    fn statement_timeout(&self) -> &'static str {
        "20s"
    }

    /// Sensible guards and a call of each function in the catalogue come first.
    fn step(&self, draw: &mut Draw, model: &Model, n: usize, aborted: &[bool]) -> Step {
        match n.checked_sub(GUARDS).map(|n| model.functions.get(n)) {
            None => Step { session: 0, sql: calls::sensible(draw) },
            Some(Some(function)) => Step { session: 0, sql: calls::of(draw, model, function) },
            Some(None) => {
                // The second session meets what the first holds locked or has changed.
                let session = usize::from(draw.percent(20));
                Step { session, sql: steps::any(draw, model, aborted[session]) }
            }
        }
    }

    fn forgives(&self, _: &str) -> bool {
        false
    }

    fn watch(&self, _: &mut Client, _: &[String]) -> Result<Box<dyn Watch>, String> {
        Ok(Box::new(Content))
    }
}

fn main() -> ExitCode {
    cli::main(&Anything, &[])
}
