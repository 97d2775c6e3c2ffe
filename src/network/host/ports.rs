//! Ports: whether they are free, and which process has them otherwise.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use procfs::net::{self, TcpNetEntry, UdpNetEntry};
use procfs::process::{FDTarget, Process, all_processes};

use super::process_id::Holder;
use crate::network::{Error, Transport};

/// Where the control port of a node is: the number of its UDP port, on loopback.
pub(in crate::network) fn control_addr(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), addr.port())
}

/// Tries out both ports of a node, and leaves them free.
///
/// This promises nothing for the moment after, but it finds what is usually wrong before any
/// process is started, and knows which of the two it is.
pub(in crate::network) fn check_free(addr: SocketAddr) -> Result<(), Error> {
    refused(addr, Transport::Udp, UdpSocket::bind(addr).map(drop))?;
    let control = control_addr(addr);
    refused(control, Transport::Tcp, TcpListener::bind(control).map(drop))
}

/// The error for a port that a node found taken.
pub(in crate::network) fn taken(addr: SocketAddr) -> Error {
    match check_free(addr) {
        Err(error) => error,
        // The process that had it is gone by now.
        Ok(()) => Error::PortTaken { addr, transport: Transport::Udp, holder: None },
    }
}

fn refused(addr: SocketAddr, transport: Transport, bound: io::Result<()>) -> Result<(), Error> {
    match bound {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(Error::PortTaken { addr, transport, holder: holder(addr, transport) })
        }
        Err(source) => Err(Error::PortRefused(addr, source)),
    }
}

/// The process that has a port: the socket's inode is in the system's table, and a link to that
/// inode among the files of its process, which only its owner and root can see.
pub(in crate::network) fn holder(addr: SocketAddr, transport: Transport) -> Option<Holder> {
    let udp = |entry: UdpNetEntry| (entry.local_address, entry.inode);
    let tcp = |entry: TcpNetEntry| (entry.local_address, entry.inode);
    let sockets: Vec<(SocketAddr, u64)> = match transport {
        Transport::Udp => {
            [net::udp(), net::udp6()].into_iter().flatten().flatten().map(udp).collect()
        }
        Transport::Tcp => {
            [net::tcp(), net::tcp6()].into_iter().flatten().flatten().map(tcp).collect()
        }
    };
    // Connections that are only remembered (TIME_WAIT) have inode 0, and nobody owns them.
    let is_it = |inode: u64| {
        inode != 0 && sockets.iter().any(|(local, its)| *its == inode && in_the_way(*local, addr))
    };
    let is_holder = |process: &Process| {
        let mut files = process.fd().into_iter().flatten().flatten();
        files.any(|file| matches!(file.target, FDTarget::Socket(inode) if is_it(inode)))
    };
    let holders = all_processes().ok()?.flatten().filter(is_holder);
    Holder::of(u32::try_from(holders.map(|process| process.pid).min()?).ok()?)
}

fn in_the_way(local: SocketAddr, wanted: SocketAddr) -> bool {
    let (ours, theirs) = (wanted.ip().to_canonical(), local.ip().to_canonical());
    local.port() == wanted.port()
        && (ours == theirs || ours.is_unspecified() || theirs.is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    #[test]
    fn the_holder_of_a_port_is_named() {
        let udp = UdpSocket::bind(LOOPBACK).unwrap();
        let addr = udp.local_addr().unwrap();
        let found = holder(addr, Transport::Udp).unwrap();
        assert_eq!(found.pid, std::process::id());
        assert!(!found.command.is_empty());
        match check_free(addr) {
            Err(Error::PortTaken { addr: taken, transport, holder }) => {
                assert_eq!((taken, transport), (addr, Transport::Udp));
                assert_eq!(holder, Some(found));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_taken_control_port_is_told_apart_from_a_taken_gossip_port() {
        let tcp = TcpListener::bind(LOOPBACK).unwrap();
        let addr = tcp.local_addr().unwrap();
        match check_free(addr) {
            Err(Error::PortTaken { transport, holder: Some(holder), .. }) => {
                assert_eq!((transport, holder.pid), (Transport::Tcp, std::process::id()));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_socket_is_in_the_way_of_its_port_in_both_address_families() {
        let wanted = "127.0.0.1:7001".parse().unwrap();
        for (local, expected) in [
            ("127.0.0.1:7001", true),
            ("0.0.0.0:7001", true),
            ("[::]:7001", true),
            ("[::ffff:127.0.0.1]:7001", true),
            ("127.0.0.2:7001", false),
            ("[::1]:7001", false),
            ("127.0.0.1:7002", false),
        ] {
            assert_eq!(in_the_way(local.parse().unwrap(), wanted), expected, "{local}");
        }
        let udp = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let found = holder(udp.local_addr().unwrap(), Transport::Udp).unwrap();
        assert_eq!(found.pid, std::process::id());
    }

    #[test]
    fn a_free_port_is_left_free() {
        let addr = UdpSocket::bind(LOOPBACK).unwrap().local_addr().unwrap();
        if check_free(addr).is_ok() {
            assert!(UdpSocket::bind(addr).is_ok());
        }
    }
}
