//! How far a session has come with a backfill.
//!
//! A position is kept by table, and is good for the sequence of one backfill: a backfill that is begun anew
//! has another. Nothing makes it wrong. It is not reset by a rollback, after a rewrite of the table, or when
//! partitions come and go: then the round passes rows by, or looks at some again, and the last look, from the
//! first row on, finds what is left.

use crate::pg::error::Report;
use crate::pg::spi::one;
use core::cell::RefCell;
use pgrx::pg_sys::Oid;
use std::collections::HashMap;

/// A place in the table. Only a help: any session can begin again at the first row.
///
/// A round goes over the rows in the order in which they lie in the table. What it cannot number it
/// finds at its end: rows that somebody has locked, for which it waits, and rows that were written
/// meanwhile and so moved to where it had been. Those take another round.
#[derive(Clone)]
pub struct Position {
    sequence: u32,
    pub round: u32,
    /// The number of the first transaction that had not begun when the round did.
    pub began: String,
    /// Which of the partitions it is in.
    pub leaf: usize,
    /// The last row picked there.
    pub after: Option<String>,
}

/// Rounds after which rows that are still left are taken for new ones: on a table into which others
/// keep inserting, there would be no end. A row that was there before is left only if it was
/// written, and moved, in every one of the rounds.
const ROUNDS: u32 = 20;

thread_local! {
    static POSITIONS: RefCell<HashMap<u32, Position>> = RefCell::default();
}

impl Position {
    /// The start of a round.
    pub fn start(sequence: Oid, round: u32) -> Result<Position, Report> {
        let began: Option<String> = one(
            "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text",
            &[],
        )?;
        Ok(Position {
            sequence: sequence.to_u32(),
            round,
            began: began.unwrap_or_default(),
            leaf: 0,
            after: None,
        })
    }

    pub fn is_last_round(&self) -> bool {
        self.round >= ROUNDS
    }

    /// Where this session has stopped in the backfill that the sequence stands for.
    pub fn of(table: Oid, sequence: Oid) -> Option<Position> {
        POSITIONS
            .with_borrow(|positions| positions.get(&table.to_u32()).cloned())
            .filter(|position| position.sequence == sequence.to_u32())
    }

    /// Stops here.
    pub fn keep(self, table: Oid) {
        POSITIONS.with_borrow_mut(|positions| positions.insert(table.to_u32(), self));
    }

    /// The backfill is over.
    pub fn forget(table: Oid) {
        POSITIONS.with_borrow_mut(|positions| positions.remove(&table.to_u32()));
    }
}
