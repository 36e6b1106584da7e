//! raceguard closes race conditions inside Postgres.
use pgrx::prelude::*;
pgrx::pg_module_magic!();
#[pg_extern]
fn version() -> &'static str { env!("CARGO_PKG_VERSION") }
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}
    pub fn postgresql_conf_options() -> Vec<&'static str> { vec![] }
}
