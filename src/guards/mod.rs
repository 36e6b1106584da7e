//! What runs when a row is written.

pub mod outcome;
pub mod version;
