//! Somebody without the key captures all that is sent, and sends it again.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use gossip::protocol::{Counters, MessageId, NodeId, PeerState};
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with, sockopt,
};

use crate::harness::{namespace, pause};
use crate::lab::Lab;

/// Sent to and from loopback, as all nodes do.
const LOOPBACK: &str = "127.0.0.1";
/// Where the eavesdropper sends from.
const EVE: &str = "127.0.0.66:0";
/// Within this time a dead node is known to be dead: five seconds, and some for the machine.
const DEAD_WITHIN: Duration = Duration::from_secs(8);

#[test]
fn datagrams_that_are_captured_and_sent_again_change_nothing() {
    let name = "replay::datagrams_that_are_captured_and_sent_again_change_nothing";
    namespace::inside(name, || {
        let mut wire = Wire::listen();
        let mut lab = Lab::start("random 3", 8);
        lab.until_linked();
        let mut ids: Vec<MessageId> = (1..=8).map(|node| lab.send(node, "banana")).collect();
        lab.until_all_hold(8, Duration::from_secs(5));
        wire.take();
        let before = lab.counters();
        let mut eve = Eve::new();
        // All of it, to where it went and to another node, from an address that is not its sender's.
        for at in 0..wire.captured.len() {
            let (bytes, to) = (&wire.captured[at].bytes, wire.captured[at].to);
            eve.sends(bytes, to);
            eve.sends(bytes, lab.addr(1 + at as u32 % 8));
        }
        ids.push(lab.send(1, "apple"));
        lab.until_all_hold(9, Duration::from_secs(5));
        eve.assert_no_amplification();
        let after = lab.counters();
        assert!(dropped(&after) >= dropped(&before) + wire.captured.len() as u64);
        ids.extend(a_killed_node_is_found_dead(&mut lab, &mut wire, &mut eve));
        ids.sort_unstable();
        lab.assert_all_hold_once(&ids);
        eve.assert_no_amplification();
    });
}

/// All that node 1 sent is sent again, from its own address and another, while others send messages.
fn a_killed_node_is_found_dead(lab: &mut Lab, wire: &mut Wire, eve: &mut Eve) -> Vec<MessageId> {
    let (addr, neighbours) = (lab.addr(1), lab.neighbours(1));
    wire.take();
    lab.kill(&[1]);
    wire.take();
    let forger = UdpSocket::bind(addr).unwrap();
    let of_the_dead: Vec<&Captured> =
        wire.captured.iter().filter(|captured| captured.from == addr).collect();
    assert!(of_the_dead.len() > 20, "{} captured", of_the_dead.len());
    let mut ids = Vec::new();
    for turn in 0..DEAD_WITHIN.as_millis() as usize / 20 {
        for captured in of_the_dead.iter().skip(turn % 7).step_by(7) {
            forger.send_to(&captured.bytes, captured.to).unwrap();
            eve.sends(&captured.bytes, captured.to);
        }
        if turn % 10 == 0 {
            ids.push(lab.send(2 + turn as u32 / 10 % 7, "cherry"));
        }
        pause(Duration::from_millis(20));
    }
    for node in neighbours {
        let peers = lab.status(node).peers;
        let dead = peers.iter().find(|peer| peer.node == NodeId(1)).unwrap();
        assert_eq!(dead.state, PeerState::Dead, "at node {node}");
    }
    lab.until_all_hold(9 + ids.len() as u64, Duration::from_secs(5));
    ids
}

/// The datagrams dropped for want of a session, or for a counter or an address that was not right.
fn dropped(counters: &Counters) -> u64 {
    counters.dropped_session + counters.dropped_replayed + counters.dropped_elsewhere
}

/// A datagram on the wire.
struct Captured {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A packet socket, which sees all that is sent.
struct Wire {
    socket: OwnedFd,
    captured: Vec<Captured>,
}

impl Wire {
    fn listen() -> Self {
        let (family, kind) = (AddressFamily::PACKET, SocketType::DGRAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(eth::ALL)).unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, 8 << 20).unwrap();
        Self { socket, captured: Vec::new() }
    }

    /// Takes what was sent until now. Loopback shows each packet twice.
    fn take(&mut self) {
        let mut packet = vec![0; 1 << 16];
        while let Ok((length, _)) = recv(&self.socket, &mut packet[..], RecvFlags::DONTWAIT) {
            self.captured.extend(udp(&packet[..length]));
        }
    }
}

/// The datagram in an IPv4 packet, if it is one of ours.
fn udp(packet: &[u8]) -> Option<Captured> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let (ip, udp) = packet.split_at_checked(header)?;
    let is_udp = packet[0] >> 4 == 4 && *ip.get(9)? == 17;
    let addr = |octets: &[u8], port: &[u8]| {
        let octets = <[u8; 4]>::try_from(octets).ok()?;
        Some(SocketAddr::from((octets, u16::from_be_bytes(port.try_into().ok()?))))
    };
    let (from, to) =
        (addr(ip.get(12..16)?, udp.get(..2)?)?, addr(ip.get(16..20)?, udp.get(2..4)?)?);
    let bytes = udp.get(8..)?.to_vec();
    let is_ours = from.ip().to_string() == LOOPBACK && bytes.starts_with(&gossip::protocol::MAGIC);
    (is_udp && is_ours).then_some(Captured { from, to, bytes })
}

/// The eavesdropper's own address.
struct Eve {
    socket: UdpSocket,
    sent: usize,
    got: usize,
}

impl Eve {
    fn new() -> Self {
        let socket = UdpSocket::bind(EVE).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, sent: 0, got: 0 }
    }

    fn sends(&mut self, bytes: &[u8], to: SocketAddr) {
        self.sent += bytes.len();
        // A frame that does not go out costs no node anything.
        let _ = self.socket.send_to(bytes, to);
        self.hear();
    }

    fn hear(&mut self) {
        let mut bytes = [0; 1 << 16];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            self.got += length;
        }
    }

    #[track_caller]
    fn assert_no_amplification(&mut self) {
        self.hear();
        assert!(self.got <= 3 * self.sent, "got {} bytes for {}", self.got, self.sent);
    }
}
