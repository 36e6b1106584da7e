//! What application SQL calls.

mod arguments;
mod attempt;
mod backfill;
mod backfill_position;
mod backfill_step;
mod cooldown;
mod insert_or_get;
pub mod key_locks;
mod key_values;
mod keys;
mod lock_rows;
mod number_slots;
mod retry;
mod slots;
mod statement;
mod stock;
mod swap;
mod swap_columns;
mod table;
mod take;
mod tokens;
mod version;
