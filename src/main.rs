//! The `gossip` command: parse, run, print one error, give the exit code.
//!
//! A node that `start-network` spawns takes a way of its own past all command-line parsing: a
//! thousand of them start at once, and each should stay small.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use gossip::cli::{self, Cli, launched};

fn main() -> ExitCode {
    cli::write_panics_on_one_line();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if launched::is_meant_by(&arguments) {
        return launched::run();
    }
    let done = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli::run(&cli),
        Err(answer) => return help_or_usage(&answer),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.print();
            error.exit_code()
        }
    }
}

/// Prints what clap has to say: help and version go to stdout and are no failure.
fn help_or_usage(answer: &clap::Error) -> ExitCode {
    // Nobody is left to be told if this cannot be written.
    let _ = if answer.kind() == ErrorKind::DisplayVersion {
        std::io::stdout().write_all(cli::version().as_bytes())
    } else {
        answer.print()
    };
    if answer.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
