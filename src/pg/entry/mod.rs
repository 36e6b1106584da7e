//! Where Postgres enters raceguard: trigger firings, function calls, and what is kept between them.

pub mod call;
mod catalog;
pub mod ddl_event;
pub mod distribution;
pub mod executor;
mod extension_catalog;
pub(in crate::pg) mod ffi;
pub mod finfo;
mod installed;
pub mod new_in_place;
pub mod result_set;
pub mod rule_cache;
pub(in crate::pg) mod shard_name;
pub mod trigger;
pub mod trigger_catalog;
pub mod trigger_order;
pub mod trigger_shape;
pub mod upsert;
