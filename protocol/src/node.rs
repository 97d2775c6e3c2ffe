//! One node of the network: the doors in, and which part answers what.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use crate::broadcast::reconcile::Recent;
use crate::broadcast::repair::Repair;
use crate::broadcast::send_window::SendWindow;
use crate::broadcast::store::Store;
use crate::config::{Config, Settings};
use crate::datagram::outbox::{Outbox, Outputs, Packed};
use crate::datagram::wire::{self, Dropped, Frame};
use crate::faults::{FaultLab, FaultRule};
use crate::ids::{MessageId, NodeId, Origin, PeerAddr};
use crate::membership::overlay::Overlay;
use crate::membership::partition::PartitionDetection;
use crate::membership::peers::{Peer, Peers, Standing};
use crate::rare::Rare;
use crate::report::{
    Event, Holding, MessageInfo, MessagePage, MessageQuery, PeerInfo, Status, Tally,
};
use crate::time::timers::{self, Due, Trickle};
use crate::time::{Monotonic, Now};

/// How often a node that leaves looks whether it may end.
const LEAVING_TICK: Duration = Duration::from_millis(10);

/// Where the copies of a message that came alone go at once, and who sends them then; `None`: they
/// wait for the flush.
pub(crate) type AtOnce<'a> = Option<(&'a mut Outputs, &'a mut dyn FnMut(&mut Outputs))>;

/// One node of the network.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Settings,
    pub(crate) rng: Xoshiro256PlusPlus,
    pub(crate) store: Store,
    pub(crate) peers: Peers,
    pub(crate) overlay: Overlay,
    pub(crate) repair: Rare<Repair>,
    pub(crate) recent: Recent,
    /// When summaries and heartbeats go out.
    pub(crate) trickle: Trickle,
    /// When anything is due but messages that do not settle.
    pub(crate) due: Due,
    /// When to look after these: a message that settles in time need not wake anybody.
    pub(crate) ack_due: Due,
    /// Told to leave: until when to wait for messages to settle.
    pub(crate) leaving: Option<Monotonic>,
    /// Whether there is room for new texts.
    pub(crate) window: SendWindow,
    pub(crate) outbox: Rare<Outbox>,
    pub(crate) faults: Rare<FaultLab>,
    pub(crate) counters: Tally,
    /// The limits that were told to be hit.
    pub(crate) limits_told: BTreeSet<&'static str>,
    pub(crate) events: Vec<Event>,
    /// Whether events of messages are told, which hold the text.
    pub(crate) tells_messages: bool,
    /// The sequence number of the last message that started here.
    pub(crate) sequence: u64,
}

