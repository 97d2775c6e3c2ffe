//! Draws a plan from a seed.

use std::time::Duration;

use gossip::protocol::{Effect, FaultRule, Limits};
use gossip::sim::{Action, EARS, Options};
use gossip::topology::{self, Graph, Kind};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::harness::{cut, partition};
use super::plan::Plan;

/// A plan in the making.
pub(crate) struct Draw {
    rng: Xoshiro256PlusPlus,
    nodes: u32,
    faulty_for: Duration,
    actions: Vec<(Duration, Action)>,
    /// Which nodes are up, as far as the plan goes, in the order of its actions.
    up: Vec<bool>,
    late: Vec<u32>,
    /// The faults that meet all datagrams, and the cuts in force.
    everywhere: Vec<FaultRule>,
    cuts: Vec<FaultRule>,
}

impl Draw {
    /// The plan of a seed.
    pub(crate) fn plan(seed: u64) -> Plan {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        // Small networks find bugs as well as large ones, and faster.
        let nodes =
            if rng.random_bool(0.1) { rng.random_range(25..=64) } else { rng.random_range(2..=24) };
        let faulty_for = Duration::from_millis(rng.random_range(2_000..=45_000));
        let mut draw = Self {
            rng,
            nodes,
            faulty_for,
            actions: Vec::new(),
            up: vec![true; nodes as usize],
            late: Vec::new(),
            everywhere: Vec::new(),
            cuts: Vec::new(),
        };
        let options = draw.options();
        draw.messages();
        draw.late_joiners();
        draw.general_faults();
        let mishaps = draw.rng.random_range(0..16);
        let mut times: Vec<Duration> = (0..mishaps).map(|_| draw.time()).collect();
        times.sort_unstable();
        for at in times {
            draw.mishap(at);
        }
        draw.make_good();
        draw.replays();
        // Stable: actions of the same time keep their order.
        draw.actions.sort_by_key(|(at, _)| *at);
        Plan { seed, options, late: draw.late, actions: draw.actions, faulty_for }
    }

    fn options(&mut self) -> Options {
        let graph = self.graph();
        let mut options = Options::new(&graph, self.rng.random());
        options.latency = Duration::from_micros([50, 50, 1_000, 20_000][self.below(4)]);
        if self.rng.random_bool(0.5) {
            options.drain_after = Duration::from_micros(self.rng.random_range(1..1_000));
        }
        if self.rng.random_bool(0.1) {
            options.limits = std::sync::Arc::new(self.tiny_limits());
        }
        options
    }

    fn graph(&mut self) -> Graph {
        let degree = self.rng.random_range(3..=5);
        let kind = match self.below(4) {
            0 => Kind::Circular,
            1 => Kind::Powerlaw,
            2 => Kind::Random { degree: Some(degree) },
            _ => Kind::Random { degree: None },
        };
        let seed = self.rng.random();
        topology::build(kind, self.nodes, seed)
            .or_else(|_| topology::build(Kind::Circular, self.nodes, seed))
            .expect("any number of nodes makes a ring")
            .0
    }

