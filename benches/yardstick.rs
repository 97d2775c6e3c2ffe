//! The bare forwarder: one process for each node, fed and asked by datagrams.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gossip::topology::{self, Kind};

use crate::site::{Carried, Feed, Lab, Network, Outcome, Receipt, SEED, Tally};
use crate::load::{self, Taken, Taker};

/// What each message says: six bytes, as ours do.
const TEXT: &[u8; 6] = b"banana";
/// How long to wait for an answer before asking again, and how often to ask.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
const TRIES: usize = 300;

/// A running network of bare forwarders.
pub(crate) struct Bare {
    children: Vec<Child>,
    ports_origin: u16,
    socket: UdpSocket,
    /// The id of the last message. They are counted from 1.
    last: u64,
    /// The origins of the messages, in order.
    origins: Vec<u32>,
}

impl Bare {
    pub(crate) fn start(
        program: &Path,
        ports_origin: u16,
        kind: Kind,
        nodes: u32,
    ) -> Outcome<Self> {
        let (graph, _) = topology::build(kind, nodes, SEED)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut bare =
            Self { children: Vec::new(), ports_origin, socket, last: 0, origins: Vec::new() };
        for node in 1..=nodes {
            let neighbours = topology::neighbours(&graph, node);
            let ports = [node].into_iter().chain(neighbours).map(|node| bare.port(node));
            let mut command = Command::new(program);
            command.args(ports.map(|port| port.to_string())).stdin(Stdio::null());
            bare.children.push(command.spawn()?);
        }
        for node in 1..=nodes {
            bare.ask(node)?;
        }
        Ok(bare)
    }

    /// The process numbers.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    fn nodes(&self) -> u32 {
        u32::try_from(self.children.len()).unwrap_or(u32::MAX)
    }

    fn port(&self, node: u32) -> u16 {
        self.ports_origin + u16::try_from(node).unwrap_or(0)
    }

    fn addr(&self, node: u32) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port(node)).into()
    }

    /// Asks a node how many ids it saw, when the last, and when each from the first on.
    fn ask(&self, node: u32) -> Outcome<Vec<u64>> {
        let addr = self.addr(node);
        let mut buffer = [0; 1 << 14];
        for _ in 0..TRIES {
            self.socket.send_to(&1_u64.to_le_bytes(), addr)?;
            loop {
                match self.socket.recv_from(&mut buffer) {
                    Ok((bytes, from)) if from == addr => {
                        let (numbers, _) = buffer[..bytes].as_chunks();
                        return Ok(numbers.iter().map(|n| u64::from_le_bytes(*n)).collect());
                    }
                    // The late answer to an earlier question.
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An empty port, which may be taken in a moment.
                    Err(_) => break,
                }
            }
        }
        Err(format!("bare node {node} did not answer {TRIES} times in a row").into())
    }

    fn hand_in(&mut self, node: u32) -> Outcome<()> {
        self.last += 1;
        let mut datagram = [0; 14];
        datagram[..8].copy_from_slice(&self.last.to_le_bytes());
        datagram[8..].copy_from_slice(TEXT);
        self.socket.send_to(&datagram, self.addr(node))?;
        Ok(())
    }
}

impl Network for Bare {
    fn send(&mut self, node: u32) -> Outcome<()> {
        self.origins.push(node);
        self.hand_in(node)
    }

    fn receipts(&mut self) -> Outcome<Vec<Receipt>> {
        let empty = |_: &u32| Receipt { sent_at: 0, received_at: Vec::new() };
        let mut receipts: Vec<Receipt> = self.origins.iter().map(empty).collect();
        for node in 1..=self.nodes() {
            let stamps = self.ask(node)?;
            for ((receipt, origin), stamp) in
                receipts.iter_mut().zip(&self.origins).zip(stamps.into_iter().skip(2))
            {
                if *origin == node {
                    receipt.sent_at = stamp;
                }
                receipt.received_at.extend((stamp > 0).then_some(stamp));
            }
        }
        Ok(receipts)
    }

    fn load(&mut self, lab: &Lab, feed: Feed, rate: f64, time: Duration) -> Outcome<Carried> {
        let nodes = self.nodes();
        load::offer(lab, &mut Handed { before: self.last, to: self }, nodes, feed, rate, time)
    }

    fn tally(&mut self) -> Outcome<Tally> {
        let mut tally = Tally::default();
        for node in 1..=self.nodes() {
            let answer = self.ask(node)?;
            tally.delivered.push(answer.first().copied().unwrap_or(0));
            tally.last_at = answer.get(1).copied().unwrap_or(0).max(tally.last_at);
        }
        Ok(tally)
    }
}

/// A load, each message of which is accepted when it is sent.
struct Handed<'a> {
    to: &'a mut Bare,
    /// The id of the last message before it.
    before: u64,
}

impl Taker for Handed<'_> {
    fn hand_in(&mut self, node: u32, messages: u64) -> Outcome<bool> {
        (0..messages).try_for_each(|_| self.to.hand_in(node))?;
        Ok(true)
    }

    fn look(&mut self) -> Outcome<Taken> {
        Ok(Taken { accepted: self.to.last - self.before, waiting: 0 })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}
