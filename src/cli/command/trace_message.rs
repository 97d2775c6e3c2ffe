//! `trace-message`.

use std::io;

use super::plot_network::Pictures;
use crate::cli::render::spread_text::{self as render, View};
use crate::cli::render::time_text::TimeZone;
use crate::cli::render::{Style, count};
use crate::cli::survey::{self, Survey};
use crate::cli::{Error, Global, output};
use crate::network::{Record, StateDir};
use crate::protocol::{Holding, MessageId};
use crate::spread::{Said, Trace};

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
exactly so many fewer where there are leaves; and times of so many hops as the nearest so many
nodes are away, each as long as the median hop. Bytes are those of the copies' frames, exactly, as
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
    match text {
        "last" => Ok(Wanted::Last),
        id => match id.parse() {
            Ok(id) => Ok(Wanted::Id(id)),
            Err(error) => Err(format!("{error}; `last` is the newest message")),
        },
    }
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
            Wanted::Last => survey::newest(record)?.ok_or_else(|| no_message(record))?,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let survey = Survey::of(record, &ids);
    if survey.answered() == 0 {
        return Err(survey::no_answer(record));
    }
    let trace = |(at, id): (usize, &MessageId)| {
        let said = survey.said(at);
        let traced = Trace::of(&record.name, *id, said.clone(), survey.faults());
        traced.ok_or_else(|| not_held(record, *id, &said, survey.answered()))
    };
    ids.iter().enumerate().map(trace).collect()
}

fn no_message(record: &Record) -> Error {
    Error::failed(
        "there is no message to trace",
        format!("no live node of network {} holds any", record.name),
        "`gossip send-message 1 banana` sends one",
    )
}

/// Nobody holds the message: it never was, or it is gone.
fn not_held(record: &Record, id: MessageId, said: &[Said], answered: usize) -> Error {
    let gone = said.iter().filter(|said| said.holding == Some(Holding::Gone)).count();
    let origin = id.origin.node;
    if gone > 0 {
        return Error::failed(
            format!("message {id} is no longer held by any node"),
            format!(
                "{} of it and let it go, by the limits on what a node keeps",
                count(gone as u64, "node") + if gone == 1 { " knows" } else { " know" },
            ),
            "start the network with a higher `--limit messages-max=…` or `retained-bytes-max`",
        );
    }
    Error::failed(
        format!("there is no message {id}"),
        format!("none of the {} that answered ever met it", count(answered as u64, "node")),
        match record.find_up(origin) {
            Ok(_) => {
                format!(
                    "`gossip get-messages {origin}` shows the messages that node {origin} holds"
                )
            }
            // There is nothing to ask: it never was, or is gone.
            Err(_) => {
                "`gossip show-network` shows all nodes, and how many messages each holds".into()
            }
        },
    )
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
