//! `watch-network`: what happens at every node, as it happens, until somebody has seen enough.
//!
//! The nodes push their events. Which nodes there are, the network's record says, whose changes
//! the system tells of; so nothing here asks again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, select};
use serde_json::json;

use crate::cli::follow::{self, Told};
use crate::cli::interrupt::{self, Interrupt};
use crate::cli::render::time_text::TimeZone;
use crate::cli::render::{count, event_text};
use crate::cli::{Error, Global, output, survey};
use crate::network::{self, ProcessId, Record, StateDir, TooFewFiles};
use crate::protocol::{Event, NodeId, Wall};
use crate::runtime::clock;

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip watch-network
  gossip watch-network --count 100
  gossip watch-network --json | jq -c 'select(.event == \"delivered\") | [.node, .id, .hops]'

One line for each event: a message accepted or delivered (with its hops, and the time since its
sending), a peer suspected, dead, heard from (again) or gone, a link made or given up, a limit hit
for the first time. Nodes that are added or started later are watched, too. With --json each line
is a document: {\"at\": …, \"node\": 9, \"event\": \"delivered\", \"id\": \"8.1\", …}.

Nodes push what happens, and never wait for subscribers: on a busy machine watching comes last.
Events that come too fast are not shown, and a line says how many they were. Ctrl-C ends it.";

/// How many events may wait to be written. Further ones are lost, and counted.
const WAITING_MAX: usize = 16_384;
/// About how many bytes are written at once.
const BATCH_BYTES: usize = 512 << 10;
/// How long the line of an event is, about, without the text of a message.
const LINE_BYTES: usize = 60;
/// How long to let lines gather before the next are written.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End after this many events
    #[arg(short = 'n', long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// Shows events until Ctrl-C, or until there were enough of them.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    StateDir::from_env()?.load(&global.network)?;
    follow::yield_to_nodes();
    let ready = |followed| {
        let nodes = count(followed, "node");
        format!("watching {nodes} of network {}; Ctrl-C ends it", global.network)
    };
    watch(global, &interrupt::watch()?, args.count.unwrap_or(u64::MAX), &ready)
}

/// Shows events until a signal comes, until there were enough of them, until nobody reads any
/// more, or until no node is left. `ready` says, of the number of nodes, that all of those that
/// run are heard from now on.
pub(crate) fn watch(
    global: &Global,
    interrupt: &Interrupt,
    enough: u64,
    ready: &dyn Fn(u64) -> String,
) -> Result<(), Error> {
    let state = StateDir::from_env()?;
    // First the changes, then the record: so none is missed in between.
    // Without news of it, nodes that come later are met by what others say of them.
    let mut changes = state.changes(&global.network)?;
    let changes = interrupt::notices("changes", move || changes.wait());
    let record = state.load(&global.network)?;
    allow(&record)?;
    let reader_left = output::reader_left();
    let expected = record.nodes.iter().filter(|node| record.is_running(node)).count();
    if expected == 0 {
        return Err(survey::no_answer(&record));
    }
    let (tell, told) = bounded(WAITING_MAX);
    let mut watch = Watch {
        global,
        ready,
        zone: TimeZone::system(),
        tell,
        followed: BTreeMap::new(),
        left: enough,
        expected,
        joined: 0,
        stranger: false,
    };
    watch.follow(record)?;
    loop {
        select! {
            recv(interrupt.signals) -> _ => return Ok(()),
            recv(reader_left) -> _ => return Ok(()),
            recv(changes) -> _ => watch.look_for_nodes(&state)?,
            recv(told) -> first => {
                let Ok(first) = first else { return Ok(()) };
                watch.show(batch(first, &told), interrupt)?;
                if interrupt.seen() || watch.left == 0 {
                    return Ok(());
                }
                if watch.stranger {
                    watch.look_for_nodes(&state)?;
                }
                if watch.followed.is_empty() {
                    output::note("no node is left");
                    return Ok(());
                }
                // Lines gather meanwhile, so that few large writes do.
                select! {
                    recv(interrupt.signals) -> _ => return Ok(()),
                    recv(after(PAUSE)) -> _ => {}
                }
            }
        }
    }
}

/// All that waits behind the first, up to about a batch's size. Events come in the order of their
/// time: the nodes share a clock.
fn batch(first: (NodeId, Told), told: &Receiver<(NodeId, Told)>) -> Vec<(NodeId, Told)> {
    let mut waiting = vec![first];
    let mut bytes = 0;
    while bytes < BATCH_BYTES
        && let Ok((node, told)) = told.try_recv()
    {
        bytes += LINE_BYTES;
        if let Told::Event { event, .. } = &told {
            bytes += event.payload().len();
        }
        waiting.push((node, told));
    }
    // News of nodes stay where they are between the events.
    let mut at = Wall(0);
    waiting.sort_by_cached_key(|(_, told)| {
        if let Told::Event { at: time, .. } = told {
            at = *time;
        }
        at
    });
    waiting
}

