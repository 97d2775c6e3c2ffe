//! How messages spread, as `trace-message` shows it.

use serde_json::{Value, json};

use super::columns::table;
use super::time_text::{self, Detail, span_of_us};
use super::tree_text::{self, View};
use super::{count, escape, fault_text};
use crate::cli::args;
use crate::protocol::NodeId;
use crate::spread::{Figure, Figures, Lacks, Point, Trace};

/// The curve's height in lines, and its width at most.
const CURVE_LINES: usize = 5;
const CURVE_COLUMNS: usize = 60;
/// Bars, by the eighths of a line that they fill.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// For people: one message after the other.
pub(crate) fn text(traces: &[Trace], view: &View) -> String {
    let shown: Vec<String> = traces.iter().map(|trace| one(trace, view)).collect();
    shown.join("\n")
}

/// For programs: `{"network": …, "traces": […]}`, whatever the number of messages.
pub(crate) fn document(network: &str, traces: &[Trace]) -> Value {
    json!({ "network": network, "traces": traces.iter().map(trace_json).collect::<Vec<_>>() })
}

/// A trace as its types describe it, but for the time, which is written as everywhere.
fn trace_json(trace: &Trace) -> Value {
    let mut document = serde_json::to_value(trace).unwrap_or_default();
    document["sent_at"] = time_text::rfc3339(trace.sent_at).into();
    document
}

fn one(trace: &Trace, view: &View) -> String {
    let heading = |words: &str| view.style.bold(words);
    let mut parts = vec![
        headline(trace, view),
        format!("{}\n{}", heading("infection tree"), tree_text::text(trace, view)),
        format!("{}\n{}", heading("coverage over time"), curve(trace, view)),
        figures(&trace.figures),
    ];
    if !trace.lacking().is_empty() {
        parts.push(lacking(trace));
    }
    parts.join("\n")
}

fn headline(trace: &Trace, view: &View) -> String {
    let sent_at = time_text::local(trace.sent_at, &view.zone, Detail::TimeAndDate);
    let copies = if trace.relays == 1 { "copy" } else { "copies" };
    format!(
        "{}  {}\nsent by node {} at {sent_at}, at most {} {copies} a link each way\n",
        view.style.bold(&trace.id.to_string()),
        escape::text(&trace.text),
        trace.origin,
        trace.relays,
    )
}

/// Coverage over time, drawn with blocks.
fn curve(trace: &Trace, view: &View) -> String {
    let points = &trace.figures.coverage_over_time;
    let columns = view.width.saturating_sub(10).clamp(10, CURVE_COLUMNS);
    let levels: Vec<usize> = (0..columns).map(|at| level(points, at, columns)).collect();
    let mut text = String::new();
    for line in (0..CURVE_LINES).rev() {
        let label = match line {
            _ if line == CURVE_LINES - 1 => "100 %",
            0 => "  0 %",
            _ => "     ",
        };
        let bars: String =
            levels.iter().map(|level| BARS[level.saturating_sub(line * 8).min(8)]).collect();
        text.push_str(format!("{label} │{bars}").trim_end());
        text.push('\n');
    }
    let last = points.last().map_or(0.0, |point| point.after_us);
    let (middle, end) = (span_of_us(last / 2.0), span_of_us(last));
    let half = columns / 2;
    let rest = columns.saturating_sub(half + middle.chars().count());
    text.push_str(&format!("       {:<half$}{middle}{end:>rest$}\n", "0"));
    text
}

/// The share of nodes at one column, in eighths of a line. Even one node shows.
fn level(points: &[Point], column: usize, columns: usize) -> usize {
    let at = points.len().saturating_sub(1) * column / columns.saturating_sub(1).max(1);
    let coverage = points.get(at).map_or(0.0, |point| point.coverage);
    let most = CURVE_LINES * 8;
    ((coverage * most as f64).floor() as usize).clamp(1, most)
}

