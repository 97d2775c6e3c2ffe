//! Faults on purpose: a stage between a node and the network, so that no experiment needs root.
//!
//! The node knows nothing of it. Its driver puts the stage behind the flush: it drops, delays,
//! doubles or changes finished datagrams. Processes and simulator use this same code. Without rules
//! it does nothing and costs nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::datagram::outbox::Outputs;
use crate::ids::{NodeId, PeerAddr};
use crate::time::Monotonic;
use crate::time::timers;

/// A set of nodes as ranges of numbers, both ends included; none means all.
pub type NodeRanges = Vec<(u32, u32)>;

/// What happens to datagrams from some nodes to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The senders it applies to.
    pub from: NodeRanges,
    /// The receivers it applies to.
    pub to: NodeRanges,
    /// What happens.
    pub effect: Effect,
}

/// What happens to a datagram. Probabilities are from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The probability of being lost.
    pub loss: f64,
    /// How long it is held back.
    pub delay: Duration,
    /// At most how much longer, drawn uniformly.
    pub jitter: Duration,
    /// The probability of being sent twice.
    pub duplicate: f64,
    /// The probability of being held back until others have passed it: see [`REORDER_HOLD`].
    pub reorder: f64,
    /// The probability that one bit is flipped.
    pub corrupt: f64,
}

/// How long a reordered datagram is held back beyond its delay.
pub const REORDER_HOLD: Duration = Duration::from_millis(10);

impl FaultRule {
    /// Whether the rule has anything to do with what this node sends.
    #[must_use]
    pub fn concerns_sender(&self, node: NodeId) -> bool {
        covers(&self.from, node)
    }

    /// Whether the rule has anything to do with what this node receives.
    #[must_use]
    pub fn concerns_receiver(&self, node: NodeId) -> bool {
        covers(&self.to, node)
    }
}

/// Whether these ranges cover this node; no ranges cover all.
fn covers(ranges: &[(u32, u32)], node: NodeId) -> bool {
    ranges.is_empty() || ranges.iter().any(|(first, last)| (*first..=*last).contains(&node.0))
}

/// What is to become of one datagram that is not lost.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// How many copies arrive.
    pub copies: u8,
    /// How much later than without faults.
    pub delay: Duration,
    /// The bytes, where they were changed.
    pub changed: Option<Vec<u8>>,
}

/// Throws the dice for one datagram under these effects, one after another; `None`: it is lost.
pub fn decide(
    effects: impl Iterator<Item = Effect>,
    bytes: &[u8],
    rng: &mut impl Rng,
) -> Option<Decision> {
    let mut decided = Decision { copies: 1, delay: Duration::ZERO, changed: None };
    for Effect { loss, delay, jitter, duplicate, reorder, corrupt } in effects {
        if happens(loss, rng) {
            return None;
        }
        // Delays of several rules add up, and a datagram is doubled only once.
        let more = delay.saturating_add(timers::between(rng, Duration::ZERO, jitter));
        decided.delay = decided.delay.saturating_add(more);
        if happens(reorder, rng) {
            decided.delay = decided.delay.saturating_add(REORDER_HOLD);
        }
        decided.copies += u8::from(decided.copies == 1 && happens(duplicate, rng));
        if happens(corrupt, rng) && !bytes.is_empty() {
            let changed = decided.changed.get_or_insert_with(|| bytes.to_vec());
            let at = timers::below(rng, changed.len());
            changed[at] ^= 1 << rng.random_range(0..8);
        }
    }
    Some(decided)
}

/// Counts of the datagrams of one flush that the stage changed or lost, for its node: see
/// [`Node::count_faults`](crate::Node::count_faults).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Datagrams dropped, delayed, doubled or changed.
    pub applied: u64,
    /// Delayed datagrams dropped, because too many are held back.
    pub overflowed: u64,
}

/// The stage: one node's rules, and the datagrams it holds back.
///
/// A driver hands it what each flush of the node gave, and sends what is left. The stage is due at
/// [`Faults::deadline`].
#[derive(Debug)]
pub struct Faults {
    node: NodeId,
    rules: Vec<FaultRule>,
    held: BTreeMap<(Monotonic, u64), (PeerAddr, Vec<u8>)>,
    held_max: usize,
    /// Datagrams held back so far, which keeps those of one instant in order.
    count: u64,
    rng: Xoshiro256PlusPlus,
}

