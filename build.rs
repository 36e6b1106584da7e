//! Keeps the linker from dropping the section in which pgrx embeds the
//! extension's SQL. cargo-pgrx would do it with a flag for every crate, which
//! builds the whole dependency tree twice, once for tests and once for the
//! library; scripts/lib.sh turns that off.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("macos") {
        println!("cargo:rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    }
}
