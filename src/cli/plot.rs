//! The file that a topology is drawn in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Error;

/// A file opened before anything is started, so that a name that cannot be written is found out
/// in time. Until something is written its old content stays, and a new one goes when dropped.
#[derive(Debug)]
pub(super) struct PlotFile {
    path: PathBuf,
    file: File,
    /// We made it, and nothing is in it yet.
    empty_of_ours: bool,
}

impl PlotFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let (opened, empty_of_ours) = match File::create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).open(path), false)
            }
            opened => (opened, true),
        };
        let file = opened.map_err(|error| Error::file("write the topology to", path, &error))?;
        Ok(Self { path: path.into(), file, empty_of_ours })
    }

    pub(super) fn write(mut self, dot: &str) -> Result<(), Error> {
        self.empty_of_ours = false;
        self.replace(dot).map_err(|error| Error::file("write the topology to", &self.path, &error))
    }

    fn replace(&mut self, dot: &str) -> io::Result<()> {
        // What is no regular file (a pipe, /dev/stdout) has no old content to take away.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(dot.as_bytes())
    }
}

impl Drop for PlotFile {
    fn drop(&mut self) {
        if self.empty_of_ours {
            // At worst an empty file stays behind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that no other test uses.
    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("gossip-plot-{}-{name}", std::process::id()))
    }

    #[test]
    fn an_old_drawing_stays_until_the_new_one_is_there() {
        let path = scratch("old.dot");
        fs::write(&path, "an old and longer drawing").unwrap();
        drop(PlotFile::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "an old and longer drawing");
        PlotFile::open(&path).unwrap().write("new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_empty_file_does_not_stay_behind() {
        let path = scratch("new.dot");
        drop(PlotFile::open(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_is_no_file_to_draw_in() {
        let error = PlotFile::open(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.starts_with("error: cannot write the topology to "), "{error}");
    }
}
