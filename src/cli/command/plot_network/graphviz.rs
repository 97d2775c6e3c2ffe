//! Graphviz, where it is installed.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Format;
use crate::cli::Error;
use crate::cli::error::reason;
use crate::cli::render::word;
use crate::network::CONTROL_TIMEOUT;

/// The program, found where programs are.
const PROGRAM: &str = "dot";

/// How long a drawing may take. A thousand nodes take some three seconds.
const WITHIN: Duration = Duration::from_secs(60);

/// Fails where Graphviz is missing or broken, before anything is begun that needs it.
pub(crate) fn check(format: Format) -> Result<(), Error> {
    ask(PROGRAM, &["-V"], "", format, CONTROL_TIMEOUT).map(|_| ())
}

/// Has Graphviz draw DOT text.
pub(crate) fn draw(dot: &str, format: Format) -> Result<Vec<u8>, Error> {
    ask(PROGRAM, &[&format!("-T{}", word(&format))], dot, format, WITHIN)
}

/// Runs the program on a text, and gives what it writes. It does not outlive this.
fn ask(
    program: &str,
    arguments: &[&str],
    text: &str,
    format: Format,
    within: Duration,
) -> Result<Vec<u8>, Error> {
    let (why, next) = match exchange(program, arguments, text, within) {
        Ok(Some(output)) if output.status.success() => return Ok(output.stdout),
        Ok(Some(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().map(str::trim).find(|line| !line.is_empty());
            let why = format!("Graphviz failed: {}", first.unwrap_or("it does not say why"));
            (why, "write dot, and see whether another version of Graphviz draws it")
        }
        Ok(None) => {
            let why = format!("Graphviz did not finish within {} s", within.as_secs());
            (why, "write dot, and draw it at leisure: dot -Tsvg FILE > picture.svg")
        }
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("Graphviz is not installed: there is no program called {program}")
                }
                _ => format!("Graphviz ({program}) does not run: {}", reason(&error)),
            };
            (why, "install Graphviz, or write dot, which needs no Graphviz")
        }
    };
    Err(Error::failed(format!("cannot draw the picture as {}", word(&format)), why, next))
}

/// How the program ended, and what it wrote; `None` when time was up.
fn exchange(
    program: &str,
    arguments: &[&str],
    text: &str,
    within: Duration,
) -> io::Result<Option<Output>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // Of this very process, whatever becomes of its number once it has ended.
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let stdin = child.stdin.take();
    let text = text.to_owned();
    // Whether it reads all of it is its own affair: how it ends tells.
    let write = move || stdin.map(|mut stdin| stdin.write_all(text.as_bytes()));
    thread::Builder::new().name("dot-in".into()).spawn(write)?;
    let (tell, told) = bounded(1);
    // In a thread of its own, since a pipe has no deadline. Nobody listens when time is up.
    let read = move || tell.send(child.wait_with_output());
    thread::Builder::new().name("dot-out".into()).spawn(read)?;
    let answered = told.recv_timeout(within);
    let _ = pidfd_send_signal(&process, Signal::KILL); // it has ended, or has had its time
    answered.ok().transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(program: &str, arguments: &[&str], within: Duration) -> String {
        ask(program, arguments, "graph {}", Format::Svg, within).unwrap_err().to_string()
    }

    #[test]
    fn each_failure_of_graphviz_is_said_in_three_lines() {
        let slow = Duration::from_millis(20);
        for (text, why) in [
            (error("no-such-graphviz", &[], WITHIN), "no program called no-such-graphviz"),
            (error("/", &[], WITHIN), "does not run: permission denied"),
            (error("sh", &["-c", "echo oh no >&2; exit 3"], WITHIN), "Graphviz failed: oh no"),
            (error("false", &[], WITHIN), "it does not say why"),
            (error("sleep", &["600"], slow), "did not finish within 0 s"),
        ] {
            assert!(text.starts_with("error: cannot draw the picture as svg\n"), "{text}");
            assert!(text.contains(why), "{text}");
            assert_eq!(text.lines().count(), 3, "{text}");
        }
    }

    #[test]
    fn more_than_a_pipe_holds_goes_both_ways() {
        let text = "x".repeat(1 << 20);
        let back = ask("cat", &[], &text, Format::Svg, WITHIN).unwrap();
        assert_eq!(back, text.as_bytes());
    }
}
