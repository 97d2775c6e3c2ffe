//! `get-messages`.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::render::Style;
use crate::cli::render::message_text::{self as render, Paths, View};
use crate::cli::render::time_text::{Detail, TimeZone};
use crate::cli::survey::{self, Said};
use crate::cli::{Error, Global, args, output};
use crate::control::client::Client;
use crate::control::{Request, Response};
use crate::network::StateDir;
use crate::protocol::{MessageId, MessageInfo, MessageQuery, NodeId, Which};

/// Far less than a frame holds.
const IDS_PER_REQUEST: usize = 10_000;

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip get-messages 8
  gossip get-messages 3 unread
  gossip get-messages 3 read -p --time
  gossip get-messages 24 -p -pp -ttt --last 10";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The number of the node that is asked
    #[arg(value_name = "N", value_parser = args::node)]
    node: NodeId,
    /// Which messages: `unread` and `all` mark what they show as read, `read` changes nothing
    #[arg(value_parser = which(), default_value = "all", hide_possible_values = true)]
    #[arg(value_name = "unread | read | all")]
    which: Which,
    /// Show the shortest paths; -pp the longest; -p -pp (or -ppp) both
    #[arg(short = 'p', action = clap::ArgAction::Count)]
    paths: u8,
    /// Show all paths, which is what happens without -p, too
    #[arg(short = 'A', long)]
    all_paths: bool,
    /// Show when it was sent; -tt with the date and how long it took to get here; -ttt in full
    #[arg(short, long, action = clap::ArgAction::Count)]
    time: u8,
    /// Only the last K messages that arrived
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
}

fn which() -> impl TypedValueParser<Value = Which> {
    PossibleValuesParser::new(["unread", "read", "all"]).map(|word| match word.as_str() {
        "unread" => Which::Unread,
        "read" => Which::Read,
        _ => Which::All,
    })
}

impl Args {
    fn chosen_paths(&self) -> Paths {
        match self.paths {
            _ if self.all_paths => Paths::All,
            0 => Paths::All,
            1 => Paths::Shortest,
            2 => Paths::Longest,
            _ => Paths::ShortestAndLongest,
        }
    }
}

/// Fetches messages and shows them, oldest first.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let record = StateDir::from_env()?.load(&global.network)?;
    let query = MessageQuery { which: args.which, last: args.last, after: None };
    let mut messages = survey::one(&record, args.node, |client| fetch(client, query))?;
    messages.sort_by_key(|message| (message.sent_at, message.id));
    show(global, args, &messages)?;
    // Only now: what a full disk or a closed pipe swallowed was not shown.
    let unread = messages.iter().filter(|message| message.unread).map(|message| message.id);
    let unread: Vec<MessageId> = unread.collect();
    if args.which == Which::Read || unread.is_empty() {
        return Ok(());
    }
    survey::one(&record, args.node, |client| {
        for ids in unread.chunks(IDS_PER_REQUEST) {
            client.ask(&Request::MarkShown(ids.to_vec()))?;
        }
        Ok(Some(()))
    })
}

/// Prints messages, as text or JSON.
fn show(global: &Global, args: &Args, messages: &[MessageInfo]) -> Result<(), Error> {
    let paths = args.chosen_paths();
    if global.json {
        return output::json(&render::json(args.node, messages, paths));
    }
    if messages.is_empty() {
        output::note(&none(args.which, args.node));
    }
    let view = View {
        paths,
        detail: Detail::from_count(args.time),
        zone: TimeZone::system(),
        style: Style { colour: output::wants_colour(&std::io::stdout()) },
    };
    output::result(&render::text(messages, &view))
}

/// Fetches all pages, one after the other.
fn fetch(client: &mut Client, mut query: MessageQuery) -> Said<Vec<MessageInfo>> {
    let mut messages = Vec::new();
    loop {
        let Response::Messages(page) = client.ask(&Request::Messages(query))? else {
            return Ok(None);
        };
        messages.extend(page.messages);
        match page.next {
            // A node that repeats itself must not keep us here for ever.
            Some(next) if query.after.is_none_or(|after| next > after) => query.after = Some(next),
            Some(_) => return Ok(None),
            None => return Ok(Some(messages)),
        }
    }
}

fn none(which: Which, node: NodeId) -> String {
    match which {
        Which::Unread => format!("no unread messages at node {node}"),
        Which::Read => format!("no messages at node {node} that were read before"),
        Which::All => format!("no messages at node {node}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Args {
        Line::try_parse_from(["get-messages"].into_iter().chain(line.split(' '))).unwrap().args
    }

    #[test]
    fn p_chooses_paths() {
        assert_eq!(parse("3").chosen_paths(), Paths::All);
        assert_eq!(parse("3 -p").chosen_paths(), Paths::Shortest);
        assert_eq!(parse("3 -pp").chosen_paths(), Paths::Longest);
        assert_eq!(parse("3 -p -pp").chosen_paths(), Paths::ShortestAndLongest);
        assert_eq!(parse("3 -A").chosen_paths(), Paths::All);
        assert_eq!(parse("3 -p --all-paths").chosen_paths(), Paths::All);
    }

    #[test]
    fn the_lines_of_the_contract_parse() {
        let args = parse("3 read -p --time");
        assert_eq!((args.node, args.which, args.time), (NodeId(3), Which::Read, 1));
        assert_eq!(parse("8").which, Which::All);
        assert_eq!(parse("8 -ttt --last 2 unread").time, 3);
        assert_eq!(parse("8 unread --last=2").last, Some(2));
    }
}
