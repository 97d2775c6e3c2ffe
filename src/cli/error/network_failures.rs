//! What can go wrong with networks, processes and their state: why, and what to do next.
//!
//! What happened, the network's own error says.

use std::path::Path;

use super::super::render::{count, time_text};
use super::{Error, Kind, make_room_or, reason};
use crate::network::Error as E;
use crate::network::FAULTS_MAX;
use crate::protocol::NodeId;

impl From<E> for Error {
    fn from(error: E) -> Self {
        let kind = match error {
            E::Topology(error) => return error.into(),
            E::Control(node, error) => return Self::no_answer(node, &error),
            E::Name(_) | E::Ports(..) => Kind::Misused,
            _ => Kind::Failed,
        };
        Self { kind, what: error.to_string(), why: why(&error), next: next(&error) }
    }
}

fn why(error: &E) -> String {
    match error {
        E::Name(_) => "it becomes a directory: letters, digits, '-', '_' and '.', not first".into(),
        E::NoHome => "neither XDG_STATE_HOME nor HOME names a directory from the root on".into(),
        E::NotRunning(_) => {
            "nothing in the state directory tells of it, or its nodes are all gone".into()
        }
        E::AlreadyRunning(_, 1) => "1 of its nodes is up".into(),
        E::AlreadyRunning(_, up) => format!("{up} of its nodes are up"),
        E::UnknownNode(_, known) => numbers(*known),
        E::NodeDown(_, pid) => format!("its process {pid} is gone"),
        E::NodeRemoved(_) => "it was removed".into(),
        E::NodePaused(_) => "its process is stopped where it was, and answers nothing".into(),
        E::NodeUp(_, pid) => format!("it is up already, as process {pid}"),
        E::OtherKey(_) => "a network of this name runs here with another key".into(),
        E::StateBroken(_, reason) => format!("it is {reason}"),
        E::StateOpen(_, reason) => reason.clone(),
        E::StateVersion(_, version) => {
            format!("it has version {version}, from another version of gossip")
        }
        E::StateStays { ended, path, source, .. } => {
            let (ended, path) = (count(*ended, "node"), path.display());
            format!("{ended} ended; {path} cannot be removed: {}", reason(source))
        }
        E::Locked(_, holder) => format!("another command works on it{}", after(": ", holder)),
        E::Topology(error) => error.to_string(),
        E::Ports(origin, nodes) => format!("ports end at 65535, and {origin} + {nodes} is beyond"),
        E::PortTaken { addr, transport, holder } => {
            format!("{transport} port {addr} is taken{}", after(" by ", holder))
        }
        E::PortRefused(addr, source) => format!("the system refuses {addr}: {}", reason(source)),
        E::TooManyProcesses(_, None) => "the system allows no more processes".into(),
        E::TooManyProcesses(_, Some(limit)) => limit.to_string(),
        E::TooFewFiles(files) => files.to_string(),
        E::NodeDied(_, status, said) => {
            format!("its process ended{}{}", after(": ", status), log_end(said))
        }
        E::NodeFailed(_, reason) => reason.clone(),
        E::NotReady(_, within, said) => {
            format!("it was not ready within {}{}", time_text::span(*within), log_end(said))
        }
        E::Control(_, error) => error.to_string(),
        E::Impostor(_, addr) => format!("the program that answers on {addr} is not that node"),
        E::Interrupted => "a signal came".into(),
        E::NotEnded(_, pid) => {
            format!("process {pid} is still there, or cannot be proven to be that node")
        }
        E::NotSignalled(_, pid) => format!("the system did not let process {pid} have one"),
        E::NoPeers(_) => "no other node of it is up and running".into(),
        E::TooManyFaults(_) => {
            format!("it has {FAULTS_MAX} already, each of which costs every datagram")
        }
        E::ByHand(_) => "its nodes were started by hand, at addresses that follow no rule".into(),
        E::State { source, .. } | E::Spawn(_, source) | E::System(_, source) => reason(source),
    }
}

