//! Says how the programs are linked.

use std::env;

/// On Linux with glibc, programs are laid out for a fixed address. Else the loader writes addresses into some
/// fifty kilobytes of constants, of which each process then has a copy of its own: memory that a
/// thousand nodes need not have, and that a node, cold each time it wakes up, has to fetch while a
/// message waits. What it gives up, an address that an attacker has to guess, is a second line of defence
/// for programs that write where they should not. There is no unsafe code of ours in this one; there is
/// in libraries. Who links the C library statically chooses the layout as well.
fn main() {
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let is_static = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if target("OS") == "linux" && target("ENV") == "gnu" && !is_static {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    // Naming anything keeps it from running, and all from being built, after each change of any file.
    println!("cargo:rerun-if-env-changed=CARGO_CFG_TARGET_ENV");
}
