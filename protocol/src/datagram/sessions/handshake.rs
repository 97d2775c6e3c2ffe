//! The parts of a handshake: nonces that need not be remembered, and the keys that follow from them.
//!
//! A nonce is a keyed hash of this start of the node, of the peer, its address and the time, to a few seconds.
//! So a node recognises its own nonces without a table that somebody could fill, and a nonce that comes back from
//! its peer shows that the peer is at that address now. Pure functions; nothing is kept here.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Key};
use crate::datagram::header::{Nonce, Nonces, SessionId};
use crate::ids::{Incarnation, NodeId, Origin, PeerAddr};
use crate::time::Monotonic;

/// A nonce is good until the end of the epoch after the one that it was made in.
const EPOCH: Duration = Duration::from_secs(4);
/// No nonce is good for longer than this.
pub(super) const NONCE_LIFE_MAX: Duration = Duration::from_secs(8);

const HELLO: &[u8] = b"gossip-network 2026 hello v2";
const WELCOME: &[u8] = b"gossip-network 2026 welcome v2";
const SESSION: &[u8] = b"gossip-network 2026 session v2";
const LAUNCH: &[u8] = b"gossip-network 2026 launch v2";

/// The key that tags the datagrams of one session, and the session's name.
pub(super) struct Secret {
    pub(super) key: [u8; 32],
    pub(super) id: SessionId,
}

/// The nonce of a node that says hello.
pub(super) fn initiator_nonce(config: &Config, peer: PeerAddr, now: Monotonic) -> Nonce {
    nonce(config, HELLO, &[], peer, epoch(now))
}

/// Whether a node said hello with this nonce, to this peer at this address, within the last seconds.
pub(super) fn is_our_hello(config: &Config, peer: PeerAddr, now: Monotonic, said: Nonce) -> bool {
    lately(now).any(|epoch| nonce(config, HELLO, &[], peer, epoch) == said)
}

/// The nonce of a node that answers a hello.
pub(super) fn responder_nonce(
    config: &Config,
    peer: PeerAddr,
    now: Monotonic,
    initiator: Nonce,
) -> Nonce {
    nonce(config, WELCOME, &initiator.0, peer, epoch(now))
}

/// Whether a node welcomed this peer at this address with this nonce, within the last seconds.
pub(super) fn is_our_welcome(
    config: &Config,
    peer: PeerAddr,
    now: Monotonic,
    said: Nonces,
) -> bool {
    lately(now)
        .any(|epoch| nonce(config, WELCOME, &said.initiator.0, peer, epoch) == said.responder)
}

/// The session that both ends make of the nonces.
pub(super) fn agreed(key: &Key, initiator: Origin, responder: Origin, nonces: Nonces) -> Secret {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(SESSION);
    for end in [initiator, responder] {
        hasher.update(&end.node.0.to_le_bytes()).update(&end.incarnation.to_le_bytes());
    }
    hasher.update(&nonces.initiator.0).update(&nonces.responder.0);
    secret(&hasher)
}

/// The session of two nodes that were started together.
pub(super) fn launched(
    key: &Key,
    launch: &[u8; 16],
    (a, b): (NodeId, NodeId),
    incarnation: Incarnation,
) -> Secret {
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(LAUNCH).update(launch);
    for node in [a.min(b), a.max(b)] {
        hasher.update(&node.0.to_le_bytes());
    }
    hasher.update(&incarnation.to_le_bytes());
    secret(&hasher)
}

fn secret(hasher: &blake3::Hasher) -> Secret {
    let mut reader = hasher.finalize_xof();
    let (mut key, mut id) = ([0; 32], [0; 4]);
    reader.fill(&mut key);
    reader.fill(&mut id);
    Secret { key, id: SessionId(id) }
}

/// Whether both are the same place: an IPv6 socket shows an IPv4 address in another form.
pub(super) fn same_place(a: SocketAddr, b: SocketAddr) -> bool {
    a == b || (a.ip().to_canonical(), a.port()) == (b.ip().to_canonical(), b.port())
}

