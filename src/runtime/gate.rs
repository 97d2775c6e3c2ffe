//! Where texts wait until there is room for them.
//!
//! A node that took in more than its network carries would have to lose something sooner or
//! later. So texts are accepted only while few enough messages wait to be settled, first come,
//! first served; whoever hands them in is answered when they are accepted, and slowed thereby.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::control::Response;
use crate::protocol::{Monotonic, Node, Now};

/// After this time something is accepted whether there is room or not: a network that carries
/// next to nothing is slow, and nobody is told that it failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Texts handed in together, and who waits for the answer.
#[derive(Debug)]
pub(super) struct Texts {
    texts: Vec<String>,
    relays: u8,
    /// Handed in alone, and answered so.
    alone: bool,
    reply: Sender<Response>,
    since: Monotonic,
    held_up: bool,
}

impl Texts {
    /// A single text.
    pub(super) fn one(text: String, relays: u8, reply: Sender<Response>, now: Monotonic) -> Self {
        Self { alone: true, ..Self::many(vec![text], relays, reply, now) }
    }

    /// Any number of texts.
    pub(super) fn many(
        texts: Vec<String>,
        relays: u8,
        reply: Sender<Response>,
        now: Monotonic,
    ) -> Self {
        Self { texts, relays, alone: false, reply, since: now, held_up: false }
    }

    /// Has the node accept up to so many of them.
    fn accept(&self, now: Now, node: &mut Node, most: usize) -> Response {
        if self.alone {
            let sent = self.texts.first().map(|text| node.send(now, text, self.relays));
            return match sent {
                Some(Ok(id)) => Response::Sent(id),
                Some(Err(refused)) => Response::Refused(refused),
                None => Response::Done,
            };
        }
        let (mut ids, mut refused) = (Vec::new(), None);
        for text in self.texts.iter().take(most) {
            match node.send(now, text, self.relays) {
                Ok(id) => ids.push(id),
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            }
        }
        Response::SentMany { ids, refused }
    }
}

/// All texts that wait.
#[derive(Debug, Default)]
pub(super) struct Gate(VecDeque<Texts>);

impl Gate {
    /// Adds some at the end.
    pub(super) fn put(&mut self, texts: Texts) {
        self.0.push_back(texts);
    }

    /// When the first of them have waited long enough.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        self.0.front().map(|texts| texts.since + PATIENCE)
    }

    /// Has the node accept as many as there is room for. The answers go to `replies`.
    pub(super) fn open(
        &mut self,
        now: Now,
        node: &mut Node,
        replies: &mut Vec<(Sender<Response>, Response)>,
    ) {
        while let Some(first) = self.0.front_mut() {
            let room = node.room();
            // Not one by one as each finds its place: a few larger answers keep all less busy.
            let enough = first.texts.len().min(node.room_max() / 4).max(1);
            if room < enough && now.monotonic.since(first.since) < PATIENCE {
                if !std::mem::replace(&mut first.held_up, true) {
                    node.count_held_up();
                }
                return;
            }
            if let Some(texts) = self.0.pop_front() {
                let response = texts.accept(now, node, room.max(1));
                replies.push((texts.reply, response));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Config, Key, NodeId, Outputs, PeerAddr, Wall};
    use crossbeam_channel::{Receiver, bounded};

    fn at(millis: u64) -> Now {
        Now { monotonic: Monotonic(millis * 1_000_000), wall: Wall(millis * 1_000_000) }
    }

    /// A node with a neighbour that takes four messages at a time, and never answers.
    fn node() -> Node {
        let mut config = Config::new(NodeId(1), Key([1; 32]), 1);
        config.limits_mut().unsettled_max = 4;
        let addr = ([127, 0, 0, 1], 7002).into();
        config.neighbours = vec![PeerAddr { node: NodeId(2), addr }];
        let mut node = Node::new(config, at(0));
        hear_from_neighbour(&mut node);
        node
    }

    /// The neighbour says hello, so that it counts.
    fn hear_from_neighbour(node: &mut Node) {
        let mut config = Config::new(NodeId(2), Key([1; 32]), 2);
        let addr = ([127, 0, 0, 1], 7001).into();
        config.neighbours = vec![PeerAddr { node: NodeId(1), addr }];
        let mut neighbour = Node::new(config, at(0));
        let mut out = Outputs::default();
        neighbour.tick(at(0));
        neighbour.flush(at(0), &mut out);
        for (_, bytes) in out.datagrams() {
            node.receive(at(1), ([127, 0, 0, 1], 7002).into(), bytes);
        }
    }

    fn hand_in(gate: &mut Gate, texts: usize, now: Now) -> Receiver<Response> {
        let (reply, answer) = bounded(1);
        gate.put(Texts::many(vec!["banana".into(); texts], 1, reply, now.monotonic));
        answer
    }

    fn open(gate: &mut Gate, node: &mut Node, now: Now) {
        let mut replies = Vec::new();
        gate.open(now, node, &mut replies);
        for (reply, response) in replies {
            reply.try_send(response).unwrap();
        }
    }

    fn accepted(answer: &Receiver<Response>) -> Option<usize> {
        match answer.try_recv() {
            Ok(Response::SentMany { ids, refused: None }) => Some(ids.len()),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    #[test]
    fn more_than_there_is_room_for_waits_and_is_counted_once() {
        let (mut node, mut gate) = (node(), Gate::default());
        let first = hand_in(&mut gate, 10, at(1));
        let second = hand_in(&mut gate, 1, at(1));
        open(&mut gate, &mut node, at(1));
        assert_eq!((accepted(&first), accepted(&second)), (Some(4), None));
        open(&mut gate, &mut node, at(2));
        assert_eq!(accepted(&second), None);
        assert_eq!(node.status().counters.limit_unsettled_held_up, 1);
        assert_eq!(gate.deadline(), Some(at(2_001).monotonic));
    }

    #[test]
    fn who_waits_for_long_is_answered_all_the_same() {
        let (mut node, mut gate) = (node(), Gate::default());
        let first = hand_in(&mut gate, 4, at(1));
        let second = hand_in(&mut gate, 3, at(1));
        open(&mut gate, &mut node, at(1));
        assert_eq!((accepted(&first), accepted(&second)), (Some(4), None));
        open(&mut gate, &mut node, at(2_001));
        assert_eq!(accepted(&second), Some(1));
        assert_eq!(gate.deadline(), None);
    }

    #[test]
    fn a_text_alone_is_answered_alone_and_a_bad_one_ends_its_row() {
        let (mut node, mut gate) = (node(), Gate::default());
        let (reply, answer) = bounded(1);
        gate.put(Texts::one("apple".into(), 1, reply, at(1).monotonic));
        let (reply, row) = bounded(1);
        let texts = ["pear", "", "plum"].map(String::from).to_vec();
        gate.put(Texts::many(texts, 1, reply, at(1).monotonic));
        open(&mut gate, &mut node, at(1));
        assert!(matches!(answer.try_recv(), Ok(Response::Sent(id)) if id.sequence == 1));
        let row = row.try_recv().unwrap();
        assert!(matches!(row, Response::SentMany { ids, refused: Some(_) } if ids.len() == 1));
    }
}