impl Faults {
    /// A stage without rules behind the node of this configuration. Its dice
    /// follow from the same seed, and it holds back up to
    /// [`Limits::delayed_datagrams_max`](crate::Limits::delayed_datagrams_max) datagrams.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        // The node and the stage must not draw the same numbers from one seed.
        let rng = Xoshiro256PlusPlus::seed_from_u64(config.seed.rotate_left(32) ^ 1);
        Self {
            node: config.node,
            rules: Vec::new(),
            held: BTreeMap::new(),
            held_max: config.limits.delayed_datagrams_max,
            count: 0,
            rng,
        }
    }

    /// Replaces the rules. Those about other senders are left out. Datagrams held back stay held back.
    pub fn set(&mut self, rules: &[FaultRule]) {
        let mine = rules.iter().filter(|rule| rule.concerns_sender(self.node));
        self.rules = mine.cloned().collect();
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// Whether anything is held back.
    #[must_use]
    pub fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// When the next datagram that is held back is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        self.held.first_key_value().map(|((at, _), _)| *at)
    }

    /// Mistreats the datagrams of a flush, and adds those whose delay is over before them. Clear the
    /// datagrams before the next flush, or they are treated twice.
    pub fn treat(&mut self, now: Monotonic, out: &mut Outputs) -> FaultCounts {
        let mut counts = FaultCounts::default();
        if self.rules.is_empty() && self.held.is_empty() {
            return counts;
        }
        // Datagrams whose delay is over go first, and are not treated again.
        let treated = std::mem::take(&mut out.datagrams);
        while let Some(first) = self.held.first_entry().filter(|first| first.key().0 <= now) {
            let (to, bytes) = first.remove();
            out.push(to, &bytes);
        }
        for (to, range) in treated {
            self.treat_one(now, to, range, out, &mut counts);
        }
        counts
    }

    fn treat_one(
        &mut self,
        now: Monotonic,
        to: PeerAddr,
        range: Range<usize>,
        out: &mut Outputs,
        counts: &mut FaultCounts,
    ) {
        let rules = self.rules.iter().filter(|rule| rule.concerns_receiver(to.node));
        let bytes = &out.bytes[range.clone()];
        let decided = decide(rules.map(|rule| rule.effect), bytes, &mut self.rng);
        let Some(Decision { copies, delay, changed }) = decided else {
            counts.applied += 1;
            return;
        };
        counts.applied += u64::from(copies > 1 || !delay.is_zero() || changed.is_some());
        for _ in 0..copies {
            match &changed {
                // A delayed datagram outlives the buffer of this flush, so it gets bytes of its
                // own.
                _ if !delay.is_zero() && self.held.len() >= self.held_max => counts.overflowed += 1,
                _ if !delay.is_zero() => {
                    self.count += 1;
                    let bytes = changed.clone().unwrap_or_else(|| out.bytes[range.clone()].into());
                    self.held.insert((now + delay, self.count), (to, bytes));
                }
                Some(changed) => out.push(to, changed),
                None => out.datagrams.push((to, range.clone())),
            }
        }
    }
}

/// Whether something of this probability happens now. Draws only if there is a question.
fn happens(probability: f64, rng: &mut impl Rng) -> bool {
    probability > 0.0 && rng.random_bool(probability.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Faults {
        let mut config = Config::new(NodeId(1), crate::testing::start(1), crate::Key([7; 32]), 1);
        config.limits_mut().delayed_datagrams_max = 3;
        Faults::new(&config)
    }

    fn stage(effect: Effect) -> Faults {
        let mut stage = empty();
        stage.set(&[FaultRule { from: vec![], to: vec![(2, 4)], effect }]);
        stage
    }

    /// What is sent of one datagram to this node at this time, and what is counted.
    fn treat(stage: &mut Faults, to: u32, now: Monotonic) -> (Vec<Vec<u8>>, FaultCounts) {
        let mut out = Outputs::default();
        let addr = ([127, 0, 0, 1], 7000).into();
        if to > 0 {
            out.push(PeerAddr { node: NodeId(to), addr }, b"datagram");
        }
        let counts = stage.treat(now, &mut out);
        (out.datagrams().map(|(_, bytes)| bytes.to_vec()).collect(), counts)
    }

    const START: Monotonic = Monotonic(0);

    #[test]
    fn a_part_of_the_datagrams_to_the_named_nodes_is_lost() {
        let mut stage = stage(Effect { loss: 0.2, ..Effect::default() });
        let lost = (0..10_000).filter(|_| treat(&mut stage, 3, START).0.is_empty()).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!((0..100).all(|_| treat(&mut stage, 5, START).0.len() == 1));
    }

    #[test]
    fn rules_about_other_senders_are_left_out() {
        let mut stage = empty();
        let effect = Effect { loss: 1.0, ..Effect::default() };
        stage.set(&[FaultRule { from: vec![(2, 9)], to: vec![], effect }]);
        assert!(stage.rules().is_empty());
        assert_eq!(
            treat(&mut stage, 2, START),
            (vec![b"datagram".to_vec()], FaultCounts::default())
        );
    }

    #[test]
    fn delayed_datagrams_come_out_in_time_and_within_the_limit() {
        let delay = Duration::from_millis(50);
        let mut stage = stage(Effect { delay, ..Effect::default() });
        for _ in 0..3 {
            let counts = FaultCounts { applied: 1, overflowed: 0 };
            assert_eq!(treat(&mut stage, 2, START), (vec![], counts));
        }
        assert_eq!(treat(&mut stage, 2, START).1.overflowed, 1);
        assert_eq!(stage.deadline(), Some(START + delay));
        stage.set(&[]);
        assert_eq!(treat(&mut stage, 0, START).0.len(), 0, "they are held back all the same");
        assert_eq!(treat(&mut stage, 0, START + delay).0.len(), 3);
        assert!(!stage.holds_any());
    }

    #[test]
    fn datagrams_are_doubled_and_bits_flipped() {
        let mut stage = stage(Effect { duplicate: 1.0, corrupt: 1.0, ..Effect::default() });
        let (sent, _) = treat(&mut stage, 2, START);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], sent[1]);
        let flipped: u32 = sent[0].iter().zip(b"datagram").map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(flipped, 1);
    }
}
