//! Recordings sent again: they change nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use gossip::protocol::{Holding, MessageId, NodeId, PeerState};
use gossip::sim::{Action, Options, Simulation};
use gossip::topology::{self, Kind};

const SECOND: Duration = Duration::from_secs(1);
const NODES: u32 = 12;

fn options(seed: u64) -> Options {
    let graph = topology::build(Kind::Random { degree: Some(3) }, NODES, 3).unwrap().0;
    Options::new(&graph, seed)
}

/// Ten messages in ten seconds, while an eavesdropper does its worst, or not. Says which messages each
/// node has in the end.
fn with_replays(replays: u32) -> (Simulation, Vec<BTreeSet<MessageId>>) {
    let mut network = Simulation::new(options(1));
    network.listen();
    for step in 0..replays {
        let from = [None, Some(NODES + 1), Some(step % NODES + 1)][step as usize % 3];
        let to = (step % 5 == 0).then_some(step % NODES + 1);
        let action = Action::Replay { back: step * 7 % 500, from, to };
        network.schedule(SECOND * 10 * step / replays, action);
    }
    let mut ids = Vec::new();
    for turn in 0..10 {
        ids.push(network.send(turn % NODES + 1, &format!("banana {turn}"), 1).unwrap());
        network.run_for(SECOND).unwrap();
    }
    let holds =
        |node, id: &MessageId| matches!(network.node(node).unwrap().holding(*id), Holding::Held(_));
    let held = |node| ids.iter().copied().filter(|id| holds(node, id)).collect();
    let held = (1..=NODES).map(held).collect();
    (network, held)
}

#[test]
fn a_network_does_the_same_with_replays_as_without() {
    let (plain, expected) = with_replays(0);
    let (network, held) = with_replays(2_000);
    assert_eq!(held, expected);
    assert!(held.iter().all(|ids| ids.len() == 10));
    let (before, after) = (plain.counters(), network.counters());
    assert_eq!(after.delivered, before.delivered);
    assert_eq!((after.peers_suspected, after.links_made, after.links_dropped), (0, 0, 0));
    let dropped = after.dropped_replayed + after.dropped_session + after.dropped_elsewhere;
    assert!(dropped > 1_000, "{dropped} of 2,000 replays are accounted for");
}

/// The same key, the same nodes, the same addresses: another launch.
#[test]
fn what_was_recorded_yesterday_means_nothing_today() {
    let (yesterday, _) = with_replays(0);
    let recorded = yesterday.recorded();
    assert!(recorded.len() > 256, "old ones as well");
    let run = |injected: Vec<_>| {
        let mut today = Simulation::new(options(2));
        today.listen();
        today.run_for(SECOND).unwrap();
        injected.into_iter().for_each(|datagram| today.inject(datagram));
        today.run_for(SECOND).unwrap();
        today
    };
    let (today, alone) = (run(recorded), run(Vec::new()));
    assert_eq!(today.counters().delivered, 0);
    assert_eq!(today.counters().sessions_made, alone.counters().sessions_made);
    assert_eq!(today.unrest(), None);
}

/// It stayed "alive" for as long as somebody repeated its last heartbeat.
#[test]
fn a_killed_node_is_found_dead_whatever_is_sent_again() {
    let mut network = Simulation::new(options(3));
    network.listen();
    network.run_for(SECOND * 5).unwrap();
    network.crash(1);
    let of_the_dead: Vec<_> =
        network.recorded().into_iter().filter(|(from, ..)| *from == 0).collect();
    assert!(of_the_dead.len() > 10);
    for step in 0..200 {
        let (from, to, bytes) = of_the_dead[step % of_the_dead.len()].clone();
        network.inject((if step % 2 == 0 { from } else { NODES }, to, bytes));
        network.run_for(SECOND / 20).unwrap();
    }
    for node in 2..=NODES {
        let links = network.node(node).unwrap().status().peers;
        let dead = links.iter().find(|peer| peer.node == NodeId(1));
        assert!(dead.is_none_or(|peer| peer.state == PeerState::Dead), "{dead:?}");
    }
}
