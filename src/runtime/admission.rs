//! Where texts wait until the send window opens for them.
//!
//! A node that took in more than its network carries would have to lose something sooner or
//! later. So texts are accepted only while few enough messages wait to be acknowledged, first come,
//! first served. A client is answered when its texts are accepted, and slowed thereby.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::control::Response;
use crate::protocol::{Monotonic, Node, Now, Refused};

/// After this time something is accepted whatever the send window is: a network that carries
/// next to nothing is slow, and nobody is told that it failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most texts of one request that are looked at: all others are for the next request. So
/// what waits is bounded, and the answer, with an id for each, fits into a frame.
pub(super) const TEXTS_MAX: usize = 1_024;

/// Texts handed in together, and the channel that their client awaits the answer on.
#[derive(Debug)]
pub(super) struct Texts {
    texts: Vec<String>,
    relays: u8,
    reply: Sender<Response>,
    since: Monotonic,
    held_up: bool,
}

impl Texts {
    pub(super) fn new(
        texts: Vec<String>,
        relays: u8,
        reply: Sender<Response>,
        now: Monotonic,
    ) -> Self {
        Self { texts, relays, reply, since: now, held_up: false }
    }

    /// Has the node accept as many of them as its send window lets in, and at least one.
    fn accept(&self, now: Now, node: &mut Node) -> Response {
        let (mut ids, mut refused) = (Vec::new(), None);
        for text in &self.texts {
            let sent = if ids.is_empty() {
                node.send_anyway(now, text.as_bytes(), self.relays)
            } else {
                node.send(now, text.as_bytes(), self.relays)
            };
            match sent {
                Ok(id) => ids.push(id),
                Err(why) => {
                    refused = Some(why).filter(|why| *why != Refused::Full);
                    break;
                }
            }
        }
        Response::Sent { ids, refused }
    }
}

/// All texts that wait.
#[derive(Debug, Default)]
pub(super) struct Admission(VecDeque<Texts>);

impl Admission {
    /// Adds some at the end: no more than the send window is ever wide.
    pub(super) fn put(&mut self, mut texts: Texts, node: &Node) {
        texts.texts.truncate(node.send_window_max().clamp(1, TEXTS_MAX));
        texts.texts.shrink_to_fit();
        self.0.push_back(texts);
    }

