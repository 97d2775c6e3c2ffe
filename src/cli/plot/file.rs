//! The file that a picture goes to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::Error;

/// A file opened before anything is started, so that a name that cannot be written is found out
/// in time. Until something is written its old content stays, and a new one goes when dropped.
#[derive(Debug)]
pub(in crate::cli) struct PlotFile {
    path: PathBuf,
    /// What the picture shows, for errors.
    what: &'static str,
    file: File,
    /// We made it, and nothing is in it yet.
    empty_of_ours: bool,
}

impl PlotFile {
    /// Opens a file for the picture of `what`.
    pub(in crate::cli) fn open(path: &Path, what: &'static str) -> Result<Self, Error> {
        let failed = |error| Error::file(&format!("write {what} to"), path, &error);
        let (opened, empty_of_ours) = match File::create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).open(path), false)
            }
            opened => (opened, true),
        };
        let file = opened.map_err(failed)?;
        Ok(Self { path: path.into(), what, file, empty_of_ours })
    }

    /// Writes the picture, in place of whatever was there.
    pub(in crate::cli) fn write(mut self, picture: &[u8]) -> Result<(), Error> {
        self.empty_of_ours = false;
        let written = self.replace(picture);
        written.map_err(|error| Error::file(&format!("write {} to", self.what), &self.path, &error))
    }

    fn replace(&mut self, picture: &[u8]) -> io::Result<()> {
        // What is no regular file (a pipe, /dev/stdout) has no old content to take away.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(picture)
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
        drop(PlotFile::open(&path, "it").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "an old and longer drawing");
        PlotFile::open(&path, "it").unwrap().write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_empty_file_does_not_stay_behind() {
        let path = scratch("new.dot");
        drop(PlotFile::open(&path, "it").unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_is_no_file_to_draw_in() {
        let error = PlotFile::open(&std::env::temp_dir(), "the topology").unwrap_err().to_string();
        assert!(error.starts_with("error: cannot write the topology to "), "{error}");
    }
}
