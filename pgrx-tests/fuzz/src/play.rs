//! What differs between suites that draw rounds of random statements.

use crate::draw::Draw;
use crate::judge::Fault;
use crate::model::Model;
use crate::steps::Step;
use postgres::Client;

pub trait Play {
    /// Dropped and made at the beginning.
    fn database(&self) -> &'static str;
    /// What is made once for all rounds, by a superuser.
    fn once(&self) -> Vec<String>;
    /// What a round begins with, by a superuser.
    fn world(&self, draw: &mut Draw) -> Vec<String>;
    /// The user of each session.
    fn users(&self) -> &'static [&'static str];
    /// Of every session.
    fn statement_timeout(&self) -> &'static str;
    /// The n-th step of a round.
    fn step(&self, draw: &mut Draw, model: &Model, n: usize, aborted: &[bool]) -> Step;
    /// Whether an internal error is Postgres's own, whoever provokes it.
    fn forgives(&self, message: &str) -> bool;
    /// A look at the fresh world, to compare with.
    fn watch(&self, observer: &mut Client, pids: &[String]) -> Result<Box<dyn Watch>, String>;
}

/// What else must not happen in a round.
pub trait Watch {
    /// Looks after each step: at its rows, and at whatever an observer sees.
    fn step(&mut self, observer: &mut Client, step: &Step, rows: &[String]) -> Option<Fault>;
    /// Looks when all sessions have rolled back.
    fn end(&mut self, observer: &mut Client) -> Option<Fault>;
}

/// Nothing else.
pub struct Content;

impl Watch for Content {
    fn step(&mut self, _: &mut Client, _: &Step, _: &[String]) -> Option<Fault> {
        None
    }

    fn end(&mut self, _: &mut Client) -> Option<Fault> {
        None
    }
}