    /// When the first of them have waited long enough.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        self.0.front().map(|texts| texts.since + PATIENCE)
    }

    /// Has the node accept as many as its send window lets in. The answers go to `replies`.
    pub(super) fn open(
        &mut self,
        now: Now,
        node: &mut Node,
        replies: &mut Vec<(Sender<Response>, Response)>,
    ) {
        while let Some(first) = self.0.front_mut() {
            let window = node.send_window(now);
            // Not one by one as the window opens: a few larger answers keep all less busy.
            let enough = first.texts.len().min(node.send_window_size() / 4).max(1);
            // A node that leaves refuses, and says so at once.
            let may_wait = !node.is_leaving();
            if may_wait && window < enough && now.monotonic.since(first.since) < PATIENCE {
                if !std::mem::replace(&mut first.held_up, true) {
                    node.count_held_up();
                }
                return;
            }
            if let Some(texts) = self.0.pop_front() {
                let response = texts.accept(now, node);
                replies.push((texts.reply, response));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Config, Key, Limits, NodeId, Outputs, PeerAddr, Refused, Wall};
    use crossbeam_channel::{Receiver, bounded};

    fn at(millis: u64) -> Now {
        Now { monotonic: Monotonic(millis * 1_000_000), wall: Wall(millis * 1_000_000) }
    }

    /// A node with a neighbour that takes four messages at a time, and never answers.
    fn node() -> Node {
        node_with(|_| {})
    }

    /// As that one, with other limits changed.
    fn node_with(change: impl FnOnce(&mut Limits)) -> Node {
        let mut config =
            Config::new(NodeId(1), crate::protocol::testing::start(1), Key([1; 32]), 1);
        config.limits_mut().in_flight_max = 4;
        change(config.limits_mut());
        let addr = ([127, 0, 0, 1], 7002).into();
        config.neighbours = vec![PeerAddr { node: NodeId(2), addr }];
        let mut node = Node::new(&config, at(0));
        hear_from_neighbour(&mut node);
        node
    }

    /// The neighbour says hello, so that it counts.
    fn hear_from_neighbour(node: &mut Node) {
        let mut config =
            Config::new(NodeId(2), crate::protocol::testing::start(1), Key([1; 32]), 2);
        let addr = ([127, 0, 0, 1], 7001).into();
        config.neighbours = vec![PeerAddr { node: NodeId(1), addr }];
        let mut neighbour = Node::new(&config, at(0));
        let mut out = Outputs::default();
        neighbour.tick(at(0));
        neighbour.flush(&mut out);
        for (_, bytes) in out.datagrams() {
            node.receive(at(1), ([127, 0, 0, 1], 7002).into(), bytes);
        }
    }

    fn hand_in(
        admission: &mut Admission,
        node: &Node,
        texts: usize,
        now: Now,
    ) -> Receiver<Response> {
        let (reply, answer) = bounded(1);
        admission.put(texts_of(texts, reply, now), node);
        answer
    }

    fn texts_of(texts: usize, reply: Sender<Response>, now: Now) -> Texts {
        Texts::new(vec!["banana".into(); texts], 1, reply, now.monotonic)
    }

    fn open(admission: &mut Admission, node: &mut Node, now: Now) {
        let mut replies = Vec::new();
        admission.open(now, node, &mut replies);
        for (reply, response) in replies {
            // The client may have hung up.
            let _ = reply.try_send(response);
        }
    }

    fn accepted(answer: &Receiver<Response>) -> Option<usize> {
        match answer.try_recv() {
            Ok(Response::Sent { ids, refused: None }) => Some(ids.len()),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    #[test]
    fn texts_beyond_the_send_window_wait_and_are_counted_once() {
        let (mut node, mut admission) = (node(), Admission::default());
        let first = hand_in(&mut admission, &node, 10, at(1));
        let second = hand_in(&mut admission, &node, 1, at(1));
        open(&mut admission, &mut node, at(1));
        assert_eq!((accepted(&first), accepted(&second)), (Some(4), None));
        open(&mut admission, &mut node, at(2));
        assert_eq!(accepted(&second), None);
        assert_eq!(node.status().counters.limit_in_flight_held_up, 1);
        assert_eq!(admission.deadline(), Some(at(2_001).monotonic));
    }

    #[test]
    fn a_client_that_waits_for_long_is_answered_all_the_same() {
        let (mut node, mut admission) = (node(), Admission::default());
        let first = hand_in(&mut admission, &node, 4, at(1));
        let second = hand_in(&mut admission, &node, 3, at(1));
        open(&mut admission, &mut node, at(1));
        assert_eq!((accepted(&first), accepted(&second)), (Some(4), None));
        open(&mut admission, &mut node, at(2_001));
        assert_eq!(accepted(&second), Some(1));
        assert_eq!(admission.deadline(), None);
    }

    #[test]
    fn a_bad_text_ends_its_request_and_those_before_it_are_accepted() {
        let (mut node, mut admission) = (node(), Admission::default());
        let answer = hand_in(&mut admission, &node, 1, at(1));
        let (reply, row) = bounded(1);
        let texts = ["pear", "", "plum"].map(String::from).to_vec();
        admission.put(Texts::new(texts, 1, reply, at(1).monotonic), &node);
        open(&mut admission, &mut node, at(1));
        assert_eq!(accepted(&answer), Some(1));
        let row = row.try_recv().unwrap();
        assert!(matches!(row, Response::Sent { ids, refused: Some(_) } if ids.len() == 1));
    }

    #[test]
    fn no_more_texts_wait_than_the_send_window_is_ever_wide() {
        let (mut node, mut admission) = (node(), Admission::default());
        drop(hand_in(&mut admission, &node, 1_000_000, at(1)));
        assert_eq!((admission.0[0].texts.len(), admission.0[0].texts.capacity()), (4, 4));
        let mut config =
            Config::new(NodeId(1), crate::protocol::testing::start(1), Key([1; 32]), 1);
        config.limits_mut().in_flight_max = usize::MAX;
        config.limits_mut().messages_max = usize::MAX;
        node = Node::new(&config, at(0));
        let answer = hand_in(&mut admission, &node, 100_000, at(1));
        open(&mut admission, &mut node, at(1));
        assert_eq!(accepted(&answer), Some(TEXTS_MAX));
    }

    #[test]
    fn few_bytes_in_flight_let_in_few_texts() {
        let (mut node, mut admission) =
            (node_with(|limits| limits.retained_bytes_max = 1), Admission::default());
        let first = hand_in(&mut admission, &node, 4, at(1));
        open(&mut admission, &mut node, at(1));
        assert_eq!(accepted(&first), Some(1));
    }

    #[test]
    fn several_clients_are_served_in_turn_and_one_that_hung_up_holds_up_nobody() {
        let (mut node, mut admission) = (node(), Admission::default());
        let first = hand_in(&mut admission, &node, 4, at(1));
        drop(hand_in(&mut admission, &node, 1, at(2)));
        let third = hand_in(&mut admission, &node, 2, at(3));
        open(&mut admission, &mut node, at(4));
        assert_eq!((accepted(&first), accepted(&third)), (Some(4), None));
        open(&mut admission, &mut node, at(2_002));
        assert_eq!((admission.0.len(), accepted(&third)), (1, None));
        open(&mut admission, &mut node, at(2_003));
        assert_eq!((admission.0.len(), accepted(&third)), (0, Some(1)));
    }

    #[test]
    fn a_bad_text_behind_a_closed_send_window_is_refused_in_its_turn() {
        let (mut node, mut admission) = (node(), Admission::default());
        drop(hand_in(&mut admission, &node, 4, at(1)));
        let (reply, bad) = bounded(1);
        admission.put(Texts::new(vec![String::new()], 1, reply, at(1).monotonic), &node);
        let last = hand_in(&mut admission, &node, 1, at(1_000));
        open(&mut admission, &mut node, at(1));
        assert!(bad.try_recv().is_err());
        open(&mut admission, &mut node, at(2_001));
        let refused = Response::Sent { ids: Vec::new(), refused: Some(Refused::Empty) };
        assert_eq!(bad.try_recv().unwrap(), refused);
        assert_eq!(accepted(&last), None);
    }

    #[test]
    fn a_node_that_leaves_refuses_at_once_what_waits() {
        let (mut node, mut admission) = (node(), Admission::default());
        drop(hand_in(&mut admission, &node, 4, at(1)));
        open(&mut admission, &mut node, at(1));
        let row = hand_in(&mut admission, &node, 2, at(2));
        let alone = hand_in(&mut admission, &node, 1, at(2));
        node.leave(at(3));
        open(&mut admission, &mut node, at(3));
        let refused = Response::Sent { ids: Vec::new(), refused: Some(Refused::Leaving) };
        assert_eq!(row.try_recv().unwrap(), refused);
        assert_eq!(alone.try_recv().unwrap(), refused);
        assert_eq!(admission.deadline(), None);
    }
}
