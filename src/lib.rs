//! raceguard closes race conditions inside Postgres, where every writer must pass.
//!
//! * [`version`], [`key_lock`], [`cap`], [`cooldown`], [`number`], [`parent`], [`total`]: a guard each
//! * [`guard`]: what all guards share
//! * [`rows`]: calls on rows of any table
//! * [`retry`]: statements that run again after a conflict
//! * [`registry`]: the kinds of guard there are
//! * [`operate`]: what an operator asks of the guards
//! * [`pg`]: safe wrappers over Postgres, the only place for `unsafe`
//! * [`errors`]: errors that several of them raise
//!
//! The SQL objects are declared by hand in `sql/`; every entry is a C function made by a macro of
//! [`pg`], because a custom SQLSTATE does not survive pgrx's own error path.

#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

use pgrx::prelude::*;

mod cap;
mod cooldown;
mod errors;
mod guard;
mod key_lock;
mod number;
mod operate;
mod parent;
#[allow(unsafe_code)]
mod pg;
mod registry;
mod retry;
mod rows;
mod total;
mod version;

// What pg_get_loaded_modules (Postgres 18 and later) tells of the library.
pgrx::pg_module_magic!(name, version);

/// Runs when a backend loads the library; no preload is needed.
#[allow(non_snake_case)]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::lock_setting::define(key_lock::calls::lock_by_setting);
    pg::guc::define();
    guard::stats::table::ask_for_room();
    guard::stats::session::ask_for_companions(registry::function_beside);
    guard::settling::ask_who_is_quiet(registry::is_quiet);
}

extension_sql_file!("../sql/version.sql", name = "version", bootstrap);
extension_sql_file!("../sql/key_lock.sql", name = "key_lock", requires = ["version"]);
extension_sql_file!("../sql/cap.sql", name = "cap", requires = ["key_lock"]);
extension_sql_file!("../sql/cooldown.sql", name = "cooldown", requires = ["cap"]);
extension_sql_file!("../sql/number.sql", name = "number", requires = ["cooldown"]);
extension_sql_file!("../sql/guards.sql", name = "guards", requires = ["number"]);
extension_sql_file!("../sql/stats.sql", name = "stats", requires = ["guards"]);
extension_sql_file!("../sql/modes.sql", name = "modes", requires = ["guards"]);
extension_sql_file!("../sql/insert_or_get.sql", name = "insert_or_get", requires = ["guards"]);
extension_sql_file!("../sql/take.sql", name = "take", requires = ["version"]);
extension_sql_file!("../sql/retry.sql", name = "retry", requires = ["take"]);
extension_sql_file!("../sql/swap.sql", name = "swap", requires = ["guards"]);
extension_sql_file!("../sql/parent.sql", name = "parent", requires = ["version"]);
extension_sql_file!("../sql/total.sql", name = "total", requires = ["version"]);
extension_sql_file!("../sql/check.sql", name = "check", requires = ["guards"]);
extension_sql_file!("../sql/protect.sql", name = "protect", requires = ["check"]);
extension_sql_file!("../sql/rollout.sql", name = "rollout", requires = ["guards", "parent"]);

#[cfg(any(test, feature = "pg_test"))]
#[allow(unsafe_code, clippy::expect_used)]
mod server_tests;

#[cfg(feature = "fence_tests")]
mod fence_tests;

/// What `cargo pgrx test` asks for.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
