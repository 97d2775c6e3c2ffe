//! The fault lab: a node mistreats what it sends, so that no experiment needs root.
//!
//! Applied to finished datagrams at the flush, drawn from the node's own generator, held back by
//! the node's own deadlines: so processes and simulator have the same faults from the same code.
//! Without rules there is nothing here to pay for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::rare::Nothing;
use crate::time::Monotonic;
use crate::time::timers::{self, Due};

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

/// What became of one datagram.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Copies to be sent now; the bytes follow.
    pub(crate) send_now: u8,
    /// The bytes, where they were changed.
    pub(crate) changed: Option<Vec<u8>>,
    /// Something was done to it.
    pub(crate) touched: bool,
    /// A delayed copy found no room.
    pub(crate) overflowed: bool,
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

/// The rules of one node, and the datagrams it holds back.
#[derive(Debug, Default)]
pub(crate) struct FaultLab {
    rules: Vec<FaultRule>,
    held: BTreeMap<(Monotonic, u64), (SocketAddr, Vec<u8>)>,
    count: u64,
}

impl Nothing for FaultLab {
    const NOTHING: &'static Self = &Self { rules: Vec::new(), held: BTreeMap::new(), count: 0 };
}

impl FaultLab {
    /// Replaces the rules. What is held back already stays so.
    pub(crate) fn set(&mut self, rules: Vec<FaultRule>) {
        self.rules = rules;
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// Whether anything is held back.
    pub(crate) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether there is nothing to do: no rule, and nothing held back.
    pub(crate) fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.held.is_empty()
    }

    /// Decides over one datagram; a copy to be sent later is kept here.
    pub(crate) fn treat(
        &mut self,
        now: Monotonic,
        to: (NodeId, SocketAddr),
        bytes: &[u8],
        held_max: usize,
        rng: &mut impl Rng,
    ) -> Fate {
        let rules = self.rules.iter().filter(|rule| rule.concerns_receiver(to.0));
        let Some(decided) = decide(rules.map(|rule| rule.effect), bytes, rng) else {
            return Fate { touched: true, ..Fate::default() };
        };
        let Decision { copies, delay, changed } = decided;
        let mut fate = Fate { changed, ..Fate::default() };
        fate.touched = copies > 1 || !delay.is_zero() || fate.changed.is_some();
        if delay.is_zero() {
            fate.send_now = copies;
            return fate;
        }
        for _ in 0..copies {
            if self.held.len() >= held_max {
                fate.overflowed = true;
                continue;
            }
            self.count += 1;
            let bytes = fate.changed.clone().unwrap_or_else(|| bytes.to_vec());
            self.held.insert((now + delay, self.count), (to.1, bytes));
        }
        fate
    }

    /// Takes out a datagram whose delay is over.
    pub(crate) fn release(&mut self, now: Monotonic) -> Option<(SocketAddr, Vec<u8>)> {
        let first = self.held.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Notes when the next one is to be released.
    pub(crate) fn note_due(&self, due: &mut Due) {
        if let Some(((at, _), _)) = self.held.first_key_value() {
            due.at(*at);
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
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    fn lab(effect: Effect) -> FaultLab {
        let mut lab = FaultLab::default();
        lab.set(vec![FaultRule { from: vec![], to: vec![(2, 4)], effect }]);
        lab
    }

    fn treat(lab: &mut FaultLab, to: u32, rng: &mut Xoshiro256PlusPlus) -> Fate {
        let to = (NodeId(to), SocketAddr::from(([127, 0, 0, 1], 7000)));
        lab.treat(Monotonic(0), to, b"datagram", 3, rng)
    }

    #[test]
    fn a_share_of_what_goes_to_the_named_nodes_is_lost() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut lab = lab(Effect { loss: 0.2, ..Effect::default() });
        let lost = (0..10_000).filter(|_| treat(&mut lab, 3, &mut rng).send_now == 0).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!((0..100).all(|_| treat(&mut lab, 5, &mut rng).send_now == 1));
    }

    #[test]
    fn delayed_datagrams_come_out_in_time_and_within_the_limit() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let delay = Duration::from_millis(50);
        let mut lab = lab(Effect { delay, ..Effect::default() });
        for _ in 0..3 {
            assert_eq!(treat(&mut lab, 2, &mut rng).send_now, 0);
        }
        assert!(treat(&mut lab, 2, &mut rng).overflowed);
        let mut due = Due::never();
        lab.note_due(&mut due);
        assert_eq!(due.earliest(), Some(Monotonic(0) + delay));
        assert!(lab.release(Monotonic(0)).is_none());
        lab.set(vec![]);
        let after = Monotonic(0) + delay;
        assert_eq!(std::iter::from_fn(|| lab.release(after)).count(), 3);
        assert!(lab.is_idle());
    }

    #[test]
    fn datagrams_are_doubled_and_bits_flipped() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut lab = lab(Effect { duplicate: 1.0, corrupt: 1.0, ..Effect::default() });
        let fate = treat(&mut lab, 2, &mut rng);
        assert_eq!(fate.send_now, 2);
        let changed = fate.changed.unwrap();
        let flipped: u32 = changed.iter().zip(b"datagram").map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(flipped, 1);
    }
}
