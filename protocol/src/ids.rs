//! Names: of nodes and their incarnations, of messages, and the paths that copies took. `link` has
//! the words that membership and broadcast exchange.
//!
//! Plain values. How they become bytes is [`crate::datagram::wire`]'s business.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Wall;

pub(crate) mod by_origin;
pub(crate) mod link;
pub(crate) mod numbers;
pub(crate) mod set;

/// A node's number, from 1. The number 0 is never a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which start of a node this is, from 1: higher with each start, so that no message id is ever used
/// twice. A program that keeps count of starts counts up by one; any other takes
/// [`incarnation_at`] the start.
pub type Incarnation = u64;

/// The incarnation of a node that starts at this time: the microseconds since 1970, so a process that is
/// started again has another one even if its last start was a moment ago. It must be taken anew for each
/// start, from a clock that is not set back in between.
#[must_use]
pub fn incarnation_at(start: Wall) -> Incarnation {
    (start.0 / 1_000).max(1)
}

/// One start of a node: what tells it from all other starts of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Orders the starts.
    pub incarnation: Incarnation,
    /// Bytes that were never used for another start and never will be: 16 bytes from the system's source
    /// of randomness. They need not be secret. They must not follow from [`Config::seed`](crate::Config::seed),
    /// which people give twice. Sessions between two starts are made of them, in which a datagram that
    /// somebody recorded counts for nothing.
    pub nonce: [u8; 16],
}

/// One life of one node: what a message's sequence number counts within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

/// A message's name, unique in the network for all time.
///
/// Sequence numbers of one origin start at 1 and leave no gaps, so that "all I know of" is a
/// short list of ranges. Shown as `8.1`, or `8.1@2` for the second incarnation of node 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId {
    /// The node that wrote it, and its incarnation.
    pub origin: Origin,
    /// Its index among the messages of this origin, from 1.
    pub sequence: u64,
}

impl MessageId {
    /// The id from its three numbers.
    #[must_use]
    pub fn new(node: u32, incarnation: Incarnation, sequence: u64) -> Self {
        Self { origin: Origin { node: NodeId(node), incarnation }, sequence }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.origin.node, self.sequence)?;
        match self.origin.incarnation {
            1 => Ok(()),
            incarnation => write!(f, "@{incarnation}"),
        }
    }
}

/// The text is not a message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message id looks like 8.1, or 8.1@2 for the second start of node 8")]
pub struct ParseIdError;

impl FromStr for MessageId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (id, incarnation) = match text.split_once('@') {
            Some((id, incarnation)) => (id, incarnation.parse().map_err(|_| ParseIdError)?),
            None => (text, 1),
        };
        let (node, sequence) = id.split_once('.').ok_or(ParseIdError)?;
        let node = node.parse().map_err(|_| ParseIdError)?;
        let sequence = sequence.parse().map_err(|_| ParseIdError)?;
        if node == 0 || sequence == 0 {
            return Err(ParseIdError);
        }
        Ok(Self::new(node, incarnation, sequence))
    }
}

/// A peer and where it receives datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerAddr {
    /// Its number.
    pub node: NodeId,
    /// Its UDP address.
    pub addr: SocketAddr,
}

/// The nodes a copy passed, from its origin to the node that tells of it.
///
/// `None` stands where a path too long to carry was cut in its middle; the copy's hop count is
/// right all the same.
pub type Path = Vec<Option<NodeId>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_a_microsecond_apart_are_different_incarnations() {
        let first = incarnation_at(Wall(1_795_902_959_123_456_000));
        assert_eq!(first, 1_795_902_959_123_456);
        assert!(incarnation_at(Wall(1_795_902_959_123_457_000)) > first);
        assert_eq!(incarnation_at(Wall(0)), 1, "0 stands for a peer not heard from yet");
    }

    #[test]
    fn ids_read_back_as_they_print() {
        for id in [MessageId::new(8, 1, 1), MessageId::new(8, 2, 1), MessageId::new(1, 9, 77)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(MessageId::new(8, 1, 1).to_string(), "8.1");
        assert_eq!(MessageId::new(8, 2, 1).to_string(), "8.1@2");
    }

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        for text in ["", "8", "8.", ".1", "0.1", "8.0", "8.1@", "8.1@x", "-8.1", "8.1.1"] {
            assert_eq!(text.parse::<MessageId>(), Err(ParseIdError), "{text}");
        }
    }
}
