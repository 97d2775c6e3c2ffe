//! Garbage at full speed on all ports, while messages flow.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gossip::protocol::{Config, MessageId, Node, NodeId, Outputs, PeerAddr, UDP_PAYLOAD_BYTES_MAX};
use gossip::runtime::clock;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use crate::harness::pause_until;
use crate::lab::Lab;

const NODES: u16 = 16;
const GROWTH_BYTES_MAX: u64 = 16 << 20;

#[test]
fn garbage_on_all_ports_stops_no_message_and_no_node() {
    let seconds = std::env::var("GOSSIP_TEST_GARBAGE_SECONDS");
    let seconds = seconds.map_or(10, |text| text.parse().unwrap());
    let mut lab = Lab::start("random 3", NODES);
    lab.until_linked();
    let mut ids: Vec<MessageId> =
        lab.nodes().iter().map(|node| lab.send(*node, "before")).collect();
    lab.until_all_hold(ids.len() as u64, Duration::from_secs(5));
    let before: Vec<u64> = lab.nodes().iter().map(|node| lab.memory(*node)).collect();
    let addrs: Vec<SocketAddr> = lab.nodes().iter().map(|node| lab.addr(*node)).collect();
    let garbage = Garbage::start(&addrs, captured(&lab));
    let start = clock::now().monotonic;
    for second in 0..seconds {
        let node = 1 + second % u32::from(NODES);
        ids.push(lab.send(node, &format!("meanwhile {second}")));
        pause_until(start + Duration::from_secs(u64::from(second) + 1));
    }
    let grown: Vec<u64> = lab
        .nodes()
        .iter()
        .zip(&before)
        .map(|(node, before)| lab.memory(*node).saturating_sub(*before))
        .collect();
    let (datagrams, connections) = garbage.stop();
    let took = lab.until_all_hold(ids.len() as u64, Duration::from_secs(10));
    ids.sort_unstable();
    // Altered and truncated datagrams went nowhere: every node holds the messages sent, and no
    // others.
    let slowest = lab.assert_all_hold_once(&ids);
    let counters = lab.counters();
    eprintln!(
        "{datagrams} datagrams and {connections} connections in {seconds} s; all there {took:?} \
         later, slowest {slowest:?}; grown by up to {} KiB",
        grown.iter().max().unwrap() / 1024
    );
    assert!(slowest < Duration::from_secs(10), "the slowest message took {slowest:?}");
    assert_eq!(counters.peers_dead, 0, "a node was declared dead");
    assert!(grown.iter().all(|bytes| *bytes <= GROWTH_BYTES_MAX), "grown by {grown:?} bytes");
    for node in lab.nodes() {
        assert!(lab.runs(node), "node {node} died");
    }
}

/// A datagram of this network, as a node of its sends it: with a message in it, and sealed with
/// the network's key.
fn captured(lab: &Lab) -> Vec<u8> {
    let now = clock::now();
    let mut config = Config::new(NodeId(3), gossip::protocol::testing::start(1), lab.key(), 1);
    // Of another launch.
    config.launch = Some([1; 16]);
    config.neighbours = vec![PeerAddr { node: NodeId(4), addr: lab.addr(4) }];
    let mut node = Node::new(&config, now);
    node.send(now, "forged".repeat(30).as_bytes(), 1).unwrap();
    let mut out = Outputs::default();
    node.flush(&mut out);
    let (_, bytes) = out.datagrams().next().unwrap();
    bytes.to_vec()
}

/// Threads that send garbage until they are stopped.
struct Garbage {
    stopped: Arc<AtomicBool>,
    datagrams: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Garbage {
    fn start(addrs: &[SocketAddr], captured: Vec<u8>) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (datagrams, connections) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let udp = || {
            let (addrs, stopped, count) = (addrs.to_vec(), stopped.clone(), datagrams.clone());
            let captured = captured.clone();
            move || shower(&addrs, &captured, &stopped, &count)
        };
        let tcp = {
            let (addrs, stopped, count) = (addrs.to_vec(), stopped.clone(), connections.clone());
            move || babble(&addrs, &stopped, &count)
        };
        let threads = vec![
            thread::Builder::new().name("shower".into()).spawn(udp()).unwrap(),
            thread::Builder::new().name("shower".into()).spawn(udp()).unwrap(),
            thread::Builder::new().name("babble".into()).spawn(tcp).unwrap(),
        ];
        Self { stopped, datagrams, connections, threads }
    }

    /// Ends it, and says how many datagrams and connections there were.
    fn stop(self) -> (u64, u64) {
        self.stopped.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.datagrams), count(&self.connections))
    }
}

/// Sends datagrams as fast as the system takes them: empty, random, truncated and altered real
/// ones, and the largest there are.
fn shower(addrs: &[SocketAddr], real: &[u8], stopped: &AtomicBool, count: &AtomicU64) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut altered = real.to_vec();
    let mut largest = vec![0; UDP_PAYLOAD_BYTES_MAX];
    dice.fill_bytes(&mut largest);
    largest[..real.len()].copy_from_slice(real);
    while !stopped.load(Ordering::Relaxed) {
        for addr in addrs {
            let start = dice.random_range(0..32_768);
            let random = &largest[start..start + dice.random_range(1..1_500)];
            let datagram = match dice.random_range(0..100) {
                0 => &largest[..],
                1..20 => &[],
                20..40 => &real[..dice.random_range(0..real.len())],
                40..50 => {
                    let at = dice.random_range(0..altered.len());
                    altered.copy_from_slice(real);
                    altered[at] ^= 1 << dice.random_range(0..8);
                    &altered
                }
                _ => random,
            };
            // A datagram that the system refuses was not sent; the shower goes on.
            let _ = socket.send_to(datagram, addr);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Opens connections one after the other, and writes rubbish to them.
fn babble(addrs: &[SocketAddr], stopped: &AtomicBool, count: &AtomicU64) {
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut rubbish = vec![0; 4_096];
    let mut open = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        for addr in addrs {
            dice.fill_bytes(&mut rubbish);
            if dice.random_bool(0.5) {
                // A length that a frame may have, and no frame after it.
                rubbish[..4].copy_from_slice(&1_000u32.to_le_bytes());
            }
            let Ok(mut stream) = TcpStream::connect_timeout(addr, Duration::from_secs(1)) else {
                continue;
            };
            let _ = stream.write_all(&rubbish[..dice.random_range(0..rubbish.len())]);
            count.fetch_add(1, Ordering::Relaxed);
            // Some stay open for a while, silent.
            if dice.random_bool(0.1) {
                open.push(stream);
            }
            if open.len() > 200 {
                open.remove(0);
            }
        }
    }
}
