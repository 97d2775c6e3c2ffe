//! What can go wrong with networks, processes and their state, in three lines each.

use std::io;
use std::path::Path;

use super::super::render::{count, time_text};
use super::{Error, reason};
use crate::network::Error as E;
use crate::network::{FAULTS_MAX, Holder, ProcessLimit};
use crate::protocol::NodeId;

impl From<E> for Error {
    fn from(error: E) -> Self {
        match error {
            E::Topology(error) => error.into(),
            E::Control { node, source } => Self::no_answer(node, &source),
            E::Name(_) | E::NotRunning(_) | E::AlreadyRunning { .. } | E::OtherKey(_) => {
                of_network(error)
            }
            E::Locked { .. } | E::NoPeers(_) | E::ByHand(_) | E::TooManyFaults(_) => {
                of_network(error)
            }
            E::UnknownNode { .. } | E::NodeDown { .. } | E::NodeRemoved(_) => of_node(error),
            E::NodeUp { .. } | E::NotEnded { .. } | E::NotSignalled { .. } => of_node(error),
            E::NodePaused(_) | E::Impostor { .. } => of_node(error),
            E::NoHome | E::StateBroken { .. } | E::StateVersion { .. } => of_state(error),
            E::State { .. } | E::StateStays { .. } => of_state(error),
            E::Ports { .. } | E::PortTaken { .. } | E::PortRefused { .. } => of_port(error),
            E::TooManyProcesses { .. } | E::TooFewFiles { .. } | E::Spawn { .. } => {
                of_system(error)
            }
            E::NodeDied { .. } | E::NodeFailed { .. } | E::NotReady { .. } | E::Interrupted => {
                of_start(error)
            }
            E::System { doing, source } => Self::failed(
                format!("cannot {doing}"),
                reason(&source),
                "see what the system is short of, and try again",
            ),
        }
    }
}

/// Every match below is total for the variants that it is called with; what one of them does
/// not know is said in the words of its own layer.
fn in_its_own_words(error: &E) -> Error {
    let next = "`gossip list-networks` shows what is there";
    Error::failed("it did not work", error.to_string(), next)
}

fn of_network(error: E) -> Error {
    match error {
        E::Name(name) => Error::misused(
            format!("cannot use {name} as the name of a network"),
            "it becomes a directory: letters, digits, '-', '_' and '.', not first",
            "choose another --network",
        ),
        E::NotRunning(name) => Error::failed(
            format!("no network {name} is running"),
            "nothing in the state directory tells of it, or its nodes are all gone",
            format!(
                "`gossip start-network{}` starts it; `gossip list-networks` shows those that run",
                flag(&name)
            ),
        ),
        E::AlreadyRunning { name, up } => Error::failed(
            format!("network {name} is running already"),
            match up {
                1 => "1 of its nodes is up".into(),
                up => format!("{up} of its nodes are up"),
            },
            format!(
                "`gossip stop-network{}` stops it; with --network NAME another one runs beside it",
                flag(&name)
            ),
        ),
        E::OtherKey(name) => Error::failed(
            format!("cannot join network {name}"),
            "a network of this name runs here with another key",
            "use that network's key file, or name this one with --network NAME",
        ),
        E::Locked { name, holder } => Error::failed(
            format!("network {name} is busy"),
            match holder {
                Some(holder) => format!("another command works on it: {}", shown(&holder)),
                None => "another command works on it".into(),
            },
            "try again when that one is done",
        ),
        E::NoPeers(name) => Error::failed(
            format!("there is nobody to link to in network {name}"),
            "no other node of it is up and running",
            format!("`gossip show-network{}` shows its nodes", flag(&name)),
        ),
        E::TooManyFaults(name) => Error::failed(
            format!("cannot put one more fault on network {name}"),
            format!("it has {FAULTS_MAX} already, each of which costs every datagram"),
            format!("`gossip heal-network{}` removes them all", flag(&name)),
        ),
        E::ByHand(name) => Error::failed(
            format!("cannot start a node of network {name}"),
            "its nodes were started by hand, at addresses that follow no rule",
            "start this one by hand, too: `gossip run-node --help`",
        ),
        error => in_its_own_words(&error),
    }
}

/// The flag that has a command mean this network, where one is needed.
pub(super) fn flag(name: &str) -> String {
    if name == "default" { String::new() } else { format!(" --network {name}") }
}

