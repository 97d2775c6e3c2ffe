//! The infection tree of a message, on the links of its network.

use super::look::{self, Colour, LinkLook, NodeLook, Sample};
use super::{Link, Node, Picture, Scene};
use crate::spread::{LinkState, NodeState, Trace, TraceNode};

/// The most shades that the legend shows.
const SHADES_MAX: u32 = 9;

/// The most of a text that stands below the title.
const TEXT_CHARS_MAX: usize = 60;

/// The tree as a picture: nodes shaded by hop, the links that first copies took bold.
#[must_use]
pub fn tree(trace: &Trace, scene: &Scene) -> Picture {
    let hops = trace.nodes.iter().filter_map(|node| node.receipt.as_ref()).map(|got| got.hops);
    let most = hops.max().unwrap_or(0);
    let nodes: Vec<Node> = trace
        .nodes
        .iter()
        .map(|node| Node { number: node.node.0, look: look(node, most) })
        .collect();
    let links = links(trace);
    Picture {
        title: title(trace, scene, most),
        remarks: vec![format!("“{}”", shortened(&trace.text))],
        legend: legend(&nodes, &links, most),
        ring: scene.ring,
        nodes,
        links,
        frame: scene.planned.clone(),
    }
}

/// The links of the overlay, and over them those that first copies took.
pub(super) fn links(trace: &Trace) -> Vec<Link> {
    let steps = steps(trace);
    let infected = |(u, v): (u32, u32)| steps.contains(&(u, v)) || steps.contains(&(v, u));
    let pale = |link: &crate::spread::Link| {
        let look = match link.state {
            LinkState::Alive | LinkState::Suspected => LinkLook::Pale,
            LinkState::Lost => LinkLook::Gone,
            LinkState::Cut => LinkLook::Cut,
        };
        Link { from: link.u.0, to: link.v.0, look }
    };
    let others = trace.links.iter().filter(|link| !infected((link.u.0, link.v.0))).map(pale);
    let tree = steps.iter().map(|&(from, to)| Link { from, to, look: LinkLook::Tree });
    others.chain(tree).collect()
}

/// Sender and receiver of each first copy, in order.
fn steps(trace: &Trace) -> std::collections::BTreeSet<(u32, u32)> {
    let known = |from: &u32| trace.nodes.iter().any(|node| node.node.0 == *from);
    let step = |node: &TraceNode| Some((node.receipt.as_ref()?.from?.0, node.node.0));
    trace.nodes.iter().filter_map(step).filter(|(from, _)| known(from)).collect()
}

fn look(node: &TraceNode, most: u32) -> NodeLook {
    match (&node.receipt, node.state) {
        (Some(receipt), _) if receipt.hops == 0 => NodeLook::Origin(Colour::shade(0, most)),
        (Some(receipt), _) => NodeLook::Shade(Colour::shade(receipt.hops, most)),
        (None, NodeState::Up) => NodeLook::Without,
        (None, state) => NodeLook::Out(state),
    }
}

fn title(trace: &Trace, scene: &Scene, most: u32) -> String {
    let figures = &trace.figures;
    let coverage = &figures.coverage;
    let hops = super::counted(most as usize, "hop");
    let slowest = trace.nodes.iter().filter_map(|node| node.receipt.as_ref());
    let slowest = slowest.map(|receipt| receipt.after_us).fold(0.0, f64::max);
    format!(
        "{}: {}, message {} at {} of {} nodes after {hops} and {}",
        trace.network,
        scene.kind,
        trace.id,
        coverage.have,
        coverage.nodes,
        span(slowest)
    )
}

/// `850 µs`, `1.25 ms`, `12.50 s`.
fn span(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn legend(nodes: &[Node], links: &[Link], most: u32) -> Vec<Vec<Sample>> {
    let count = most.min(SHADES_MAX - 1);
    let hop = |at: u32| (at * most).checked_div(count).unwrap_or(0);
    let shade = |at: u32| (Colour::shade(hop(at), most), hop(at).to_string());
    let shades = Sample::Shades("hops".into(), (0..=count).map(shade).collect());
    let origin = nodes.iter().find(|node| matches!(node.look, NodeLook::Origin(_)));
    let origin =
        origin.map(|node| Sample::Node(node.look, format!("origin, node {}", node.number)));
    let mut second: Vec<Sample> = origin.into_iter().collect();
    second.extend(look::node_samples(nodes, &[(NodeLook::Without, "without it")]));
    let words = [
        (LinkLook::Tree, "first copy"),
        (LinkLook::Pale, "other link"),
        (LinkLook::Gone, "out of use"),
        (LinkLook::Cut, "cut by a fault"),
    ];
    second.extend(look::link_samples(links, &words));
    let rows = std::iter::once(vec![shades]).chain(second.chunks(5).map(<[Sample]>::to_vec));
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread::testing_answers::{ring, trace};

    fn scene() -> Scene {
        Scene { kind: "circular".into(), ring: true, ..Scene::default() }
    }

    #[test]
    fn the_tree_lies_on_the_topology() {
        let picture = tree(&trace(ring(8, 1)), &scene());
        assert_eq!(
            picture.title,
            "default: circular, message 1.1 at 8 of 8 nodes after 4 hops and 400 µs"
        );
        assert_eq!(picture.links.len(), 8, "one link took no first copy");
        assert_eq!(picture.links.iter().filter(|link| link.look == LinkLook::Tree).count(), 7);
        assert_eq!(picture.nodes[0].look, NodeLook::Origin(Colour::shade(0, 4)));
        assert_eq!(picture.nodes[4].look, NodeLook::Shade(Colour::shade(4, 4)));
        assert!(picture.links.last().is_some_and(|link| link.look == LinkLook::Tree), "on top");
    }

    #[test]
    fn a_node_without_the_message_is_marked_and_a_long_text_is_cut() {
        let mut trace = trace(ring(8, 1));
        trace.nodes[4].receipt = None;
        trace.text = "🍌".repeat(1000);
        let picture = tree(&trace, &scene());
        assert_eq!(picture.nodes[4].look, NodeLook::Without);
        assert_eq!(picture.remarks[0].chars().count(), TEXT_CHARS_MAX + 3);
        let samples: Vec<&Sample> = picture.legend.iter().flatten().collect();
        assert!(samples.contains(&&Sample::Node(NodeLook::Without, "without it".into())));
    }

    #[test]
    fn a_message_that_went_nowhere_is_a_picture_too() {
        let mut trace = trace(ring(2, 1));
        trace.nodes[1].receipt = None;
        assert_eq!(tree(&trace, &scene()).legend.len(), 2);
    }
}
