//! What was measured of one message's spread, beside what theory says.
//!
//! A figure that theory does not give has none; nothing is made up. The theory's graph is the
//! overlay as it is now, which may have changed since the message was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Lacks, Overlay, Receipt, TraceNode, expect};
use crate::metrics::{Delivery, Spread};
use crate::protocol::{MessageId, NodeId, Path};

/// The number of points that the coverage over time is given at.
const POINTS: u32 = 101;

/// Something measured, and what it can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    #[serde(serialize_with = "plain")]
    pub value: f64,
    /// What it cannot be below, whatever the protocol.
    #[serde(serialize_with = "plain_if_any")]
    pub floor: Option<f64>,
    /// What it should be by the theory of the flood.
    #[serde(serialize_with = "plain_if_any")]
    pub theory: Option<f64>,
    /// Measured ÷ floor.
    pub to_floor: Option<f64>,
    /// Measured ÷ theory.
    pub to_theory: Option<f64>,
}

/// How many nodes have the message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// The nodes that have it, the origin included.
    pub have: u64,
    /// The nodes that could have it: all but those that are down or were removed. The origin
    /// counts in any case, as it was when it sent the message; if it was started again since, it
    /// counts once more, as anybody else.
    pub nodes: u64,
    /// The share.
    pub value: f64,
}

/// The time until a share of the nodes had the message, in microseconds; `None` where they do not yet.
/// The theory: the hops to the farthest node of that share, each as long as the median hop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Half of them.
    pub p50: Option<Figure>,
    /// 90 %.
    pub p90: Option<Figure>,
    /// 99 %.
    pub p99: Option<Figure>,
    /// All.
    pub p100: Option<Figure>,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Microseconds after the sending.
    pub after_us: f64,
    /// The share of nodes that had the message.
    pub coverage: f64,
}

/// All figures of one message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How many nodes have it.
    pub coverage: Coverage,
    /// Whether all nodes that may have passed it on told what they sent. If not, copies and bytes
    /// are what the others sent, and compared with nothing.
    pub complete: bool,
    /// How long it took to reach shares of the nodes.
    pub time_to_us: Times,
    /// The median time from a node's first copy to that of a node which got it from there.
    pub hop_latency_us: Option<Figure>,
    /// The depth of the infection tree. The floor: the most links between the origin and a node
    /// that has the message.
    pub last_delivery_hop: Figure,
    /// The hops of the longest path that any node kept, first copies and others.
    pub deepest_path: Figure,
    /// Copies sent, repairs included. The floor: one for each node but the origin. The theory:
    /// what a flood sends without loss, which is 2·|E|·R where nobody has fewer than two links.
    pub copies: Figure,
    /// Those of them that were sent because they were asked for.
    pub repairs: u64,
    /// Relative message redundancy: copies ÷ (n − 1) − 1. A perfect tree has none.
    pub relative_message_redundancy: Option<Figure>,
    /// The bytes of the copies, exactly, as frames: without what a datagram adds to them. The
    /// floor: the text once for each node but the origin.
    pub bytes: Figure,
    /// The links in use over which the origin can be reached.
    pub links: u64,
    /// The share of nodes that had it, at equal distances in time.
    pub coverage_over_time: Vec<Point>,
}

impl Figure {
    fn of(value: f64) -> Self {
        Self { value, floor: None, theory: None, to_floor: None, to_theory: None }
    }

    /// A floor above what was measured is none: it is of an overlay that has changed since.
    fn floor(self, floor: Option<f64>) -> Self {
        let floor = floor.filter(|floor| *floor <= self.value);
        let to_floor = floor.filter(|floor| *floor > 0.0).map(|floor| self.value / floor);
        Self { floor, to_floor, ..self }
    }

    fn theory(self, theory: Option<f64>) -> Self {
        let to_theory = theory.filter(|theory| *theory > 0.0).map(|theory| self.value / theory);
        Self { theory, to_theory, ..self }
    }
}

