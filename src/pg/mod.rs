//! Safe wrappers over Postgres; the only place where `unsafe` may stand.
//!
//! A safe function here takes no raw pointer, and hands out nothing that outlives the memory it lies in.
//!
//! In layers: base, session, data, table, entry, sql. Each imports only from those before it. For the
//! rest of the crate they are one: it names a module without its layer.

mod base;
mod data;
mod entry;
mod session;
mod sql;
mod table;

pub use base::{
    alloc, custom_statistics, error, guc, memory, per_backend, shared_memory, sqlstate, stop, text,
};
pub use data::{
    column, convert, instant, json_record, jsonb, key_bytes, numeric, row_image, row_slot, tuple,
    version_clock, version_value,
};
pub use entry::{
    call, ddl_event, distribution, executor, finfo, new_in_place, result_set, rule_cache, trigger,
    trigger_catalog, trigger_order, trigger_shape, upsert,
};
pub use session::{
    advisory_lock, backoff, client, lock_setting, owner, snapshot, transaction_end, xid,
};
pub use sql::{direct_column, direct_plan, own_transaction, prepared, result_row, spi, statement};
pub use table::{
    changed_columns, column_default, foreign_key, key, numbered_index, numbered_scan, open_table,
    partitions, primary_key, privilege, relation, table_watch, time_index,
};
