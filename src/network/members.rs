//! Nodes that come one at a time: started by hand, started again, or added.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::launcher::Launcher;
use super::relink::Gap;
use super::state::{LOCK_WITHIN, NetworkDir};
use super::{Error, NodeRecord, ProcessId, Record, StateDir, node_config, ports, random_bytes};
use crate::protocol::{Incarnation, Key, NodeId, PeerAddr, Start};

impl StateDir {
    /// Adds a node that was started by hand, in this very process, to a network's record, which
    /// it creates where there is none.
    ///
    /// # Errors
    ///
    /// If the network has another key, or such a node that is up.
    pub fn register(&self, name: &str, key: &Key, node: NodeRecord) -> Result<(), Error> {
        let dir = self.network(name)?;
        let _lock = dir.create_and_lock(&|| false)?;
        let mut record = match dir.read()? {
            Some(record) if record.any_up() => record,
            _ => {
                dir.clear()?;
                Record::new(name, *key)
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
        let unwanted = || matches!(registered(&dir, node), Ok(None));
        if unwanted() {
            return Ok(());
        }
        let lock = match dir.lock(LOCK_WITHIN, &unwanted) {
            Err(Error::Interrupted | Error::NotRunning(_)) => return Ok(()),
            locked => locked?,
        };
        let Some(mut record) = registered(&dir, node)? else { return Ok(()) };
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
        let (dir, _lock, record) = self.lock_running(name)?;
        let before = record.find(node)?;
        if record.is_up(before) {
            return Err(Error::NodeUp(node, before.process.pid));
        }
        let incarnation = before.incarnation + 1;
        let gap = record.gap(node);
        let peers = match &gap {
            Some(gap) => gap.ends.to_vec(),
            None => record.choose_peers(node, incarnation, &before.peers)?,
        };
        let life = (node, Start { incarnation, nonce: random_bytes()? }, before.addr);
        start_one(&dir, record.clone(), life, peers, gap, program)
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
        let (dir, _lock, record) = self.lock_running(name)?;
        let (node, addr) = record.next_node()?;
        let mut gap = None;
        let peers = if let Some(peers) = peers.filter(|peers| !peers.is_empty()) {
            // Named twice, it is still one.
            let peers = BTreeSet::from_iter(peers);
            let found = peers.into_iter().map(|peer| Ok(record.find_up(*peer)?.peer_addr()));
            found.collect::<Result<_, Error>>()?
        } else {
            gap = record.gap(node);
            match &gap {
                Some(gap) => gap.ends.to_vec(),
                None => record.choose_peers(node, 1, &[])?,
            }
        };
        let start = Start { incarnation: 1, nonce: random_bytes()? };
        start_one(&dir, record, (node, start, addr), peers, gap, program)
    }
}

/// Starts one node, linked to `peers`, and puts it into the record; on a ring they are the ends of
/// a gap. Call it with the lock held.
fn start_one(
    dir: &NetworkDir,
    mut record: Record,
    (node, start, addr): (NodeId, Start, SocketAddr),
    mut peers: Vec<PeerAddr>,
    gap: Option<Gap>,
    program: &Path,
) -> Result<NodeRecord, Error> {
    ports::check_free(addr)?;
    let settings = &record.settings;
    peers.sort_unstable();
    let sample = record.choose(node, start.incarnation, settings.limits.sample_max);
    let (key, seed) = (record.key, record.seed);
    let config = node_config::config(node, start, key, seed, peers, sample, settings);
    let interrupted = AtomicBool::new(false);
    let (faults, progress) = (&*record.fault_rules(), &mut |_| {});
    let mut launcher = Launcher { dir, program, faults, interrupted: &interrupted, progress };
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
    if let Some(gap) = gap {
        record.insert(started.peer_addr(), &gap);
        dir.write(&record)?;
    }
    Ok(started)
}

impl Record {
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
        let port: u16 = port.ok_or(Error::Ports(origin, number))?;
        Ok((NodeId(number), SocketAddr::from(([127, 0, 0, 1], port))))
    }

    /// Neighbours for a node: those of its old ones that run, and as many others as it takes to
    /// have as many again. A node that had none gets as many as others have on average.
    fn choose_peers(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        old: &[NodeId],
    ) -> Result<Vec<PeerAddr>, Error> {
        let links: usize = self.nodes.iter().map(|node| node.peers.len()).sum();
        let nodes = self.nodes.len().max(1);
        let usual = ((links + nodes / 2) / nodes).max(1);
        let (amount, drawn) = if old.is_empty() { (usual, usual) } else { (old.len(), nodes) };
        let mut peers = self.choose(node, incarnation, drawn);
        peers.sort_by_key(|peer| !old.contains(&peer.node));
        peers.truncate(amount);
        if peers.is_empty() { Err(Error::NoPeers(self.name.clone())) } else { Ok(peers) }
    }

    /// Up to `amount` other nodes that run, drawn uniformly.
    fn choose(&self, node: NodeId, incarnation: Incarnation, amount: usize) -> Vec<PeerAddr> {
        let there = |other: &&NodeRecord| other.node != node && self.is_running(other);
        let others: Vec<PeerAddr> =
            self.nodes.iter().filter(there).map(NodeRecord::peer_addr).collect();
        let seed = node_config::sample_seed(self.seed, node, incarnation);
        node_config::draw(others.len(), amount, seed).into_iter().map(|at| others[at]).collect()
    }
}

/// The record, if a node is in it as this process, and nobody is about to take it out.
fn registered(dir: &NetworkDir, node: NodeId) -> Result<Option<Record>, Error> {
    let me = ProcessId::current().map_err(|source| Error::System("read /proc", source))?;
    let is_me = |there: &NodeRecord| there.process == me && !there.removed;
    Ok(dir.read()?.filter(|record| record.find(node).is_ok_and(is_me)))
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
    fn a_node_that_is_being_ended_does_not_wait_for_the_command_that_ends_it() {
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
        let peers = record.choose_peers(node, 1, &[]).unwrap();
        assert_eq!(peers.len(), 3);
        record.nodes.clear();
        assert!(matches!(record.choose_peers(node, 1, &[]), Err(Error::NoPeers(_))));
        record.kind = None;
        assert!(matches!(record.next_node(), Err(Error::ByHand(_))));
    }

    #[test]
    fn a_node_that_comes_back_gets_its_old_peers_and_others_for_those_that_are_gone() {
        let up = ProcessId::current().unwrap();
        let mut record = record("default", &[up; 6]);
        record.nodes[0].peers = vec![NodeId(2), NodeId(3), NodeId(4)];
        record.nodes[2].removed = true;
        let back = record.nodes[0].peers.clone();
        let peers = record.choose_peers(NodeId(1), 2, &back).unwrap();
        let numbers: Vec<u32> = peers.iter().map(|peer| peer.node.0).collect();
        assert_eq!(numbers.len(), 3);
        assert!(numbers.contains(&2) && numbers.contains(&4), "{numbers:?}");
        assert!(numbers.contains(&5) || numbers.contains(&6), "{numbers:?}");
        record.nodes.truncate(1);
        assert!(matches!(record.choose_peers(NodeId(1), 2, &back), Err(Error::NoPeers(_))));
    }
}
