//! A node over `std::net::UdpSocket`: all that a driver has to do.
//!
//! Three nodes run in three threads and talk over loopback. Node 1 sends a message, and the program
//! ends once the other two have it: `cargo run -p gossip-network-protocol --example udp`.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a driver reads clocks")]

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use gossip_protocol::{
    Config, Event, Key, Monotonic, Node, NodeId, Now, Outputs, PeerAddr, Start, Wall,
    incarnation_at,
};
use rand::TryRng;
use rand::rngs::SysRng;

/// Drives one node until it has delivered a message or has seen its own one off.
fn run(config: &Config, socket: &UdpSocket, message: Option<&[u8]>, told: &Sender<String>) {
    let start = Instant::now();
    let now = || Now {
        // Any start will do: only differences count.
        monotonic: Monotonic(start.elapsed().as_nanos() as u64),
        wall: Wall(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)),
    };
    let mut node = Node::new(config, now());
    let (mut out, mut buffer) = (Outputs::default(), vec![0; 1 << 16]);
    if let Some(message) = message {
        // The send window is open at first. Later a driver keeps a message that is refused with
        // `Refused::Full`, and offers it again after every datagram and tick.
        node.send(now(), message, 1).expect("a short message, and an open send window");
    }
    while !node.has_left(now()) {
        // 1. Wait for a datagram, but no longer than until something is due.
        let wait = node.deadline().map_or(Duration::MAX, |due| due.since(now().monotonic));
        let wait = wait.clamp(Duration::from_millis(1), Duration::from_secs(1));
        socket.set_read_timeout(Some(wait)).expect("a wait above zero");
        // 2. Feed it, whatever it is.
        match socket.recv_from(&mut buffer) {
            Ok((bytes, from)) => node.receive(now(), from, &buffer[..bytes]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => node.count_socket_errors(0, 1),
        }
        // 3. Do what is due.
        if node.deadline().is_some_and(|due| due <= now().monotonic) {
            node.tick(now());
        }
        // 4. Send what it has to send. A datagram that the socket refuses is lost, like any other.
        node.flush(&mut out);
        for (to, bytes) in out.datagrams() {
            if socket.send_to(bytes, to).is_err() {
                node.count_socket_errors(1, 0);
            }
        }
        // 5. Hear what happened.
        for event in &out.events {
            if let Event::Delivered { payload, hops, .. } = event {
                let text = String::from_utf8_lossy(payload);
                let line = format!("node {} got {text:?} after {hops} hops", config.node);
                told.send(line).expect("the main thread waits for it");
            }
        }
        out.clear();
        // 6. Leave once everybody has the message: neighbours then close ranks at once.
        let delivered = node.status().messages > 0;
        if delivered && node.in_flight() == 0 && !node.is_leaving() {
            node.leave(now());
        }
    }
}

/// Every start of a node is another one: a later one has a higher incarnation, and none has the same nonce.
fn fresh_start() -> Start {
    let wall = Wall(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64));
    let mut nonce = [0; 16];
    SysRng.try_fill_bytes(&mut nonce).expect("the system has random bytes");
    Start { incarnation: incarnation_at(wall), nonce }
}

fn main() {
    let sockets: Vec<UdpSocket> =
        (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port")).collect();
    let peer = |at: usize| PeerAddr {
        node: NodeId(at as u32 + 1),
        addr: sockets[at].local_addr().expect("it is bound"),
    };
    let (told, lines) = channel();
    thread::scope(|scope| {
        for (at, socket) in sockets.iter().enumerate() {
            let told = told.clone();
            let mut config = Config::new(peer(at).node, fresh_start(), Key([7; 32]), at as u64);
            config.neighbours = (0..3).filter(|other| *other != at).map(peer).collect();
            config.validate().expect("the defaults make sense");
            let message = (at == 0).then_some(&b"banana"[..]);
            scope.spawn(move || run(&config, socket, message, &told));
        }
        drop(told);
        for line in lines {
            println!("{line}");
        }
    });
}
