//! Asking many nodes at once.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::ports;
use super::{CONTROL_TIMEOUT, Error, Record};
use crate::control::client::{self, Client};
use crate::control::{Request, Response, Token};
use crate::protocol::NodeId;

/// How many nodes are asked at the same time.
const WORKERS: usize = 16;

/// What is asked of one node, given its UDP address.
pub(super) type Question = (NodeId, SocketAddr, Request);

/// What one of them answered.
pub(super) type Answer = (NodeId, Result<Response, client::Error>);

/// Asks every node its question, in no particular order; the channel ends after the last answer.
///
/// A caller that loses patience drops the receiver: the workers end with the question they are
/// at, which `timeout` bounds, and nobody waits for them.
pub(super) fn each(
    questions: Vec<Question>,
    token: Token,
    timeout: Duration,
) -> Result<Receiver<Answer>, Error> {
    let (to_ask, asked) = unbounded();
    let (to_answer, answers) = unbounded();
    let workers = WORKERS.min(questions.len());
    for question in questions {
        to_ask.send(question).expect("both ends of the channel are here");
    }
    for _ in 0..workers {
        let (asked, to_answer) = (asked.clone(), to_answer.clone());
        thread::Builder::new()
            .name("ask".to_owned())
            .spawn(move || work(&asked, &to_answer, token, timeout))
            .map_err(|source| Error::System("start a thread", source))?;
    }
    Ok(answers)
}

fn work(asked: &Receiver<Question>, to_answer: &Sender<Answer>, token: Token, timeout: Duration) {
    for (node, addr, request) in asked {
        let client = Client::connect(ports::control_addr(addr), &token, timeout);
        let response = client.and_then(|mut client| client.ask(&request));
        if to_answer.send((node, response)).is_err() {
            return;
        }
    }
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

    /// Has each node do something; names those that did not.
    pub(super) fn tell_each(&self, questions: Vec<Question>) -> Result<Vec<NodeId>, Error> {
        let answers = each(questions, Token::of(&self.key), CONTROL_TIMEOUT)?;
        let failed = answers.iter().filter(|(_, answer)| !matches!(answer, Ok(Response::Done)));
        let mut deaf: Vec<NodeId> = failed.map(|(node, _)| node).collect();
        // One that ended meanwhile has nothing to be told any more.
        deaf.retain(|node| self.find(*node).is_ok_and(|node| self.is_up(node)));
        deaf.sort_unstable();
        Ok(deaf)
    }
}