/// The figures of a message with this relays limit and a text of so many bytes, of which nodes
/// kept these paths.
pub(super) fn figures(
    id: MessageId,
    (relays, text_bytes): (u8, usize),
    nodes: &[TraceNode],
    paths: &[&Path],
    overlay: &Overlay,
) -> Figures {
    let origin = id.origin.node;
    let receipts: BTreeMap<NodeId, &Receipt> =
        nodes.iter().filter_map(|node| Some((node.node, node.receipt.as_ref()?))).collect();
    let all = || receipts.values();
    // An origin that was started again gets its message back like anybody else.
    let starts_here = receipts.get(&origin).is_some_and(|receipt| receipt.hops == 0);
    let reached = |node: &TraceNode| receipts.get(&node.node).filter(|got| got.hops > 0).copied();
    let span = |us: f64| Duration::from_nanos((us * 1e3).round() as u64);
    let delivery = |got: &Receipt| Delivery { after: span(got.after_us), hops: got.hops };
    let deliveries: Vec<Delivery> = nodes.iter().filter_map(reached).map(delivery).collect();
    let complete = starts_here && is_complete(nodes, &receipts, paths);
    let repairs: u64 = all().map(|receipt| u64::from(receipt.repairs_sent)).sum();
    let copies = repairs + all().map(|receipt| u64::from(receipt.copies_sent)).sum::<u64>();
    let living = nodes.iter().filter(|node| node.state.lives()).count() as u64;
    let living = living + u64::from(!is_as_it_was(nodes, origin));
    let delivered = deliveries.len() as f64;
    let spread = Spread::new(1, living, copies, deliveries);
    let hop = hop_latency_us(&receipts);
    let only = |value: Option<f64>| value.filter(|_| complete);
    let flood = |at| expect::copies(&overlay.adjacent, at, relays) as f64;
    let expected = only(overlay.place(origin).map(flood));
    let least = only(Some(delivered));
    let mut distances = nodes.iter().filter(|node| reached(node).is_some());
    let farthest = distances.try_fold(0, |most, node| Some(node.distance?.max(most)));
    let deepest = all().map(|receipt| receipt.hops_max).max().unwrap_or(0);
    let redundancy = |copies: f64| copies / delivered - 1.0;
    Figures {
        coverage: Coverage {
            have: delivered as u64 + 1,
            nodes: spread.nodes,
            value: spread.coverage(),
        },
        complete,
        time_to_us: times(&spread, nodes, hop),
        hop_latency_us: hop.map(Figure::of),
        last_delivery_hop: Figure::of(spread.last_delivery_hop().into())
            .floor(farthest.filter(|_| starts_here).map(f64::from)),
        deepest_path: Figure::of(deepest.into()),
        copies: Figure::of(copies as f64).floor(least).theory(expected),
        repairs,
        relative_message_redundancy: spread
            .relative_message_redundancy()
            .filter(|_| complete)
            .map(|value| Figure::of(value).floor(Some(0.0)).theory(expected.map(redundancy))),
        bytes: Figure::of(all().map(|receipt| receipt.bytes_sent as f64).sum())
            .floor(least.map(|least| least * text_bytes as f64)),
        links: component_links(overlay, origin),
        coverage_over_time: curve(&spread),
    }
}

/// Whether a node lives, and has not been started again since it sent a message, as far as known.
fn is_as_it_was(nodes: &[TraceNode], origin: NodeId) -> bool {
    let Some(node) = nodes.iter().find(|node| node.node == origin) else { return false };
    match &node.receipt {
        // A later life gets the message back like anybody else.
        Some(receipt) => receipt.hops == 0,
        // A later life that has not got it back yet never met it.
        None => matches!(node.lacks, Some(Lacks::Paused | Lacks::Silent | Lacks::Evicted)),
    }
}

/// Whether all nodes that may have sent copies told how many.
fn is_complete(
    nodes: &[TraceNode],
    receipts: &BTreeMap<NodeId, &Receipt>,
    paths: &[&Path],
) -> bool {
    // These may have it, or may have had it, and may have passed it on.
    let untold = |lacks| matches!(lacks, Lacks::Paused | Lacks::Silent | Lacks::Evicted);
    if nodes.iter().filter_map(|node| node.lacks).any(untold) {
        return false;
    }
    // A node that ended counts only if it passed the message on: then it stands on a path of somebody who
    // got that copy, though maybe not in the part that a long path keeps.
    let ended = nodes.iter().any(|node| !node.state.lives());
    let told = |node: &Option<NodeId>| node.map_or(!ended, |node| receipts.contains_key(&node));
    paths.iter().flat_map(|path| path.iter()).all(told)
}

/// The median time of one hop along deliveries.
fn hop_latency_us(receipts: &BTreeMap<NodeId, &Receipt>) -> Option<f64> {
    let hop = |receipt: &&Receipt| {
        let from = receipts.get(&receipt.from?)?;
        // Else the sender tells of a later copy of its own, or of a later life.
        (from.hops < receipt.hops).then(|| (receipt.after_us - from.after_us).max(0.0))
    };
    let mut hops: Vec<f64> = receipts.values().filter_map(hop).collect();
    hops.sort_by(f64::total_cmp);
    let middle = hops.len().checked_sub(1)? / 2;
    Some(hops[middle])
}

