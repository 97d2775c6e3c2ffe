//! `start-network --foreground`: what happens at every node, as it happens.
//!
//! One thread per node waits for that node's events; a channel brings them together, so that
//! one thread writes them, whole lines in the order of arrival.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use jiff::tz::TimeZone;
use serde_json::json;

use super::interrupt::Interrupt;
use super::render::{count, escape, event};
use super::{Error, Global, output};
use crate::control::{Request, Response};
use crate::network::Record;
use crate::protocol::{Event, NodeId, Wall};
use crate::runtime::clock;

/// Events that wait to be written. Beyond it the nodes' subscriptions fall behind, which the
/// nodes notice, and say how many events that cost.
const WAITING_MAX: usize = 10_000;

/// A follower does little: small stacks let a thousand of them be.
const STACK_BYTES: usize = 256 << 10;

/// How long one wait for an event takes at most, before it is simply repeated.
const WAIT: Duration = Duration::from_secs(3600);

enum Told {
    Event {
        at: Wall,
        event: Event,
        lost: u64,
    },
    /// The node hung up: it is dead, or was removed.
    Gone,
}

/// Shows what happens until a signal comes. Ends, too, when all nodes are gone, and when nobody
/// reads any more. Whichever it is, the network has to be stopped then.
pub(super) fn run(global: &Global, record: Record, interrupt: &Interrupt) -> Result<(), Error> {
    let told = follow_all(record)?;
    output::note("Ctrl-C stops the network");
    show(global, &told, interrupt)
}

fn show(
    global: &Global,
    told: &Receiver<(NodeId, Told)>,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let zone = TimeZone::system();
    loop {
        select! {
            recv(interrupt.signals) -> _ => return Ok(()),
            recv(told) -> told => match told {
                Ok((node, told)) => output::result(&line(global, &zone, node, told))?,
                Err(_) => {
                    output::note("no node is left");
                    return Ok(());
                }
            },
        }
    }
}

fn line(global: &Global, zone: &TimeZone, node: NodeId, told: Told) -> String {
    match told {
        Told::Event { at, event, .. } if global.json => {
            escape::json(&event::json(at, node, &event))
        }
        Told::Event { at, event, lost } => {
            let mut line = event::text(zone, at, node, &event);
            if lost > 0 {
                let lost = count(lost, "event");
                line.insert_str(
                    0,
                    &format!("          node {node}  was too fast: {lost} not shown\n"),
                );
            }
            line
        }
        Told::Gone if global.json => escape::json(&json!({ "node": node, "event": "gone" })),
        Told::Gone => event::line(zone, clock::now().wall, node, "is gone"),
    }
}

/// One follower per node. The channel ends when all nodes are gone.
fn follow_all(record: Record) -> Result<Receiver<(NodeId, Told)>, Error> {
    let (tell, told) = bounded(WAITING_MAX);
    let nodes: Vec<NodeId> = record.nodes.iter().map(|node| node.node).collect();
    let record = Arc::new(record);
    for node in nodes {
        let (record, tell) = (Arc::clone(&record), tell.clone());
        let named = thread::Builder::new().name(format!("node-{node}")).stack_size(STACK_BYTES);
        let followed = named.spawn(move || {
            follow(&record, node, &tell);
            let _ = tell.send((node, Told::Gone));
        });
        followed.map_err(|error| {
            Error::failed(
                "cannot follow every node",
                format!("the system allows no more threads: {error}"),
                "raise `ulimit -u`, or leave out --foreground",
            )
        })?;
    }
    Ok(told)
}

/// Hands on a node's events until it hangs up.
fn follow(record: &Record, node: NodeId, tell: &Sender<(NodeId, Told)>) -> Option<()> {
    let mut client = record.connect(node).ok()?;
    let mut response = Some(client.ask(&Request::Subscribe).ok()?);
    loop {
        match response {
            Some(Response::Event { at, event, lost }) => {
                tell.send((node, Told::Event { at: Wall(at), event, lost })).ok()?;
            }
            // The subscription stands, or the wait was too short.
            Some(Response::Done) | None => {}
            Some(_) => return None,
        }
        response = client.next(WAIT).ok()?;
    }
}
