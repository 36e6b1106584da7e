//! Guards for many tables: planned, added one table at a time, added to tables as they are created.

pub mod add_guards;
pub mod auto_guard;
pub mod blockers;
pub mod new_tables;
pub mod options;
pub mod plan_guards;
pub mod tables;