fn of_node(error: E) -> Error {
    let nodes = "`gossip show-network` shows all nodes";
    match error {
        E::UnknownNode { node, known } => {
            Error::failed(format!("there is no node {node}"), numbers(known), nodes)
        }
        E::NodeDown { node, pid } => Error::failed(
            format!("node {node} is down"),
            format!("its process {pid} is gone"),
            format!("`gossip start-node {node}` brings it back; {nodes}"),
        ),
        E::NodeRemoved(node) => Error::failed(
            format!("node {node} is not part of the network any more"),
            "it was removed",
            format!("`gossip start-node {node}` brings it back; {nodes}"),
        ),
        E::NodePaused(node) => Error::failed(
            format!("node {node} is paused"),
            "its process is stopped where it was, and answers nothing",
            format!("`gossip resume-node {node}` lets it go on; {nodes}"),
        ),
        E::NodeUp { node, pid } => Error::failed(
            format!("cannot start node {node}"),
            format!("it is up already, as process {pid}"),
            format!("choose another number, or end it first (`gossip remove-node {node}`)"),
        ),
        E::NotSignalled { node, pid } => Error::failed(
            format!("node {node} got no signal"),
            format!("the system did not let process {pid} have one"),
            format!("see whose it is: `ps -fp {pid}`"),
        ),
        E::NotEnded { node, pid } => Error::failed(
            format!("node {node} could not be ended"),
            format!("process {pid} is still there, or cannot be proven to be that node"),
            format!("see whose it is: `ps -fp {pid}`"),
        ),
        E::Impostor { node, addr } => Error::failed(
            format!("node {node} did not answer"),
            format!("what answers on {addr} is not that node"),
            format!("see which program has that port (`ss -ltnp`); {nodes}"),
        ),
        error => in_its_own_words(&error),
    }
}

fn numbers(known: Option<(NodeId, NodeId)>) -> String {
    match known {
        Some((first, last)) if first == last => format!("the network has node {first} only"),
        Some((first, last)) => format!("the network's nodes have numbers from {first} to {last}"),
        None => "the network has no nodes".into(),
    }
}

fn of_state(error: E) -> Error {
    match error {
        E::NoHome => Error::failed(
            "there is no place to remember networks in",
            "neither XDG_STATE_HOME nor HOME names a directory from the root on",
            "set one of them",
        ),
        E::StateBroken { path, reason } => Error::failed(
            format!("cannot read {}", path.display()),
            format!("it is {reason}"),
            remove_state(&path),
        ),
        E::StateVersion { path, version } => Error::failed(
            format!("cannot read {}", path.display()),
            format!("it has version {version}, from another version of gossip"),
            format!(
                "stop that network with the gossip that started it; or {}",
                remove_state(&path)
            ),
        ),
        E::State { path, doing, source } => Error::failed(
            format!("cannot {doing} {}", path.display()),
            reason(&source),
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room there, or set XDG_STATE_HOME to a directory on another disk"
                }
                _ => {
                    "see to its permissions, or set XDG_STATE_HOME to a directory that can be written"
                }
            },
        ),
        E::StateStays { name, ended, path, source } => Error::failed(
            format!("network {name} is stopped, but what is remembered of it stays"),
            format!(
                "{} ended; {} cannot be removed: {}",
                count(ended, "node"),
                path.display(),
                reason(&source)
            ),
            "nothing; the next network of this name needs a directory that can be written",
        ),
        error => in_its_own_words(&error),
    }
}

/// What to do about a record that nobody can read: its network may well run. Its nodes have its
/// name on their command lines.
fn remove_state(path: &Path) -> String {
    if !path.ends_with("network.json") {
        return format!("`rm -r {}`: nothing of the network is kept in it", path.display());
    }
    let directory = path.parent().unwrap_or(path);
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "`pgrep -af 'run-node --launched --network {name}$'` shows its nodes: `kill` those, then \
         `rm -r {}`",
        directory.display()
    )
}

fn of_port(error: E) -> Error {
    let other = "choose other ports with --ports-origin";
    match error {
        E::Ports { origin, nodes } => Error::misused(
            format!("cannot give {} ports of their own", count(nodes, "node")),
            format!("ports end at 65535, and {origin} + {nodes} is beyond"),
            "lower --ports-origin or --num-nodes",
        ),
        E::PortTaken { addr, transport, holder } => Error::failed(
            format!("cannot use port {}", addr.port()),
            match holder {
                Some(holder) => format!("{transport} port {addr} is taken by {}", shown(&holder)),
                None => format!("{transport} port {addr} is taken"),
            },
            format!("{other}, or stop who has it; `gossip list-networks` shows our own"),
        ),
        E::PortRefused { addr, source } => Error::failed(
            format!("cannot use port {}", addr.port()),
            format!("the system refuses {addr}: {}", reason(&source)),
            format!("{other}: those below 1024 are for privileged programs"),
        ),
        error => in_its_own_words(&error),
    }
}

fn shown(holder: &Holder) -> String {
    format!("process {} ({})", holder.pid, holder.command)
}

fn of_system(error: E) -> Error {
    match error {
        E::TooManyProcesses { nodes, limit } => Error::failed(
            format!("cannot start {}", count(nodes, "node")),
            limit.as_ref().map_or_else(
                || "the system allows no more processes".into(),
                |limit: &ProcessLimit| {
                    format!(
                        "{} allows {} processes and threads; {} are there, {} more are needed",
                        limit.name, limit.max, limit.used, limit.needed
                    )
                },
            ),
            "lower --num-nodes, or raise that limit",
        ),
        E::TooFewFiles { needed, limit } => Error::failed(
            "cannot start any node",
            format!("{needed} files must be open at once, and the system allows {limit}"),
            format!("`ulimit -n {needed}` raises that limit"),
        ),
        E::Spawn { program, source } => Error::failed(
            format!("cannot run {}", program.display()),
            reason(&source),
            "see whether the program is still there, and may be run",
        ),
        error => in_its_own_words(&error),
    }
}

