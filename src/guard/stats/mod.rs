//! What the guards did, counted in shared memory: it survives a ROLLBACK, and no table is written for it.
//!
//! * [`counters`]: the counters of one guard
//! * [`table`]: those of all guards of the server, found by database and trigger ([`layout`]): in `blocks` of shared
//!   memory, or in statistics of Postgres, which survive a restart (`persistent`)
//! * [`session`]: what this session has counted and not yet added
//! * [`winners`]: the last guarded transactions, for who asks which one wrote a row

mod blocks;
pub mod counters;
pub mod layout;
mod persistent;
pub mod session;
pub mod table;
pub mod winners;