    /// Limits so low that they are reached: promises hold for the messages retained.
    fn tiny_limits(&mut self) -> Limits {
        Limits {
            messages_max: self.rng.random_range(5..50),
            paths_max: self.rng.random_range(1..4),
            wanted_per_peer_max: self.rng.random_range(2..20),
            repair_reply_bytes_max: self.rng.random_range(100..2_000),
            repair_replies_max: self.rng.random_range(5..50),
            path_nodes_max: self.rng.random_range(2..10),
            packed_datagram_bytes_max: self.rng.random_range(100..1_500),
            ..Limits::default()
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    fn node(&mut self) -> u32 {
        self.rng.random_range(1..=self.nodes)
    }

    /// Some time while there are faults.
    fn time(&mut self) -> Duration {
        let end = u64::try_from(self.faulty_for.as_micros()).expect("a few seconds");
        Duration::from_micros(self.rng.random_range(0..end))
    }

    fn at(&mut self, at: Duration, action: Action) {
        // An action after the end of faults is done at their end.
        self.actions.push((at.min(self.faulty_for), action));
    }

    fn messages(&mut self) {
        let most = [5, 40, 200][self.below(3)];
        for number in 0..self.rng.random_range(1..=most) {
            let at = self.time();
            let node = self.node();
            let padding = match self.below(30) {
                0 => self.below(20_000),
                1..5 => self.below(1_000),
                _ => 0,
            };
            let text = format!("message {number} {}", "x".repeat(padding));
            let relays = if self.rng.random_bool(0.5) { 1 } else { self.rng.random_range(1..=4) };
            self.at(at, Action::Send { node, text, relays });
        }
    }

    fn late_joiners(&mut self) {
        if self.rng.random_bool(0.3) {
            for _ in 0..self.rng.random_range(1..=self.nodes.div_ceil(3)) {
                let node = self.node();
                if !self.late.contains(&node) {
                    self.late.push(node);
                    let at = self.time();
                    self.at(at, Action::Start(node));
                }
            }
        }
    }

    fn general_faults(&mut self) {
        if self.rng.random_bool(0.2) {
            return;
        }
        let rule = FaultRule { from: vec![], to: vec![], effect: self.effect() };
        if self.rng.random_bool(0.25) {
            self.at(Duration::ZERO, Action::NodeFaults(vec![rule]));
        } else {
            self.everywhere = vec![rule];
            self.tell_faults(Duration::ZERO);
        }
    }

    fn tell_faults(&mut self, at: Duration) {
        let rules = self.everywhere.iter().chain(&self.cuts).cloned().collect();
        self.at(at, Action::Faults(rules));
    }

    fn effect(&mut self) -> Effect {
        let mut share = |most: f64| {
            let on = self.rng.random_bool(0.5);
            if on { self.rng.random_range(0.0..most) } else { 0.0 }
        };
        Effect {
            loss: share(0.5),
            delay: Duration::from_secs_f64(share(0.05)),
            jitter: Duration::from_secs_f64(share(0.05)),
            duplicate: share(0.3),
            reorder: share(0.3),
            corrupt: share(0.05),
        }
    }

    /// One thing that goes wrong. Later ones follow in time.
    fn mishap(&mut self, at: Duration) {
        match self.below(12) {
            0 => self.crash_some(at),
            1 | 2 => {
                let node = self.node();
                self.stop(at, node, Action::Crash);
            }
            3 | 4 => self.restart_one(at),
            5 => self.pause_one(at),
            6 => {
                let node = self.node();
                self.stop(at, node, Action::Leave);
            }
            7 => self.cut_some(at),
            8 => {
                self.cuts.clear();
                self.tell_faults(at);
            }
            9 => {
                if !self.everywhere.is_empty() {
                    self.everywhere[0].effect = self.effect();
                    self.tell_faults(at);
                }
            }
            10 => {
                let (node, by_ms) = (self.node(), self.rng.random_range(-100_000_000..100_000_000));
                self.at(at, Action::StepWall { node, by_ms });
            }
            _ => {
                let (node, bytes) = (self.node(), self.rng.random_range(0..2_000));
                self.at(at, Action::Rubbish { node, bytes });
            }
        }
    }

    /// How many more nodes may go: at least half stay.
    fn spare(&self) -> usize {
        let down = self.up.iter().filter(|up| !**up).count();
        (self.nodes as usize / 2).saturating_sub(down)
    }

    fn is_up(&self, node: u32) -> bool {
        self.up[node as usize - 1] && !self.late.contains(&node)
    }

    /// Has a node stop, unless it is down or too few would be left.
    fn stop(&mut self, at: Duration, node: u32, stop: fn(u32) -> Action) {
        if self.spare() > 0 && self.is_up(node) {
            self.up[node as usize - 1] = false;
            self.at(at, stop(node));
        }
    }

    /// Up to half of all nodes at once, next to each other or not.
    fn crash_some(&mut self, at: Duration) {
        let count = self.below(self.nodes as usize / 2 + 1);
        let adjacent = self.rng.random_bool(0.5).then(|| self.node());
        for step in 0..count {
            let node = match adjacent {
                Some(first) => (first + u32::try_from(step).unwrap_or(0)) % self.nodes + 1,
                None => self.node(),
            };
            self.stop(at, node, Action::Crash);
        }
    }

    fn restart_one(&mut self, at: Duration) {
        let node = self.node();
        if self.late.contains(&node) {
            return;
        }
        if self.is_up(node) {
            self.at(at, Action::Crash(node));
        }
        self.up[node as usize - 1] = true;
        self.at(at, Action::Start(node));
    }

    fn pause_one(&mut self, at: Duration) {
        let node = self.node();
        let time = Duration::from_millis([300, 1_000, 5_000, 30_000][self.below(4)]);
        let time = time.mul_f64(self.rng.random_range(0.1..1.0));
        self.at(at, Action::Pause(node));
        self.at(at + time, Action::Resume(node));
    }

    fn cut_some(&mut self, at: Duration) {
        let middle = self.node();
        if self.rng.random_bool(0.5) {
            self.cuts = partition(&[(1, middle)], &[(middle + 1, self.nodes)]);
        } else {
            let (a, b) = (self.node(), self.node());
            self.cuts.push(cut(&[(a, a)], &[(b, b)]));
        }
        self.tell_faults(at);
    }

    /// Somebody records what is sent, and sends some of it again, as long as there are other faults.
    fn replays(&mut self) {
        if self.rng.random_bool(0.66) {
            return;
        }
        for _ in 0..self.rng.random_range(5..=200) {
            let at = self.time();
            let back = [8, 256, 512][self.below(3)];
            let back = self.rng.random_range(0..back);
            let from = match self.below(3) {
                0 => None,
                1 => Some(self.node()),
                _ => Some(self.nodes + self.rng.random_range(1..=EARS)),
            };
            let to = (self.below(3) == 0).then(|| self.node());
            self.at(at, Action::Replay { back, from, to });
        }
    }

    /// All faults are over; paused nodes go on. A few messages show that all is well.
    fn make_good(&mut self) {
        let end = self.faulty_for;
        self.at(end, Action::Faults(vec![]));
        self.at(end, Action::NodeFaults(vec![]));
        for node in 1..=self.nodes {
            self.at(end, Action::Resume(node));
        }
        for _ in 0..2 {
            let node = self.node();
            self.at(end, Action::Send { node, text: "all is well".into(), relays: 1 });
        }
    }
}