fn times(spread: &Spread, nodes: &[TraceNode], hop: Option<f64>) -> Times {
    let living = nodes.iter().filter(|node| node.state.lives());
    let mut distances: Vec<u32> = living.filter_map(|node| node.distance).collect();
    distances.sort_unstable();
    let to = |share: f64| {
        let value = micros(spread.time_to(share)?);
        let rank = ((spread.nodes as f64 * share).ceil() as usize).max(1) - 1;
        let hops = distances.get(rank).copied();
        let theory = hops.zip(hop).map(|(hops, hop)| f64::from(hops) * hop);
        Some(Figure::of(value).theory(theory))
    };
    Times { p50: to(0.5), p90: to(0.9), p99: to(0.99), p100: to(1.0) }
}

/// The links in use that the origin can be reached over.
fn component_links(overlay: &Overlay, origin: NodeId) -> u64 {
    let distances = overlay.distances(&[origin]);
    let reached = overlay.adjacent.iter().zip(&distances).filter(|(_, at)| at.is_some());
    reached.map(|(links, _)| links.len() as u64).sum::<u64>() / 2
}

fn micros(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e3
}

fn curve(spread: &Spread) -> Vec<Point> {
    let point = |(after, coverage)| Point { after_us: micros(after), coverage };
    spread.coverage_over_time(POINTS).into_iter().map(point).collect()
}

/// A number without a fraction is written without one.
fn plain<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        to.serialize_i64(*value as i64)
    } else {
        to.serialize_f64(*value)
    }
}

