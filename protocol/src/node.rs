//! One node of the network: the doors in, and which part answers what.
//!
//! A datagram is opened here, its sender noted by membership, and each of its frames handed to one
//! `on_…` method of membership or broadcast: the `match` below is the protocol's list of frames.
//! Broadcast hears of changed links before the next frame, and a summary goes to every peer that was
//! greeted.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::broadcast::{self, Broadcast};
use crate::config::{Config, RELAYS_MAX};
use crate::datagram::header::Dropped;
use crate::datagram::outbox::Outputs;
use crate::datagram::wire::{Frame, Rumor};
use crate::effects::Effects;
use crate::faults::FaultCounts;
use crate::ids::{MessageId, NodeId, PeerAddr};
use crate::membership::Membership;
use crate::membership::peers::Peer;
use crate::report::{
    Event, Holding, MessageInfo, MessagePage, MessageQuery, PeerInfo, Refused, Status,
};
use crate::time::{Monotonic, Now};

/// One node of the network. The [crate's documentation](crate) says how to drive it.
#[derive(Debug)]
pub struct Node {
    pub(crate) fx: Effects,
    pub(crate) membership: Membership,
    pub(crate) broadcast: Broadcast,
    /// The limits that an event was told of.
    limits_told: BTreeSet<&'static str>,
}

/// Where the copies of a new message go before it is recorded, and what sends them.
type AtOnce<'a> = (&'a mut Outputs, &'a mut dyn FnMut(&mut Outputs));

impl Node {
    /// A node that starts now. [`Config::validate`] says whether the configuration makes sense.
    #[must_use]
    pub fn new(config: &Config, now: Now) -> Self {
        let mut fx = Effects::new(config, now);
        let membership = Membership::new(config, &mut fx);
        let broadcast = Broadcast::new();
        let mut node = Self { fx, membership, broadcast, limits_told: BTreeSet::new() };
        node.exchange_news();
        node
    }

    /// Takes in a datagram, whatever it is. One that is not sound, or not of this network,
    /// changes nothing but a counter.
    pub fn receive(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        self.take_in(now, from, bytes, None);
    }

    /// As [`Node::receive`], for a datagram that came alone. If that is a new message and nothing
    /// else, its first copies are flushed to `out` and handed to `send` before the message is
    /// recorded: each node on the way waits for that. `send` is called once at most. It may clear
    /// the datagrams, but not the events. Those that it leaves come with the next [`Node::flush`].
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

    fn take_in(&mut self, now: Now, from: SocketAddr, bytes: &[u8], at_once: Option<AtOnce<'_>>) {
        self.fx.set_time(now);
        // First of all: a node that was stopped must not take its own absence for the silence of
        // others.
        self.membership.notice_own_absence(&self.fx);
        self.exchange_news();
        self.fx.counters.datagrams_received += 1;
        self.fx.counters.bytes_received += bytes.len() as u64;
        if bytes.is_empty() {
            self.fx.counters.dropped_empty += 1;
            return;
        }
        let Effects { sessions, config, counters, .. } = &mut self.fx;
        let datagram = match sessions.open(config, now.monotonic, from, bytes, counters) {
            Ok(Some(datagram)) => datagram,
            // Of no concern to membership and broadcast.
            Ok(None) => return,
            Err(reason) => return self.count_dropped(reason),
        };
        // It came in a session, so it shows that this incarnation of the sender lives, and where.
        let sender = datagram.sender;
        if datagram.is_newest && !self.membership.hear(&mut self.fx, sender, datagram.incarnation) {
            self.fx.counters.dropped_stale += 1;
            return;
        }
        // Before the frames: a sender that came back or started anew has another link now.
        self.exchange_news();
        if datagram.frames.is_empty() {
            self.membership.on_session(&mut self.fx, sender.node);
        }
        let owed = std::mem::take(&mut self.fx.sessions.owed);
        if !owed.is_empty() {
            self.broadcast.send_summaries(&mut self.fx, &owed, true);
        }
        // A single rumor is the usual datagram, and the only one whose copies may go out at once.
        if let [Frame::Rumor(rumor)] = datagram.frames.as_slice() {
            self.on_rumor(sender.node, rumor, at_once);
        } else {
            // One that was overtaken may have been held back, so it shows no life.
            let counts = |frame: &&Frame<'_>| datagram.is_newest || !frame.shows_life();
            for frame in datagram.frames.iter().filter(counts) {
                self.on_frame(sender.node, frame);
                self.exchange_news();
            }
        }
        self.send_summaries(false);
    }

