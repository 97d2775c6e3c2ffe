//! What the literature measures of a broadcast, from a list of deliveries.
//!
//! Coverage, last delivery hop and relative message redundancy are those of Plumtree (Leitão,
//! Pereira, Rodrigues 2007), with the origin counted as everywhere in this project: it has the
//! message, so it belongs to the nodes that do. Plain arithmetic; nothing is printed here.

use std::time::Duration;

/// The first copy of a message at one node other than its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The time since the message was sent.
    pub after: Duration,
    /// The links its first copy crossed.
    pub hops: u32,
}

/// How one message, or several, spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many messages these are.
    pub messages: u64,
    /// The nodes alive throughout, the origin included.
    pub nodes: u64,
    /// The copies sent, whether they arrived or not.
    pub copies: u64,
    /// The deliveries, in any order.
    deliveries: Vec<Delivery>,
}

impl Spread {
    /// How messages spread among these nodes, at the cost of these copies.
    #[must_use]
    pub fn new(messages: u64, nodes: u64, copies: u64, mut deliveries: Vec<Delivery>) -> Self {
        deliveries.sort_unstable_by_key(|delivery| (delivery.after, delivery.hops));
        Self { messages, nodes, copies, deliveries }
    }

    /// The share of nodes that have the message, origins included: 1.0 is everyone. The mean,
    /// where there are several messages.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        ratio(self.have(self.deliveries.len()), self.messages * self.nodes)
    }

    /// The share of nodes that had the message so long after it was sent.
    #[must_use]
    pub fn coverage_after(&self, time: Duration) -> f64 {
        let by_then = self.deliveries.partition_point(|delivery| delivery.after <= time);
        ratio(self.have(by_then), self.messages * self.nodes)
    }

    /// The share of nodes that had it over time: points at equal distances in time, from the
    /// sending to the last delivery.
    #[must_use]
    pub fn coverage_over_time(&self, points: u32) -> Vec<(Duration, f64)> {
        let last = self.deliveries.last().map_or(Duration::ZERO, |delivery| delivery.after);
        let steps = points.saturating_sub(1).max(1);
        (0..=steps)
            .map(|step| {
                // Not in one multiplication: rounding down must not miss the last delivery.
                let time = if step == steps { last } else { last / steps * step };
                (time, self.coverage_after(time))
            })
            .collect()
    }

    /// The depth of the infection tree: the most hops that any delivery took.
    #[must_use]
    pub fn last_delivery_hop(&self) -> u32 {
        self.deliveries.iter().map(|delivery| delivery.hops).max().unwrap_or(0)
    }

    /// Relative message redundancy, `m / (n − 1) − 1`: a perfect tree scores 0. `None` where
    /// nobody but the origin has the message.
    #[must_use]
    pub fn relative_message_redundancy(&self) -> Option<f64> {
        let delivered = self.deliveries.len() as u64;
        (delivered > 0).then(|| ratio(self.copies, delivered) - 1.0)
    }

    /// The time within which this share of all deliveries happened (0.5: the median); `None`
    /// without deliveries.
    #[must_use]
    pub fn latency(&self, share: f64) -> Option<Duration> {
        let last = self.deliveries.len().checked_sub(1)?;
        let rank = self.deliveries.len() as f64 * share.clamp(0.0, 1.0);
        // The nearest rank: the least delivery that has the share at or before it.
        let at = (rank.ceil() as usize).saturating_sub(1).min(last);
        Some(self.deliveries[at].after)
    }

    /// The time until this share of all nodes had the message, origins included (1.0: everyone);
    /// `None` if they never did.
    #[must_use]
    pub fn time_to(&self, share: f64) -> Option<Duration> {
        let wanted = ((self.messages * self.nodes) as f64 * share.clamp(0.0, 1.0)).ceil() as u64;
        let Some(after) = wanted.checked_sub(self.messages + 1) else {
            return Some(Duration::ZERO);
        };
        self.deliveries.get(usize::try_from(after).ok()?).map(|delivery| delivery.after)
    }

    /// How many nodes have the messages after this many deliveries: origins count too.
    fn have(&self, deliveries: usize) -> u64 {
        self.messages + deliveries as u64
    }
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP: Duration = Duration::from_millis(1);

    fn spread(nodes: u64, copies: u64, hops: impl IntoIterator<Item = u32>) -> Spread {
        let delivery = |hops| Delivery { after: HOP * hops, hops };
        Spread::new(1, nodes, copies, hops.into_iter().map(delivery).collect())
    }

    #[test]
    fn a_perfect_tree_has_no_redundancy() {
        // A binary tree of 15 nodes: each but the root gets exactly one copy.
        let tree = spread(15, 14, [1; 2].into_iter().chain([2; 4]).chain([3; 8]));
        assert_eq!(tree.relative_message_redundancy(), Some(0.0));
        assert_eq!(tree.last_delivery_hop(), 3);
        assert_eq!(tree.coverage(), 1.0);
        assert_eq!(tree.coverage_after(Duration::ZERO), 1.0 / 15.0);
        assert_eq!(tree.coverage_after(HOP * 2), 7.0 / 15.0);
        assert_eq!(tree.latency(0.5), Some(HOP * 3));
        assert_eq!(tree.latency(0.1), Some(HOP));
        assert_eq!(tree.latency(1.0), Some(HOP * 3));
        // 8 of 15 nodes: the root counts, so it is the seventh delivery.
        assert_eq!(tree.time_to(0.5), Some(HOP * 3));
        assert_eq!(tree.time_to(7.0 / 15.0), Some(HOP * 2));
        assert_eq!(tree.time_to(0.0), Some(Duration::ZERO));
        assert_eq!(tree.time_to(1.0), Some(HOP * 3));
    }

    #[test]
    fn a_flooded_ring_carries_each_message_over_each_link_each_way() {
        // 32 nodes, 32 links, R copies each way; both ways round meet opposite the origin.
        let hops = || (1..16).chain(1..=16);
        for relays in 1..=16 {
            let ring = spread(32, 64 * relays, hops());
            let expected = 64.0 * relays as f64 / 31.0 - 1.0;
            assert_eq!(ring.relative_message_redundancy(), Some(expected));
            assert_eq!(ring.last_delivery_hop(), 16);
        }
        let over_time = spread(32, 64, hops()).coverage_over_time(17);
        assert_eq!(over_time.len(), 17);
        assert_eq!(over_time[1], (HOP, 3.0 / 32.0));
        assert_eq!(over_time[16], (HOP * 16, 1.0));
    }

    #[test]
    fn a_star_sends_what_its_centre_sends() {
        // From the centre: a copy to each leaf, and none back. From a leaf: one more to the
        // centre, and none back to that leaf.
        let centre = spread(9, 8, [1; 8]);
        assert_eq!(centre.relative_message_redundancy(), Some(0.0));
        assert_eq!(centre.last_delivery_hop(), 1);
        let leaf = spread(9, 8, [1].into_iter().chain([2; 7]));
        assert_eq!(leaf.relative_message_redundancy(), Some(0.0));
        assert_eq!(leaf.last_delivery_hop(), 2);
    }

    #[test]
    fn one_node_alone_has_its_message_and_no_redundancy() {
        let alone = spread(1, 0, []);
        assert_eq!(alone.coverage(), 1.0);
        assert_eq!(alone.relative_message_redundancy(), None);
        assert_eq!((alone.last_delivery_hop(), alone.latency(0.5)), (0, None));
        assert_eq!(alone.coverage_over_time(3), vec![(Duration::ZERO, 1.0); 3]);
    }

    #[test]
    fn coverage_counts_nodes_that_were_missed() {
        let half = spread(10, 9, [1, 1, 2, 2]);
        assert_eq!(half.coverage(), 0.5);
        assert_eq!((half.time_to(0.5), half.time_to(0.6)), (Some(HOP * 2), None));
        assert_eq!(half.relative_message_redundancy(), Some(9.0 / 4.0 - 1.0));
    }
}
