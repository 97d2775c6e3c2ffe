//! For tests, fuzzers and the simulator: looking into a node from outside.

pub mod fuzzing;
pub mod inspect;
#[cfg(test)]
mod regressions;
#[cfg(test)]
pub(crate) mod table;
