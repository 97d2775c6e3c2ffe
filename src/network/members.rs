//! Nodes that come one at a time: started by hand, started again, or added.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::launcher::Launcher;
use super::ring::Gap;
use super::state::{NetworkDir, RECORD_VERSION};
use super::{
    Error, NodeRecord, ProcessId, Record, Settings, StateDir, node_config, ports, process_id,
};
use crate::protocol::{Config, Incarnation, Key, NodeId, PeerAddr};
use crate::runtime::clock;

impl StateDir {
    /// Adds a node that was started by hand, in this very process, to a network's record, which
    /// it creates where there is none.
    ///
    /// # Errors
    ///
    /// If the network has another key, or such a node that is up.
    pub fn register(&self, name: &str, key: &Key, node: NodeRecord) -> Result<(), Error> {
        let dir = self.network(name)?;
        let locked = dir.create_and_lock(&|| false)?;
        let _lock = locked.expect("nobody gave up");
        let mut record = match dir.read()? {
            Some(record) if record.any_up() => record,
            _ => {
                dir.clear()?;
                by_hand(name, *key)
            }
        };
        if record.key != *key {
            return Err(Error::OtherKey(name.to_owned()));
        }
        if let Ok(there) = record.find(node.node)
            && record.is_up(there)
        {
            return Err(Error::NodeUp(node.node, there.process.pid));
        }
        record.put(node);
        dir.write(&record)
    }

