//! raceguard closes race conditions inside Postgres, where every writer must pass.
//!
//! * [`guards`]: what runs when a row is written
//! * [`install`]: `add_*` and `drop_guard`, the DDL that puts a guard on a table
//! * [`calls`]: what application SQL calls
//! * [`pg`]: safe wrappers over Postgres, the only place for `unsafe`
//! * [`errors`]: every error raceguard raises
//!
//! The SQL objects are declared by hand in `sql/`; every entry is a C function made by a macro of
//! [`pg`], because a custom SQLSTATE does not survive pgrx's own error path.

#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

use pgrx::prelude::*;

mod calls;
mod errors;
mod guards;
mod install;
#[allow(unsafe_code)]
mod pg;

pgrx::pg_module_magic!();

/// Runs when a backend loads the library; no preload is needed.
#[allow(non_snake_case)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::setting::define(calls::key_locks::lock_by_setting);
    pg::guc::define();
}

extension_sql_file!("../sql/version.sql", name = "version", bootstrap);
extension_sql_file!("../sql/key_lock.sql", name = "key_lock", requires = ["version"]);
extension_sql_file!("../sql/cap.sql", name = "cap", requires = ["key_lock"]);
extension_sql_file!("../sql/cooldown.sql", name = "cooldown", requires = ["cap"]);
extension_sql_file!("../sql/guards.sql", name = "guards", requires = ["cooldown"]);
extension_sql_file!("../sql/take.sql", name = "take", requires = ["version"]);
extension_sql_file!("../sql/retry.sql", name = "retry", requires = ["take"]);
extension_sql_file!("../sql/swap.sql", name = "swap", requires = ["guards"]);
extension_sql_file!("../sql/parent.sql", name = "parent", requires = ["version"]);

#[cfg(any(test, feature = "pg_test"))]
#[allow(unsafe_code, clippy::expect_used)]
mod server_tests;

/// What `cargo pgrx test` asks for.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
