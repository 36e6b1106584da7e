//! One file per case. A case plays the same race twice, in tables of its own; to add one, write
//! its file and name it in `ALL`.

mod forgotten_lock;
mod fourth_post;
mod invoice_number;
mod last_item;
mod lost_update;
mod next_free_slot;
mod one_account;
mod overbooked_event;
mod swallowed_delete;
mod transfer;
mod two_in_a_week;

use crate::server::Result;
use crate::stage::Stage;

pub const ALL: &[Case] = &[
    lost_update::CASE,
    transfer::CASE,
    last_item::VERSIONED,
    last_item::TAKEN,
    one_account::CASE,
    fourth_post::CASE,
    next_free_slot::CASE,
    two_in_a_week::CASE,
    forgotten_lock::CASE,
    swallowed_delete::CASE,
    invoice_number::CASE,
    overbooked_event::CASE,
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Half {
    Without,
    With,
}

impl Half {
    pub fn name(self) -> &'static str {
        match self {
            Half::Without => "without",
            Half::With => "with",
        }
    }
}

pub struct Case {
    /// The article and its case, for example D3.
    pub tag: &'static str,
    pub title: &'static str,
    /// What its two schemas are called.
    pub schema: &'static str,
    /// What the application does as long as nothing guards the table.
    pub without: &'static str,
    /// The one thing that differs between the halves.
    pub call: &'static str,
    /// Whether luck decides if the race shows; such a half is tried again.
    pub free_running: bool,
    pub play: fn(&mut Stage, Half) -> Result<Ending>,
}

impl Case {
    /// Whether it is raceguard that ends the race, and not Postgres's own unique index.
    pub fn is_guarded(&self) -> bool {
        self.call.starts_with("raceguard.")
    }

    /// The call as a statement.
    pub fn statement(&self) -> String {
        if self.is_guarded() {
            format!("SELECT {}", self.call)
        } else {
            self.call.to_owned()
        }
    }
}

/// What the tables and the answers say once both sessions are done.
pub enum Ending {
    /// The damage was done.
    Race(String),
    /// The rule holds and whoever lost was told, in the way raceguard promises.
    Held(String),
    /// Neither: a half that could not be played, or an answer nobody promised.
    Unclear(String),
}

impl Ending {
    pub fn text(&self) -> &str {
        match self {
            Ending::Race(text) | Ending::Held(text) | Ending::Unclear(text) => text,
        }
    }

    /// Whether this is how the half has to end for the demo to prove anything.
    pub fn is_due(&self, half: Half) -> bool {
        match half {
            Half::Without => matches!(self, Ending::Race(_)),
            Half::With => matches!(self, Ending::Held(_)),
        }
    }
}
