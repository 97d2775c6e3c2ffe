//! `plot-network`, and the file that `start-network --plot` writes.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::render::{escape, fault_text, kind_json, kind_text, word};
use crate::cli::{Error, Global, output, survey};
use crate::network::{NodeRecord, Record, StateDir};
use crate::picture::{self, Picture, Scene, dot};
use crate::protocol::NodeId;
use crate::spread::{Link, LinkState, NodeState, Overlay, Said};
use crate::topology::Kind;

mod graphviz;
mod message_pictures;
mod picture_file;

pub(crate) use message_pictures::Pictures;
pub(crate) use picture_file::PlotFile;

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip plot-network
  gossip plot-network overlay.svg
  gossip plot-network --format png
  gossip plot-network - | dot -Tpdf > overlay.pdf

The links are those in use now, as the nodes that answer see them. Links that the nodes made
themselves stand out, and so do nodes that are down or paused, partitions and other faults.
svg and png are drawn by Graphviz (`dot`), dot needs nothing.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write the picture, - for stdout [default: gossip-<network>.<format>]
    file: Option<PathBuf>,
    /// What to write [default: what FILE ends with, or dot]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What a picture is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Graphviz' own language
    Dot,
    /// A drawing for browsers
    Svg,
    /// A drawing in pixels
    Png,
}

impl Format {
    /// What a file of this name is expected to hold.
    pub(crate) fn of(path: &Path) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.and_then(|ending| Self::from_str(ending, false).ok()).unwrap_or(Self::Dot)
    }

    /// Fails where this machine cannot make such pictures.
    pub(crate) fn check(self) -> Result<(), Error> {
        if self == Self::Dot { Ok(()) } else { graphviz::check(self) }
    }

    /// The picture in this format.
    pub(crate) fn draw(self, picture: &Picture) -> Result<Vec<u8>, Error> {
        let text = dot::to_dot(picture);
        if self == Self::Dot { Ok(text.into_bytes()) } else { graphviz::draw(&text, self) }
    }
}

/// The file that is written where none is named.
pub(crate) fn default_file(network: &str, format: Format) -> PathBuf {
    PathBuf::from(format!("gossip-{network}.{}", word(&format)))
}

/// Draws the overlay as it is now.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let file = args.file.as_deref();
    output::alone_on_stdout(("the picture", "FILE", file), ("JSON", "--json", global.json))?;
    let named = file.map_or(Format::Dot, Format::of);
    let format = args.format.unwrap_or(named);
    let path = args.file.clone().unwrap_or_else(|| default_file(&global.network, format));
    let record = StateDir::from_env()?.load(&global.network)?;
    format.check()?;
    let file = PlotFile::open(&path, "the overlay")?;
    let (scene, faults) = (scene(&record), survey::faults(&record));
    let overlay = Overlay::of(&said(&record), &scene.planned, &faults);
    let remarks = record.faults.iter().map(|fault| format!("in force: {}", fault_text::one(fault)));
    let picture = picture::overlay(&record.name, &scene, &overlay, &faults, remarks.collect());
    file.write(&format.draw(&picture)?)?;
    if output::is_stdout(&path) {
        return Ok(());
    }
    let path = path.to_string_lossy();
    let document = document(&record, &overlay, &path, format);
    output::answer(global, &document, &text(&record, &overlay, &path))
}

/// What the nodes say of their links.
fn said(record: &Record) -> Vec<Said> {
    let said = |node: survey::Asked<'_, _>| Said {
        node: node.record.node,
        state: node.state,
        holding: None,
        peers: node.answer.unwrap_or_default(),
    };
    survey::all(record, survey::peers).into_iter().map(said).collect()
}

/// What every picture of a network needs to know of it.
fn scene(record: &Record) -> Scene {
    let planned = |node: &NodeRecord| -> Vec<(u32, u32)> {
        node.peers.iter().map(|peer| (node.node.0, peer.0)).collect()
    };
    Scene {
        kind: kind_text(record),
        // Whether it began as a ring, and was not rewired since.
        ring: record.kind == Some(Kind::Circular) && record.rewired.is_none(),
        planned: record.nodes.iter().flat_map(planned).collect(),
    }
}

/// The links that were planned or are in use.
fn shown(overlay: &Overlay) -> impl Iterator<Item = &Link> {
    overlay.links.iter().filter(|link| link.planned || link.used)
}

/// One line: where the picture is, and what is remarkable in it.
fn text(record: &Record, overlay: &Overlay, file: &str) -> String {
    let links = |is: fn(&&Link) -> bool| shown(overlay).filter(is).count();
    let up = overlay.nodes.iter().filter(|(_, state)| *state == NodeState::Up).count();
    let mut facts = vec![format!("{up} of {} nodes up", overlay.nodes.len())];
    for (count, words) in [
        (links(|link| link.used), "links in use"),
        (links(|link| link.used && !link.planned), "of them made by the nodes"),
        (links(|link| link.state == LinkState::Cut), "cut"),
    ] {
        if count > 0 {
            facts.push(format!("{count} {words}"));
        }
    }
    let file = escape::lines(file);
    format!("the overlay of network {} is drawn in {file}: {}\n", record.name, facts.join(", "))
}

/// The same for programs, link by link.
fn document(record: &Record, overlay: &Overlay, file: &str, format: Format) -> Value {
    let node_json = |(node, state): &(NodeId, NodeState)| json!({ "node": node, "state": state });
    let link_json = |link: &Link| {
        json!({
            "nodes": [link.u, link.v],
            "in_use": link.used,
            "made_by_nodes": link.used && !link.planned,
            "suspected": link.suspected,
            "faulty": link.faulty,
            "cut": link.state == LinkState::Cut,
        })
    };
    json!({
        "network": record.name,
        "topology": kind_json(record),
        "file": file,
        "format": format,
        "components": overlay.components(),
        "faults": fault_text::json(&record.faults),
        "nodes": overlay.nodes.iter().map(node_json).collect::<Vec<_>>(),
        "links": shown(overlay).map(link_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_in_the_file() {
        assert_eq!(Format::of(Path::new("a.svg")), Format::Svg);
        assert_eq!(Format::of(Path::new("a.b/c.png")), Format::Png);
        for other in ["a.dot", "a.gv", "svg", "-", "/dev/stdout"] {
            assert_eq!(Format::of(Path::new(other)), Format::Dot, "{other}");
        }
        assert_eq!(default_file("ring", Format::Png), Path::new("gossip-ring.png"));
    }
}