    /// Takes a node that runs in this very process out again. The last one takes the network's
    /// state with it. Does nothing where another command has taken it out already, or is
    /// waiting for it to end.
    ///
    /// # Errors
    ///
    /// If the state cannot be changed.
    pub fn unregister(&self, name: &str, node: NodeId) -> Result<(), Error> {
        let dir = self.network(name)?;
        let unwanted = || matches!(is_registered(&dir, node), Ok(false));
        if unwanted() {
            return Ok(());
        }
        let lock = match dir.lock(super::state::LOCK_WITHIN, &unwanted) {
            Ok(Some(lock)) => lock,
            Ok(None) | Err(Error::NotRunning(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        if !is_registered(&dir, node)? {
            return Ok(());
        }
        let Some(mut record) = dir.read()? else { return Ok(()) };
        record.nodes.retain(|other| other.node != node);
        if record.any_up() { dir.write(&record) } else { dir.remove(&lock) }
    }

    /// Starts a node again that was removed or died: a new incarnation, at the same address. On
    /// a ring it gets its old place, elsewhere those of its old neighbours that run, and others
    /// in the stead of the rest.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it is up, or cannot be started.
    pub fn start_node(
        &self,
        name: &str,
        node: NodeId,
        program: &Path,
    ) -> Result<NodeRecord, Error> {
        let dir = self.network(name)?;
        let _lock = dir.lock_existing()?;
        let record = dir.read_running()?;
        let before = record.find(node)?;
        if record.is_up(before) {
            return Err(Error::NodeUp(node, before.process.pid));
        }
        let incarnation = before.incarnation + 1;
        let place = match record.gap(node) {
            Some(gap) => Place::Between(gap),
            None => Place::Beside(record.old_peers(before, incarnation)?),
        };
        start_one(&dir, record.clone(), (node, incarnation, before.addr), &place, program)
    }

    /// Adds a node with the next free number. Told no peers, it gets as many as nodes of this
    /// network usually have, drawn from those that run; on a ring, it gets between the last and
    /// the first.
    ///
    /// # Errors
    ///
    /// If one of the peers is not up, or the node cannot be started.
    pub fn add_node(
        &self,
        name: &str,
        peers: Option<&[NodeId]>,
        program: &Path,
    ) -> Result<NodeRecord, Error> {
        let dir = self.network(name)?;
        let _lock = dir.lock_existing()?;
        let record = dir.read_running()?;
        let (node, addr) = record.next_node()?;
        let place = match peers {
            Some(peers) if !peers.is_empty() => {
                let found = peers.iter().map(|peer| record.find_up(*peer).map(peer_addr));
                let mut found = found.collect::<Result<Vec<PeerAddr>, Error>>()?;
                // Named twice, it is still one.
                found.sort_unstable();
                found.dedup();
                Place::Beside(found)
            }
            _ => match record.gap(node) {
                Some(gap) => Place::Between(gap),
                None => Place::Beside(record.choose_peers(node, 1)?),
            },
        };
        start_one(&dir, record, (node, 1, addr), &place, program)
    }
}

/// Where a node comes in.
enum Place {
    /// Linked to these, in addition to what links they have.
    Beside(Vec<PeerAddr>),
    /// In a ring.
    Between(Gap),
}

/// Starts one node and puts it into the record. Call it with the lock held.
fn start_one(
    dir: &NetworkDir,
    mut record: Record,
    (node, incarnation, addr): (NodeId, Incarnation, SocketAddr),
    place: &Place,
    program: &Path,
) -> Result<NodeRecord, Error> {
    ports::check_free(addr)?;
    let settings = &record.settings;
    let mut peers = match place {
        Place::Beside(peers) => peers.clone(),
        Place::Between(gap) => gap.ends.to_vec(),
    };
    peers.sort_unstable();
    let sample = record.choose(node, incarnation, settings.limits.sample_max);
    let (key, seed) = (record.key, record.seed);
    let config = node_config::config(node, incarnation, key, seed, peers, sample, settings);
    let config = Config { faults: record.fault_rules(), ..config };
    let interrupted = AtomicBool::new(false);
    let mut launcher = Launcher { dir, program, interrupted: &interrupted, progress: &mut |_| {} };
    let (mut nodes, children) = launcher.launch(&[(config, addr)])?;
    let before = record.clone();
    let started = nodes.remove(0);
    record.put(started.clone());
    dir.write(&record)?;
    if let Err(error) = launcher.confirm(std::slice::from_ref(&started), &record.key) {
        drop(children);
        dir.write(&before)?;
        return Err(error);
    }
    children.let_go();
    if let Place::Between(gap) = place {
        record.insert(peer_addr(&started), gap);
        dir.write(&record)?;
    }
    Ok(started)
}

impl Record {
    /// Whether any node's process is there.
    pub(super) fn any_up(&self) -> bool {
        self.nodes.iter().any(|node| self.is_up(node))
    }

    /// Puts a node in its place, in the stead of one with the same number.
    fn put(&mut self, node: NodeRecord) {
        self.nodes.retain(|other| other.node != node.node);
        let at = self.nodes.partition_point(|other| other.node < node.node);
        self.nodes.insert(at, node);
    }

    /// The next free number, and its address.
    fn next_node(&self) -> Result<(NodeId, SocketAddr), Error> {
        if self.kind.is_none() {
            return Err(Error::ByHand(self.name.clone()));
        }
        let last = self.nodes.iter().map(|node| node.node.0).max().unwrap_or(0);
        let number = last.saturating_add(1);
        let origin = self.ports_origin;
        let port = u32::from(origin).checked_add(number).and_then(|port| port.try_into().ok());
        let port: u16 = port.ok_or(Error::Ports { origin, nodes: number })?;
        Ok((NodeId(number), SocketAddr::from(([127, 0, 0, 1], port))))
    }

    /// Neighbours for a node that has none: as many as others have on average, at least one.
    fn choose_peers(&self, node: NodeId, incarnation: Incarnation) -> Result<Vec<PeerAddr>, Error> {
        let links: usize = self.nodes.iter().map(|node| node.peers.len()).sum();
        let nodes = self.nodes.len().max(1);
        let amount = ((links + nodes / 2) / nodes).max(1);
        let peers = self.choose(node, incarnation, amount);
        if peers.is_empty() { Err(Error::NoPeers(self.name.clone())) } else { Ok(peers) }
    }

    /// Neighbours for a node that had some: those of them that run, and as many others as it
    /// takes to have as many again.
    fn old_peers(
        &self,
        before: &NodeRecord,
        incarnation: Incarnation,
    ) -> Result<Vec<PeerAddr>, Error> {
        if before.peers.is_empty() {
            return self.choose_peers(before.node, incarnation);
        }
        let stays = |peer: &&NodeRecord| before.peers.contains(&peer.node) && self.is_running(peer);
        let mut peers: Vec<PeerAddr> = self.nodes.iter().filter(stays).map(peer_addr).collect();
        let others = self.choose(before.node, incarnation, self.nodes.len()).into_iter();
        let others: Vec<PeerAddr> = others.filter(|other| !peers.contains(other)).collect();
        let missing = before.peers.len().saturating_sub(peers.len());
        peers.extend(others.into_iter().take(missing));
        peers.sort_unstable();
        if peers.is_empty() { Err(Error::NoPeers(self.name.clone())) } else { Ok(peers) }
    }

    /// Up to `amount` other nodes that run, drawn uniformly.
    fn choose(&self, node: NodeId, incarnation: Incarnation, amount: usize) -> Vec<PeerAddr> {
        let there = |other: &&NodeRecord| other.node != node && self.is_running(other);
        let others: Vec<PeerAddr> = self.nodes.iter().filter(there).map(peer_addr).collect();
        let seed = node_config::sample_seed(self.seed, node, incarnation);
        node_config::draw(others.len(), amount, seed).into_iter().map(|at| others[at]).collect()
    }
}

pub(super) fn peer_addr(node: &NodeRecord) -> PeerAddr {
    PeerAddr { node: node.node, addr: node.addr }
}

impl NetworkDir {
    /// The record of a network that runs. Call it with the lock held.
    pub(super) fn read_running(&self) -> Result<Record, Error> {
        self.read()?.filter(Record::any_up).ok_or_else(|| self.not_running())
    }
}

/// The record of a network whose nodes are started by hand.
fn by_hand(name: &str, key: Key) -> Record {
    Record {
        version: RECORD_VERSION,
        name: name.to_owned(),
        kind: None,
        seed: 0,
        key,
        ports_origin: 0,
        started_at: clock::now().wall.0,
        boot_id: process_id::boot_id().to_owned(),
        settings: Settings::default(),
        rewired: None,
        faults: Vec::new(),
        nodes: Vec::new(),
    }
}

/// Whether a node is in the record as this process, and nobody is about to take it out.
fn is_registered(dir: &NetworkDir, node: NodeId) -> Result<bool, Error> {
    let Some(record) = dir.read()? else { return Ok(false) };
    let me = ProcessId::current();
    let me = me.map_err(|source| Error::System("read /proc", source))?;
    Ok(record.find(node).is_ok_and(|there| there.process == me && !there.removed))
}

#[cfg(test)]
mod tests {
    use super::super::testing_state::{Helper, TempDir, record, remember};
    use super::*;

    const KEY: Key = Key([9; 32]);

    fn me(number: u32) -> NodeRecord {
        let mut nodes = record("any", &[ProcessId::current().unwrap()]).nodes;
        NodeRecord { node: NodeId(number), ..nodes.remove(0) }
    }

    #[test]
    fn nodes_started_by_hand_make_a_network_and_the_last_one_unmakes_it() {
        let temp = TempDir::new();
        let state = temp.state();
        state.register("default", &KEY, me(7)).unwrap();
        state.register("default", &KEY, me(3)).unwrap();
        let record = state.load("default").unwrap();
        assert!(record.kind.is_none());
        let numbers: Vec<u32> = record.nodes.iter().map(|node| node.node.0).collect();
        assert_eq!(numbers, [3, 7]);
        state.unregister("default", NodeId(3)).unwrap();
        assert!(state.load("default").unwrap().find(NodeId(3)).is_err());
        state.unregister("default", NodeId(7)).unwrap();
        assert!(!temp.path().join("default").exists());
        state.unregister("default", NodeId(7)).unwrap();
    }

    #[test]
    fn a_number_that_is_up_and_another_key_are_refused() {
        let temp = TempDir::new();
        let state = temp.state();
        let other = Helper::cat();
        remember(&state, &record("default", &[other.process()]));
        let twice = state.register("default", &KEY, me(1));
        assert!(matches!(twice, Err(Error::NodeUp(NodeId(1), _))), "{twice:?}");
        let foreign = state.register("default", &Key([8; 32]), me(2));
        assert!(matches!(foreign, Err(Error::OtherKey(_))), "{foreign:?}");
        // It is not this process, so it is not this process's to take out.
        state.unregister("default", NodeId(1)).unwrap();
        assert_eq!(state.load("default").unwrap().nodes.len(), 1);
    }

    #[test]
    fn who_is_being_ended_does_not_wait_for_whoever_ends_it() {
        let temp = TempDir::new();
        let state = temp.state();
        state.register("default", &KEY, me(1)).unwrap();
        let dir = state.network("default").unwrap();
        let lock = dir.lock_existing().unwrap();
        let mut record = dir.read().unwrap().unwrap();
        record.nodes[0].removed = true;
        dir.write(&record).unwrap();
        state.unregister("default", NodeId(1)).unwrap();
        drop(lock);
    }

    #[test]
    fn state_of_processes_long_gone_is_no_obstacle() {
        let temp = TempDir::new();
        let state = temp.state();
        let gone = ProcessId { pid: 1, started: u64::MAX };
        remember(&state, &record("default", &[gone, gone]));
        state.register("default", &Key([8; 32]), me(5)).unwrap();
        assert_eq!(state.load("default").unwrap().nodes.len(), 1);
    }

    #[test]
    fn a_new_node_gets_the_next_number_and_as_many_peers_as_others() {
        let up = ProcessId::current().unwrap();
        let mut record = record("default", &[up; 6]);
        for node in &mut record.nodes {
            node.peers = vec![NodeId(1), NodeId(2), NodeId(3)];
        }
        record.nodes.remove(1);
        let (node, addr) = record.next_node().unwrap();
        assert_eq!((node, addr.port()), (NodeId(7), 7_007));
        let peers = record.choose_peers(node, 1).unwrap();
        assert_eq!(peers.len(), 3);
        record.nodes.clear();
        assert!(matches!(record.choose_peers(node, 1), Err(Error::NoPeers(_))));
        record.kind = None;
        assert!(matches!(record.next_node(), Err(Error::ByHand(_))));
    }

    #[test]
    fn a_node_that_comes_back_gets_its_old_peers_and_others_for_those_that_are_gone() {
        let up = ProcessId::current().unwrap();
        let mut record = record("default", &[up; 6]);
        record.nodes[0].peers = vec![NodeId(2), NodeId(3), NodeId(4)];
        record.nodes[2].removed = true;
        let back = record.nodes[0].clone();
        let peers = record.old_peers(&back, 2).unwrap();
        let numbers: Vec<u32> = peers.iter().map(|peer| peer.node.0).collect();
        assert_eq!(numbers.len(), 3);
        assert!(numbers.contains(&2) && numbers.contains(&4), "{numbers:?}");
        assert!(numbers.contains(&5) || numbers.contains(&6), "{numbers:?}");
        record.nodes.truncate(1);
        assert!(matches!(record.old_peers(&back, 2), Err(Error::NoPeers(_))));
    }
}