    /// Hands a frame to its handler.
    fn on_frame(&mut self, from: NodeId, frame: &Frame<'_>) {
        let Some(sender) = self.membership.sender(from) else { return };
        let Self { fx, membership, broadcast, .. } = self;
        match frame {
            Frame::Rumor(rumor) => broadcast.on_rumor(fx, sender, rumor, None),
            Frame::Have(ids) => broadcast.on_have(fx, sender, ids),
            Frame::Got(ids) => broadcast.on_got(fx, sender, ids),
            Frame::Want(ids) => broadcast.on_want(fx, sender, ids),
            Frame::Lacks(ids) => broadcast.on_lacks(fx, sender, ids),
            Frame::Summary(summary) => broadcast.on_summary(fx, sender, summary),
            Frame::Ranges(ranges) => broadcast.on_ranges(fx, sender, ranges),
            Frame::Offer(offer) => broadcast.on_offer(fx, sender, offer),
            Frame::BackPressure(theirs) => broadcast.on_back_pressure(fx, from, *theirs),
            Frame::Beat(beat) => membership.on_beat(fx, from, beat),
            Frame::Neighbours(neighbours) => membership.on_neighbours(fx, from, neighbours),
            Frame::Unlink => membership.on_unlink(fx, from),
            Frame::Leave => membership.on_leave(fx, from),
            Frame::Probe { on_behalf_of } => membership.on_probe(fx, from, *on_behalf_of),
            Frame::Answer { on_behalf_of } => membership.on_answer(fx, from, *on_behalf_of),
            Frame::ProbeFor { target } => membership.on_probe_for(fx, from, *target),
            Frame::Vouch { node } => membership.on_vouch(fx, *node),
            Frame::Shuffle { nodes, answer } => membership.on_shuffle(fx, from, nodes, *answer),
            Frame::Component(component) => membership.on_component(fx, from, component),
        }
    }

    /// Hands a copy of a message to broadcast, and has what it leads to sent at once, if told so.
    fn on_rumor(&mut self, from: NodeId, rumor: &Rumor<'_>, at_once: Option<AtOnce<'_>>) {
        let Some(from) = self.membership.sender(from) else { return };
        let Self { fx, membership, broadcast, .. } = self;
        let Some((out, send)) = at_once else {
            return broadcast.on_rumor(fx, from, rumor, None);
        };
        let mut send_now = |fx: &mut Effects| {
            fx.flush(|node| membership.addr_of(node), out);
            if !out.datagrams.is_empty() {
                send(out);
            }
        };
        broadcast.on_rumor(fx, from, rumor, Some(&mut send_now));
    }

    /// Tells broadcast what membership changed, and membership whether broadcast is out of step.
    fn exchange_news(&mut self) {
        for change in std::mem::take(&mut self.membership.changes) {
            self.broadcast.on_link_change(self.fx.now, change);
        }
        if std::mem::take(&mut self.broadcast.out_of_step) {
            self.membership.hurry(&mut self.fx);
        }
    }

    /// Has broadcast send a summary to each peer that membership just greeted. Only those that are sent
    /// in turn, with heartbeats, are beyond the bound of what is sent at once.
    fn send_summaries(&mut self, in_turn: bool) {
        let greeted = std::mem::take(&mut self.membership.greeted);
        if !greeted.is_empty() {
            self.broadcast.send_summaries(&mut self.fx, &greeted, in_turn);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) {
        self.fx.set_time(now);
        self.membership.notice_own_absence(&self.fx);
        let membership_ticked = self.membership.tick(&mut self.fx);
        self.exchange_news();
        self.send_summaries(true);
        self.broadcast.tick(&mut self.fx, membership_ticked);
        self.exchange_news();
        if membership_ticked {
            self.tell_limits();
        }
    }

    /// When the driver owes the next [`Node::tick`]; `None`: never. May be early, never late.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        let all = [self.membership.deadline(), self.broadcast.deadline()];
        all.into_iter().flatten().min()
    }

    /// Appends what is to be sent and told to `out`.
    pub fn flush(&mut self, out: &mut Outputs) {
        let Self { fx, membership, broadcast, .. } = self;
        broadcast.send_owed(fx);
        fx.flush(|node| membership.addr_of(node), out);
    }

