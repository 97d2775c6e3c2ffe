//! `trace-message`.

use std::io;

use super::plot_network::Pictures;
use crate::cli::render::spread_text as render;
use crate::cli::render::time_text::TimeZone;
use crate::cli::render::tree_text::View;
use crate::cli::render::{Style, count};
use crate::cli::{Error, Global, output, survey};
use crate::control::client::Client;
use crate::control::{Request, Response};
use crate::network::{Record, StateDir};
use crate::protocol::{Holding, MessageId, MessageQuery, PeerInfo, Which};
use crate::spread::{Said, Trace};

/// How many of a node's last messages are looked at to find the one that was sent last: they
/// arrive in another order than they were sent. So few that they fit a page.
const LAST_MESSAGES: u64 = 4;

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip trace-message last
  gossip trace-message 8.1
  gossip trace-message 8.1 3.7 --full
  gossip trace-message last --dot tree.svg
  gossip trace-message last --dot - | dot -Tpdf > tree.pdf
  gossip trace-message 8.1 3.7 --html spread.html
  gossip trace-message last --json | jq '.traces[0].figures'

Asks all live nodes when, from whom and over which path they got a message. Times count from its
sending. The tree shows who infected whom: a run of nodes without a branch on one line, nodes that
infected nobody behind one another; without --full it is cut to what fits a screen.

Nodes that were added or started again after the sending got the message when they came: they count
like all others, so times to reach the last few of the nodes may be minutes.

A figure's floor is what no protocol can do without: as many hops as links lie between the origin
and the farthest node, one copy for each node but the origin, the text once for each of them. Where
links have changed since so that less was enough, no floor is given. Its theory is the flood
without loss over the links in use now: 2·|E|·R copies where every node has two neighbours or more,
fewer by an exact number where there are leaves; and times of as many hops as lie between the
origin and that share of the nodes, each as long as the median hop. Bytes are those of the copies' frames, exactly, as
their senders counted them.";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which messages: ids as send-message prints them, or `last` for the newest
    #[arg(value_name = "ID", required = true, value_parser = wanted)]
    ids: Vec<Wanted>,
    /// Show the whole tree, whatever its size
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    pictures: Pictures,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Last,
    Id(MessageId),
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if text == "last" {
        return Ok(Wanted::Last);
    }
    text.parse().map(Wanted::Id).map_err(|error| format!("{error}; `last` is the newest message"))
}

/// Shows how messages spread.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let record = StateDir::from_env()?.load(&global.network)?;
    args.pictures.check(args.ids.len(), global.json)?;
    let traces = traces(&record, &args.ids)?;
    args.pictures.write(&record, &traces)?;
    if args.pictures.to_stdout() {
        return Ok(());
    }
    if global.json {
        return output::json(&render::document(&record.name, &traces));
    }
    let view = View {
        zone: TimeZone::system(),
        style: Style { colour: output::wants_colour(&io::stdout()) },
        width: output::width(),
        full: args.full,
    };
    output::result(&render::text(&traces, &view))
}

/// Asks for each message once, in the order in which they were named.
fn traces(record: &Record, wanted: &[Wanted]) -> Result<Vec<Trace>, Error> {
    let mut ids: Vec<MessageId> = Vec::new();
    for wanted in wanted {
        let id = match wanted {
            Wanted::Id(id) => *id,
            Wanted::Last => newest(record)?,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let about = ids.clone();
    let asked = survey::all(record, move |client| say(client, &about));
    let answered = asked.iter().filter(|node| node.answer.is_some()).count();
    if answered == 0 {
        return Err(survey::no_answer(record));
    }
    let faults = survey::faults(record);
    let trace = |(at, id): (usize, &MessageId)| {
        let said = asked.iter().map(|node| {
            let (peers, holdings) = node.answer.clone().unwrap_or_default();
            let holding = holdings.into_iter().nth(at);
            Said { node: node.record.node, state: node.state, holding, peers }
        });
        let said: Vec<Said> = said.collect();
        let traced = Trace::of(&record.name, *id, said.clone(), &faults);
        traced.ok_or_else(|| not_held(record, *id, &said, answered))
    };
    ids.iter().enumerate().map(trace).collect()
}

/// Asks one node for its links, and for what it has of each of these messages.
fn say(client: &mut Client, ids: &[MessageId]) -> survey::Said<(Vec<PeerInfo>, Vec<Holding>)> {
    let Some(peers) = survey::peers(client)? else { return Ok(None) };
    let mut holdings = Vec::with_capacity(ids.len());
    for id in ids {
        let Response::Message(holding) = client.ask(&Request::Message(*id))? else {
            return Ok(None);
        };
        holdings.push(holding);
    }
    Ok(Some((peers, holdings)))
}

/// Finds the message that was sent last, of all that any node holds, by its origin's clock.
fn newest(record: &Record) -> Result<MessageId, Error> {
    let query = MessageQuery { which: Which::All, last: Some(LAST_MESSAGES), after: None };
    let asked = survey::all(record, move |client| match client.ask(&Request::Messages(query))? {
        Response::Messages(page) => Ok(Some(page.messages)),
        _ => Ok(None),
    });
    let pages: Vec<_> = asked.into_iter().filter_map(|node| node.answer).collect();
    if pages.is_empty() {
        return Err(survey::no_answer(record));
    }
    let newest = pages.into_iter().flatten().max_by_key(|info| (info.sent_at, info.id));
    newest.map(|info| info.id).ok_or_else(|| {
        Error::failed(
            "there is no message to trace",
            format!("no live node of network {} holds any", record.name),
            "`gossip send-message 1 banana` sends one",
        )
    })
}

/// Nobody holds the message: it never was, or it is gone.
fn not_held(record: &Record, id: MessageId, said: &[Said], answered: usize) -> Error {
    let gone = said.iter().filter(|said| said.holding == Some(Holding::Gone)).count();
    let origin = id.origin.node;
    if gone > 0 {
        let know = count(gone as u64, "node") + if gone == 1 { " knows" } else { " know" };
        return Error::failed(
            format!("message {id} is no longer held by any node"),
            format!("{know} of it and let it go, by the limits on what a node keeps"),
            "start the network with a higher `--limit messages-max=…` or `retained-bytes-max`",
        );
    }
    let next = match record.find_up(origin) {
        Ok(_) => {
            format!("`gossip get-messages {origin}` shows the messages that node {origin} holds")
        }
        // There is nothing to ask: it never was, or is gone.
        Err(_) => "`gossip show-network` shows all nodes, and how many messages each holds".into(),
    };
    let answered = count(answered as u64, "node");
    let why = format!("none of the {answered} that answered ever met it");
    Error::failed(format!("there is no message {id}"), why, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_meant_by_its_id_or_as_the_last_one() {
        assert_eq!(wanted("last"), Ok(Wanted::Last));
        assert_eq!(wanted("8.1@2"), Ok(Wanted::Id(MessageId::new(8, 2, 1))));
        assert!(wanted("8").unwrap_err().contains("looks like 8.1"));
        assert!(wanted("newest").unwrap_err().contains("`last`"));
    }
}