/// Everything measured, beside floor and theory.
fn figures(figures: &Figures) -> String {
    let number = |value: f64| match value.fract() {
        0.0 => format!("{value:.0}"),
        _ => hundredths(value),
    };
    let times = figures.time_to_us;
    let mut rows = vec![covered(figures)];
    for (name, figure) in [
        ("time to 50 % of nodes", times.p50),
        ("time to 90 %", times.p90),
        ("time to 99 %", times.p99),
        ("time to 100 %", times.p100),
        ("hop latency, median", figures.hop_latency_us),
    ] {
        rows.push(figure.map_or_else(|| plain(name, "-"), |figure| row(name, figure, span_of_us)));
    }
    rows.push(row("last delivery hop", figures.last_delivery_hop, number));
    rows.push(row("deepest path kept", figures.deepest_path, number));
    rows.push(row("copies", figures.copies, number));
    if figures.repairs > 0 {
        rows.push(plain("  of them by repair", &figures.repairs.to_string()));
    }
    if let Some(redundancy) = figures.relative_message_redundancy {
        rows.push(row("relative message redundancy", redundancy, hundredths));
    }
    rows.push(row("bytes of the copies", figures.bytes, number));
    let mut text = table(["", ">measured", ">floor", ">ratio", ">theory", ">ratio"], rows);
    if !figures.complete {
        text.push_str(
            "not all nodes that may have passed it on told of it: copies and bytes are of those that did\n",
        );
    }
    text
}

fn covered(figures: &Figures) -> [String; 6] {
    let coverage = figures.coverage;
    let share = coverage.value * 100.0;
    // Rounded down: 100 % is everyone.
    let share =
        if share < 100.0 { format!("{:.1}", (share * 10.0).floor() / 10.0) } else { "100".into() };
    plain("coverage", &format!("{} of {}, {share} %", coverage.have, coverage.nodes))
}

fn plain(name: &str, value: &str) -> [String; 6] {
    [name, value, "", "", "", ""].map(str::to_owned)
}

fn row(name: &str, figure: Figure, shown: fn(f64) -> String) -> [String; 6] {
    let maybe = |value: Option<f64>| value.map(shown).unwrap_or_default();
    let ratio = |value: Option<f64>| value.map(hundredths).unwrap_or_default();
    [
        name.to_owned(),
        shown(figure.value),
        maybe(figure.floor),
        ratio(figure.to_floor),
        maybe(figure.theory),
        ratio(figure.to_theory),
    ]
}

/// The nodes that do not have it, a line for each reason.
fn lacking(trace: &Trace) -> String {
    let line = |(why, nodes): (&Lacks, &Vec<NodeId>)| {
        let ranges = args::joined(nodes.iter().map(|node| (node.0, node.0)));
        format!("  {}: {}\n", why.words(), fault_text::ranges(&ranges))
    };
    let lacking = trace.lacking();
    let nodes: usize = lacking.values().map(Vec::len).sum();
    let lines: String = lacking.iter().map(line).collect();
    format!("not known to have it: {}\n{lines}", count(nodes as u64, "node"))
}

fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::Style;
    use super::super::time_text::TimeZone;
    use super::*;
    use crate::protocol::{Holding, MessageId, MessageInfo, PathInfo, PeerInfo, PeerState, Wall};
    use crate::spread::{Faults, NodeState, Said};

    /// A node that is up and has message 1.1 by this path, a hop every 100 µs.
    pub(crate) fn held(path: &[u32], peers: &[u32]) -> Said {
        let hops = u32::try_from(path.len() - 1).unwrap();
        let info = MessageInfo {
            id: MessageId::new(path[0], 1, 1),
            payload: "ba\x1b[2Jnana\u{202e}".into(),
            sent_at: Wall(1_785_499_402_000_000_000),
            received_at: Wall(1_785_499_402_000_000_000 + u64::from(hops) * 100_000),
            unread: true,
            relays: 1,
            hops,
            repaired: false,
            paths: vec![PathInfo { hops, path: path.iter().map(|n| Some(NodeId(*n))).collect() }],
            copies_sent: 2,
            repairs_sent: 0,
            bytes_sent: 80,
            copies_received: 1,
        };
        Said { holding: Some(Holding::Held(Box::new(info))), ..up(*path.last().unwrap(), peers) }
    }

    fn up(node: u32, peers: &[u32]) -> Said {
        let peer = |peer: &u32| PeerInfo {
            node: NodeId(*peer),
            addr: ([127, 0, 0, 1], 7000).into(),
            state: PeerState::Alive,
            neighbours: vec![],
            in_flight: 0,
            ack_time_us: None,
        };
        let peers = peers.iter().map(peer).collect();
        Said { node: NodeId(node), state: NodeState::Up, holding: Some(Holding::Unknown), peers }
    }

    /// A ring, gone round both ways.
    pub(crate) fn ring(nodes: u32) -> Vec<Said> {
        let path = |node: u32| -> Vec<u32> {
            match (node - 1) * 2 <= nodes {
                true => (1..=node).collect(),
                false => [1].into_iter().chain((node..=nodes).rev()).collect(),
            }
        };
        let next = |node: u32| node % nodes + 1;
        (1..=nodes)
            .map(|node| held(&path(node), &[next(node), (node + nodes - 2) % nodes + 1]))
            .collect()
    }

    pub(crate) fn trace(said: Vec<Said>) -> Trace {
        Trace::of("default", MessageId::new(1, 1, 1), said, &Faults::default()).unwrap()
    }

    pub(crate) fn view(width: usize) -> View {
        View { zone: TimeZone::UTC, style: Style::default(), width, full: false }
    }

    #[test]
    fn a_ring_is_shown_whole() {
        let shown = text(&[trace(ring(8))], &view(80));
        let [full, five] = ["█", "▅"].map(|bar| move |times| bar.repeat(times));
        let curve = [
            format!("100 % │{}{}█", " ".repeat(45), "▃".repeat(14)),
            format!("      │{}{}{}", " ".repeat(30), "▁".repeat(15), full(15)),
            format!("      │{}{}", " ".repeat(30), full(30)),
            format!("      │{}{}{}", " ".repeat(15), "▇".repeat(15), full(30)),
            format!("  0 % │{}{}", five(15), full(45)),
        ];
        let expected = format!(
            "1.1  ba\\u{{1b}}[2Jnana\\u{{202e}}\n\
             sent by node 1 at 12:03:22 2026-07-31, at most 1 copy a link each way\n\n\
             infection tree\n\
             1\n\
             ├─ 2 +100 µs ➜ 3 +200 µs ➜ 4 +300 µs ➜ 5 +400 µs  (4 hops)\n\
             └─ 8 +100 µs ➜ 7 +200 µs ➜ 6 +300 µs  (3 hops)\n\n\
             coverage over time\n{}\n       0{:>35}{:>24}\n\n",
            curve.join("\n"),
            "200 µs",
            "400 µs",
        );
        assert!(shown.starts_with(&expected), "{shown}");
        for row in ["last delivery hop", "copies ", "relative message redundancy"] {
            assert!(shown.lines().any(|line| line.starts_with(row)), "{row}: {shown}");
        }
        assert!(!shown.contains("not known"), "{shown}");
    }

    #[test]
    fn nodes_without_the_message_are_listed_in_ranges() {
        let mut said = ring(8);
        for node in [3, 4, 6] {
            said[node - 1].holding = Some(Holding::Gone);
        }
        said[7] = Said { state: NodeState::Down, holding: None, ..up(8, &[]) };
        let shown = text(&[trace(said)], &view(80));
        assert!(shown.contains("not known to have it: 4 nodes\n  evicted: "), "{shown}");
        assert!(shown.contains(": 3-4,6\n  down: 8\n"), "{shown}");
        assert!(shown.contains("not all nodes that may have passed it on told of it"), "{shown}");
    }

    #[test]
    fn programs_get_everything() {
        let document = document("default", &[trace(ring(8))]);
        let trace = &document["traces"][0];
        assert_eq!((&trace["id"], &trace["origin"]), (&json!("1.1"), &json!(1)));
        assert_eq!(trace["sent_at"], "2026-07-31T12:03:22.000000000Z");
        assert_eq!(trace["nodes"][4]["receipt"]["path"], json!([1, 2, 3, 4, 5]));
        assert_eq!(trace["figures"]["copies"]["value"], 16);
        assert_eq!(trace["links"][0], json!({ "u": 1, "v": 2, "state": "alive" }));
    }
}
