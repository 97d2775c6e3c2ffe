//! Real nodes under real faults: lost datagrams, cuts, kills, pauses, restarts, garbage; and
//! what a network costs when nothing is wrong.

mod crash;
mod garbage;
mod lab;
mod loss;
mod namespace;
mod partition;
mod traffic;
