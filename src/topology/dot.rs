//! A graph as Graphviz DOT, made to be drawn by plain `dot -Tpng FILE`.
//!
//! The `layout` attribute has `dot` pick the engine: `neato` up to a few hundred nodes, `sfdp`
//! beyond, where `neato` takes seconds. A ring gets positions of its own, pinned, with node 1 at
//! the top and the numbers going clockwise. (`circo` draws rings too, but turns them as it likes
//! and takes 40 s for 1,000 nodes.)
//!
//! Links are thin and pale, and lie below the nodes, so that a number can always be read. Up to
//! 64 nodes they also go round the nodes that they don't belong to.

use std::f64::consts::PI;
use std::fmt::Write as _;

use dot_writer::{Attributes, DotWriter, Scope, Shape, Style};
use petgraph::graph::NodeIndex;

use super::{Graph, Kind};

/// The graph as DOT. `title` says whose picture it is; the kind and the numbers of nodes and
/// links are written next to it.
#[must_use]
pub fn to_dot(graph: &Graph, kind: Kind, title: &str) -> String {
    Drawing::of(graph, kind, title).to_dot()
}

/// Up to here `neato` takes less than about a second, and draws shorter links than `sfdp`.
const NEATO_NODES_MAX: usize = 400;

/// Up to here links are led round nodes. With 64 that takes 2 s, with 256 it would take 100.
const ROUTED_NODES_MAX: usize = 64;

/// The longest side of the picture; larger ones are scaled down. A PNG has 96 pixels an inch.
const PICTURE_INCHES_MAX: &str = "30";

/// The gap between neighbours on a ring; the small one is for rings that get scaled down.
const RING_GAPS_INCHES: (f64, f64) = (0.22, 0.1);

/// So that a ring of three nodes is more than a blot.
const RING_RADIUS_INCHES_MIN: f64 = 0.8;

/// A hub is drawn larger, up to this many times the usual diameter.
const HUB_SCALE_MAX: f64 = 2.0;

/// Nodes that would be only a little larger are drawn like the others.
const HUB_SCALE_MIN: f64 = 1.2;

struct Drawing {
    title: String,
    engine: &'static str,
    /// What keeps nodes apart. It would dent a ring, whose nodes are pinned.
    overlap: &'static str,
    /// How links are drawn.
    splines: &'static str,
    /// The usual diameter.
    inches: f64,
    nodes: Vec<Node>,
    links: Vec<(u32, u32)>,
}

struct Node {
    number: u32,
    /// The diameter, where it is not the usual one.
    inches: Option<f64>,
    /// Where the centre is, in inches; `None` leaves it to the engine.
    position: Option<(f64, f64)>,
}

impl Drawing {
    fn of(graph: &Graph, kind: Kind, title: &str) -> Self {
        let (nodes, links) = (graph.node_count(), graph.edge_count());
        let ring = kind == Kind::Circular;
        let inches = diameter_inches(nodes);
        let links_per_node = (2.0 * links as f64 / nodes as f64).max(1.0);
        let node = |index: NodeIndex| {
            let degree = graph.neighbors(index).count();
            let scale = (degree as f64 / links_per_node).sqrt().min(HUB_SCALE_MAX);
            Node {
                number: graph[index],
                inches: (scale > HUB_SCALE_MIN).then_some(scale * inches),
                position: ring.then(|| on_ring(index.index(), nodes, inches)),
            }
        };
        Self {
            title: caption(title, kind, graph),
            engine: if ring || nodes <= NEATO_NODES_MAX { "neato" } else { "sfdp" },
            overlap: if ring { "true" } else { "false" },
            splines: if ring || nodes > ROUTED_NODES_MAX { "line" } else { "true" },
            inches,
            nodes: graph.node_indices().map(node).collect(),
            links: graph
                .edge_indices()
                .filter_map(|link| graph.edge_endpoints(link))
                .map(|(a, b)| (graph[a], graph[b]))
                .collect(),
        }
    }

    fn to_dot(&self) -> String {
        let mut bytes = b"// To see it: dot -Tsvg THIS_FILE > picture.svg\n".to_vec();
        {
            let mut writer = DotWriter::from(&mut bytes);
            let mut scope = writer.graph();
            self.write_defaults(&mut scope);
            for node in &self.nodes {
                let mut written = scope.node_named(node.number.to_string());
                if let Some(inches) = node.inches {
                    written.set("width", &decimal(inches), false);
                }
                if let Some((x, y)) = node.position {
                    // The exclamation mark pins the node there.
                    written.set("pos", &format!("{},{}!", decimal(x), decimal(y)), true);
                }
            }
            for (a, b) in &self.links {
                scope.edge(a.to_string(), b.to_string());
            }
        }
        String::from_utf8(bytes).expect("the writer is given strings and adds ASCII")
    }

