//! The virtual network: the addresses of nodes, and faults on a datagram's way.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;

use crate::protocol::{Decision, FaultRule, NodeId, PeerAddr, decide};

/// The first node's port; as the launcher counts them.
const FIRST_PORT: u32 = 7001;
/// Nodes per IP address; the next ones get the next address.
const NODES_PER_ADDRESS: u32 = 58_000;

/// The address of a node.
pub(super) fn addr_of(node: NodeId) -> SocketAddr {
    let index = node.0 - 1;
    let ip = u32::from(Ipv4Addr::LOCALHOST) + index / NODES_PER_ADDRESS;
    let port = u16::try_from(FIRST_PORT + index % NODES_PER_ADDRESS).expect("at most 65,001");
    SocketAddr::from((Ipv4Addr::from(ip), port))
}

/// A node and its address.
pub(super) fn peer(node: u32) -> PeerAddr {
    PeerAddr { node: NodeId(node), addr: addr_of(NodeId(node)) }
}

/// Whose address this is; `None` if it is nobody's.
pub(super) fn node_at(addr: SocketAddr) -> Option<NodeId> {
    let SocketAddr::V4(addr) = addr else { return None };
    let ip = u32::from(*addr.ip()).checked_sub(u32::from(Ipv4Addr::LOCALHOST))?;
    let port = u32::from(addr.port()).checked_sub(FIRST_PORT)?;
    let before = ip.checked_mul(NODES_PER_ADDRESS)?;
    (port < NODES_PER_ADDRESS).then(|| before.checked_add(port + 1).map(NodeId))?
}

/// Carries datagrams between nodes.
#[derive(Debug)]
pub(super) struct Network {
    /// How long a datagram takes at least.
    latency: Duration,
    /// In force one after another, as on a node's own fault lab.
    pub(super) rules: Vec<FaultRule>,
    rng: Xoshiro256PlusPlus,
    pub(super) traffic: Traffic,
}

/// The datagrams that nodes handed to the network since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub datagrams: u64,
    /// Their payloads' bytes.
    pub bytes: u64,
}

impl Network {
    pub(super) fn new(latency: Duration, rng: Xoshiro256PlusPlus) -> Self {
        Self { latency, rules: Vec::new(), rng, traffic: Traffic::default() }
    }

    /// Decides the copies, delay and changes of one datagram; `None` if it is lost.
    pub(super) fn carry(&mut self, from: NodeId, to: NodeId, bytes: &[u8]) -> Option<Decision> {
        self.traffic.datagrams += 1;
        self.traffic.bytes += bytes.len() as u64;
        let concerns = |rule: &&FaultRule| rule.concerns_sender(from) && rule.concerns_receiver(to);
        let effects = self.rules.iter().filter(concerns).map(|rule| rule.effect);
        let decided = decide(effects, bytes, &mut self.rng);
        decided.map(|decided| Decision { delay: decided.delay + self.latency, ..decided })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Effect;
    use rand::SeedableRng;

    #[test]
    fn every_node_has_an_address_of_its_own() {
        for node in [1, 2, 58_000, 58_001, 116_001, 10_000_000].map(NodeId) {
            assert_eq!(node_at(addr_of(node)), Some(node));
        }
        assert_eq!(addr_of(NodeId(1)).to_string(), "127.0.0.1:7001");
        assert_eq!(addr_of(NodeId(58_001)).to_string(), "127.0.0.2:7001");
        for nobody in ["127.0.0.1:7000", "127.0.0.1:65500", "10.0.0.1:7001", "[::1]:7001"] {
            assert_eq!(node_at(nobody.parse().unwrap()), None, "{nobody}");
        }
    }

    #[test]
    fn two_cuts_part_both_ways_and_one_cut_one_way() {
        let cut = |from, to| {
            let effect = Effect { loss: 1.0, ..Effect::default() };
            FaultRule { from: vec![from], to: vec![to], effect }
        };
        let mut network = Network::new(Duration::ZERO, Xoshiro256PlusPlus::seed_from_u64(1));
        network.rules = vec![cut((1, 2), (3, 4)), cut((3, 4), (1, 2))];
        let mut passes = |from, to| network.carry(NodeId(from), NodeId(to), b"x").is_some();
        assert!(passes(1, 2) && passes(4, 3) && passes(5, 1));
        assert!(!passes(1, 3) && !passes(4, 2));
        network.rules = vec![cut((1, 1), (2, 2))];
        let mut passes = |from, to| network.carry(NodeId(from), NodeId(to), b"x").is_some();
        assert!(!passes(1, 2) && passes(2, 1));
        assert_eq!(network.traffic, Traffic { datagrams: 7, bytes: 7 });
    }
}
