//! `plot-network`, and the file that `start-network --plot` writes.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::show_network;
use crate::cli::render::{fault_text, kind_text, network_text::NodeView, plot_text as render};
use crate::cli::{Error, Global, output, survey};
use crate::network::{Record, StateDir};
use crate::picture::overlay_picture::{Member, Overlay};
use crate::picture::{Picture, dot};
use crate::topology::Kind;

mod graphviz;
mod message_pictures;
mod picture_file;

pub(crate) use message_pictures::Pictures;
pub(crate) use picture_file::{PlotFile, alone_on_stdout, is_stdout};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Self::Svg,
            Some("png") => Self::Png,
            _ => Self::Dot,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dot => "dot",
            Self::Svg => "svg",
            Self::Png => "png",
        }
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
    PathBuf::from(format!("gossip-{network}.{}", format.name()))
}

/// Draws the overlay as it is now.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let to_stdout = args.file.as_deref().is_some_and(is_stdout);
    if to_stdout {
        alone_on_stdout("the picture", "FILE", global.json)?;
    }
    let format = args.format.or_else(|| args.file.as_deref().map(Format::of));
    let format = format.unwrap_or(Format::Dot);
    let path = args.file.clone().unwrap_or_else(|| default_file(&global.network, format));
    let record = StateDir::from_env()?.load(&global.network)?;
    format.check()?;
    let file = PlotFile::open(&path, "the overlay")?;
    let overlay = overlay(&record, &show_network::views(&record));
    file.write(&format.draw(&overlay.picture())?)?;
    if to_stdout {
        return Ok(());
    }
    let path = path.to_string_lossy();
    if global.json {
        output::json(&render::json(&record, &overlay, &path, format.name()))
    } else {
        output::result(&render::text(&record, &overlay, &path))
    }
}

/// What the record and the nodes' answers say of the overlay.
pub(crate) fn overlay(record: &Record, views: &[NodeView]) -> Overlay {
    let member = |view: &NodeView| Member {
        number: view.record.node.0,
        state: view.state,
        planned: view.record.peers.iter().map(|peer| peer.0).collect(),
        peers: view
            .status
            .iter()
            .flat_map(|status| &status.peers)
            .map(|peer| (peer.node.0, peer.state))
            .collect(),
    };
    let (partitions, rules) = survey::faults(record);
    Overlay {
        name: record.name.clone(),
        kind: kind_text(record),
        ring: is_ring(record),
        nodes: views.iter().map(member).collect(),
        partitions,
        rules,
        faults: record.faults.iter().map(fault_text::one).collect(),
    }
}

/// Whether it began as a ring, and was not rewired since.
fn is_ring(record: &Record) -> bool {
    record.kind == Some(Kind::Circular) && record.rewired.is_none()
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
