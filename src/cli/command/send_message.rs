//! `send-message`: one message, or one per line of stdin.

use std::ffi::OsString;

use serde_json::json;

mod stdin_lines;

use crate::cli::{Error, Global, args, output, survey};
use crate::control::{Request, Response};
use crate::network::StateDir;
use crate::protocol::{NodeId, Refused};

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip send-message 4 apple
  gossip send-message 8 \"ripe bananas\" --relays=3
  seq 1000 | gossip send-message 4 -
  gossip send-message 8 -- --this-is-no-option

Prints the message's id: 8.1 is the first message of node 8. It returns once the node has
accepted the message; every live node gets it from then on.

With - for TEXT, each line of stdin is a message, sent as it comes; empty lines are passed over.
Prints the id of each (with --json one document at the end: node, count, first, last, seconds,
rate), and at the end on stderr how many there were, and the rate. A node that is handed more
than its network carries takes its time to accept it. A line that is no message (not UTF-8, or
too long) ends it, and is named; all before it were sent.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of the node that gets the message first
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
    /// The message: UTF-8, up to 60,000 bytes; - reads one message per line from stdin
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: OsString,
    /// The copies a node may send on each link, 1 to 16
    #[arg(short, long, value_name = "R", default_value_t = 1, value_parser = args::relays())]
    relays: u8,
}

/// Hands the message over, and prints the id that it got.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let text = args.text.to_str().ok_or_else(|| {
        Error::misused(
            "cannot send this message",
            "a message is text in UTF-8, and these bytes are not",
            "convert it (`iconv -t utf-8`), or encode it as text, with `base64` for instance",
        )
    })?;
    if text == "-" {
        return stdin_lines::run(global, args.node, args.relays);
    }
    if looks_like_an_option(text) && !std::env::args_os().any(|word| word == "--") {
        return Err(Error::misused(
            format!("send-message has no option {text}"),
            "a text that looks like one is taken for a slip of the finger",
            "`gossip send-message --help` lists the options; to send this text, put `--` before it",
        ));
    }
    if text.is_empty() {
        return Err(Error::refused(args.node, &Refused::Empty));
    }
    let record = StateDir::from_env()?.load(&global.network)?;
    let request = Request::Send { texts: vec![text.into()], relays: args.relays };
    let sent = survey::one(&record, args.node, |client| match client.ask(&request)? {
        Response::Sent { ids, refused } => Ok(ids.first().map(|id| Ok(*id)).or(refused.map(Err))),
        _ => Ok(None),
    })?;
    let id = sent.map_err(|refused| Error::refused(args.node, &refused))?;
    output::answer(global, &json!({ "id": id.to_string() }), &format!("{id}\n"))
}

/// `--relay=3` is a slip of the finger; `-5 degrees` and `- milk` are texts.
fn looks_like_an_option(text: &str) -> bool {
    let name = text.strip_prefix("--").and_then(|rest| rest.split('=').next());
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.is_some_and(|name| name.starts_with(char::is_alphabetic) && name.chars().all(letter))
}
