//! What happens at nodes, a line each, as `--foreground` and `run-node` show it.

use std::time::Duration;

use serde_json::{Value, json};

use super::time_text::{self, Detail, TimeZone};
use super::{count, escape};
use crate::protocol::{Event, NodeId, Wall};

/// `14:03:22  node 9  got 8.1 from 8, 1 hop, 412 µs: banana`
pub(crate) fn text(zone: &TimeZone, at: Wall, node: NodeId, event: &Event) -> String {
    line(zone, at, node, &words(event))
}

/// One line about a node, in our own words.
pub(crate) fn line(zone: &TimeZone, at: Wall, node: NodeId, words: &str) -> String {
    format!("{}  node {node}  {words}\n", time_text::local(at, zone, Detail::Time))
}

fn words(event: &Event) -> String {
    match event {
        Event::Accepted { id, payload } => format!("sends {id}: {}", shown(payload)),
        Event::Delivered { id, payload, from, hops, latency_us } => {
            let latency = time_text::span(Duration::from_micros(*latency_us));
            let hops = count(*hops, "hop");
            format!("got {id} from {from}, {hops}, {latency}: {}", shown(payload))
        }
        Event::PeerSuspected { node } => format!("suspects node {node}, which is silent"),
        Event::PeerDead { node } => format!("takes node {node} for dead"),
        Event::PeerLeft { node } => format!("heard node {node} leave"),
        Event::PeerAlive { node } => format!("hears from node {node}"),
        Event::LinkMade { node } => format!("linked up with node {node}"),
        Event::LinkDropped { node } => format!("gave up its link to node {node}"),
        Event::LinkBroken { node } => {
            format!("gave up its link to node {node}, which lives, but cannot be reached")
        }
        Event::LimitHit { limit } => format!("reached a limit: {}", escape::text(limit)),
    }
}

/// A payload as text, safe for a terminal.
fn shown(payload: &[u8]) -> String {
    escape::text(&String::from_utf8_lossy(payload)).to_string()
}

/// The same for programs: one JSON document per line.
pub(crate) fn json(at: Wall, node: NodeId, event: &Event) -> String {
    let (name, fields) = match event {
        Event::Accepted { id, payload } => {
            ("accepted", json!({ "id": id.to_string(), "text": String::from_utf8_lossy(payload) }))
        }
        Event::Delivered { id, payload, from, hops, latency_us } => (
            "delivered",
            json!({ "id": id.to_string(), "text": String::from_utf8_lossy(payload), "from": from, "hops": hops,
                "latency_us": latency_us }),
        ),
        Event::PeerSuspected { node } => ("peer_suspected", json!({ "peer": node })),
        Event::PeerDead { node } => ("peer_dead", json!({ "peer": node })),
        Event::PeerLeft { node } => ("peer_left", json!({ "peer": node })),
        Event::PeerAlive { node } => ("peer_alive", json!({ "peer": node })),
        Event::LinkMade { node } => ("link_made", json!({ "peer": node })),
        Event::LinkDropped { node } => ("link_dropped", json!({ "peer": node })),
        Event::LinkBroken { node } => ("link_broken", json!({ "peer": node })),
        Event::LimitHit { limit } => ("limit_hit", json!({ "limit": limit })),
    };
    document(at, node, name, fields)
}

/// A document about a node, on a line.
pub(crate) fn document(at: Wall, node: NodeId, name: &str, fields: Value) -> String {
    let mut document = json!({ "at": time_text::rfc3339(at), "node": node, "event": name });
    if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields) {
        document.extend(fields);
    }
    escape::json(&document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MessageId;

    const AT: Wall = Wall(1_785_499_402_000_000_000);

    #[test]
    fn a_delivery_takes_one_line_whatever_the_text() {
        let event = Event::Delivered {
            id: MessageId::new(8, 1, 1),
            payload: b"ba\nna\x1bna".into(),
            from: NodeId(8),
            hops: 1,
            latency_us: 412,
        };
        assert_eq!(
            text(&TimeZone::UTC, AT, NodeId(9), &event),
            "12:03:22  node 9  got 8.1 from 8, 1 hop, 412 µs: ba\\nna\\u{1b}na\n"
        );
        let document: Value = serde_json::from_str(&json(AT, NodeId(9), &event)).unwrap();
        assert_eq!(document["event"], "delivered");
        assert_eq!(document["text"], "ba\nna\x1bna");
    }

    #[test]
    fn the_peer_is_told_apart_from_the_node_that_tells() {
        let event = Event::PeerDead { node: NodeId(3) };
        assert_eq!(
            text(&TimeZone::UTC, AT, NodeId(2), &event),
            "12:03:22  node 2  takes node 3 for dead\n"
        );
        let document: Value = serde_json::from_str(&json(AT, NodeId(2), &event)).unwrap();
        assert_eq!((&document["node"], &document["peer"]), (&json!(2), &json!(3)));
    }
}
