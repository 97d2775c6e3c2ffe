//! `show-network`.

use crate::cli::render::network_text::{self as render, NodeState, NodeView};
use crate::cli::render::time_text::TimeZone;
use crate::cli::{Error, Global, output, questions};
use crate::control::{Request, Response};
use crate::network::{NodeRecord, Record, StateDir};

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip show-network
  gossip show-network --json | jq .totals.counters";

/// Asks every live node how it is, and shows them all.
pub(crate) fn run(global: &Global) -> Result<(), Error> {
    let record = StateDir::from_env()?.load(&global.network)?;
    let nodes = views(&record);
    if global.json {
        output::json(&render::show_json(&record, &nodes))
    } else {
        output::result(&render::show_text(&record, &nodes, &TimeZone::system()))
    }
}

/// Every node of the network, with what the live ones say. One that does not answer is no error
/// here: to find out is what the command is for.
pub(crate) fn views(record: &Record) -> Vec<NodeView<'_>> {
    let is_live = |node: &&NodeRecord| record.is_running(node);
    let live: Vec<&NodeRecord> = record.nodes.iter().filter(is_live).collect();
    let mut answers = live.iter().zip(questions::all(record, &live, &Request::Status)).peekable();
    let mut views = Vec::with_capacity(record.nodes.len());
    for node in &record.nodes {
        let answer = answers.next_if(|(asked, _)| asked.node == node.node);
        let (state, status) = match answer {
            Some((_, Ok(Response::Status(status)))) => (NodeState::Up, Some(*status)),
            None if node.removed => (NodeState::Removed, None),
            // It may have been paused, or have ended, while it was asked.
            _ if record.is_paused(node) => (NodeState::Paused, None),
            Some(_) if record.is_up(node) => (NodeState::Silent, None),
            _ => (NodeState::Down, None),
        };
        views.push(NodeView { record: node, state, status });
    }
    views
}
