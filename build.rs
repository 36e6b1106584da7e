//! Keeps the linker from dropping the section in which pgrx embeds the extension's SQL. cargo-pgrx would do it with
//! a flag for every crate, which builds the whole dependency tree twice, once for tests and once for the library;
//! scripts/lib.sh turns that off. That flag also keeps all of pgrx that nothing calls, and with it the names of
//! functions that an older minor release of the server does not have: the library would not load there. So only
//! that section is kept.
//!
//! Also says `cfg(since_pg18)` and the like, for code that holds from a Postgres major on.
use std::{env, fs, io, path::PathBuf};

/// Added to the linker's own script.
const KEEP: &str = "SECTIONS { .pgrxsc : { KEEP(*(.pgrxsc)) } } INSERT AFTER .rodata;\n";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let script = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("keep.ld");
        fs::write(&script, KEEP)?;
        println!("cargo:rustc-link-arg-cdylib=-Wl,-T,{}", script.display());
    }
    let chosen = |major| env::var_os(format!("CARGO_FEATURE_PG{major}")).is_some();
    for major in 16..=19 {
        println!("cargo:rustc-check-cfg=cfg(since_pg{major})");
        if (major..=19).any(chosen) {
            println!("cargo:rustc-cfg=since_pg{major}");
        }
    }
    Ok(())
}
