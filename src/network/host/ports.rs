//! Ports: whether they are free, and which process has them otherwise.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::ffi::OsStrExt;

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
    let tables = match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let inodes = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    let inodes: Vec<u64> = inodes.flat_map(|table| inodes_at(&table, addr)).collect();
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut pids: Vec<u32> = numbers_in("/proc");
    pids.sort_unstable();
    Holder::of(pids.into_iter().find(|pid| has_file(*pid, &links))?)
}

/// The inodes of the sockets in one of the system's tables that stand in the way of `addr`.
fn inodes_at(table: &str, addr: SocketAddr) -> Vec<u64> {
    let rows = table.lines().skip(1);
    let rows = rows.filter_map(|row| {
        let fields: Vec<&str> = row.split_ascii_whitespace().collect();
        let local = parse_addr(fields.get(1)?)?;
        Some((local, fields.get(9)?.parse::<u64>().ok()?))
    });
    // Connections that are only remembered (TIME_WAIT) have inode 0, and nobody owns them.
    let rows = rows.filter(|(local, inode)| *inode != 0 && in_the_way(*local, addr));
    rows.map(|(_, inode)| inode).collect()
}

fn in_the_way(local: SocketAddr, wanted: SocketAddr) -> bool {
    let (ours, theirs) = (wanted.ip().to_canonical(), local.ip().to_canonical());
    local.port() == wanted.port()
        && (ours == theirs || ours.is_unspecified() || theirs.is_unspecified())
}

/// `0100007F:1B59`: words of the address in the machine's own byte order, then the port.
fn parse_addr(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index * 8)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Whether a process has one of these links among its open files.
fn has_file(pid: u32, links: &[String]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| links.iter().any(|link| target.as_os_str().as_bytes() == link.as_bytes()))
}

/// The entries of a directory that are numbers, as processes in `/proc` are.
pub(in crate::network) fn numbers_in(directory: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
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
    fn tables_are_read_in_both_address_families() {
        let four = "  sl  local_address rem_address ...\n\
            0: 0100007F:1B59 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4711 2\n\
            1: 00000000:1B59 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4712 2\n\
            2: 0200007F:1B59 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4713 2\n\
            3: 0100007F:1B59 00000000:0000 06 00000000:00000000 00:00000000 00000000 0 0 0 2\n\
            rubbish\n";
        let six = "  sl  local_address ...\n\
            0: 00000000000000000000000000000000:1B59 00:0000 07 0:0 0:0 0 0 0 99 2\n\
            1: 0000000000000000FFFF00000100007F:1B59 00:0000 07 0:0 0:0 0 0 0 98 2\n";
        if cfg!(target_endian = "little") {
            let addr = "127.0.0.1:7001".parse().unwrap();
            assert_eq!(inodes_at(four, addr), [4711, 4712]);
            assert_eq!(inodes_at(six, addr), [99, 98]);
        }
    }

    #[test]
    fn a_free_port_is_left_free() {
        let addr = UdpSocket::bind(LOOPBACK).unwrap().local_addr().unwrap();
        if check_free(addr).is_ok() {
            assert!(UdpSocket::bind(addr).is_ok());
        }
    }
}