impl Node {
    /// A node that starts now.
    #[must_use]
    pub fn new(mut config: Config, now: Now) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(config.seed);
        let timing = &config.timing;
        let trickle = Trickle::start(now.monotonic, timing.summary_interval_min);
        let shuffle_in = timers::between(&mut rng, Duration::ZERO, timing.shuffle_interval);
        let overlay = Overlay::new(
            config.neighbours.len(),
            &config.sample,
            now.monotonic + shuffle_in,
            PartitionDetection::new(
                Origin { node: config.node, incarnation: config.incarnation },
                now.monotonic,
            ),
        );
        let neighbours = std::mem::take(&mut config.neighbours);
        let faults = std::mem::take(&mut config.faults);
        let mut node = Self {
            rng,
            store: Store::default(),
            peers: Peers::default(),
            overlay,
            repair: Rare::default(),
            recent: Recent::default(),
            trickle,
            due: Due::never(),
            ack_due: Due::never(),
            leaving: None,
            window: SendWindow::default(),
            outbox: Rare::default(),
            faults: Rare::default(),
            counters: Tally::default(),
            limits_told: BTreeSet::new(),
            events: Vec::new(),
            tells_messages: true,
            sequence: 0,
            config: Settings::from(config),
        };
        let until = now.monotonic + node.config.timing.first_contact_timeout;
        for peer in neighbours {
            node.peers.ensure(peer, Standing::Joining { until }, now.monotonic).original = true;
        }
        node.peers.relink();
        node.set_faults(&faults);
        node.due.at(node.trickle.next());
        node
    }

    /// Takes in a datagram, whatever it is. One that is not sound, or not of this network,
    /// changes nothing but a counter.
    pub fn receive(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        self.take_in(now, from, bytes, None);
    }

    /// As [`Node::receive`], for a datagram that came alone. If that is a new message and nothing else,
    /// its first copies are flushed to `out` and handed to `send` before anything else is done: each
    /// node on the way waits for that. `send` is called once at most; it may clear the datagrams, but
    /// not the events. What it leaves is there with the next [`Node::flush`].
    pub fn receive_alone(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &[u8],
        out: &mut Outputs,
        send: &mut dyn FnMut(&mut Outputs),
    ) {
        self.take_in(now, from, bytes, Some((out, send)));
    }

    pub(crate) fn take_in(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &[u8],
        at_once: AtOnce<'_>,
    ) {
        self.doubt_itself(now);
        self.counters.datagrams_received += 1;
        self.counters.bytes_received += bytes.len() as u64;
        if bytes.is_empty() {
            self.counters.dropped_empty += 1;
            return;
        }
        let datagram = match wire::open(bytes, &self.config.key) {
            Ok(datagram) => datagram,
            Err(reason) => return self.count_dropped(reason),
        };
        if datagram.sender == self.config.node {
            self.counters.dropped_own += 1;
            return;
        }
        let sender = PeerAddr { node: datagram.sender, addr: from };
        if !self.hear(now, sender, datagram.incarnation) {
            self.counters.dropped_stale += 1;
            return;
        }
        if let [Frame::Rumor(rumor)] = datagram.frames.as_slice() {
            return self.on_rumor(now, sender.node, rumor, at_once);
        }
        for frame in &datagram.frames {
            self.on_frame(now, sender.node, frame);
        }
    }

    /// Hands a frame to its handler.
    pub(crate) fn on_frame(&mut self, now: Now, from: NodeId, frame: &Frame<'_>) {
        match frame {
            Frame::Rumor(rumor) => self.on_rumor(now, from, rumor, None),
            Frame::Have(ids) => self.on_have(now, from, ids),
            Frame::Got(ids) => self.on_got(from, ids),
            Frame::Want(ids) => self.on_want(now, from, ids),
            Frame::Summary(summary) => self.on_summary(now, from, summary),
            Frame::Ranges(ranges) => self.on_ranges(now, from, ranges),
            Frame::Offer(offer) => self.on_offer(now, from, offer),
            Frame::Beat(beat) => self.on_beat(now, from, beat),
            Frame::Neighbours(neighbours) => self.on_neighbours(from, neighbours),
            Frame::Unlink => self.on_unlink(now, from),
            Frame::Leave => self.on_leave(now, from),
            Frame::Probe { on_behalf_of } => self.on_probe(from, *on_behalf_of),
            Frame::Answer { on_behalf_of } => self.on_answer(from, *on_behalf_of),
            Frame::ProbeFor { target } => self.on_probe_for(now, from, *target),
            Frame::Vouch { node } => self.on_vouch(now, *node),
            Frame::Shuffle { nodes, answer } => self.on_shuffle(from, nodes, *answer),
            Frame::Component(root) => self.on_component(now, from, root),
            Frame::BackPressure(back_pressure) => self.on_back_pressure(now, from, *back_pressure),
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) {
        self.doubt_itself(now);
        let in_flight = self.ack_due.take_if_over(now.monotonic);
        if in_flight {
            self.ask_about_in_flight(now);
        }
        if !self.due.take_if_over(now.monotonic) {
            return;
        }
        if !in_flight {
            self.ask_about_in_flight(now);
        }
        self.ask_again(now);
        self.send_replies(now);
        self.check_liveness(now);
        self.beat(now);
        self.pass_component_on(now, None);
        self.shuffle(now);
        self.faults.note_due(&mut self.due);
        self.note_end_of_back_pressure(now);
        if let Some(until) = self.leaving {
            self.due.at(until.max(now.monotonic + LEAVING_TICK));
        }
    }

    /// When the driver owes the next [`Node::tick`]; `None`: never. May be early, never late.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        let all = [self.due.earliest(), self.ack_due.earliest()];
        all.into_iter().flatten().min()
    }

    /// Appends what is to be sent and told to `out`.
    pub fn flush(&mut self, now: Now, out: &mut Outputs) {
        out.events.append(&mut self.events);
        let is_empty = self.outbox.is_empty();
        if !is_empty {
            self.outbox.pack(&self.config, out, &mut self.counters);
        }
        if !self.faults.is_idle() {
            return self.flush_faulty(now, out);
        }
        if !is_empty {
            for packed in self.outbox.take_packed() {
                out.push(packed.to.addr, packed.range);
            }
        }
    }

    /// Gives back the memory that is kept for the next flush. For who drives very many nodes.
    pub fn release_buffers(&mut self) {
        debug_assert!(self.outbox.is_empty(), "what waits is packed first");
        self.outbox = Rare::default();
        self.events = Vec::new();
        for peer in self.peers.iter_mut().filter(|peer| peer.in_flight.messages == 0) {
            peer.in_flight.pending = VecDeque::new();
        }
    }

    /// As [`Node::flush`], with injected faults in force.
    pub(crate) fn flush_faulty(&mut self, now: Now, out: &mut Outputs) {
        let Self { faults, outbox, config, rng, counters, due, .. } = self;
        while let Some((to, bytes)) = faults.release(now.monotonic) {
            out.push_bytes(to, &bytes);
        }
        let held_max = config.limits.delayed_datagrams_max;
        for Packed { to, range } in outbox.take_packed() {
            let bytes = &out.bytes[range.clone()];
            let fate = faults.treat(now.monotonic, (to.node, to.addr), bytes, held_max, rng);
            counters.faults_applied += u64::from(fate.touched);
            counters.limit_delayed_dropped += u64::from(fate.overflowed);
            for _ in 0..fate.send_now {
                match &fate.changed {
                    Some(changed) => out.push_bytes(to.addr, changed),
                    None => out.push(to.addr, range.clone()),
                }
            }
        }
        faults.note_due(due);
    }

    /// Replaces the rules by which this node mistreats what it sends; those that are about
    /// other senders are left out. None: no faults.
    pub fn set_faults(&mut self, rules: &[FaultRule]) {
        let mine = rules.iter().filter(|rule| rule.concerns_sender(self.config.node));
        let mine: Vec<FaultRule> = mine.cloned().collect();
        if self.faults.rules() != mine {
            self.faults.set(mine);
        }
    }

    /// Whether [`Event::Accepted`] and [`Event::Delivered`] are told, as they are at first. Each
    /// holds a copy of the text, which is a waste where nobody listens.
    pub fn tell_messages(&mut self, tell: bool) {
        if tell != self.tells_messages {
            self.tells_messages = tell;
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn faults(&self) -> &[FaultRule] {
        self.faults.rules()
    }

    /// Whether a node that was told to leave has done what it could, and may end.
    #[must_use]
    pub fn has_left(&self, now: Now) -> bool {
        self.leaving.is_some_and(|until| {
            until <= now.monotonic || (self.in_flight() == 0 && !self.faults.holds_any())
        })
    }

    /// Marks messages as shown, once they were.
    pub fn mark_shown(&mut self, ids: &[MessageId]) {
        self.store.mark_shown(ids);
    }

    /// A page of messages; see [`MessageQuery`]. Asking marks nothing as shown.
    #[must_use]
    pub fn messages(&self, query: &MessageQuery) -> MessagePage {
        self.store.page(query, self.config.node)
    }

    /// One message, as this node has it; `None` if it is not held.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<MessageInfo> {
        self.store.info(id, self.config.node)
    }

    /// What this node can say of one message.
    #[must_use]
    pub fn holding(&self, id: MessageId) -> Holding {
        self.store.holding(id, self.config.node)
    }

    /// The neighbours, past ones included.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        let info = |peer: &Peer| {
            Some(PeerInfo {
                node: peer.addr.node,
                addr: peer.addr.addr,
                state: peer.state()?,
                neighbours: peer.neighbours.to_vec(),
                in_flight: peer.in_flight.messages,
                ack_time_us: peer
                    .in_flight
                    .smoothed
                    .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            })
        };
        self.peers.iter().filter_map(info).collect()
    }

    /// The node's account of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            node: self.config.node,
            incarnation: self.config.incarnation,
            peers: self.peers(),
            sample: self.overlay.sample.to_vec(),
            known_nodes: self.known_nodes(),
            messages: self.store.len() as u64,
            unread: self.store.unread(),
            retained_bytes: self.store.bytes() as u64,
            known_messages: self.store.account().count,
            missing: self.missing(),
            limits: (*self.config.limits).clone(),
            counters: self.counters.total(),
        }
    }

    /// How many different nodes this one knows of.
    pub(crate) fn known_nodes(&self) -> u64 {
        let peers = self.peers.iter().map(|peer| peer.addr);
        let theirs = self.peers.iter().flat_map(|peer| peer.neighbours.iter());
        let sample = self.overlay.sample.iter();
        let all: BTreeSet<NodeId> =
            peers.chain(theirs).chain(sample).map(|peer| peer.node).collect();
        all.len() as u64 - u64::from(all.contains(&self.config.node))
    }

    /// Tells of each limit that was hit for the first time.
    pub(crate) fn tell_limits(&mut self) {
        for (name, count) in self.counters.total().list() {
            if name.starts_with("limit_") && count > 0 && self.limits_told.insert(name) {
                self.events.push(Event::LimitHit { limit: name.into() });
            }
        }
    }

    /// Counts what the driver's socket could not do: lost, like any other datagram.
    pub fn count_socket_errors(&mut self, sending: u64, receiving: u64) {
        if sending + receiving > 0 {
            self.counters.send_errors += sending;
            self.counters.receive_errors += receiving;
        }
    }

    /// Counts a datagram that was dropped.
    pub(crate) fn count_dropped(&mut self, reason: Dropped) {
        let counter = match reason {
            Dropped::Magic => &mut self.counters.dropped_magic,
            Dropped::Version => &mut self.counters.dropped_version,
            Dropped::Tag => &mut self.counters.dropped_tag,
            Dropped::Malformed => &mut self.counters.dropped_malformed,
        };
        *counter += 1;
    }
}
