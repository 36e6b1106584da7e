//! What an operator asks of the guards of a table, and of many.

pub mod bypass;
pub mod check;
pub mod check_schema;
pub mod definition;
pub mod drop_guard;
pub mod find_guard;
pub mod guard_is_whole;
pub mod library_version;
pub mod manifest;
pub mod pieces;
pub mod protect;
pub mod repair_guard;
pub mod require_guard;
pub mod rollout;
pub mod set_mode;
pub mod stats;
pub mod uninstall;
