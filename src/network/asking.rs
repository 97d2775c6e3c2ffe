//! Asking many nodes at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};

use super::ports;
use super::{CONTROL_TIMEOUT, NodeRecord, Record};
use crate::control::client::{self, Client};
use crate::control::{Request, Response, Token};
use crate::protocol::{Key, NodeId};

/// How many nodes are asked at the same time.
const WORKERS: usize = 32;

/// One node's answer.
pub(super) type Answer<T> = (NodeId, Result<T, client::Error>);

/// Has a conversation with each node, given its UDP address and what it is about, in no particular
/// order; the channel ends after the last answer.
///
/// A few workers take node by node, so that a thousand nodes are asked quickly, and one that is
/// stopped delays nobody but itself. A caller that loses patience drops the receiver: the workers
/// end with the conversation they are at, each wait of which `timeout` bounds, and nobody waits
/// for them.
pub(super) fn each<Q: Send + 'static, T: Send + 'static>(
    nodes: impl IntoIterator<Item = (NodeId, SocketAddr, Q)>,
    key: &Key,
    timeout: Duration,
    say: impl Fn(&mut Client, Q) -> Result<T, client::Error> + Clone + Send + 'static,
) -> Receiver<Answer<T>> {
    let (token, (to_ask, asked), (to_answer, answers)) = (Token::of(key), unbounded(), unbounded());
    nodes.into_iter().for_each(|node| to_ask.send(node).expect("both ends are here"));
    let workers = WORKERS.min(to_ask.len());
    drop(to_ask);
    let work = move || {
        for (node, addr, about) in asked {
            let client = Client::connect(ports::control_addr(addr), &token, timeout);
            let answer = client.and_then(|mut client| say(&mut client, about));
            if to_answer.send((node, answer)).is_err() {
                return;
            }
        }
    };
    for number in 0..workers {
        let spawned = thread::Builder::new().name("ask".to_owned()).spawn(work.clone());
        // Fewer threads than hoped for only means that it takes longer.
        if spawned.is_err() && number == 0 {
            work.clone()();
        }
    }
    answers
}

impl Record {
    /// Asks one node, given its UDP address.
    pub(super) fn ask(
        &self,
        addr: SocketAddr,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, client::Error> {
        Client::connect(ports::control_addr(addr), &Token::of(&self.key), timeout)?.ask(request)
    }

    /// Has the same conversation with each of these nodes, over one connection each. Returns what
    /// those of them said that gave a good answer.
    pub fn ask_each<'a, T: Send + 'static>(
        &self,
        nodes: impl IntoIterator<Item = &'a NodeRecord>,
        say: impl Fn(&mut Client) -> Result<Option<T>, client::Error> + Clone + Send + 'static,
    ) -> BTreeMap<NodeId, T> {
        let nodes = nodes.into_iter().map(|node| (node.node, node.addr, ()));
        let answers = each(nodes, &self.key, CONTROL_TIMEOUT, move |client, ()| say(client));
        answers.iter().filter_map(|(node, answer)| Some((node, answer.ok()??))).collect()
    }

    /// Has each node do something; names those that did not.
    pub(super) fn tell_each(&self, orders: Vec<(NodeId, SocketAddr, Request)>) -> Vec<NodeId> {
        let answers = each(orders, &self.key, CONTROL_TIMEOUT, |client, order| client.ask(&order));
        let failed = answers.iter().filter(|(_, answer)| !matches!(answer, Ok(Response::Done)));
        let mut deaf: Vec<NodeId> = failed.map(|(node, _)| node).collect();
        // One that ended meanwhile has nothing to be told any more.
        deaf.retain(|node| self.find(*node).is_ok_and(|node| self.is_up(node)));
        deaf.sort_unstable();
        deaf
    }
}