    /// Accepts a message for all nodes, to be passed on in up to `relays` copies a link. From
    /// now on it is delivered to every node that can be reached.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not; nothing was accepted then. [`Refused::Full`] is no failure: offer
    /// the message again after every datagram and every tick. The first of several refused
    /// offers counts in
    /// [`Counters::limit_in_flight_held_up`](crate::Counters::limit_in_flight_held_up).
    pub fn send(&mut self, now: Now, payload: &[u8], relays: u8) -> Result<MessageId, Refused> {
        self.fx.set_time(now);
        // A message that is never accepted is refused as such, not because the window is closed.
        self.check(payload, relays)?;
        if self.broadcast.send_window(&self.fx) == 0 {
            if self.broadcast.note_refusal() {
                self.count_held_up();
            }
            return Err(Refused::Full);
        }
        Ok(self.broadcast.send(&mut self.fx, payload, relays))
    }

    /// As [`Node::send`], whether the send window is open or not: for a driver whose caller has
    /// waited long enough. Such a message may push out others that not every node has.
    ///
    /// # Errors
    ///
    /// As [`Node::send`], but for [`Refused::Full`].
    pub fn send_anyway(
        &mut self,
        now: Now,
        payload: &[u8],
        relays: u8,
    ) -> Result<MessageId, Refused> {
        self.fx.set_time(now);
        self.check(payload, relays)?;
        Ok(self.broadcast.send(&mut self.fx, payload, relays))
    }

    /// Whether a message may be sent, the send window aside.
    fn check(&mut self, payload: &[u8], relays: u8) -> Result<(), Refused> {
        let bytes_max = self.fx.config.limits.text_bytes_max;
        if self.is_leaving() {
            return Err(Refused::Leaving);
        }
        if payload.is_empty() {
            return Err(Refused::Empty);
        }
        if payload.len() > bytes_max {
            self.fx.counters.limit_text_refused += 1;
            return Err(Refused::TooLong { bytes: payload.len(), bytes_max });
        }
        if !(1..=RELAYS_MAX).contains(&relays) {
            return Err(Refused::Relays { relays });
        }
        Ok(())
    }

    /// How many more messages [`Node::send`] takes now. Long messages close the window sooner, so
    /// ask after each. A node that is not asked for a second begins with a small window again.
    #[must_use]
    pub fn send_window(&mut self, now: Now) -> usize {
        self.fx.set_time(now);
        self.broadcast.send_window(&self.fx)
    }

    /// The present size of the send window, of which [`Node::send_window`] says what is left: less
    /// than [`Node::send_window_max`] until the network turns out to carry as much.
    #[must_use]
    pub fn send_window_size(&self) -> usize {
        self.broadcast.send_window_size(&self.fx.config.limits)
    }

    /// The largest send window: [`Limits::in_flight_max`](crate::Limits::in_flight_max), or less
    /// where few messages are retained.
    #[must_use]
    pub fn send_window_max(&self) -> usize {
        broadcast::window_max(&self.fx.config.limits)
    }

