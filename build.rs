//! Says how the programs are linked.

use std::env;

/// On Linux, programs are laid out for a fixed address. Else the loader writes addresses into some
/// fifty kilobytes of constants, of which each process then has a copy of its own: memory that a
/// thousand nodes need not have, and that a node, cold each time it wakes up, has to fetch while a
/// message waits. What it gives up, an address that an attacker has to guess, protects programs
/// that write where they should not; there is no unsafe code in this one.
fn main() {
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    // Naming anything keeps it from running, and all from being built, after each change of any file.
    println!("cargo:rerun-if-env-changed=CARGO_CFG_TARGET_ENV");
}
