//! What `plot-network` says beside its picture.

use serde_json::{Value, json};

use super::{escape, fault_text, kind_json};
use crate::network::Record;
use crate::picture::overlay_picture::{Overlay, Tie, Use};
use crate::spread::NodeState;

/// One line: where the picture is, and what is remarkable in it.
pub(crate) fn text(record: &Record, overlay: &Overlay, file: &str) -> String {
    let ties = overlay.ties();
    let with = |state| overlay.nodes.iter().filter(|node| node.state == state).count();
    let links = |used| ties.iter().filter(|tie| tie.used == used).count();
    let up = with(NodeState::Up);
    let mut facts = vec![format!("{up} of {} nodes up", overlay.nodes.len())];
    for (count, words) in [
        (links(Use::Planned) + links(Use::Made), "links in use"),
        (links(Use::Made), "of them made by the nodes"),
        (ties.iter().filter(|tie| tie.cut).count(), "cut"),
    ] {
        if count > 0 {
            facts.push(format!("{count} {words}"));
        }
    }
    let file = escape::lines(file);
    format!("the overlay of network {} is drawn in {file}: {}\n", record.name, facts.join(", "))
}

/// The same for programs, link by link.
pub(crate) fn json(record: &Record, overlay: &Overlay, file: &str, format: &str) -> Value {
    let ties = overlay.ties();
    let nodes =
        overlay.nodes.iter().map(|node| json!({ "node": node.number, "state": node.state.name() }));
    json!({
        "network": record.name,
        "topology": kind_json(record),
        "file": file,
        "format": format,
        "pieces": overlay.pieces(&ties),
        "faults": fault_text::json(&record.faults),
        "nodes": nodes.collect::<Vec<_>>(),
        "links": ties.iter().map(tie_json).collect::<Vec<_>>(),
    })
}

fn tie_json(tie: &Tie) -> Value {
    json!({
        "nodes": [tie.ends.0, tie.ends.1],
        "in_use": tie.used != Use::Gone,
        "made_by_nodes": tie.used == Use::Made,
        "doubted": tie.doubted,
        "faulty": tie.faulty,
        "cut": tie.cut,
    })
}
