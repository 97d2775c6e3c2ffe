//! Lists of peers that are kept for long and read seldom, in less memory.
//!
//! A [`PeerAddr`] takes 36 bytes, because an address of IPv6 would fit in. A node keeps some
//! eighty of them; where all are of IPv4, ten bytes each do.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use crate::ids::{NodeId, PeerAddr};

/// A list of peers. To change it, make it anew; clones of it share one piece of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerList {
    V4(Arc<[V4Peer]>),
    Mixed(Arc<[PeerAddr]>),
}

/// A peer with an address of IPv4. The number is kept as bytes, which need not be aligned.
type V4Peer = ([u8; 4], SocketAddrV4);

impl Default for PeerList {
    fn default() -> Self {
        Self::V4(Arc::default())
    }
}

impl FromIterator<PeerAddr> for PeerList {
    fn from_iter<T: IntoIterator<Item = PeerAddr>>(peers: T) -> Self {
        let peers: Vec<PeerAddr> = peers.into_iter().collect();
        let short = |peer: &PeerAddr| match peer.addr {
            SocketAddr::V4(addr) => Some((peer.node.0.to_ne_bytes(), addr)),
            SocketAddr::V6(_) => None,
        };
        let all_short: Option<Arc<[V4Peer]>> = peers.iter().map(short).collect();
        all_short.map_or_else(|| Self::Mixed(peers.into()), Self::V4)
    }
}

impl PeerList {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::V4(peers) => peers.len(),
            Self::Mixed(peers) => peers.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The peers in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PeerAddr> {
        let (short, full): (&[V4Peer], &[PeerAddr]) = match self {
            Self::V4(peers) => (peers, &[]),
            Self::Mixed(peers) => (&[], peers),
        };
        let from_short = |(node, addr): &V4Peer| PeerAddr {
            node: NodeId(u32::from_ne_bytes(*node)),
            addr: (*addr).into(),
        };
        short.iter().map(from_short).chain(full.iter().copied())
    }

    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.iter().any(|peer| peer.node == node)
    }

    pub(crate) fn to_vec(&self) -> Vec<PeerAddr> {
        self.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(node: u32, addr: &str) -> PeerAddr {
        PeerAddr { node: NodeId(node), addr: addr.parse().unwrap() }
    }

    #[test]
    fn a_list_comes_back_as_it_went_in() {
        let four = [peer(1, "127.0.0.1:7001"), peer(70_000, "10.1.2.3:65535")];
        let mixed = [four[0], peer(2, "[2001:db8::1]:7002"), four[1]];
        for peers in [&[][..], &four, &mixed] {
            let list: PeerList = peers.iter().copied().collect();
            assert_eq!(list.to_vec(), peers);
            assert_eq!((list.len(), list.is_empty()), (peers.len(), peers.is_empty()));
            assert!(peers.iter().all(|peer| list.contains(peer.node)));
            assert!(!list.contains(NodeId(3)));
        }
        assert_eq!(size_of::<V4Peer>(), 10);
    }
}
