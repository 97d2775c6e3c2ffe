//! The yardstick: the least that one process per node can cost.
//!
//! A bare forwarder. The first time it sees an id, it stamps it and sends the same bytes to every
//! neighbour but the one they came from. One blocking socket, one thread; no repair, no store, no
//! paths, no tag, no timer, and nothing that could be configured. It is std only but for two things
//! that std cannot ask for: the size of the receive buffer, without which it would be judged by
//! another measure than `gossip` itself, and an end with the bench's own. `scripts/bench` runs both
//! in turn.
//!
//! usage: bare PORT NEIGHBOUR-PORT...
//!
//! | Datagram | Means |
//! |---|---|
//! | 10 bytes and more | a message: its id (`u64`, little endian), then its text |
//! | 8 bytes | a question: how many ids were seen, when was the last, and when was each from this one on? |

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
    // Without a port it ends at once: the least that a process costs.
    let Some((own, neighbours)) = ports.split_first() else { return Ok(()) };
    end_with_parent()?;
    forward(&UdpSocket::bind(at(*own))?, neighbours)
}

/// Nobody but the bench knows of this process: where that is killed, this one ends too.
fn end_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    Ok(())
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Forwards for ever.
pub(crate) fn forward(socket: &UdpSocket, neighbours: &[u16]) -> io::Result<()> {
    socket2::SockRef::from(socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let neighbours: Vec<SocketAddr> = neighbours.iter().copied().map(at).collect();
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

/// How many ids were seen; when the last was; when each was from `first` on, 0 for those that were
/// not.
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
