//! One page that replays how messages spread: everything in it, and no network needed.
//!
//! Its source lies beside this file, in `page/`: the document, its looks, and the script in
//! four parts. Here they are put together with the data, which cannot break out of its place.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dot::html_escaped;
use super::look::Colour;
use super::{Arrangement, Link, Scene, tree_picture};
use crate::spread::{LinkState, Trace, TraceNode};

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: [&str; 4] = [
    include_str!("page/model.js"),
    include_str!("page/graph.js"),
    include_str!("page/curve.js"),
    include_str!("page/player.js"),
];

/// How many shades stand for hops; the page takes the nearest.
const SHADES: u32 = 64;

/// The page for these messages of one network; `None` where there are none.
#[must_use]
pub fn page(traces: &[Trace], scene: &Scene) -> Option<String> {
    let first = traces.first()?;
    let ids: Vec<String> = traces.iter().map(|trace| trace.id.to_string()).collect();
    let title = format!("gossip {}: {}", first.network, ids.join(", "));
    let data = data(first, traces, scene);
    Some(filled(
        DOCUMENT,
        &[
            ("{{title}}", &html_escaped(&title)),
            ("{{style}}", STYLE),
            ("{{data}}", &script_escaped(&data)),
            ("{{script}}", &SCRIPT.join("\n")),
        ],
    ))
}

/// Puts the parts into their places, from left to right: none is looked for in another one.
fn filled(document: &str, parts: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = document;
    for (place, part) in parts {
        let (before, after) = rest.split_once(place).expect("the document has a place for each");
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page + rest
}

/// JSON inside a script element: without `<` there is nothing that could end it, nor begin a
/// comment. U+2028 and U+2029 are line ends to older scripts.
fn script_escaped(data: &Value) -> String {
    data.to_string()
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn data(first: &Trace, traces: &[Trace], scene: &Scene) -> Value {
    let numbers: Vec<u32> = first.nodes.iter().map(|node| node.node.0).collect();
    let index: BTreeMap<u32, usize> = numbers.iter().copied().zip(0..).collect();
    let drawn: Vec<Link> = traces.iter().flat_map(tree_picture::links).collect();
    let arrangement = Arrangement::of(scene.ring, &numbers, &scene.planned, &drawn);
    let node = |at: usize| {
        let (x, y) = arrangement.places[at];
        let [x, y, d] = [x, y, arrangement.diameters[at]].map(|value| (value * 1e3).round() / 1e3);
        json!({ "n": numbers[at], "x": x, "y": y, "d": d })
    };
    let shade = |step| {
        let fill = Colour::shade(step, SHADES - 1);
        [fill.hex(), fill.text().hex()]
    };
    json!({
        "network": first.network,
        "topology": scene.kind,
        "shades": (0..SHADES).map(shade).collect::<Vec<_>>(),
        "nodes": (0..numbers.len()).map(node).collect::<Vec<_>>(),
        "messages": traces.iter().map(|trace| message(trace, &index)).collect::<Vec<_>>(),
    })
}

fn message(trace: &Trace, index: &BTreeMap<u32, usize>) -> Value {
    let nodes = &trace.nodes;
    let receipt = |node: &TraceNode| {
        node.receipt.as_ref().map(|receipt| {
            json!({
                "t": receipt.after_us,
                "hops": receipt.hops,
                "from": receipt.from.and_then(|from| index.get(&from.0)),
                "path": receipt.path,
                "repaired": receipt.repaired,
            })
        })
    };
    let state = |state: LinkState| match state {
        LinkState::Alive | LinkState::Suspected => "used",
        LinkState::Lost => "lost",
        LinkState::Cut => "cut",
    };
    let link = |link: &crate::spread::Link| {
        Some(json!([index.get(&link.u.0)?, index.get(&link.v.0)?, state(link.state)]))
    };
    let lacks = |node: &TraceNode| node.lacks.map(|lacks| format!("Without it: {}", lacks.words()));
    json!({
        "id": trace.id.to_string(),
        "text": trace.text,
        "origin": index.get(&trace.origin.0),
        "sent_at_ms": trace.sent_at.0 / 1_000_000,
        "figures": trace.figures,
        "receipts": nodes.iter().map(receipt).collect::<Vec<_>>(),
        "lacks": nodes.iter().map(lacks).collect::<Vec<_>>(),
        "off": nodes.iter().map(|node| !node.state.lives()).collect::<Vec<_>>(),
        "distances": nodes.iter().map(|node| node.distance).collect::<Vec<_>>(),
        "links": trace.links.iter().filter_map(link).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread::testing_answers::{ring, trace};

    fn of(text: &str) -> String {
        let mut trace = trace(ring(8, 1));
        trace.text = text.into();
        page(&[trace], &Scene { ring: true, ..Scene::default() }).unwrap()
    }

    /// What a browser would take for the data.
    fn data_in(page: &str) -> Value {
        let (_, rest) = page.split_once("<script id=\"data\" type=\"application/json\">").unwrap();
        let (data, _) = rest.split_once("</script>").unwrap();
        assert!(!data.contains('<') && !data.contains('\u{2028}') && !data.contains('\u{2029}'));
        serde_json::from_str(data).unwrap()
    }

    #[test]
    fn hostile_texts_come_back_whole_and_do_no_harm() {
        let long = "<script>🍌".repeat(5_000);
        for text in [
            "</script><script>alert(1)</script>",
            "<!-- <script>",
            "\u{2028}\u{2029}\"'\\`${}",
            "{{script}}{{data}}{{title}}",
            "\u{0}\u{7}\u{1b}[31m\u{202e}",
            "👩‍👩‍👧‍👦 e\u{301}",
            &long,
        ] {
            let page = of(text);
            assert_eq!(data_in(&page)["messages"][0]["text"], text);
            assert_eq!(page.matches("</script>").count(), 2, "{text:.80}");
            assert_eq!(
                page.matches("<script").count(),
                2 + SCRIPT.concat().matches("<script").count()
            );
        }
    }

    #[test]
    fn nothing_in_it_comes_from_elsewhere() {
        let page = of("banana");
        assert!(page.contains("default-src 'none'"));
        // The name of SVG's namespace is no address to fetch.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "src=", "@import", "url(", "fetch(", "eval("] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn without_a_message_there_is_no_page() {
        assert_eq!(page(&[], &Scene::default()), None);
    }
}
