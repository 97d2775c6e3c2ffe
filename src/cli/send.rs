//! `send-message`.

use std::ffi::OsString;

use serde_json::json;

use super::{Error, Global, args, ask, output};
use crate::control::{Request, Response};
use crate::network::StateDir;
use crate::protocol::{NodeId, RELAYS_MAX, Refused};

pub(super) const EXAMPLES: &str = "\
Examples:
  gossip send-message 4 apple
  gossip send-message 8 \"ripe bananas\" --relays=3
  gossip send-message 8 -- --this-is-no-option

Prints the message's id: 8.1 is the first message of node 8. It returns once the node has
accepted the message; every live node gets it from then on.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The number of the node that gets the message first
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
    /// The message: UTF-8, up to 60,000 bytes
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: OsString,
    /// The copies a node may send on each link, 1 to 16
    #[arg(short, long, value_name = "R", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=i64::from(RELAYS_MAX)))]
    relays: u8,
}

/// Hands the message over, and prints the id that it got.
pub(super) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let text = args.text.to_str().ok_or_else(not_utf8)?;
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
    let request = Request::Send { text: text.into(), relays: args.relays };
    match ask::one(&record, args.node, &request)? {
        Response::Sent(id) if global.json => output::json(&json!({ "id": id.to_string() })),
        Response::Sent(id) => output::result(&format!("{id}\n")),
        Response::Refused(refused) => Err(Error::refused(args.node, &refused)),
        _ => Err(Error::other_answer(args.node)),
    }
}

/// `--relay=3` is a slip of the finger; `-5 degrees` and `- milk` are texts.
fn looks_like_an_option(text: &str) -> bool {
    let name = text.strip_prefix("--").and_then(|rest| rest.split('=').next());
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.is_some_and(|name| name.starts_with(char::is_alphabetic) && name.chars().all(letter))
}

fn not_utf8() -> Error {
    Error::misused(
        "cannot send this message",
        "a message is text in UTF-8, and these bytes are not",
        "convert it (`iconv -t utf-8`), or encode it as text, with `base64` for instance",
    )
}
