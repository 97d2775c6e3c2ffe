//! `get-messages`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use crate::cli::render::time_text::{self, Detail, TimeZone};
use crate::cli::render::{Style, count, escape};
use crate::cli::survey::{self, Said};
use crate::cli::{Error, Global, args, output};
use crate::control::client::Client;
use crate::control::{Request, Response};
use crate::network::StateDir;
use crate::protocol::{MessageId, MessageInfo, MessageQuery, NodeId, PathInfo, Which};

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
    /// Show all paths, as without -p
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

/// Which of a message's paths to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paths {
    /// Every one that the node kept.
    All,
    /// Those with the fewest hops.
    Shortest,
    /// Those with the most hops.
    Longest,
    /// Both of these.
    ShortestAndLongest,
}

impl Paths {
    fn of(args: &Args) -> Self {
        match args.paths {
            _ if args.all_paths => Self::All,
            0 => Self::All,
            1 => Self::Shortest,
            2 => Self::Longest,
            _ => Self::ShortestAndLongest,
        }
    }

    /// The paths asked for; where several tie for shortest or longest, all of these.
    fn of_those(self, paths: &[PathInfo]) -> Vec<&PathInfo> {
        let shortest = paths.iter().map(|path| path.hops).min();
        let longest = paths.iter().map(|path| path.hops).max();
        let with = |hops: Option<u32>| paths.iter().filter(move |path| Some(path.hops) == hops);
        match self {
            Self::All => paths.iter().collect(),
            Self::Longest => with(longest).collect(),
            Self::ShortestAndLongest if shortest != longest => {
                with(shortest).chain(with(longest)).collect()
            }
            Self::Shortest | Self::ShortestAndLongest => with(shortest).collect(),
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
    // Only now: a message that a full disk or a closed pipe swallowed was not shown.
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
    let paths = Paths::of(args);
    if global.json {
        return output::json(&json(args.node, messages, paths));
    }
    if messages.is_empty() {
        output::note(&none(args.which, args.node));
    }
    let (detail, zone) = (Detail::from_count(args.time), TimeZone::system());
    let style = Style { colour: output::wants_colour(&std::io::stdout()) };
    let shown = messages.iter().map(|message| text(message, paths, detail, &zone, style));
    output::result(&shown.collect::<String>())
}

/// A line for the message, and under it one for each of its paths.
///
/// ```text
/// 8.1  14:03:22 2026-07-31  +412 µs  banana
///     8 ➜ 9 ➜ 10  (2 hops)
/// ```
fn text(info: &MessageInfo, paths: Paths, detail: Detail, zone: &TimeZone, style: Style) -> String {
    let mut parts = vec![style.bold(&info.id.to_string())];
    if detail != Detail::None {
        parts.push(time_text::local(info.sent_at, zone, detail));
    }
    if detail >= Detail::TimeAndDate {
        parts.push(format!("+{}", time_text::span(info.received_at.since(info.sent_at))));
    }
    parts.push(escape::text(&info.text()));
    let mut text = parts.join("  ") + "\n";
    for path in paths.of_those(&info.paths) {
        let hops = style.dim(&format!("({})", count(path.hops, "hop")));
        text.push_str(&format!("    {}  {hops}\n", path_text(path)));
    }
    text
}

/// `8 ➜ 9 ➜ 10`; `…` stands where a long path was cut.
fn path_text(path: &PathInfo) -> String {
    let hop = |node: &Option<NodeId>| node.map_or("…".into(), |node| node.to_string());
    path.path.iter().map(hop).collect::<Vec<_>>().join(" ➜ ")
}

/// The same for programs: the node, and its messages with the chosen paths.
fn json(node: NodeId, messages: &[MessageInfo], paths: Paths) -> Value {
    let message = |info: &MessageInfo| {
        json!({
            "id": info.id.to_string(),
            "text": info.text(),
            "origin": info.id.origin.node,
            "sent_at": time_text::rfc3339(info.sent_at),
            "received_at": time_text::rfc3339(info.received_at),
            "latency_us": time_text::micros(info.received_at.since(info.sent_at)),
            "unread": info.unread,
            "hops": info.hops,
            "paths": paths.of_those(&info.paths).iter().map(|path| &path.path).collect::<Vec<_>>(),
        })
    };
    json!({ "node": node, "messages": messages.iter().map(message).collect::<Vec<_>>() })
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
    use crate::protocol::Wall;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Args {
        Line::try_parse_from(["get-messages"].into_iter().chain(line.split(' '))).unwrap().args
    }

    fn paths(line: &str) -> Paths {
        Paths::of(&parse(line))
    }

    #[test]
    fn p_chooses_paths() {
        assert_eq!(paths("3"), Paths::All);
        assert_eq!(paths("3 -p"), Paths::Shortest);
        assert_eq!(paths("3 -pp"), Paths::Longest);
        assert_eq!(paths("3 -p -pp"), Paths::ShortestAndLongest);
        assert_eq!(paths("3 -A"), Paths::All);
        assert_eq!(paths("3 -p --all-paths"), Paths::All);
    }

    #[test]
    fn the_lines_of_the_contract_parse() {
        let args = parse("3 read -p --time");
        assert_eq!((args.node, args.which, args.time), (NodeId(3), Which::Read, 1));
        assert_eq!(parse("8").which, Which::All);
        assert_eq!(parse("8 -ttt --last 2 unread").time, 3);
        assert_eq!(parse("8 unread --last=2").last, Some(2));
    }

    fn path(hops: u32, nodes: &[u32]) -> PathInfo {
        // The number 0 is never a node, so here it stands for a cut.
        let node = |number: &u32| (*number != 0).then_some(NodeId(*number));
        PathInfo { hops, path: nodes.iter().map(node).collect() }
    }

    fn banana() -> MessageInfo {
        MessageInfo {
            id: MessageId::new(8, 1, 1),
            payload: b"banana\n".into(),
            sent_at: Wall(1_785_499_402_000_000_000),
            received_at: Wall(1_785_499_402_000_412_000),
            unread: true,
            relays: 3,
            hops: 2,
            repaired: false,
            paths: vec![
                path(2, &[8, 9, 10]),
                path(30, &[8, 7, 0, 10]),
                path(2, &[8, 3, 10]),
                path(4, &[8, 9, 8, 9, 10]),
            ],
            copies_sent: 3,
            copies_received: 4,
            repairs_sent: 0,
            bytes_sent: 100,
        }
    }

    fn shown(paths: Paths, detail: Detail) -> String {
        text(&banana(), paths, detail, &TimeZone::UTC, Style::default())
    }

    #[test]
    fn a_message_is_shown_with_all_its_paths() {
        assert_eq!(
            shown(Paths::All, Detail::None),
            "8.1  banana\\n\n    8 ➜ 9 ➜ 10  (2 hops)\n    8 ➜ 7 ➜ … ➜ 10  (30 hops)\n    \
             8 ➜ 3 ➜ 10  (2 hops)\n    8 ➜ 9 ➜ 8 ➜ 9 ➜ 10  (4 hops)\n"
        );
    }

    #[test]
    fn ties_for_shortest_and_longest_are_all_shown() {
        let shortest = "    8 ➜ 9 ➜ 10  (2 hops)\n    8 ➜ 3 ➜ 10  (2 hops)\n";
        let longest = "    8 ➜ 7 ➜ … ➜ 10  (30 hops)\n";
        let head = "8.1  banana\\n\n";
        assert_eq!(shown(Paths::Shortest, Detail::None), format!("{head}{shortest}"));
        assert_eq!(shown(Paths::Longest, Detail::None), format!("{head}{longest}"));
        let both = shown(Paths::ShortestAndLongest, Detail::None);
        assert_eq!(both, format!("{head}{shortest}{longest}"));
    }

    #[test]
    fn one_path_that_is_both_is_shown_once() {
        let one = [path(1, &[8, 9])];
        assert_eq!(Paths::ShortestAndLongest.of_those(&one).len(), 1);
        assert_eq!(Paths::ShortestAndLongest.of_those(&[]).len(), 0);
    }

    #[test]
    fn time_and_latency_come_before_the_text() {
        let first = |detail| shown(Paths::Shortest, detail).lines().next().unwrap().to_string();
        assert_eq!(first(Detail::Time), "8.1  12:03:22  banana\\n");
        assert_eq!(first(Detail::TimeAndDate), "8.1  12:03:22 2026-07-31  +412 µs  banana\\n");
        assert_eq!(first(Detail::DateFirst), "8.1  2026-07-31 12:03:22 +00:00  +412 µs  banana\\n");
    }

    #[test]
    fn json_is_what_was_promised() {
        let document = json(NodeId(10), &[banana()], Paths::Longest);
        let promised = json!({ "node": 10, "messages": [{
            "id": "8.1", "text": "banana\n", "origin": 8,
            "sent_at": "2026-07-31T12:03:22.000000000Z",
            "received_at": "2026-07-31T12:03:22.000412000Z",
            "latency_us": 412, "unread": true, "hops": 2, "paths": [[8, 7, null, 10]],
        }]});
        assert_eq!(document, promised);
    }
}
