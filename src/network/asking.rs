//! Asking many nodes at once.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::ports;
use crate::control::client::{self, Client};
use crate::control::{Request, Response, Token};
use crate::protocol::NodeId;

/// How many nodes are asked at the same time.
const WORKERS: usize = 16;

/// What is asked of one node, given its UDP address.
pub(super) type Question = (NodeId, SocketAddr, Request);

/// What one of them answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) node: NodeId,
    pub(super) response: Result<Response, client::Error>,
}

/// Asks every node, in no particular order; the channel ends after the last answer.
///
/// Who loses patience drops the receiver: the workers end with the question they are at, which
/// `timeout` bounds, and nobody waits for them.
pub(super) fn all(
    nodes: Vec<(NodeId, SocketAddr)>,
    token: Token,
    request: &Request,
    timeout: Duration,
) -> io::Result<Receiver<Answer>> {
    let question = |(node, addr)| (node, addr, request.clone());
    each(nodes.into_iter().map(question).collect(), token, timeout)
}

/// Asks every node its own question; else as [`all`].
pub(super) fn each(
    questions: Vec<Question>,
    token: Token,
    timeout: Duration,
) -> io::Result<Receiver<Answer>> {
    let (to_ask, asked) = unbounded();
    let (to_answer, answers) = unbounded();
    let workers = WORKERS.min(questions.len());
    for question in questions {
        to_ask.send(question).expect("both ends of the channel are here");
    }
    drop(to_ask);
    for _ in 0..workers {
        let (asked, to_answer) = (asked.clone(), to_answer.clone());
        thread::Builder::new()
            .name("ask".to_owned())
            .spawn(move || work(&asked, &to_answer, token, timeout))?;
    }
    Ok(answers)
}

fn work(asked: &Receiver<Question>, to_answer: &Sender<Answer>, token: Token, timeout: Duration) {
    for (node, addr, request) in asked {
        let response = one(addr, &token, &request, timeout);
        if to_answer.send(Answer { node, response }).is_err() {
            return;
        }
    }
}

/// Asks one node, given its UDP address.
pub(super) fn one(
    addr: SocketAddr,
    token: &Token,
    request: &Request,
    timeout: Duration,
) -> Result<Response, client::Error> {
    Client::connect(ports::control_addr(addr), token, timeout)?.ask(request)
}
