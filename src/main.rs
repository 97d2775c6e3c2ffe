//! The `gossip` command.
fn main() {}
