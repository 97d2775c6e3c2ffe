//! `watch-network`: what happens at every node, as it happens, until somebody has seen enough.
//!
//! The nodes push their events. Which nodes there are, the network's record says, whose changes
//! the system tells of; so nothing here asks again and again.

use std::thread;

use crossbeam_channel::{Receiver, after, bounded, never, select};

use crate::cli::follow::{self, Followers, Told};
use crate::cli::interrupt::{self, Interrupt};
use crate::cli::render::count;
use crate::cli::render::time_text::TimeZone;
use crate::cli::{Error, Global, output, survey};
use crate::network::{self, Changes, Record, StateDir, TooFewFiles};
use crate::protocol::{Event, NodeId};

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip watch-network
  gossip watch-network --count 100
  gossip watch-network --json | jq -c 'select(.event == \"delivered\") | [.node, .id, .hops]'

One line for each event: a message accepted or delivered (with its hops, and the time since its
sending), a peer suspected, dead, heard from (again) or gone, a link made or given up, a limit hit
for the first time. Nodes that are added or started later are watched, too. With --json each line
is a document: {\"at\": …, \"node\": 9, \"event\": \"delivered\", \"id\": \"8.1\", …}.

Nodes push what happens, and never wait for watchers: on a busy machine watching comes last.
What comes too fast is not shown, and a line says how much that was. Ctrl-C ends it.";

/// Enough to wait.
const STACK_BYTES: usize = 64 << 10;

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
    let changes = told_of(state.changes(&global.network)?);
    let record = state.load(&global.network)?;
    allow(&record)?;
    let reader_left = output::reader_left();
    let expected = record.nodes.iter().filter(|node| record.is_running(node)).count();
    if expected == 0 {
        return Err(survey::no_answer(&record));
    }
    let mut watch = Watch {
        global,
        ready,
        zone: TimeZone::system(),
        followers: Followers::new(),
        left: enough,
        expected,
        followed: 0,
        stranger: false,
    };
    watch.followers.follow(record)?;
    loop {
        select! {
            recv(interrupt.signals) -> _ => return Ok(()),
            recv(reader_left) -> _ => return Ok(()),
            recv(changes) -> _ => watch.look_for_nodes(&state)?,
            recv(watch.followers.told) -> told => {
                let Ok(told) = told else { return Ok(()) };
                watch.show(told, interrupt)?;
                if interrupt.seen() || watch.left == 0 {
                    return Ok(());
                }
                if watch.stranger {
                    watch.look_for_nodes(&state)?;
                }
                if watch.followers.len() == 0 {
                    output::note("no node is left");
                    return Ok(());
                }
                // Lines gather meanwhile, so that few large writes do.
                select! {
                    recv(interrupt.signals) -> _ => return Ok(()),
                    recv(after(follow::PAUSE)) -> _ => {}
                }
            }
        }
    }
}

struct Watch<'a> {
    global: &'a Global,
    ready: &'a dyn Fn(u64) -> String,
    zone: TimeZone,
    followers: Followers,
    /// How many more events to show.
    left: u64,
    /// How many nodes are followed from the start, and did not answer yet.
    expected: usize,
    /// How many of them did.
    followed: u64,
    /// A node was heard of that is not followed.
    stranger: bool,
}

impl Watch<'_> {
    /// Writes what was told, and what waits behind it.
    fn show(&mut self, first: (NodeId, Told), interrupt: &Interrupt) -> Result<(), Error> {
        let Self { global, ready, zone, followers, left, expected, followed, stranger } = self;
        let mut gone = Vec::new();
        let begins = *expected > 0;
        let text = followers.batch(first, |node, told| {
            match &told {
                Told::Followed if *expected > 0 => {
                    *expected -= 1;
                    *followed += 1;
                    return String::new();
                }
                Told::Gone(process) => {
                    gone.push((node, *process));
                    *expected = expected.saturating_sub(1);
                }
                // A node that was paused as we began, for instance.
                Told::Event {
                    event: Event::PeerAlive { node } | Event::LinkMade { node }, ..
                } => {
                    *stranger |= !followers.follows(*node);
                }
                _ => {}
            }
            if *left == 0 {
                return String::new();
            }
            *left -= u64::from(matches!(told, Told::Event { .. }));
            follow::line(global.json, zone, node, &told)
        });
        if !text.is_empty() {
            output::result_until(&text, interrupt)?;
        }
        if begins && *expected == 0 && *followed > 0 {
            output::note(&ready(*followed));
        }
        for (node, process) in gone {
            followers.forget(node, process);
        }
        Ok(())
    }

    /// Follows nodes that came, or came back.
    fn look_for_nodes(&mut self, state: &StateDir) -> Result<(), Error> {
        self.stranger = false;
        // Where it cannot be read, or is gone, those who are followed say the rest.
        let Ok(record) = state.load(&self.global.network) else { return Ok(()) };
        allow(&record)?;
        self.followers.follow(record)
    }
}

/// A message for each change of the network's record.
fn told_of(mut changes: Changes) -> Receiver<()> {
    let (tell, told) = bounded(1);
    let wait = move || {
        while changes.wait() {
            // One that waits tells of all.
            let _ = tell.try_send(());
        }
        // The end of the channel would be taken for a change.
        std::mem::forget(tell);
    };
    match thread::Builder::new().name("changes".into()).stack_size(STACK_BYTES).spawn(wait) {
        Ok(_) => told,
        // Nodes that come later are met by what others say of them.
        Err(_) => never(),
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