    fn write_defaults(&self, scope: &mut Scope<'_, '_>) {
        scope
            .set("layout", self.engine, false)
            .set_label(&escaped(&self.title))
            .set("labelloc", "t", false)
            .set_font("Helvetica")
            .set_font_size(14.0)
            // Links first, so that they lie below the nodes.
            .set("outputorder", "edgesfirst", false)
            .set("overlap", self.overlap, false)
            .set("sep", "+9", true)
            .set("splines", self.splines, false)
            .set("pad", "0.2", false)
            .set("size", PICTURE_INCHES_MAX, true);
        scope
            .node_attributes()
            .set_shape(Shape::Circle)
            .set_style(Style::Filled)
            // All circles alike, however many digits they hold.
            .set("fixedsize", "true", false)
            .set("width", &decimal(self.inches), false)
            .set("color", "#2b5d9b", true)
            .set("fillcolor", "#e3edf9", true)
            .set_font("Helvetica")
            .set_font_size(11.0);
        scope.edge_attributes().set("color", "#a9b4c0", true).set_pen_width(0.8);
    }
}

/// Wide enough for the highest number in 11 point.
fn diameter_inches(nodes: usize) -> f64 {
    let digits = nodes.to_string().len();
    0.2 + 0.09 * digits as f64
}

/// The place of one of so many nodes on a ring: from the top, clockwise.
fn on_ring(index: usize, nodes: usize, inches: f64) -> (f64, f64) {
    if nodes == 1 {
        return (0.0, 0.0);
    }
    let step = 2.0 * PI / nodes as f64;
    // Neighbours are a chord apart.
    let (wide, narrow) = RING_GAPS_INCHES;
    let gap = if nodes <= 64 { wide } else { narrow };
    let radius = (inches + gap) / (2.0 * (step / 2.0).sin());
    let (sin, cos) = (step * index as f64).sin_cos();
    let radius = radius.max(RING_RADIUS_INCHES_MIN);
    (radius * sin, radius * cos)
}

fn caption(title: &str, kind: Kind, graph: &Graph) -> String {
    let mut caption = format!("{title}: {kind}");
    for (count, unit) in [(graph.node_count(), "node"), (graph.edge_count(), "link")] {
        let plural = if count == 1 { "" } else { "s" };
        // Writing to a string does not fail.
        let _ = write!(caption, ", {count} {unit}{plural}");
    }
    caption
}

/// Three digits after the point, and never `-0.000`.
fn decimal(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0 + 0.0;
    rounded.to_string()
}

/// For a quoted DOT string that is a label: neither the quotes, nor Graphviz' own escapes
/// (`\N`), nor its HTML entities (`&lt;`) may find anything in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::build;
    use super::*;

    #[test]
    fn a_small_ring_is_written_like_this() {
        let (ring, _) = build(Kind::Circular, 3, 0).unwrap();
        let dot = to_dot(&ring, Kind::Circular, "demo");
        let lines: Vec<&str> = dot.lines().map(str::trim).collect();
        assert!(lines.contains(&"graph {"));
        assert!(lines.contains(&"layout=neato;"));
        assert!(lines.contains(&"label=\"demo: circular, 3 nodes, 3 links\";"));
        let rest: Vec<&str> =
            lines.into_iter().filter(|line| line.starts_with(char::is_numeric)).collect();
        assert_eq!(
            rest,
            [
                "1 [pos=\"0,0.8!\"];",
                "2 [pos=\"0.693,-0.4!\"];",
                "3 [pos=\"-0.693,-0.4!\"];",
                "1 -- 2;",
                "1 -- 3;",
                "2 -- 3;",
            ]
        );
    }

    #[test]
    fn a_title_cannot_break_out_of_its_quotes() {
        assert_eq!(escaped("a\"; b\\N &lt;\n"), "a\\\"; b\\\\N &amp;lt; ");
    }

    #[test]
    fn only_hubs_are_drawn_larger() {
        let kind = Kind::Random { degree: Some(4) };
        let (graph, _) = build(kind, 50, 1).unwrap();
        assert!(Drawing::of(&graph, kind, "").nodes.iter().all(|node| node.inches.is_none()));
        let (graph, _) = build(Kind::Powerlaw, 50, 1).unwrap();
        let larger = |node: &&Node| node.inches.is_some();
        let hubs = Drawing::of(&graph, Kind::Powerlaw, "").nodes.iter().filter(larger).count();
        assert!((3..25).contains(&hubs), "{hubs} hubs of 50 nodes");
    }
}
