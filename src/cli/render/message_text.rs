//! Messages and the paths they took, as `get-messages` shows them.

use serde_json::{Value, json};

use super::time_text::{self, Detail, TimeZone};
use super::{Style, count, escape};
use crate::protocol::{MessageInfo, NodeId, PathInfo};

/// Which of a message's paths to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paths {
    /// Every one that the node kept.
    All,
    /// Those with the fewest hops.
    Shortest,
    /// Those with the most hops.
    Longest,
    /// Both of these.
    ShortestAndLongest,
}

/// How to show messages.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) paths: Paths,
    pub(crate) detail: Detail,
    pub(crate) zone: TimeZone,
    pub(crate) style: Style,
}

/// A line for each message, and under it one for each of its paths.
///
/// ```text
/// 8.1  14:03:22 2026-07-31  +412 µs  banana
///     8 ➜ 9 ➜ 10  (2 hops)
/// ```
pub(crate) fn text(messages: &[MessageInfo], view: &View) -> String {
    let mut shown = String::new();
    for message in messages {
        shown.push_str(&headline(message, view));
        for path in chosen(&message.paths, view.paths) {
            let hops = format!("({})", count(path.hops, "hop"));
            shown.push_str(&format!("    {}  {}\n", path_text(path), view.style.dim(&hops)));
        }
    }
    shown
}

fn headline(message: &MessageInfo, view: &View) -> String {
    let mut parts = vec![view.style.bold(&message.id.to_string())];
    if view.detail != Detail::None {
        parts.push(time_text::local(message.sent_at, &view.zone, view.detail));
    }
    if view.detail.shows_latency() {
        parts.push(format!("+{}", time_text::span(message.received_at.since(message.sent_at))));
    }
    parts.push(escape::text(&message.text()));
    parts.join("  ") + "\n"
}

/// `8 ➜ 9 ➜ 10`; `…` stands where a long path was cut.
fn path_text(path: &PathInfo) -> String {
    let hop = |node: &Option<NodeId>| node.map_or("…".into(), |node| node.to_string());
    path.path.iter().map(hop).collect::<Vec<_>>().join(" ➜ ")
}

/// The document that DESIGN promises: the node, and its messages with the chosen paths.
pub(crate) fn json(node: NodeId, messages: &[MessageInfo], paths: Paths) -> Value {
    let messages: Vec<Value> =
        messages.iter().map(|message| message_json(message, paths)).collect();
    json!({ "node": node, "messages": messages })
}

fn message_json(message: &MessageInfo, paths: Paths) -> Value {
    let paths: Vec<_> = chosen(&message.paths, paths).into_iter().map(|path| &path.path).collect();
    json!({
        "id": message.id.to_string(),
        "text": message.text(),
        "origin": message.id.origin.node,
        "sent_at": time_text::rfc3339(message.sent_at),
        "received_at": time_text::rfc3339(message.received_at),
        "latency_us": time_text::micros(message.received_at.since(message.sent_at)),
        "unread": message.unread,
        "hops": message.hops,
        "paths": paths,
    })
}

/// The paths asked for; where several tie for shortest or longest, all of these.
fn chosen(paths: &[PathInfo], which: Paths) -> Vec<&PathInfo> {
    let shortest = paths.iter().map(|path| path.hops).min();
    let longest = paths.iter().map(|path| path.hops).max();
    let with = |hops: Option<u32>| paths.iter().filter(move |path| Some(path.hops) == hops);
    match which {
        Paths::All => paths.iter().collect(),
        Paths::Shortest => with(shortest).collect(),
        Paths::Longest => with(longest).collect(),
        Paths::ShortestAndLongest if shortest == longest => with(shortest).collect(),
        Paths::ShortestAndLongest => with(shortest).chain(with(longest)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{MessageId, Wall};

    fn path(hops: u32, nodes: &[u32]) -> PathInfo {
        // The number 0 is never a node, so here it stands for a cut.
        let node = |number: &u32| (*number != 0).then_some(NodeId(*number));
        PathInfo { hops, path: nodes.iter().map(node).collect() }
    }

    fn banana() -> MessageInfo {
        MessageInfo {
            id: MessageId::new(8, 1, 1),
            payload: b"banana\n".into(),
            sent_at: Wall(1_785_499_402_000_000_000),
            received_at: Wall(1_785_499_402_000_412_000),
            unread: true,
            relays: 3,
            hops: 2,
            repaired: false,
            paths: vec![
                path(2, &[8, 9, 10]),
                path(30, &[8, 7, 0, 10]),
                path(2, &[8, 3, 10]),
                path(4, &[8, 9, 8, 9, 10]),
            ],
            copies_sent: 3,
            copies_received: 4,
            repairs_sent: 0,
            bytes_sent: 100,
        }
    }

    fn shown(paths: Paths, detail: Detail) -> String {
        let view = View { paths, detail, zone: TimeZone::UTC, style: Style::default() };
        text(&[banana()], &view)
    }

    #[test]
    fn a_message_is_shown_with_all_its_paths() {
        assert_eq!(
            shown(Paths::All, Detail::None),
            "8.1  banana\\n\n    8 ➜ 9 ➜ 10  (2 hops)\n    8 ➜ 7 ➜ … ➜ 10  (30 hops)\n    \
             8 ➜ 3 ➜ 10  (2 hops)\n    8 ➜ 9 ➜ 8 ➜ 9 ➜ 10  (4 hops)\n"
        );
    }

    #[test]
    fn ties_for_shortest_and_longest_are_all_shown() {
        let shortest = "    8 ➜ 9 ➜ 10  (2 hops)\n    8 ➜ 3 ➜ 10  (2 hops)\n";
        let longest = "    8 ➜ 7 ➜ … ➜ 10  (30 hops)\n";
        let head = "8.1  banana\\n\n";
        assert_eq!(shown(Paths::Shortest, Detail::None), format!("{head}{shortest}"));
        assert_eq!(shown(Paths::Longest, Detail::None), format!("{head}{longest}"));
        let both = shown(Paths::ShortestAndLongest, Detail::None);
        assert_eq!(both, format!("{head}{shortest}{longest}"));
    }

    #[test]
    fn one_path_that_is_both_is_shown_once() {
        let one = [path(1, &[8, 9])];
        assert_eq!(chosen(&one, Paths::ShortestAndLongest).len(), 1);
        assert_eq!(chosen(&[], Paths::ShortestAndLongest).len(), 0);
    }

    #[test]
    fn time_and_latency_come_before_the_text() {
        let first = |detail| shown(Paths::Shortest, detail).lines().next().unwrap().to_string();
        assert_eq!(first(Detail::Time), "8.1  12:03:22  banana\\n");
        assert_eq!(first(Detail::TimeAndDate), "8.1  12:03:22 2026-07-31  +412 µs  banana\\n");
        assert_eq!(first(Detail::DateFirst), "8.1  2026-07-31 12:03:22 +00:00  +412 µs  banana\\n");
    }

    #[test]
    fn json_is_what_was_promised() {
        let document = json(NodeId(10), &[banana()], Paths::Longest);
        let promised = json!({ "node": 10, "messages": [{
            "id": "8.1", "text": "banana\n", "origin": 8,
            "sent_at": "2026-07-31T12:03:22.000000000Z",
            "received_at": "2026-07-31T12:03:22.000412000Z",
            "latency_us": 412, "unread": true, "hops": 2, "paths": [[8, 7, null, 10]],
        }]});
        assert_eq!(document, promised);
    }
}
