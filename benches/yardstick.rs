//! A network of bare forwarders: one process for each node, fed and asked by datagrams.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gossip::topology::{self, Kind};

use crate::figure::Outcome;
use crate::load::{Network, SEED, TEXT, Tally};
use crate::site::Site;

/// How long to wait for an answer before asking again, and how often to ask.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
const TRIES: usize = 300;

pub(crate) struct Bare {
    children: Vec<Child>,
    ports_origin: u16,
    socket: UdpSocket,
    /// The id of the last message. They are counted from 1.
    last: u64,
}

impl Bare {
    /// Starts it on the ports behind those of a network of ours of the same size.
    pub(crate) fn start(site: &Site, kind: Kind, nodes: u32) -> Outcome<Self> {
        let (graph, _) = topology::build(kind, nodes, SEED)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        let ports_origin = site.ports_origin + u16::try_from(nodes)?;
        let mut bare = Self { children: Vec::new(), ports_origin, socket, last: 0 };
        for node in 1..=nodes {
            let nodes = [node].into_iter().chain(topology::neighbours(&graph, node));
            let mut command = Command::new(&site.bare);
            command.args(nodes.map(|node| bare.addr(node).port().to_string()));
            bare.children.push(command.stdin(Stdio::null()).spawn()?);
        }
        (1..=nodes).try_for_each(|node| bare.ask(node).map(drop))?;
        Ok(bare)
    }

    fn addr(&self, node: u32) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports_origin + u16::try_from(node).unwrap_or(0)).into()
    }

    /// Asks a node for the number of ids it saw, the stamp of the last, and that of each from 1 on.
    fn ask(&self, node: u32) -> Outcome<Vec<u64>> {
        let addr = self.addr(node);
        let mut buffer = [0; 1 << 14];
        for _ in 0..TRIES {
            self.socket.send_to(&1_u64.to_le_bytes(), addr)?;
            // An error is a timeout; another sender's answer is late, to an earlier question.
            while let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) {
                if from == addr {
                    let (numbers, _) = buffer[..bytes].as_chunks();
                    return Ok(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect());
                }
            }
        }
        Err(format!("bare node {node} did not answer {TRIES} times in a row").into())
    }
}

impl Network for Bare {
    fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    fn hand_in(&mut self, node: u32, messages: u64) -> Outcome<bool> {
        for _ in 0..messages {
            self.last += 1;
            let datagram = [&self.last.to_le_bytes()[..], TEXT.as_bytes()].concat();
            self.socket.send_to(&datagram, self.addr(node))?;
        }
        Ok(true)
    }

    /// Each message counts as accepted when it is sent.
    fn taken(&mut self) -> Outcome<(u64, u64)> {
        Ok((self.last, 0))
    }

    fn stamps(&mut self) -> Outcome<Vec<(u64, Vec<u64>)>> {
        let mut messages = vec![(u64::MAX, Vec::new()); usize::try_from(self.last)?];
        for node in 1..=self.nodes() {
            let answer = self.ask(node)?.split_off(2);
            let stamps = messages.iter_mut().zip(answer).filter(|(_, stamp)| *stamp > 0);
            for ((first, stamps), stamp) in stamps {
                // The first stamp is the origin's.
                *first = stamp.min(*first);
                stamps.push(stamp);
            }
        }
        Ok(messages)
    }

    fn tally(&mut self) -> Outcome<Tally> {
        let mut tally = Tally::default();
        for node in 1..=self.nodes() {
            let answer = self.ask(node)?;
            tally.delivered.push(answer[0]);
            tally.last_at = tally.last_at.max(answer[1]);
        }
        Ok(tally)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.children.iter_mut().for_each(|child| drop(child.kill()));
        self.children.iter_mut().for_each(|child| drop(child.wait()));
    }
}