struct Watch<'a> {
    global: &'a Global,
    ready: &'a dyn Fn(u64) -> String,
    zone: TimeZone,
    /// The channel that each follower tells into.
    tell: Sender<(NodeId, Told)>,
    /// The nodes that are followed.
    followed: BTreeMap<NodeId, ProcessId>,
    /// How many more events to show.
    left: u64,
    /// How many nodes are followed from the start, and did not answer yet.
    expected: usize,
    /// How many of them did.
    joined: u64,
    /// A node was heard of that is not followed.
    stranger: bool,
}

impl Watch<'_> {
    /// Follows each node of this record that runs and is not followed yet.
    fn follow(&mut self, record: Record) -> Result<(), Error> {
        let record = Arc::new(record);
        for node in record.nodes.iter().filter(|node| record.is_running(node)) {
            if self.followed.get(&node.node) != Some(&node.process) {
                follow::start(&record, node, &self.tell)?;
                self.followed.insert(node.node, node.process);
            }
        }
        Ok(())
    }

    /// Writes what was told.
    fn show(&mut self, told: Vec<(NodeId, Told)>, interrupt: &Interrupt) -> Result<(), Error> {
        let begins = self.expected > 0;
        let text: String =
            told.into_iter().filter_map(|(node, told)| self.line(node, &told)).collect();
        if !text.is_empty() {
            output::result_until(&text, interrupt)?;
        }
        if begins && self.expected == 0 && self.joined > 0 {
            output::note(&(self.ready)(self.joined));
        }
        Ok(())
    }

    /// Takes note of what was told, and gives the line that shows it.
    fn line(&mut self, node: NodeId, told: &Told) -> Option<String> {
        match told {
            Told::Followed if self.expected > 0 => {
                self.expected -= 1;
                self.joined += 1;
                return None;
            }
            Told::Gone(process) => {
                self.expected = self.expected.saturating_sub(1);
                // It may have been started again, and be followed anew.
                self.followed.retain(|other, life| *other != node || life != process);
            }
            // A node that was paused as we began, for instance.
            Told::Event { event: Event::PeerAlive { node } | Event::LinkMade { node }, .. } => {
                self.stranger |= !self.followed.contains_key(node);
            }
            _ => {}
        }
        if self.left == 0 {
            return None;
        }
        self.left -= u64::from(matches!(told, Told::Event { .. }));
        Some(line(self.global.json, &self.zone, node, told))
    }

    /// Follows nodes that came, or came back.
    fn look_for_nodes(&mut self, state: &StateDir) -> Result<(), Error> {
        self.stranger = false;
        // Where it cannot be read, or is gone, those that are followed say the rest.
        let Ok(record) = state.load(&self.global.network) else { return Ok(()) };
        allow(&record)?;
        self.follow(record)
    }
}

/// One event or remark, as a line.
fn line(json: bool, zone: &TimeZone, node: NodeId, told: &Told) -> String {
    let (name, words) = match told {
        Told::Event { at, event } if json => return event_text::json(*at, node, event),
        Told::Event { at, event } => return event_text::text(zone, *at, node, event),
        Told::Followed => ("joined", "joined".into()),
        Told::Lost(Some(lost)) => {
            ("lost", format!("was too fast: {} not shown", count(*lost, "event")))
        }
        Told::Lost(None) => {
            ("lost", "was too fast for too long: nobody counted what is not shown".into())
        }
        Told::Gone(_) => ("gone", "is gone".into()),
    };
    let now = clock::now().wall;
    match told {
        _ if !json => event_text::line(zone, now, node, &words),
        Told::Lost(lost) => event_text::document(now, node, name, json!({ "count": lost })),
        _ => event_text::document(now, node, name, json!({})),
    }
}

/// Each node takes one open file.
fn allow(record: &Record) -> Result<(), Error> {
    let nodes = record.nodes.len() as u64;
    network::allow_files(nodes).map_err(|TooFewFiles { needed, limit }| {
        Error::failed(
            format!("cannot watch {nodes} nodes at once"),
            format!("{needed} files must be open for that, and the system allows {limit}"),
            format!("`ulimit -n {needed}` raises that limit"),
        )
    })
}
