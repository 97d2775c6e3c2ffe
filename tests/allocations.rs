//! What a copy costs in allocations: none for a duplicate, at most two for a new message.
//!
//! Four nodes that are all linked pass messages round; one of them is watched. Memory that grows
//! with the number of messages held is taken in larger and larger pieces, so its share is counted
//! over many messages.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::net::SocketAddr;

use allocation_counter::measure;
use gossip::protocol::{Config, Key, Monotonic, Node, NodeId, Now, Outputs, PeerAddr, Wall};

const NODES: u32 = 4;
/// The node that is watched.
const WATCHED: u32 = 1;
/// The node that messages start at.
const ORIGIN: u32 = 2;

fn addr(node: u32) -> SocketAddr {
    ([127, 0, 0, 1], 7_000 + u16::try_from(node).unwrap()).into()
}

/// All nodes, and the datagrams under way between them.
struct Table {
    nodes: Vec<Node>,
    outputs: Vec<Outputs>,
    under_way: VecDeque<(u32, u32, Vec<u8>)>,
    at: u64,
}

/// Allocations at the watched node while it dealt with messages that were new, or not.
#[derive(Debug, Default)]
struct Allocations {
    new: u64,
    duplicates: u64,
    copies: u64,
}

impl Table {
    fn new() -> Self {
        let node = |number| {
            let mut config = Config::new(NodeId(number), Key([7; 32]), number.into());
            let others = (1..=NODES).filter(|other| *other != number);
            let peer = |other| PeerAddr { node: NodeId(other), addr: addr(other) };
            config.neighbours = others.map(peer).collect();
            let mut node = Node::new(config, now(1));
            node.tell_messages(false);
            node
        };
        Self {
            nodes: (1..=NODES).map(node).collect(),
            outputs: (1..=NODES).map(|_| Outputs::default()).collect(),
            under_way: VecDeque::new(),
            at: 1,
        }
    }

    /// Puts what a node has to say under way.
    fn collect(&mut self, from: u32) {
        for (to, bytes) in self.outputs[from as usize - 1].datagrams() {
            let to = u32::from(to.port()) - 7_000;
            self.under_way.push_back((from, to, bytes.to_vec()));
        }
        self.outputs[from as usize - 1].clear();
    }

    /// Sends one message round, and counts.
    fn flood(&mut self, allocations: &mut Allocations) {
        self.at += 10_000;
        let now = now(self.at);
        let origin = &mut self.nodes[ORIGIN as usize - 1];
        origin.send(now, "banana", 1).unwrap();
        origin.flush(now, &mut self.outputs[ORIGIN as usize - 1]);
        self.collect(ORIGIN);
        let mut is_new = true;
        while let Some((from, to, bytes)) = self.under_way.pop_front() {
            let node = &mut self.nodes[to as usize - 1];
            let out = &mut self.outputs[to as usize - 1];
            let info = measure(|| {
                node.receive(now, addr(from), &bytes);
                node.flush(now, out);
            });
            if to == WATCHED {
                allocations.copies += 1;
                *if is_new { &mut allocations.new } else { &mut allocations.duplicates } +=
                    info.count_total;
                is_new = false;
            }
            self.collect(to);
        }
    }

    fn floods(&mut self, messages: u64) -> Allocations {
        let mut allocations = Allocations::default();
        for _ in 0..messages {
            self.flood(&mut allocations);
        }
        allocations
    }
}

fn now(nanos: u64) -> Now {
    Now { monotonic: Monotonic(nanos), wall: Wall(nanos) }
}

#[test]
fn a_duplicate_allocates_nothing_and_a_new_message_hardly_anything() {
    let mut table = Table::new();
    for held in [16, 10_000] {
        let so_far = table.nodes[WATCHED as usize - 1].status().messages;
        table.floods(held - so_far);
        let messages = 1_000;
        let allocations = table.floods(messages);
        assert_eq!(allocations.copies, 3 * messages, "one copy from each neighbour");
        assert_eq!(allocations.duplicates, 0, "with {held} messages held: {allocations:?}");
        assert!(allocations.new <= 2 * messages, "with {held} messages held: {allocations:?}");
    }
}
