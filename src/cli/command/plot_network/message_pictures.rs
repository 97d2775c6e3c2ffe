//! The pictures of a message: what `trace-message --dot` and `--html` write.

use std::path::{Path, PathBuf};

use super::{Format, PlotFile, scene};
use crate::cli::{Error, output};
use crate::network::Record;
use crate::picture;
use crate::spread::Trace;

#[derive(Debug, clap::Args)]
pub(crate) struct Pictures {
    /// Draw the infection tree: DOT, or what Graphviz makes of it if FILE ends with .svg or .png;
    /// - is stdout, which gets nothing else then
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Write a page that replays the spread in a browser, without any network; - is stdout
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Pictures {
    /// Whether stdout is taken by one of them.
    pub(crate) fn to_stdout(&self) -> bool {
        [&self.dot, &self.html].into_iter().flatten().any(|path| output::is_stdout(path))
    }

    /// Finds out what cannot work before any node is asked.
    pub(crate) fn check(&self, messages: usize, json: bool) -> Result<(), Error> {
        let json = ("JSON", "--json", json);
        output::alone_on_stdout(("the drawing", "--dot", self.dot.as_deref()), json)?;
        output::alone_on_stdout(("the page", "--html", self.html.as_deref()), json)?;
        let Some(dot) = &self.dot else { return Ok(()) };
        if self.html.as_ref().is_some_and(|html| is_same(dot, html)) {
            return Err(Error::misused(
                format!("cannot write both the drawing and the page to {}", dot.display()),
                "--dot and --html name the same file, and one would take the place of the other",
                "give each a file of its own",
            ));
        }
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
    pub(crate) fn write(&self, record: &Record, traces: &[Trace]) -> Result<(), Error> {
        let scene = scene(record);
        if let (Some(path), [trace]) = (&self.dot, traces) {
            let file = PlotFile::open(path, "the infection tree")?;
            file.write(&Format::of(path).draw(&picture::tree(trace, &scene))?)?;
            note(path, "the infection tree is drawn in", "");
        }
        if let Some((path, page)) = self.html.as_ref().zip(picture::page(traces, &scene)) {
            PlotFile::open(path, "the page")?.write(page.as_bytes())?;
            note(path, "the page is in", "; any browser shows it");
        }
        Ok(())
    }
}

/// Says where something is, unless it went to stdout.
fn note(path: &Path, before: &str, after: &str) {
    if !output::is_stdout(path) {
        output::note(&format!("{before} {}{after}", path.display()));
    }
}

/// Whether two names mean the same file, as far as the names alone can tell.
fn is_same(one: &Path, other: &Path) -> bool {
    let plain = |path: &Path| path.strip_prefix(".").unwrap_or(path).to_owned();
    plain(one) == plain(other)
}
