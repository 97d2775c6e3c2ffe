//! The overlay closes the gaps that nodes leave.

use gossip::sim::{Checks, Simulation};
use gossip::topology::Kind;

use super::harness::{
    RANDOM_3, RING, arrive, is_a_ring, links, loss, mean_degree, millis, secs, send_paced, started,
    started_with,
};

/// Kills nodes at once; the survivors find one another, and messages sent then reach them all.
fn kill(simulation: &mut Simulation, killed: impl IntoIterator<Item = u32>, what: &str) {
    for node in killed {
        simulation.crash(node);
    }
    let connected = |s: &Simulation| s.apart().is_none();
    let took = simulation.run_until(secs(10), millis(100), connected).unwrap();
    assert!(took.is_some(), "{what}: not connected within 10 s: {:?}", simulation.apart());
    let living = simulation.living();
    let senders = [living[0], living[living.len() / 2]];
    let ids = senders.map(|node| simulation.send(node, "still here", 1).unwrap());
    arrive(simulation, &ids, secs(5));
    println!("{what}: connected after {took:?}, mean degree {:.2}", mean_degree(simulation));
}

#[test]
fn a_quarter_or_a_half_killed_at_once_leaves_the_others_connected() {
    for seed in 1..=10 {
        for (kind, nodes) in [(RANDOM_3, 32), (RING, 32)] {
            let scattered = |share: u32| (1..=nodes).filter(move |node| node % share == 0);
            let what = |how: &str| format!("{kind} of {nodes}, seed {seed}, {how}");
            let fresh = || started(kind, nodes, seed);
            kill(&mut fresh(), scattered(4), &what("every fourth"));
            kill(&mut fresh(), scattered(2), &what("every second"));
            kill(&mut fresh(), 3..3 + nodes / 4, &what("a quarter side by side"));
            kill(&mut fresh(), 3..3 + nodes / 2, &what("half side by side"));
        }
    }
}

#[test]
fn half_of_a_ring_of_a_thousand_killed_at_once_leaves_the_others_connected() {
    let mut simulation = started(RING, 1_000, 1);
    // Every second pair: no survivor keeps both its neighbours.
    let killed = (1..=1_000).filter(|node| node % 4 < 2);
    kill(&mut simulation, killed, "ring of 1,000, every second pair");
}

/// Lets some nodes leave, one by one; gives the mean degree before and after a quarter and half.
fn leave_one_by_one(simulation: &mut Simulation, leavers: &[u32]) -> [f64; 3] {
    let mut means = [mean_degree(simulation); 3];
    for (place, node) in leavers.iter().enumerate() {
        simulation.leave(*node);
        simulation.run_for(secs(2)).unwrap();
        assert_eq!(simulation.apart(), None, "after node {node} left");
        if (place + 1) * 2 == leavers.len() {
            simulation.run_for(secs(10)).unwrap();
            means[1] = mean_degree(simulation);
        }
    }
    simulation.run_for(secs(10)).unwrap();
    means[2] = mean_degree(simulation);
    assert_eq!(simulation.unrest(), None);
    means
}

#[test]
fn degrees_stay_near_what_they_were_when_half_leave_one_by_one() {
    for seed in 1..=5 {
        for kind in [RANDOM_3, Kind::Random { degree: Some(5) }] {
            let mut simulation = started(kind, 32, seed);
            let first: Vec<usize> = (1..=32).map(|n| simulation.neighbours(n).len()).collect();
            let leavers: Vec<u32> = (1..=32).filter(|node| node % 2 == 0).collect();
            let [before, quarter, half] = leave_one_by_one(&mut simulation, &leavers);
            println!("{kind}, seed {seed}: {before:.2}, {quarter:.2}, {half:.2}");
            assert!(quarter <= before + 0.5, "{kind}, seed {seed}: {before:.2} {quarter:.2}");
            assert!(half <= before + 1.0, "{kind}, seed {seed}: {before:.2} {half:.2}");
            for node in simulation.living() {
                let (now, was) = (simulation.neighbours(node).len(), first[node as usize - 1]);
                assert!(now <= was * 2, "{kind}, seed {seed}: node {node} had {was}, has {now}");
            }
        }
    }
}

#[test]
fn a_ring_stays_a_ring_when_half_leave_one_by_one() {
    for seed in 1..=3 {
        let mut simulation = started(RING, 32, seed);
        let leavers: Vec<u32> = (5..=20).collect();
        leave_one_by_one(&mut simulation, &leavers);
        assert!(is_a_ring(&simulation), "seed {seed}: {:?}", links(&simulation));
    }
}

#[test]
fn nobody_knows_more_than_a_small_part_of_a_large_network() {
    let mut simulation = started(RANDOM_3, 1_000, 1);
    simulation.run_for(secs(60)).unwrap();
    let known =
        simulation.living().into_iter().map(|n| simulation.node(n).unwrap().status().known_nodes);
    let most = known.max().unwrap();
    println!("the best informed of 1,000 nodes knows {most}");
    assert!(most < 100, "a node knows {most} of 1,000");
}

#[test]
fn loss_alone_makes_no_links() {
    for (seed, share) in [(1, 0.2), (2, 0.4)] {
        let mut simulation = started(RING, 32, seed);
        let before = links(&simulation);
        simulation.set_faults(loss(share));
        send_paced(&mut simulation, 240, millis(500));
        simulation.set_faults(vec![]);
        simulation.run_for(secs(20)).unwrap();
        assert_eq!(links(&simulation), before, "{share} lost");
        let counters = simulation.counters();
        println!("{share} lost: {} made, {} dead", counters.links_made, counters.peers_dead);
    }
}

/// SplitMix64's step: a component is named after the node whose number it makes smallest.
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[test]
fn a_large_ring_stays_a_ring_when_the_node_that_its_component_is_named_after_is_killed() {
    // With seed 4 a node lost another root while the last beats of the first were still under way.
    for (nodes, seed) in [(200, 1), (200, 4), (1_000, 1)] {
        let mut simulation =
            started_with(RING, nodes, seed, |options| options.checks = Checks::Deliveries);
        // Until all nodes use the name, and have done so for a while.
        simulation.run_for(secs(60)).unwrap();
        simulation.crash((1..=nodes).min_by_key(|node| mix(u64::from(*node))).unwrap());
        simulation.run_for(secs(300)).unwrap();
        let left = links(&simulation).len();
        println!("ring of {nodes}: {left} links, {} made", simulation.counters().links_made);
        assert!(is_a_ring(&simulation), "seed {seed}: {left} links, {} nodes", nodes - 1);
    }
}