fn of_start(error: E) -> Error {
    let nothing = "nothing was left running; try again";
    match error {
        E::NodeDied { node, status, said } => Error::failed(
            format!("node {node} could not start"),
            match status {
                Some(status) => with_log(format!("its process ended: {status}"), &said),
                None => with_log("its process ended".into(), &said),
            },
            nothing,
        ),
        E::NodeFailed { node, reason } => {
            Error::failed(format!("node {node} could not start"), reason, nothing)
        }
        E::NotReady { node, within, said } => Error::failed(
            format!("node {node} could not start"),
            with_log(format!("it was not ready within {}", time_text::span(within)), &said),
            format!("{nothing}, with fewer nodes if this machine is too busy"),
        ),
        E::Interrupted => Error::failed("the start was interrupted", "a signal came", nothing),
        error => in_its_own_words(&error),
    }
}

/// The last words of a node's log, on the same line.
fn with_log(why: String, said: &str) -> String {
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if said.is_empty() { why } else { format!("{why}; its log ends: {}", said.join(" | ")) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::network::Transport;

    fn every_error() -> Vec<E> {
        let addr = "127.0.0.1:7007".parse().unwrap();
        let node = NodeId(7);
        let path = || PathBuf::from("/state/gossip/default/network.json");
        let source = || io::Error::from_raw_os_error(13);
        let holder = || Some(Holder { pid: 9, command: "nginx".into() });
        let limit = ProcessLimit { name: "ulimit -u".into(), max: 9, used: 8, needed: 7 };
        let said = || "panicked\nbadly\n".to_string();
        vec![
            E::Name("a/b".into()),
            E::NoHome,
            E::NotRunning("ring".into()),
            E::AlreadyRunning { name: "ring".into(), up: 1 },
            E::UnknownNode { node, known: Some((NodeId(1), NodeId(4))) },
            E::UnknownNode { node, known: None },
            E::NodeDown { node, pid: 9 },
            E::NodeRemoved(node),
            E::NodePaused(node),
            E::NodeUp { node, pid: 9 },
            E::OtherKey("ring".into()),
            E::StateBroken { path: path(), reason: "end of file".into() },
            E::StateVersion { path: path(), version: 9 },
            E::State { path: path(), doing: "write", source: source() },
            E::StateStays { name: "ring".into(), ended: 1, path: path(), source: source() },
            E::Locked { name: "ring".into(), holder: holder() },
            E::Topology(crate::topology::Error::NoNodes),
            E::Ports { origin: 65_000, nodes: 1_000 },
            E::PortTaken { addr, transport: Transport::Udp, holder: holder() },
            E::PortRefused { addr, source: source() },
            E::TooManyProcesses { nodes: 9, limit: Some(limit) },
            E::TooManyProcesses { nodes: 9, limit: None },
            E::TooFewFiles { needed: 60, limit: 50 },
            E::Spawn { program: "gossip".into(), source: source() },
            E::NodeDied { node, status: None, said: said() },
            E::NodeFailed { node, reason: "no socket".into() },
            E::NotReady { node, within: Duration::from_secs(20), said: String::new() },
            E::Control { node, source: crate::control::client::Error::Busy(addr) },
            E::Impostor { node, addr },
            E::Interrupted,
            E::NotEnded { node, pid: 9 },
            E::NotSignalled { node, pid: 9 },
            E::NoPeers("ring".into()),
            E::TooManyFaults("ring".into()),
            E::ByHand("ring".into()),
            E::System { doing: "read /proc", source: source() },
        ]
    }

    #[test]
    fn every_error_says_three_things_and_shows_no_insides() {
        for error in every_error() {
            let own_words = error.to_string();
            let text = Error::from(error).to_string();
            assert_eq!(text.lines().count(), 3, "{text}");
            assert!(!text.contains("os error") && !text.contains(" { "), "{text}");
            assert!(!text.contains("it did not work"), "nothing is known of {own_words}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_named_and_so_is_who_has_it() {
        let holder = Some(Holder { pid: 9, command: "nginx".into() });
        let addr = "127.0.0.1:7007".parse().unwrap();
        let error = Error::from(E::PortTaken { addr, transport: Transport::Tcp, holder });
        assert_eq!(
            error.to_string(),
            "error: cannot use port 7007\n  \
             why:  TCP port 127.0.0.1:7007 is taken by process 9 (nginx)\n  \
             next: choose other ports with --ports-origin, or stop who has it; \
             `gossip list-networks` shows our own"
        );
    }

    #[test]
    fn advice_names_the_network_it_is_about() {
        let text = Error::from(E::AlreadyRunning { name: "ring".into(), up: 3 }).to_string();
        assert!(text.contains("`gossip stop-network --network ring`"), "{text}");
        let text = Error::from(E::NotRunning("default".into())).to_string();
        assert!(text.contains("`gossip start-network`"), "{text}");
    }
}