    /// Messages that some neighbour, not a suspected one, was sent and is not known to have.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.broadcast.in_flight()
    }

    /// Counts a message, or several, that had to wait for the send window.
    pub fn count_held_up(&mut self) {
        self.fx.counters.limit_in_flight_held_up += 1;
    }

    /// Links up with these peers, in addition to those it has.
    pub fn link(&mut self, now: Now, peers: &[PeerAddr]) {
        self.fx.set_time(now);
        self.membership.link(&mut self.fx, peers);
        self.exchange_news();
    }

    /// Has these neighbours and no others, once the new links stand.
    pub fn rewire(&mut self, now: Now, peers: &[PeerAddr]) {
        self.fx.set_time(now);
        self.membership.rewire(&mut self.fx, peers);
        self.exchange_news();
    }

    /// Begins to leave: the neighbours close ranks at once. They are sent the messages that they
    /// lack before [`Node::has_left`] turns true, or until a deadline.
    pub fn leave(&mut self, now: Now) {
        self.fx.set_time(now);
        self.membership.leave(&mut self.fx);
        self.exchange_news();
    }

    /// Whether the node was told to leave, and accepts no more messages.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaves_by().is_some()
    }

    /// Whether a node that was told to leave has done what it could, and may end.
    #[must_use]
    pub fn has_left(&self, now: Now) -> bool {
        let said_goodbye = self.is_leaving() && self.fx.outbox.is_empty();
        let is_over = self.leaves_by().is_some_and(|by| by <= now.monotonic);
        // Its goodbye may still wait for a session.
        let is_done = self.in_flight() == 0 && self.fx.sessions.is_quiet(now.monotonic);
        said_goodbye && (is_over || is_done)
    }

    /// When a node that was told to leave ends at the latest; `None` for one that stays.
    #[must_use]
    pub fn leaves_by(&self) -> Option<Monotonic> {
        self.membership.leaving
    }

    /// Whether [`Event::Accepted`] and [`Event::Delivered`] are told, as they are at first. Each
    /// holds a copy of the payload, which is a waste where nobody listens.
    pub fn tell_messages(&mut self, tell: bool) {
        self.broadcast.tells_messages = tell;
    }

    /// Marks messages as shown, once they were.
    pub fn mark_shown(&mut self, ids: &[MessageId]) {
        self.broadcast.store.mark_shown(ids);
    }

    /// A page of messages; see [`MessageQuery`]. Asking marks nothing as shown.
    #[must_use]
    pub fn messages(&self, query: &MessageQuery) -> MessagePage {
        self.broadcast.store.page(query, self.fx.config.node)
    }

    /// One message, as this node has it; `None` if it is not held.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<MessageInfo> {
        self.broadcast.store.info(id, self.fx.config.node)
    }

    /// What this node can say of one message.
    #[must_use]
    pub fn holding(&self, id: MessageId) -> Holding {
        match self.message(id) {
            Some(info) => Holding::Held(Box::new(info)),
            None if self.broadcast.store.knows(id) => Holding::Gone,
            None => Holding::Unknown,
        }
    }

    /// The neighbours, past ones included.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        let info = |peer: &Peer| {
            let in_flight = self.broadcast.links.to(peer.addr.node).map(|record| &record.in_flight);
            let ack_time = in_flight.and_then(|in_flight| in_flight.smoothed);
            let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            Some(PeerInfo {
                node: peer.addr.node,
                addr: peer.addr.addr,
                state: peer.state()?,
                neighbours: peer.neighbours.to_vec(),
                in_flight: in_flight.map_or(0, |in_flight| in_flight.messages),
                ack_time_us: ack_time.map(micros),
            })
        };
        self.membership.peers.iter().filter_map(info).collect()
    }

    /// The node's account of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        let Self { fx, membership, broadcast, .. } = self;
        Status {
            node: fx.config.node,
            incarnation: fx.config.start.incarnation,
            peers: self.peers(),
            sample: membership.sample.list.to_vec(),
            known_nodes: membership.known_nodes(fx.config.node),
            messages: broadcast.store.len() as u64,
            unread: broadcast.store.unread,
            retained_bytes: broadcast.store.bytes as u64,
            known_messages: broadcast.store.account.count,
            missing: broadcast.missing(),
            limits: (*fx.config.limits).clone(),
            counters: fx.counters.clone(),
        }
    }

    /// Gives back the memory that is kept for the next flush. For drivers of very many nodes.
    pub fn release_buffers(&mut self) {
        self.fx.release_buffers();
        self.membership.release_buffers();
        self.broadcast.release_buffers();
    }

    /// Counts what the driver's socket could not do: lost, like any other datagram.
    pub fn count_socket_errors(&mut self, sending: u64, receiving: u64) {
        self.fx.counters.send_errors += sending;
        self.fx.counters.receive_errors += receiving;
    }

    /// Counts what the stage of faults behind this node did.
    pub fn count_faults(&mut self, counts: FaultCounts) {
        self.fx.counters.faults_applied += counts.applied;
        self.fx.counters.limit_delayed_dropped += counts.overflowed;
    }

    /// Tells of each limit that was hit for the first time.
    fn tell_limits(&mut self) {
        for (name, count) in self.fx.counters.list() {
            if name.starts_with("limit_") && count > 0 && self.limits_told.insert(name) {
                self.fx.events.push(Event::LimitHit { limit: name.into() });
            }
        }
    }

    /// Counts a datagram that was dropped.
    fn count_dropped(&mut self, reason: Dropped) {
        let counters = &mut self.fx.counters;
        *match reason {
            Dropped::Magic => &mut counters.dropped_magic,
            Dropped::Version => &mut counters.dropped_version,
            Dropped::Malformed => &mut counters.dropped_malformed,
            Dropped::Own => &mut counters.dropped_own,
            Dropped::Session => &mut counters.dropped_session,
            Dropped::Replayed => &mut counters.dropped_replayed,
            Dropped::Tag => &mut counters.dropped_tag,
            Dropped::Elsewhere => &mut counters.dropped_elsewhere,
            Dropped::Stale => &mut counters.dropped_stale,
            Dropped::Refused => &mut counters.limit_sessions_refused,
        } += 1;
    }
}
