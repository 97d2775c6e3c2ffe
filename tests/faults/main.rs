//! Real nodes under real faults: lost datagrams, cuts, kills, pauses, restarts, garbage; and
//! what a network costs when nothing is wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broken_link;
mod cost;
mod crash;
mod garbage;
#[path = "../harness/mod.rs"]
mod harness;
mod lab;
mod loss;
mod partition;
mod replay;
