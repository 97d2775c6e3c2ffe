//! The Wireshark dissector and the script that captures: `scripts/gossip.lua`, `scripts/capture`.
//!
//! The dissector's output is compared with the program itself: its source, its parser, and its
//! nodes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod capture;
mod examples;
#[path = "../harness/mod.rs"]
mod harness;
mod mutated;
mod source;
mod traffic;
mod tshark;

use harness::namespace;
