//! Questions to nodes: one, or all of a network at once.

use std::thread;

use crossbeam_channel as channel;

use crate::cli::Error;
use crate::control::client::{self, Client};
use crate::control::{Request, Response};
use crate::network::{NodeRecord, Record};
use crate::protocol::NodeId;

/// How many nodes are asked at the same time.
const WORKERS_MAX: usize = 32;

/// Asks one node one question.
pub(crate) fn one(record: &Record, node: NodeId, request: &Request) -> Result<Response, Error> {
    talk(record, node, |client| client.ask(request))
}

/// Asks each node the same; the answers come in the order of `nodes`.
pub(crate) fn all(
    record: &Record,
    nodes: &[&NodeRecord],
    request: &Request,
) -> Vec<Result<Response, Error>> {
    each(nodes, |node| one(record, node, request))
}

/// Has the same conversation with each node, over one connection; else as [`all`]. A node that
/// answers something else (`None`) gives no good answer.
pub(crate) fn converse<T: Send>(
    record: &Record,
    nodes: &[&NodeRecord],
    say: impl Fn(&mut Client) -> Result<Option<T>, client::Error> + Sync,
) -> Vec<Result<T, Error>> {
    each(nodes, |node| talk(record, node, &say)?.ok_or_else(|| Error::other_answer(node)))
}

fn talk<T>(
    record: &Record,
    node: NodeId,
    say: impl FnOnce(&mut Client) -> Result<T, client::Error>,
) -> Result<T, Error> {
    let mut client = record.connect(node)?;
    say(&mut client).map_err(|error| Error::no_answer(node, &error))
}

/// A few workers take node by node, so that a thousand nodes are asked quickly, and one that is
/// stopped delays nobody but itself.
fn each<T: Send>(
    nodes: &[&NodeRecord],
    ask: impl Fn(NodeId) -> Result<T, Error> + Sync,
) -> Vec<Result<T, Error>> {
    let (jobs, next_job) = channel::unbounded();
    for index in 0..nodes.len() {
        let _ = jobs.send(index);
    }
    drop(jobs);
    let (results, answers) = channel::unbounded();
    let work = || {
        for index in &next_job {
            let _ = results.send((index, ask(nodes[index].node)));
        }
    };
    thread::scope(|scope| {
        for number in 1..WORKERS_MAX.min(nodes.len()) {
            let named = thread::Builder::new().name(format!("ask-{number}"));
            // Fewer threads than hoped for only means that it takes longer.
            let _ = named.spawn_scoped(scope, work);
        }
        work();
    });
    drop(results);
    let mut answers: Vec<_> = answers.iter().collect();
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
