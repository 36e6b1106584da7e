//! Which session takes its next step: every order, each state once, or one that chance picks.

pub mod digest;
pub mod explore;
pub mod run;
pub mod session;
