//! The two ways out: results to stdout, everything for people in trouble to stderr.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crossbeam_channel::Receiver;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::Value;

use crate::cli::interrupt::{self, Interrupt};
use crate::cli::render::escape;
use crate::cli::{Error, Global};

/// The width of what is written to a file or a pipe.
const WIDTH_ELSEWHERE: usize = 100;
/// A pipe that has any room takes so much at once (`PIPE_BUF` on Linux).
const PIECE_BYTES: usize = 4096;
/// Narrower than this nothing can be laid out.
const WIDTH_MIN: usize = 40;

/// Writes a result, whole, to stdout.
pub(crate) fn result(text: &str) -> Result<(), Error> {
    bytes(text.as_bytes())
}

/// Writes a result as [`result`] does, and gives up between two pieces once somebody wants this
/// program to end: the reader may have stopped reading (a pager, for instance), and would hold
/// it up for good. Where lines end is of no account then.
pub(crate) fn result_until(text: &str, interrupt: &Interrupt) -> Result<(), Error> {
    const LOOK_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    for piece in text.as_bytes().chunks(PIECE_BYTES) {
        let has_room = || {
            let stdout = io::stdout();
            let mut waiting = [PollFd::new(&stdout, PollFlags::OUT)];
            // Where poll cannot tell, the write will.
            !matches!(poll(&mut waiting, Some(&LOOK_INTERVAL)), Ok(0) | Err(Errno::INTR))
        };
        while !has_room() {
            if interrupt.seen() {
                return Ok(());
            }
        }
        bytes(piece)?;
    }
    Ok(())
}

/// Writes a result that is no text.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Error::output(&error))
}

/// Writes a JSON document and a line end to stdout.
pub(crate) fn json(value: &Value) -> Result<(), Error> {
    result(&escape::json(value))
}

/// Writes a result: as a document where programs read it, and else as text.
pub(crate) fn answer(global: &Global, document: &Value, text: &str) -> Result<(), Error> {
    if global.json { json(document) } else { result(text) }
}

/// Whether this name means stdout, as it does everywhere.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Fails where stdout would get `what`, by an option, and something else by a flag: neither could
/// be read then.
pub(crate) fn alone_on_stdout(
    (what, option, path): (&str, &str, Option<&Path>),
    (other, flag, given): (&str, &str, bool),
) -> Result<(), Error> {
    if !given || !path.is_some_and(is_stdout) {
        return Ok(());
    }
    Err(Error::misused(
        format!("cannot write both {what} and {other} to stdout"),
        format!("{option} is -, and {flag} was given"),
        format!("name a file, or leave {flag} out"),
    ))
}

/// Writes a remark to stderr. It may quote what a user typed, so it is made safe for terminals.
pub(crate) fn note(text: &str) {
    // Nobody is left to be told if this cannot be written.
    let _ = writeln!(io::stderr().lock(), "{}", escape::lines(text));
}

/// Writes an error to stderr, its first word in red where that is wanted.
pub(crate) fn error(text: &str) {
    let safe = escape::lines(text);
    let shown = match safe.strip_prefix("error:") {
        Some(rest) if wants_colour(&io::stderr()) => format!("\x1b[1;31merror:\x1b[0m{rest}"),
        _ => safe,
    };
    // Nobody is left to be told if this cannot be written.
    let _ = writeln!(io::stderr().lock(), "{shown}");
}

/// Whether a stream wants colour: a terminal that understands it, and nobody said no.
pub(crate) fn wants_colour(stream: &impl IsTerminal) -> bool {
    let said_no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !said_no && !dumb
}

/// How many characters fit a line of the terminal; where there is none, as many as read well.
pub(crate) fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_col);
    if columns == 0 { WIDTH_ELSEWHERE } else { usize::from(columns).max(WIDTH_MIN) }
}

/// Tells when nobody reads stdout any more, as after `| head`: a program that has nothing to write for
/// a while would not notice. Costs a thread that waits for the rest of this process's life.
pub(crate) fn reader_left() -> Receiver<()> {
    let mut has_left = false;
    interrupt::notices("reader", move || {
        while !has_left {
            let stdout = io::stdout();
            // Of a pipe without a reader the system tells unasked.
            let mut waiting = [PollFd::new(&stdout, PollFlags::empty())];
            match poll(&mut waiting, None) {
                Err(Errno::INTR) => {}
                Ok(_) if !waiting[0].revents().is_empty() => {
                    has_left = true;
                    return true;
                }
                // Then a write will tell.
                _ => return false,
            }
        }
        false
    })
}