fn nonce(config: &Config, name: &[u8], about: &[u8], peer: PeerAddr, epoch: u64) -> Nonce {
    let mut hasher = blake3::Hasher::new_keyed(&config.key.0);
    hasher.update(name).update(&config.start.nonce).update(about);
    let ip = match peer.addr.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        std::net::IpAddr::V6(ip) => ip,
    };
    hasher.update(&peer.node.0.to_le_bytes()).update(&ip.octets());
    hasher.update(&peer.addr.port().to_le_bytes()).update(&epoch.to_le_bytes());
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Nonce(nonce)
}

fn epoch(now: Monotonic) -> u64 {
    now.since(Monotonic(0)).as_secs() / EPOCH.as_secs()
}

/// The epochs whose nonces are still good.
fn lately(now: Monotonic) -> impl Iterator<Item = u64> {
    let epoch = epoch(now);
    epoch.saturating_sub(1)..=epoch
}

#[cfg(test)]
mod tests {
    use super::*;
    fn settings(nonce: u64) -> Config {
        Config::new(NodeId(9), crate::testing::start(nonce), Key([7; 32]), 1)
    }

    fn peer(node: u32, addr: &str) -> PeerAddr {
        PeerAddr { node: NodeId(node), addr: addr.parse().unwrap() }
    }

    const AT: Monotonic = Monotonic(100_000_000_000);

    #[test]
    fn a_nonce_is_good_for_one_start_one_peer_one_address_and_some_seconds() {
        let (ours, there) = (settings(1), peer(8, "127.0.0.1:7008"));
        let hello = initiator_nonce(&ours, there, AT);
        let both = Nonces { initiator: hello, responder: responder_nonce(&ours, there, AT, hello) };
        let good = |config: &Config, peer: PeerAddr, seconds: u64| {
            let now = AT + Duration::from_secs(seconds);
            let welcome = is_our_welcome(config, peer, now, both);
            assert_eq!(is_our_hello(config, peer, now, hello), welcome);
            welcome
        };
        assert!(good(&ours, there, 0) && good(&ours, there, 4));
        assert!(good(&ours, peer(8, "[::ffff:127.0.0.1]:7008"), 0), "the same place");
        assert!(!good(&ours, there, 8));
        assert!(!good(&settings(2), there, 0));
        assert!(!good(&ours, peer(7, "127.0.0.1:7008"), 0));
        assert!(!good(&ours, peer(8, "127.0.0.1:7009"), 0));
        assert!(!good(&ours, peer(8, "127.0.0.2:7008"), 0));
        let swapped = Nonces { initiator: both.responder, responder: both.initiator };
        assert!(!is_our_welcome(&ours, there, AT, swapped));
    }

    /// By the document's words.
    #[test]
    fn sessions_are_made_as_documented() {
        let key = Key([7; 32]);
        let origin = |node, incarnation| Origin { node: NodeId(node), incarnation };
        let nonces = Nonces { initiator: Nonce([1; 16]), responder: Nonce([2; 16]) };
        let secret = agreed(&key, origin(9, 1), origin(8, 3), nonces);
        let mut words = b"gossip-network 2026 session v2".to_vec();
        words.extend([9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        words.extend([1; 16]);
        words.extend([2; 16]);
        let mut bytes = [0; 36];
        blake3::Hasher::new_keyed(&key.0).update(&words).finalize_xof().fill(&mut bytes);
        assert_eq!((&secret.key[..], &secret.id.0[..]), bytes.split_at(32));
        let launch = |a, b| launched(&key, &[5; 16], (NodeId(a), NodeId(b)), 1);
        let mut words = b"gossip-network 2026 launch v2".to_vec();
        words.extend([5; 16]);
        words.extend([8, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        blake3::Hasher::new_keyed(&key.0).update(&words).finalize_xof().fill(&mut bytes);
        for secret in [launch(8, 9), launch(9, 8)] {
            assert_eq!((&secret.key[..], &secret.id.0[..]), bytes.split_at(32));
        }
    }
}
