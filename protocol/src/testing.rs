//! For tests, fuzzers and the simulator: looking into a node from outside.

#[cfg(test)]
mod broken_links;
mod dice;
pub mod fuzzing;
pub mod inspect;
pub(crate) mod other_end;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod regressions;
#[cfg(test)]
pub(crate) mod table;

use crate::ids::{Incarnation, Start};

/// A start that only tests may use: the nonce follows from the incarnation.
#[must_use]
pub fn start(incarnation: Incarnation) -> Start {
    Start { incarnation, nonce: u128::from(incarnation).to_le_bytes() }
}
