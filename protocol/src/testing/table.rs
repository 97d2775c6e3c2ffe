//! A few nodes on a table, for unit tests: datagrams take a millisecond, unless a test loses them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Key};
use crate::datagram::codec;
use crate::datagram::outbox::Outputs;
use crate::datagram::wire::Frame;
use crate::effects::Effects;
use crate::ids::{MessageId, NodeId, PeerAddr};
use crate::node::Node;
use crate::report::Event;
use crate::testing::other_end::{self, OtherEnd};
use crate::testing::{inspect, start};
use crate::time::{Monotonic, Now, Wall};

pub(crate) const KEY: Key = Key([7; 32]);
const LATENCY: Duration = Duration::from_millis(1);

/// Where a node receives.
pub(crate) fn addr(node: u32) -> PeerAddr {
    let port = 7000 + u16::try_from(node).unwrap();
    PeerAddr { node: NodeId(node), addr: ([127, 0, 0, 1], port).into() }
}

/// The launch of all nodes that are there from the start.
const LAUNCH: [u8; 16] = [5; 16];

/// Frames as they are sent.
pub(crate) fn encoded(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| codec::encode_into(frame, &mut bytes));
    bytes
}

/// What a test wants of a datagram, from and to whom.
type Filter = Box<dyn FnMut(u32, u32, &[Frame<'_>]) -> bool>;

/// Nodes 1, 2, … and what is under way between them.
pub(crate) struct Table {
    pub(crate) nodes: Vec<Option<Node>>,
    /// Nodes that were killed: others may send what they sent.
    killed: BTreeMap<u32, Node>,
    /// Senders that are no nodes.
    strangers: BTreeMap<u32, OtherEnd>,
    pub(crate) now: Monotonic,
    under_way: VecDeque<(Monotonic, u32, u32, Vec<u8>)>,
    /// Lets a datagram pass, or not.
    pub(crate) passes: Filter,
    pub(crate) events: Vec<(u32, Event)>,
    /// Datagrams sent, by whom and to whom.
    pub(crate) sent: Vec<(u32, u32, usize)>,
    /// Where each node receives now.
    pub(crate) homes: Vec<SocketAddr>,
    /// The datagrams sent, where a test wants their bytes.
    pub(crate) recorded: Option<Vec<(u32, u32, Vec<u8>)>>,
}

impl Table {
    /// Nodes with these links.
    pub(crate) fn with_links(nodes: u32, links: &[(u32, u32)]) -> Self {
        Self::with(nodes, links, |_| {})
    }

    /// Nodes with these links, and what a test wants changed.
    pub(crate) fn with(nodes: u32, links: &[(u32, u32)], change: impl Fn(&mut Config)) -> Self {
        let now = Monotonic(1_000_000_000);
        let node = |number: u32| {
            let mut config = Config::new(NodeId(number), start(1), KEY, u64::from(number));
            config.launch = Some(LAUNCH);
            config.neighbours = links
                .iter()
                .filter(|(a, b)| *a == number || *b == number)
                .map(|(a, b)| addr(a + b - number))
                .collect();
            change(&mut config);
            Some(Node::new(&config, at(now)))
        };
        Self {
            nodes: (1..=nodes).map(node).collect(),
            killed: BTreeMap::new(),
            strangers: BTreeMap::new(),
            now,
            under_way: VecDeque::new(),
            passes: Box::new(|_, _, _| true),
            events: Vec::new(),
            sent: Vec::new(),
            homes: (1..=nodes).map(|node| addr(node).addr).collect(),
            recorded: None,
        }
    }

    /// A ring.
    pub(crate) fn ring(nodes: u32) -> Self {
        let links: Vec<(u32, u32)> = (1..=nodes).map(|n| (n, n % nodes + 1)).collect();
        Self::with_links(nodes, &links)
    }

    pub(crate) fn node(&mut self, number: u32) -> &mut Node {
        self.nodes[number as usize - 1].as_mut().unwrap()
    }

    pub(crate) fn now(&self) -> Now {
        at(self.now)
    }

    /// Has a node send a text.
    pub(crate) fn send(&mut self, node: u32, text: &str) -> MessageId {
        let now = self.now();
        self.node(node).send_anyway(now, text.as_bytes(), 1).unwrap()
    }

    /// Ends a node without a word.
    pub(crate) fn kill(&mut self, node: u32) {
        let node = (node, self.nodes[node as usize - 1].take().unwrap());
        self.killed.extend([node]);
    }

    /// Starts a node again.
    pub(crate) fn start(&mut self, node: u32, incarnation: u64, neighbours: &[u32]) {
        let mut config = Config::new(NodeId(node), start(incarnation), KEY, u64::from(node) + 1000);
        config.neighbours = neighbours.iter().map(|n| addr(*n)).collect();
        self.nodes[node as usize - 1] = Some(Node::new(&config, self.now()));
    }

    /// Feeds a node frames of another, sealed as that would, be it killed or not. Nodes that have
    /// no session get one.
    pub(crate) fn feed(&mut self, to: u32, from: u32, frames: &[Frame<'_>]) {
        let bytes = self.sealed(to, from, frames);
        let now = self.now();
        self.node(to).receive(now, addr(from).addr, &bytes);
    }

    /// A datagram of these frames from one node to another.
    pub(crate) fn sealed(&mut self, to: u32, from: u32, frames: &[Frame<'_>]) -> Vec<u8> {
        if from as usize > self.nodes.len() {
            return self.stranger(to, from).say(NodeId(to), &encoded(frames)).unwrap();
        }
        if self.effects(from).sessions.with(NodeId(to)).is_none() {
            let now = self.now;
            for (node, peer) in [(to, from), (from, to)] {
                let Effects { sessions, config, .. } = self.effects(node);
                sessions.know(config, &LAUNCH, addr(peer), 1, now);
            }
        }
        let Effects { sessions, config, .. } = self.effects(from);
        other_end::said(sessions, config, NodeId(to), &encoded(frames)).unwrap()
    }

    /// Something that sends as this number, and has a session with a node.
    fn stranger(&mut self, to: u32, number: u32) -> &mut OtherEnd {
        let now = self.now;
        if !self.strangers.contains_key(&number) {
            let Effects { sessions, config, .. } = self.effects(to);
            sessions.know(config, &LAUNCH, addr(number), 1, now);
        }
        self.strangers.entry(number).or_insert_with(|| {
            let mut config = Config::new(NodeId(number), start(1), KEY, 1);
            config.launch = Some(LAUNCH);
            config.neighbours = vec![addr(to)];
            OtherEnd::new(&config, addr(number).addr, now)
        })
    }

    /// Feeds a node bytes from the address of this number.
    pub(crate) fn inject(&mut self, to: u32, from: u32, bytes: &[u8]) {
        let now = self.now();
        self.node(to).receive(now, addr(from).addr, bytes);
    }

    fn effects(&mut self, node: u32) -> &mut Effects {
        let running = self.nodes[node as usize - 1].as_mut();
        &mut running.or(self.killed.get_mut(&node)).unwrap().fx
    }

    /// Runs for `time`.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.flush_all();
            let datagram = self.under_way.front().map(|(at, ..)| *at);
            let tick = self.nodes.iter().flatten().filter_map(Node::deadline).min();
            let Some(next) = datagram.into_iter().chain(tick).min().filter(|next| *next <= end)
            else {
                break;
            };
            assert!(next >= self.now || tick == Some(next), "time goes on");
            self.now = self.now.max(next);
            let now = self.now();
            while let Some((at, from, to, bytes)) = self.under_way.pop_front() {
                if at > self.now {
                    self.under_way.push_front((at, from, to, bytes));
                    break;
                }
                if let Some(node) = &mut self.nodes[to as usize - 1] {
                    node.receive(now, self.homes[from as usize - 1], &bytes);
                }
            }
            for node in self.nodes.iter_mut().flatten() {
                if node.deadline().is_some_and(|deadline| deadline <= now.monotonic) {
                    node.tick(now);
                }
            }
        }
        self.now = end;
    }

    /// Takes what every node has to say.
    pub(crate) fn flush_all(&mut self) {
        let mut out = Outputs::default();
        for number in 1..=u32::try_from(self.nodes.len()).unwrap() {
            let Some(node) = &mut self.nodes[number as usize - 1] else { continue };
            node.flush(&mut out);
            self.events.extend(out.events.drain(..).map(|event| (number, event)));
            for (to_addr, bytes) in out.datagrams() {
                let home = self.homes.iter().position(|home| *home == to_addr);
                let to = home.map_or(number_of(to_addr), |at| at as u32 + 1);
                self.sent.push((number, to, bytes.len()));
                if let Some(recorded) = &mut self.recorded {
                    recorded.push((number, to, bytes.to_vec()));
                }
                // Nobody receives at an address of an earlier life.
                let (_, frames) = inspect::parse(bytes).unwrap();
                if (self.passes)(number, to, &frames) && home.is_some() {
                    self.under_way.push_back((self.now + LATENCY, number, to, bytes.to_vec()));
                }
            }
            out.clear();
        }
    }

    /// How many messages a node holds.
    pub(crate) fn held(&mut self, node: u32) -> u64 {
        self.node(node).status().messages
    }

    /// The sum over all nodes of one counter.
    pub(crate) fn count(&self, counter: impl Fn(&crate::Counters) -> u64) -> u64 {
        self.nodes.iter().flatten().map(|node| counter(&node.fx.counters)).sum()
    }

    /// The nodes that a node regards as its living neighbours.
    pub(crate) fn neighbours(&mut self, node: u32) -> Vec<u32> {
        let peers = self.node(node).peers();
        let alive = peers.iter().filter(|peer| peer.state == crate::PeerState::Alive);
        alive.map(|peer| peer.node.0).collect()
    }

    /// How often something was told of.
    pub(crate) fn told(&self, what: impl Fn(u32, &Event) -> bool) -> usize {
        self.events.iter().filter(|(node, event)| what(*node, event)).count()
    }
}

/// The same instant on both clocks.
fn at(now: Monotonic) -> Now {
    Now { monotonic: now, wall: Wall(now.0) }
}

/// The node at an address.
pub(crate) fn number_of(addr: SocketAddr) -> u32 {
    u32::from(addr.port()) - 7000
}
