//! The yardstick: the least that one process per node can cost.
//!
//! A bare forwarder. The first time it sees an id, it stamps it and sends the same bytes to every
//! neighbour but the one they came from. One blocking socket, one thread; no repair, no store, no
//! paths, no tag, no timer, no settings.
//!
//! usage: bare PORT NEIGHBOUR-PORT...
//!
//! | Datagram | Means |
//! |---|---|
//! | 10 bytes and more | a message: its id (`u64`, little endian), then its text |
//! | 8 bytes | a question about ids: how many were seen, when was the last, when was each from this one on? |

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

/// As large as the one that `gossip` asks for.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// The stamps of one answer.
const STAMPS_MAX: u64 = 1024;

fn main() -> io::Result<()> {
    let ports: Vec<u16> = std::env::args().skip(1).filter_map(|port| port.parse().ok()).collect();
    // Without a port it ends at once, which is the least that a process costs.
    let Some((own, neighbours)) = ports.split_first() else { return Ok(()) };
    // Only the bench knows of this process: where that is killed, this one ends too.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    forward(&UdpSocket::bind((Ipv4Addr::LOCALHOST, *own))?, neighbours)
}

/// Forwards for ever.
pub(crate) fn forward(socket: &UdpSocket, neighbours: &[u16]) -> io::Result<()> {
    socket2::SockRef::from(socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let addr = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    let neighbours: Vec<SocketAddr> = neighbours.iter().map(addr).collect();
    let mut seen: HashMap<u64, u64> = HashMap::new();
    let mut buffer = [0; 1 << 16];
    loop {
        let (bytes, from) = socket.recv_from(&mut buffer)?;
        let Some((id, text)) = buffer[..bytes].split_first_chunk() else { continue };
        let id = u64::from_le_bytes(*id);
        if text.is_empty() {
            socket.send_to(&answer(&seen, id), from)?;
        } else if let Entry::Vacant(unseen) = seen.entry(id) {
            unseen.insert(now());
            for to in neighbours.iter().filter(|to| **to != from) {
                // What the socket refuses is lost, like any other datagram.
                let _ = socket.send_to(&buffer[..bytes], to);
            }
        }
    }
}

/// The number of ids seen, the stamp of the last, and the stamp of each from `first` on: 0 for one
/// that was not seen.
fn answer(seen: &HashMap<u64, u64>, first: u64) -> Vec<u8> {
    let last = seen.values().copied().max().unwrap_or(0);
    let stamps = (first..first + STAMPS_MAX).map(|id| seen.get(&id).copied().unwrap_or(0));
    [seen.len() as u64, last].into_iter().chain(stamps).flat_map(u64::to_le_bytes).collect()
}

/// Nanoseconds since the Unix epoch, as `gossip` stamps its messages.
#[expect(clippy::disallowed_methods, reason = "a program of its own, with no other clock")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