fn next(error: &E) -> String {
    let nodes = "`gossip show-network` shows all nodes";
    let nothing = "nothing was left running; try again";
    let ports = "choose other ports with --ports-origin";
    match error {
        E::Name(_) => "choose another --network".into(),
        E::NoHome => "set one of them".into(),
        E::NotRunning(_) => {
            "`gossip start-network` starts it; `gossip list-networks` shows those that run".into()
        }
        E::AlreadyRunning(..) => "`gossip stop-network` stops it; with --network NAME another one \
                                  runs beside it"
            .into(),
        E::OtherKey(_) => "use that network's key file, or another --network NAME".into(),
        E::Locked(..) => "try again when that one is done".into(),
        E::TooManyFaults(_) => "`gossip heal-network` removes them all".into(),
        E::ByHand(_) => "start this one by hand, too: `gossip run-node --help`".into(),
        E::UnknownNode(..) | E::NoPeers(_) => nodes.into(),
        E::NodeDown(node, _) | E::NodeRemoved(node) => {
            format!("`gossip start-node {node}` brings it back; {nodes}")
        }
        E::NodePaused(node) => format!("`gossip resume-node {node}` lets it go on; {nodes}"),
        E::NodeUp(node, _) => {
            format!("choose another number, or end it first (`gossip remove-node {node}`)")
        }
        E::NotSignalled(_, pid) | E::NotEnded(_, pid) => format!("see whose it is: `ps -fp {pid}`"),
        E::Impostor(..) => format!("see which program has that port (`ss -ltnp`); {nodes}"),
        E::StateBroken(path, _) => remove_state(path),
        E::StateOpen(path, _) => format!(
            "see who made it; `chmod go-w {}` if you did, or set XDG_STATE_HOME to a directory of yours",
            path.display()
        ),
        E::StateVersion(path, _) => {
            format!("stop that network with the gossip that started it; or {}", remove_state(path))
        }
        E::State { source, .. } => make_room_or(
            source,
            "or set XDG_STATE_HOME to a directory on another disk",
            "see to its permissions, or set XDG_STATE_HOME to a directory that can be written",
        ),
        E::StateStays { .. } => {
            "nothing; the next network of this name needs a directory that can be written".into()
        }
        E::Topology(error) => Error::from(error.clone()).next,
        E::Control(node, error) => Error::no_answer(*node, error).next,
        E::Ports(..) => "lower --ports-origin or --num-nodes".into(),
        E::PortTaken { .. } => {
            format!("{ports}, or stop that program; `gossip list-networks` shows our own")
        }
        E::PortRefused(..) => format!("{ports}: those below 1024 are for privileged programs"),
        E::TooManyProcesses(..) => "lower --num-nodes, or raise that limit".into(),
        E::TooFewFiles(files) => format!("`ulimit -n {}` raises that limit", files.needed),
        E::Spawn(..) => "see whether the program is still there, and may be run".into(),
        E::NodeDied(..) | E::NodeFailed(..) | E::Interrupted => nothing.into(),
        E::NotReady(..) => format!("{nothing}, with fewer nodes if this machine is too busy"),
        E::System(..) => "see what the system is short of, and try again".into(),
    }
}

/// What is known, after these words; nothing where nothing is.
fn after(words: &str, known: &Option<impl ToString>) -> String {
    known.as_ref().map(|known| format!("{words}{}", known.to_string())).unwrap_or_default()
}

fn numbers(known: Option<(NodeId, NodeId)>) -> String {
    match known {
        Some((first, last)) if first == last => format!("the network has node {first} only"),
        Some((first, last)) => format!("the network's nodes have numbers from {first} to {last}"),
        None => "the network has no nodes".into(),
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

/// The last words of a node's log, on the same line.
fn log_end(said: &str) -> String {
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if said.is_empty() { String::new() } else { format!("; its log ends: {}", said.join(" | ")) }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::network::{Holder, ProcessLimit, TooFewFiles, Transport};

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
            E::AlreadyRunning("ring".into(), 1),
            E::UnknownNode(node, Some((NodeId(1), NodeId(4)))),
            E::UnknownNode(node, None),
            E::NodeDown(node, 9),
            E::NodeRemoved(node),
            E::NodePaused(node),
            E::NodeUp(node, 9),
            E::OtherKey("ring".into()),
            E::StateBroken(path(), "end of file".into()),
            E::StateOpen(path(), "others may write to it (mode 777)".into()),
            E::StateVersion(path(), 9),
            E::State { path: path(), doing: "write", source: source() },
            E::StateStays { name: "ring".into(), ended: 1, path: path(), source: source() },
            E::Locked("ring".into(), holder()),
            E::Topology(crate::topology::Error::NoNodes),
            E::Ports(65_000, 1_000),
            E::PortTaken { addr, transport: Transport::Udp, holder: holder() },
            E::PortRefused(addr, source()),
            E::TooManyProcesses(9, Some(limit)),
            E::TooManyProcesses(9, None),
            TooFewFiles { needed: 60, limit: 50 }.into(),
            E::Spawn("gossip".into(), source()),
            E::NodeDied(node, None, said()),
            E::NodeFailed(node, "no socket".into()),
            E::NotReady(node, Duration::from_secs(20), String::new()),
            E::Control(node, crate::control::client::Error::Busy(addr)),
            E::Impostor(node, addr),
            E::Interrupted,
            E::NotEnded(node, 9),
            E::NotSignalled(node, 9),
            E::NoPeers("ring".into()),
            E::TooManyFaults("ring".into()),
            E::ByHand("ring".into()),
            E::System("read /proc", source()),
        ]
    }

    #[test]
    fn every_error_says_three_things_and_shows_no_insides() {
        for error in every_error() {
            let text = Error::from(error).to_string();
            assert_eq!(text.lines().count(), 3, "{text}");
            assert!(!text.contains("os error") && !text.contains(" { "), "{text}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_named_and_so_is_its_holder() {
        let holder = Some(Holder { pid: 9, command: "nginx".into() });
        let addr = "127.0.0.1:7007".parse().unwrap();
        let error = Error::from(E::PortTaken { addr, transport: Transport::Tcp, holder });
        assert_eq!(
            error.to_string(),
            "error: cannot use port 7007\n  \
             why:  TCP port 127.0.0.1:7007 is taken by process 9 (nginx)\n  \
             next: choose other ports with --ports-origin, or stop that program; \
             `gossip list-networks` shows our own"
        );
    }

    #[test]
    fn advice_names_the_network_it_is_about() {
        let text = Error::from(E::AlreadyRunning("ring".into(), 3)).advising_on("ring").to_string();
        assert!(text.contains("`gossip stop-network --network ring`"), "{text}");
        let text = Error::from(E::NotRunning("default".into())).advising_on("default").to_string();
        assert!(text.contains("`gossip start-network`"), "{text}");
    }
}
