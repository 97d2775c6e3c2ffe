//! Real nodes under real faults: lost datagrams, cuts, kills, pauses, restarts, garbage; and
//! what a network costs when nothing is wrong.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

mod crash;
mod garbage;
mod lab;
mod loss;
mod namespace;
mod partition;
mod traffic;
