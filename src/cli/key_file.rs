//! `new-key`, and reading the file that it makes.
//!
//! A key file is one line of 64 hexadecimal digits: a person can check it at a glance and copy
//! it to another host with whatever is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use blake3::Hash; // 32 bytes, and their digits
use serde_json::json;

use crate::cli::{Error, Global, args, output};
use crate::protocol::Key;

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip new-key farm.key
  gossip run-node 1 --listen 192.0.2.1:7001 --peer 2@192.0.2.2:7002 --key-file farm.key

Only nodes with the same key talk to each other. Keep the file to yourself.";

/// Longer files hold no key, and are not read to their end.
const KEY_FILE_BYTES_MAX: u64 = 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to make, - for stdout; an existing one is left alone
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Makes a key that nobody can guess, readable only by this user.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let key = Key(args::random_bytes()?);
    let json = ("JSON", "--json", global.json);
    output::alone_on_stdout(("the key", "FILE", Some(&args.file)), json)?;
    if output::is_stdout(&args.file) {
        return output::result(&format!("{}\n", to_hex(&key)));
    }
    write(&args.file, &key).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::failed(
            format!("cannot make a key in {}", args.file.display()),
            "the file exists, and nodes that use it would be locked out",
            "name another file, or remove this one first",
        ),
        _ => Error::file("write a key to", &args.file, &error),
    })?;
    let document = json!({ "file": args.file.to_string_lossy() });
    output::answer(global, &document, &format!("{}\n", args.file.display()))
}

fn write(path: &Path, key: &Key) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(format!("{}\n", to_hex(key)).as_bytes());
    if written.is_err() {
        // Half a key is of no use to anybody, and in the way of a whole one.
        let _ = fs::remove_file(path);
    }
    written
}

/// Reads a key file; says so on stderr if others can read it too.
pub(crate) fn read(path: &Path) -> Result<Key, Error> {
    let mut text = String::new();
    let mut read = || -> io::Result<u32> {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(mode)
    };
    let mode = read().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => no_key(path),
        _ => Error::file("read the key in", path, &error),
    })?;
    if mode & 0o077 != 0 {
        let path = path.display();
        output::note(&format!("warning: others can read the key in {path}; `chmod 600 {path}`"));
    }
    from_hex(text.trim()).ok_or_else(|| no_key(path))
}

fn no_key(path: &Path) -> Error {
    Error::failed(
        format!("there is no key in {}", path.display()),
        "a key file holds one line of 64 hexadecimal digits",
        "make one with `gossip new-key FILE`, and give the same to every node",
    )
}

fn to_hex(key: &Key) -> String {
    Hash::from_bytes(key.0).to_hex().to_string()
}

fn from_hex(text: &str) -> Option<Key> {
    Hash::from_hex(text).ok().map(|hash| Key(hash.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_as_they_were_written() {
        let key = Key(std::array::from_fn(|index| 7 * u8::try_from(index).unwrap()));
        assert_eq!(from_hex(&to_hex(&key)), Some(key));
        assert_eq!(from_hex(&to_hex(&key).to_uppercase()), Some(key));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused() {
        let long = "0".repeat(65);
        for text in ["", "0", &long[1..64], &long, &"+0".repeat(32), &"ä".repeat(32)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