fn plain_if_any<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => plain(value, to),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing_answers::{held, ring, said, state};
    use super::super::{Faults, NodeState, Said, Trace};
    use super::*;
    use crate::protocol::{Holding, PathInfo};

    fn figures(said: Vec<Said>) -> Figures {
        Trace::of("default", "1.1".parse().unwrap(), said, &Faults::default()).unwrap().figures
    }

    #[test]
    fn a_ring_of_32_has_known_answers() {
        for relays in [1u8, 2, 3] {
            let figures = figures(ring(32, relays));
            assert!(figures.complete);
            let expected = 64.0 * f64::from(relays);
            let copies = figures.copies;
            assert_eq!((copies.value, copies.floor), (expected, Some(31.0)));
            assert_eq!((copies.theory, copies.to_theory), (Some(expected), Some(1.0)));
            let rmr = figures.relative_message_redundancy.unwrap();
            assert_eq!((rmr.value, rmr.theory), (expected / 31.0 - 1.0, Some(rmr.value)));
            let last = figures.last_delivery_hop;
            assert_eq!((last.value, last.floor, last.to_floor), (16.0, Some(16.0), Some(1.0)));
            assert_eq!((figures.bytes.value, figures.bytes.floor), (expected * 40.0, Some(186.0)));
            assert_eq!(figures.links, 32);
            assert_eq!(figures.hop_latency_us.unwrap().value, 100.0);
            let times = figures.time_to_us;
            // 16 of 32 nodes: the origin, seven on either side, and one more.
            assert_eq!(times.p50.unwrap().value, 800.5);
            assert_eq!(times.p50.unwrap().theory, Some(800.0));
            assert_eq!(times.p100.unwrap().value, 1_600.5);
            assert_eq!(figures.coverage.value, 1.0);
            assert_eq!(figures.coverage_over_time.last().unwrap().coverage, 1.0);
        }
    }

    #[test]
    fn copies_that_cannot_be_counted_are_compared_with_nothing() {
        let mut nodes = ring(8, 1);
        nodes[1] = state(said(2, None, &[]), NodeState::Down);
        let figures = figures(nodes);
        assert!(!figures.complete);
        assert_eq!(figures.copies, Figure::of(14.0));
        assert_eq!(figures.relative_message_redundancy, None);
        assert_eq!((figures.coverage.have, figures.coverage.nodes), (7, 7));
    }

    #[test]
    fn an_origin_that_is_gone_still_counts_as_the_one_who_had_it() {
        let mut nodes = ring(8, 1);
        nodes[0] = state(said(1, None, &[]), NodeState::Down);
        let gone = figures(nodes);
        assert_eq!((gone.coverage.have, gone.coverage.nodes), (8, 8));
        assert_eq!(gone.last_delivery_hop.floor, None);

        // Started again, it got its own message back from a neighbour.
        let mut nodes = ring(8, 1);
        nodes[0] = held(1, &[1, 2, 1], 0, &[2, 8]);
        let again = figures(nodes);
        assert_eq!((again.coverage.have, again.coverage.nodes), (9, 9));
        assert!(!again.complete);
    }

    #[test]
    fn a_living_origin_that_does_not_tell_counts_once() {
        let untold = [
            state(said(1, None, &[]), NodeState::Paused),
            state(said(1, None, &[]), NodeState::Silent),
            said(1, Some(Holding::Gone), &[2, 8]),
        ];
        for origin in untold {
            let mut nodes = ring(8, 1);
            nodes[0] = origin;
            let figures = figures(nodes);
            assert_eq!((figures.coverage.have, figures.coverage.nodes), (8, 8));
            assert!(!figures.complete);
        }
        // Started again, it has yet to get its own message back.
        let mut nodes = ring(8, 1);
        nodes[0] = said(1, Some(Holding::Unknown), &[2, 8]);
        let again = figures(nodes);
        assert_eq!((again.coverage.have, again.coverage.nodes), (8, 9));
    }

    #[test]
    fn a_node_that_infected_no_other_may_have_sent_copies_all_the_same() {
        // Node 5 got the message from node 4 and sent it to node 6, which had it already.
        let untold = [
            state(said(5, None, &[]), NodeState::Paused),
            state(said(5, None, &[]), NodeState::Silent),
            said(5, Some(Holding::Gone), &[4, 6]),
        ];
        for leaf in untold {
            let mut nodes = ring(8, 1);
            nodes[4] = leaf;
            let figures = figures(nodes);
            assert_eq!((figures.complete, figures.copies), (false, Figure::of(14.0)));
        }
        for ended in [NodeState::Down, NodeState::Removed] {
            let mut nodes = ring(8, 1);
            nodes[4] = state(said(5, None, &[]), ended);
            assert!(figures(nodes.clone()).complete, "nobody got a copy from it");
            keep(&mut nodes[5], &[Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)]);
            assert_eq!(figures(nodes).copies, Figure::of(14.0));
            let mut nodes = ring(8, 1);
            nodes[4] = state(said(5, None, &[]), ended);
            keep(&mut nodes[5], &[Some(1), None, None, None, None, Some(6)]);
            assert!(!figures(nodes).complete, "it may be one of those that were cut out");
        }
        let mut nodes = ring(8, 1);
        keep(&mut nodes[5], &[Some(1), None, None, None, None, Some(6)]);
        assert!(figures(nodes).complete, "the nodes cut out of the path are among those that tell");
    }

    /// Makes a node keep one more path.
    fn keep(said: &mut Said, path: &[Option<u32>]) {
        let Some(Holding::Held(info)) = &mut said.holding else { panic!("{said:?}") };
        let hops = u32::try_from(path.len() - 1).unwrap();
        let path = path.iter().map(|node| node.map(NodeId)).collect();
        info.paths.push(PathInfo { hops, path });
    }

    #[test]
    fn an_overlay_that_has_grown_since_gives_no_floor() {
        // The link that the message took from node 1 to node 5 is gone.
        let mut nodes = ring(8, 1);
        nodes[4] = held(5, &[1, 5], 2, &[4, 6]);
        nodes[3] = held(4, &[1, 5, 4], 2, &[3, 5]);
        nodes[5] = held(6, &[1, 5, 6], 2, &[5, 7]);
        let last = figures(nodes).last_delivery_hop;
        assert_eq!((last.value, last.floor, last.to_floor), (2.0, None, None));
    }

    #[test]
    fn a_share_of_nodes_that_was_not_reached_yet_has_no_time() {
        let mut nodes = ring(4, 1);
        nodes[2] = said(3, Some(Holding::Unknown), &[2, 4]);
        let figures = figures(nodes);
        assert_eq!(figures.coverage.value, 0.75);
        assert_eq!(figures.time_to_us.p50.unwrap().value, 100.5);
        assert_eq!(figures.time_to_us.p90, None);
    }

    #[test]
    fn a_single_node_has_nothing_to_compare() {
        let figures = figures(vec![held(1, &[1], 0, &[])]);
        assert_eq!(figures.relative_message_redundancy, None);
        assert_eq!(figures.hop_latency_us, None);
        assert_eq!(figures.time_to_us.p100.unwrap().value, 0.0);
        assert_eq!(figures.coverage.value, 1.0);
    }

    #[test]
    fn whole_numbers_are_written_without_a_fraction() {
        let json = serde_json::to_value(Figure::of(64.0).floor(Some(31.0))).unwrap();
        assert_eq!((json["value"].as_u64(), json["floor"].as_u64()), (Some(64), Some(31)));
        assert!(json["theory"].is_null());
    }
}
