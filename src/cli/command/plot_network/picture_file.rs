//! The file that a picture goes to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::cli::{Error, output};

/// A file opened before anything is started, so that a name that cannot be written is found out
/// in time. Until something is written its old content stays, and a new one goes when dropped.
#[derive(Debug)]
pub(crate) struct PlotFile {
    path: PathBuf,
    /// What the picture shows, for errors.
    what: &'static str,
    /// `None`: stdout.
    file: Option<File>,
    /// We made it, and the picture is not in it yet.
    unfinished_of_ours: bool,
}

impl PlotFile {
    /// Opens a file for the picture of `what`; `-` is stdout.
    pub(crate) fn open(path: &Path, what: &'static str) -> Result<Self, Error> {
        if output::is_stdout(path) {
            return Ok(Self { path: path.into(), what, file: None, unfinished_of_ours: false });
        }
        let failed = |error| Error::file(&format!("write {what} to"), path, &error);
        let (opened, unfinished_of_ours) = match File::create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).open(path), false)
            }
            opened => (opened, true),
        };
        let file = Some(opened.map_err(failed)?);
        Ok(Self { path: path.into(), what, file, unfinished_of_ours })
    }

    /// Writes the picture, in place of whatever was there.
    pub(crate) fn write(mut self, picture: &[u8]) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return output::bytes(picture) };
        let written = replace(file, picture);
        written
            .map_err(|error| Error::file(&format!("write {} to", self.what), &self.path, &error))?;
        self.unfinished_of_ours = false;
        Ok(())
    }
}

/// Writes a file anew. On a full disk the old content stays as it was: there the room is asked
/// for beforehand.
fn replace(file: &mut File, picture: &[u8]) -> io::Result<()> {
    // A file that is not regular (a pipe, /dev/stdout) has no old content to take away.
    let is_regular = file.metadata()?.is_file();
    let bytes = picture.len() as u64;
    if is_regular && bytes > 0 {
        let reserved = fallocate(&*file, FallocateFlags::KEEP_SIZE, 0, bytes);
        // Other errors mean that this file system cannot tell.
        if let Err(full @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) = reserved {
            return Err(full.into());
        }
    }
    file.write_all(picture)?;
    if is_regular { file.set_len(bytes) } else { Ok(()) }
}

impl Drop for PlotFile {
    fn drop(&mut self) {
        if self.unfinished_of_ours {
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
    fn a_full_disk_is_reported() {
        let error = PlotFile::open(Path::new("/dev/full"), "it").unwrap().write(b"new");
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no space left on device"), "{error}");
    }

    #[test]
    fn a_directory_is_no_file_to_draw_in() {
        let error = PlotFile::open(&std::env::temp_dir(), "the topology").unwrap_err().to_string();
        assert!(error.starts_with("error: cannot write the topology to "), "{error}");
    }
}
