//! What the parts of the relay path cost, without sockets: `cargo bench --bench parts`.
//!
//! A node is fed as by a flood: three nodes are linked with one another, so that each message
//! comes to the node under test twice, once new and once as a duplicate, and settles.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gossip::protocol::benching::{self, Sets};
use gossip::protocol::{
    Config, Key, Limits, Monotonic, Node, NodeId, Now, Outputs, PeerAddr, Wall,
};
use gossip::runtime::clock;

const TEXT: &str = "banana";
/// From one message to the next, on the nodes' clock.
const APART: Duration = Duration::from_millis(1);
/// A store may grow by this share beyond what it should hold, and is then made anew.
const GROWTH: usize = 5;

fn wire(criterion: &mut Criterion) {
    let mut body = Vec::new();
    benching::encode(TEXT, &mut body);
    let mut datagram = body.clone();
    benching::tag(&mut datagram);
    let mut to = Vec::with_capacity(256);
    criterion.bench_function("encode a rumor", |bencher| {
        bencher.iter(|| {
            to.clear();
            benching::encode(black_box(TEXT), &mut to);
        });
    });
    let mut to = Vec::with_capacity(256);
    criterion.bench_function("tag a rumor", |bencher| {
        bencher.iter(|| {
            to.clear();
            to.extend_from_slice(black_box(&body));
            benching::tag(&mut to);
        });
    });
    criterion.bench_function("check and decode a rumor", |bencher| {
        bencher.iter(|| benching::decode(black_box(&datagram)));
    });
}

fn relay(criterion: &mut Criterion) {
    for held in [100, 100_000] {
        for (name, new) in [("new", true), ("duplicate", false)] {
            let mut triangle = Triangle::holding(held);
            let name = format!("one {name} rumor, {held} messages held");
            criterion.bench_function(&name, |bencher| {
                bencher.iter_custom(|times| {
                    let mut sum = Duration::ZERO;
                    for _ in 0..times {
                        if triangle.held > held + held / GROWTH {
                            triangle = Triangle::holding(held);
                        }
                        let (first, second) = triangle.step();
                        sum += if new { first } else { second };
                    }
                    sum
                });
            });
        }
    }
}

fn sets(criterion: &mut Criterion) {
    let sets = Sets::new(100_000, 5);
    assert_eq!(sets.difference(), 10);
    criterion.bench_function("the difference of two sets of 100000 ids, 10 of them", |bencher| {
        bencher.iter(|| black_box(&sets).difference());
    });
}

/// An origin, a node that gets its messages twice, and the one it gets them from a second time.
struct Triangle {
    nodes: [Node; 3],
    outputs: [Outputs; 3],
    now: Now,
    held: usize,
}

impl Triangle {
    fn holding(messages: usize) -> Self {
        let start = Now { monotonic: Monotonic(0), wall: Wall(1_700_000_000_000_000_000) };
        let nodes = [1, 2, 3].map(|number| {
            let mut config = Config::new(NodeId(number), Key([7; 32]), u64::from(number));
            let others = (1..=3).filter(|other| *other != number);
            config.neighbours =
                others.map(|other| PeerAddr { node: NodeId(other), addr: addr(other) }).collect();
            config.limits = Limits { messages_max: 1_000_000, ..Limits::default() }.into();
            Node::new(&config, start)
        });
        let mut triangle = Self { nodes, outputs: Default::default(), now: start, held: 0 };
        while triangle.held < messages {
            triangle.step();
        }
        triangle
    }

    /// One message more. How long node 2 took for its first copy, and for its second.
    fn step(&mut self) -> (Duration, Duration) {
        self.now.monotonic = self.now.monotonic + APART;
        self.now.wall.0 += u64::try_from(APART.as_nanos()).unwrap_or(0);
        self.nodes[0].send_anyway(self.now, TEXT.as_bytes(), 1).expect("a short text is accepted");
        self.flush(0);
        let first = self.carry(0, 1);
        self.carry(0, 2);
        self.outputs[0].clear();
        let second = self.carry(2, 1);
        self.carry(1, 2);
        self.carry(1, 0);
        self.carry(2, 0);
        self.outputs.iter_mut().for_each(Outputs::clear);
        self.held += 1;
        (first, second)
    }

    fn flush(&mut self, node: usize) {
        self.nodes[node].flush(&mut self.outputs[node]);
    }

    /// Hands a node what another one sent it; says how long it took.
    fn carry(&mut self, from: usize, to: usize) -> Duration {
        let number = |node: usize| u32::try_from(node + 1).unwrap_or(0);
        let datagrams: Vec<Vec<u8>> = self.outputs[from]
            .datagrams()
            .filter(|(target, _)| *target == addr(number(to)))
            .map(|(_, bytes)| bytes.to_vec())
            .collect();
        let start = clock::now().monotonic;
        for bytes in &datagrams {
            let (from, out) = (addr(number(from)), &mut self.outputs[to]);
            self.nodes[to].receive_alone(self.now, from, bytes, out, &mut |_| ());
        }
        self.flush(to);
        clock::now().monotonic.since(start)
    }
}

fn addr(node: u32) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7000 + u16::try_from(node).unwrap_or(0)))
}

criterion_group! {
    name = parts;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30);
    targets = wire, relay, sets
}
criterion_main!(parts);
