//! The pictures of a message: what `trace-message --dot` and `--html` write.

use std::path::PathBuf;

use super::super::render::kind_text;
use super::super::{Error, output};
use super::{Format, PlotFile, is_ring};
use crate::network::{NodeRecord, Record};
use crate::picture::{self, Scene};
use crate::trace::Trace;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Pictures {
    /// Draw the infection tree: DOT, or what Graphviz makes of it if FILE ends with .svg or .png
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Write a page that replays the spread in a browser, without any network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Pictures {
    /// Finds out what cannot work before any node is asked.
    pub(in crate::cli) fn check(&self, messages: usize) -> Result<(), Error> {
        let Some(dot) = &self.dot else { return Ok(()) };
        if messages > 1 {
            return Err(Error::misused(
                "cannot draw several messages at once",
                format!("{messages} messages are named, and a drawing shows the tree of one"),
                "draw one after the other, or use --html, whose page shows any of them",
            ));
        }
        Format::of(dot).check()
    }

    /// Writes those that were asked for, and says so beside the result.
    pub(in crate::cli) fn write(&self, record: &Record, traces: &[Trace]) -> Result<(), Error> {
        let scene = scene(record);
        if let (Some(path), [trace]) = (&self.dot, traces) {
            let file = PlotFile::open(path, "the infection tree")?;
            file.write(&Format::of(path).draw(&picture::tree(trace, &scene))?)?;
            output::note(&format!("the infection tree is drawn in {}", path.display()));
        }
        if let Some((path, page)) = self.html.as_ref().zip(picture::page(traces, &scene)) {
            PlotFile::open(path, "the page")?.write(page.as_bytes())?;
            output::note(&format!("the page is in {}; any browser shows it", path.display()));
        }
        Ok(())
    }
}

fn scene(record: &Record) -> Scene {
    let planned = |node: &NodeRecord| {
        let number = node.node.0;
        node.peers.iter().map(move |peer| (number, peer.0)).collect::<Vec<_>>()
    };
    Scene {
        kind: kind_text(record),
        ring: is_ring(record),
        planned: record.nodes.iter().flat_map(planned).collect(),
    }
}
