//! Sessions: a datagram counts once, at one receiver, from where its sender is.
//!
//! Frames travel in sessions. A session has a key of its own, which only its two ends can make, for
//! these starts of both; a counter, so that a datagram counts once; and an address at each
//! end. So what somebody recorded means nothing to any other node, at any other time, from any other place.
//!
//! Two small datagrams make one. A *hello* has a nonce, a *welcome* sends it back with another, and the next datagram, an
//! *opening*, has both beside its frames. Neither end keeps anything before the other has shown that it is where it
//! says it is: nonces are made again, not remembered (`handshake`). Nodes that were launched together begin with a session to each
//! of their neighbours.
//!
//! | Heard in the session | Sent |
//! |---|---|
//! | within `suspect_after` | frames |
//! | within four times that, or 8 s | frames, and a hello beside them: the peer may have forgotten, or moved |
//! | before, or never | a hello; the frames wait (`waiting`) |
//!
//! Both ends may say hello at once, and then make two sessions. Each sends in the one that it made last, and takes in
//! both. An end that said hello goes back to the session before if the peer still uses that: the first datagram of the new one may be lost, and the
//! nonces in it over. Neither membership nor broadcast knows that there are sessions.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Limits};
use crate::datagram::header::{self, Dropped, Header, SessionId};
use crate::datagram::outbox::{self, Outbox, Outputs};
use crate::datagram::wire::Frames;
use crate::ids::{Incarnation, NodeId, Origin, PeerAddr};
use crate::report::Counters;
use crate::time::Monotonic;
use handshake::same_place;
use incoming::Incoming;
use session::Session;
use waiting::Waiting;

mod handshake;
mod incoming;
mod replay_window;
mod session;
mod waiting;

/// How often a peer is told hello at most: while frames wait for it, and while they need not.
const HELLO_INTERVAL_WAITING: Duration = Duration::from_millis(50);
const HELLO_INTERVAL: Duration = Duration::from_millis(100);
/// Sessions are kept for at least this long after the peer was heard, longer than nonces are good; and where there is
/// room, for longer than most nodes are stopped.
const KEPT_MIN: Duration = Duration::from_secs(20);
const KEPT_IF_ROOM: Duration = Duration::from_secs(60);
/// Of two sessions with a peer, the one not heard for this much longer than the other is over: what was sent in it
/// was held back.
const OVER_AFTER: Duration = Duration::from_secs(4);
/// The most answers to handshakes between two flushes.
const REPLIES_MAX: usize = 64;

/// A datagram of frames that counts.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    /// The peer, and where it showed that it is.
    pub(crate) sender: PeerAddr,
    pub(crate) incarnation: Incarnation,
    /// Whether no later datagram of the peer came in before. Others may have been held back by somebody, so they
    /// are no sign of life.
    pub(crate) is_newest: bool,
    /// None in a welcome.
    pub(crate) frames: Frames<'a>,
}

/// All sessions of a node.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// By number.
    peers: Vec<Entry>,
    /// Answers to handshakes, for the next flush.
    replies: Outputs,
    /// Peers that there is a session with now, while frames wait for them.
    released: Vec<NodeId>,
    /// Those of them that a summary was for. It would be old by the time that it gets there, so another is made.
    pub(crate) owed: Vec<NodeId>,
}

/// The sessions with one peer.
#[derive(Debug)]
struct Entry {
    node: NodeId,
    /// The session that frames are sent in: mostly the one that was made last.
    newest: Option<Session>,
    /// Another one that the peer may send in.
    before: Option<Box<Session>>,
    /// Where this start of the peer was met, if it is elsewhere now.
    home: Option<Box<SocketAddr>>,
    said_hello: Option<Monotonic>,
    /// When a hello last went to where only a datagram came from.
    asked_elsewhere: Option<Monotonic>,
    waiting: Option<Box<Waiting>>,
}

impl Entry {
    fn new(node: NodeId) -> Self {
        Self {
            node,
            newest: None,
            before: None,
            home: None,
            said_hello: None,
            asked_elsewhere: None,
            waiting: None,
        }
    }

    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        let all = self.newest.iter_mut().chain(self.before.as_deref_mut());
        all.into_iter().find(|session| session.id() == id)
    }

    /// Whether nothing in this session counts any more, since the peer was long heard in the other.
    fn is_over(&self, id: SessionId) -> bool {
        let all = || self.newest.iter().chain(self.before.as_deref());
        let heard = all().find(|session| session.id() == id).map(|session| session.heard);
        heard.is_some_and(|heard| all().any(|other| other.heard.since(heard) >= OVER_AFTER))
    }

    /// The peer's latest incarnation; 0 before there was a session.
    fn incarnation(&self) -> Incarnation {
        self.newest.as_ref().map_or(0, |session| session.incarnation)
    }

    /// The session that the peer was heard in last: it may send in either.
    fn heard(&self) -> Option<&Session> {
        let all = self.newest.iter().chain(self.before.as_deref());
        all.max_by_key(|session| session.heard)
    }

    /// Whether this start of the peer sends in a session that is there, from this address. Then
    /// another session is of no use.
    fn is_heard_there(
        &self,
        peer: Origin,
        from: SocketAddr,
        now: Monotonic,
        config: &Config,
    ) -> bool {
        let is_lately = |at: Monotonic| now.since(at) < config.timing.suspect_after;
        self.heard().is_some_and(|session| {
            session.incarnation == peer.incarnation
                && same_place(session.addr, from)
                && !session.is_unused()
                && is_lately(session.heard)
        })
    }

    /// When something last happened here.
    fn used(&self) -> Monotonic {
        let heard = self.heard().map(|session| session.heard);
        heard.max(self.said_hello).unwrap_or_default()
    }

    fn has_waiting(&self, now: Monotonic) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.is_fresh(now))
    }

    /// Sends in the other session from now on.
    fn swap(&mut self) {
        if let (Some(newest), Some(before)) = (&mut self.newest, &mut self.before) {
            std::mem::swap(newest, before);
        }
    }

    /// Takes in a new session. False if it must not be: a session that was used, and leaves while its
    /// nonces are good, could be made again, and what it counted would count again.
    fn renew(&mut self, session: Session) -> bool {
        let Some(newest) = &self.newest else {
            self.newest = Some(session);
            return true;
        };
        let (life, place) = (handshake::NONCE_LIFE_MAX, newest.addr);
        let may_go = |s: &Session| s.is_unused() || session.made.since(s.made) >= life;
        if session.incarnation > newest.incarnation {
            // All that an earlier incarnation sent is over, its nonces included.
            (self.before, self.home) = (None, Some(Box::new(session.addr)));
        } else if self.before.as_deref().is_none_or(may_go) {
            self.before = self.newest.take().map(Box::new);
        } else if !newest.is_unused() {
            return false;
        }
        let home = self.home.take().unwrap_or_else(|| Box::new(place));
        self.home = (!same_place(*home, session.addr)).then_some(home);
        self.newest = Some(session);
        true
    }
}

impl Sessions {
    /// The sessions that a launch gave, or none.
    pub(crate) fn new(config: &Config, now: Monotonic) -> Self {
        let mut sessions = Self {
            peers: Vec::new(),
            replies: Outputs::default(),
            released: Vec::new(),
            owed: Vec::new(),
        };
        if let Some(launch) = config.launch {
            sessions.peers.reserve_exact(config.neighbours.len());
            let incarnation = config.start.incarnation;
            for peer in &config.neighbours {
                sessions.know(config, &launch, *peer, incarnation, now);
            }
        }
        sessions
    }

    /// Has a session with a peer that was launched together with this node.
    pub(crate) fn know(
        &mut self,
        config: &Config,
        launch: &[u8; 16],
        peer: PeerAddr,
        incarnation: Incarnation,
        now: Monotonic,
    ) {
        let ends = (config.node, peer.node);
        let secret = handshake::launched(&config.key, launch, ends, incarnation);
        let session = Session::new(secret, incarnation, peer.addr, None, now);
        let at = self.place(peer.node).unwrap_or_else(|at| {
            self.peers.insert(at, Entry::new(peer.node));
            at
        });
        self.peers[at].renew(session);
    }

    fn place(&self, node: NodeId) -> Result<usize, usize> {
        self.peers.binary_search_by_key(&node, |entry| entry.node)
    }

    /// The place of a peer, which is made if need be; `None` if there is no room.
    fn ensure(&mut self, config: &Config, now: Monotonic, node: NodeId) -> Option<usize> {
        if let Ok(at) = self.place(node) {
            return Some(at);
        }
        let is_full = self.peers.len() >= peers_max(&config.limits);
        let least = if is_full { KEPT_MIN } else { KEPT_IF_ROOM };
        let kept = least.max(config.timing.suspect_after * 10);
        self.peers.retain(|entry| now.since(entry.used()) < kept);
        if self.peers.len() >= peers_max(&config.limits) {
            return None;
        }
        let at = self.place(node).unwrap_or_else(|at| at);
        self.peers.insert(at, Entry::new(node));
        Some(at)
    }

    /// Checks a datagram and takes it apart. `None` for one that is of no concern to the rest of
    /// the node; no frames where a peer was met.
    pub(crate) fn open<'a>(
        &mut self,
        config: &Config,
        now: Monotonic,
        from: SocketAddr,
        bytes: &'a [u8],
        counters: &mut Counters,
    ) -> Result<Option<Datagram<'a>>, Dropped> {
        let datagram = header::read(bytes)?;
        if datagram.header.sender() == config.node {
            return Err(Dropped::Own);
        }
        let mut arrival = Incoming { sessions: self, config, now, from, datagram, counters };
        match datagram.header {
            Header::Session { sender, session, counter } => {
                let at = arrival.sessions.place(sender).map_err(|_| Dropped::Session)?;
                arrival.in_session(at, session, counter).map(Some)
            }
            Header::Opening { sender, nonces, counter } => {
                arrival.opens(sender, nonces, counter).map(Some)
            }
            Header::Hello { sender, receiver, initiator } => {
                arrival.says_hello(sender, receiver, initiator).map(|()| None)
            }
            Header::Welcome { sender, receiver, nonces } => {
                arrival.welcomes(sender, receiver, nonces)
            }
        }
    }

    /// Whether all frames that were to be sent were: none waits, as far as waiting makes sense.
    pub(crate) fn is_quiet(&self, now: Monotonic) -> bool {
        self.replies.datagrams.is_empty() && !self.peers.iter().any(|entry| entry.has_waiting(now))
    }

    /// Whether nothing is to be sent by [`Sessions::release`] and [`Sessions::flush`].
    pub(crate) fn is_flushed(&self) -> bool {
        self.replies.datagrams.is_empty() && self.released.is_empty()
    }

    /// Puts frames that no longer need to wait into the outbox.
    pub(crate) fn release(&mut self, now: Monotonic, outbox: &mut Outbox) {
        for node in std::mem::take(&mut self.released) {
            let Ok(at) = self.place(node) else { continue };
            if let Some(waited) = self.peers[at].waiting.take().filter(|w| w.is_fresh(now)) {
                outbox.put_ahead(node, &waited.frames, waited.rumors);
            }
        }
    }

    /// Appends hellos and welcomes. They go behind frames, which may show that there is no need of them.
    pub(crate) fn flush(&mut self, out: &mut Outputs, counters: &mut Counters) {
        for (to, range) in self.replies.datagrams.drain(..) {
            outbox::count(false, range.len(), counters);
            out.push(to, &self.replies.bytes[range]);
        }
        self.replies.bytes.clear();
    }

    /// Gives back the memory that is kept for the next flush.
    pub(crate) fn release_buffers(&mut self) {
        self.replies = Outputs::default();
    }

    /// Where the session with a peer is that frames may be sent in now; `None` if they must wait. Says
    /// hello to the peer if it is time to.
    pub(crate) fn ready(
        &mut self,
        config: &Config,
        now: Monotonic,
        to: PeerAddr,
        counters: &mut Counters,
    ) -> Option<usize> {
        let Some(at) = self.ensure(config, now, to.node) else {
            counters.limit_sessions_refused += 1;
            return None;
        };
        let entry = &mut self.peers[at];
        let silent = entry.heard().map(|session| now.since(session.heard));
        let suspect_after = config.timing.suspect_after;
        let (interval, waits) = match silent {
            Some(silent) if silent < suspect_after => return Some(at),
            // Not before a third session may be made: see `Entry::renew`.
            Some(silent) if silent < handshake::NONCE_LIFE_MAX.max(suspect_after * 4) => {
                (HELLO_INTERVAL, false)
            }
            _ => (HELLO_INTERVAL_WAITING, true),
        };
        if entry.said_hello.is_none_or(|said| now.since(said) >= interval) {
            entry.said_hello = Some(now);
            // It may have moved, but somebody may also have passed on its handshake, and be gone.
            let home = entry.home.as_deref().filter(|home| !same_place(**home, to.addr));
            for addr in [Some(&to.addr), home].into_iter().flatten() {
                let there = PeerAddr { node: to.node, addr: *addr };
                say_hello(config, now, there, &mut self.replies);
                counters.hellos_sent += 1;
            }
        }
        (!waits).then_some(at)
    }

    /// Appends a datagram in the session at this place, and says how long it is.
    pub(crate) fn seal(
        &mut self,
        at: usize,
        config: &Config,
        out: &mut Outputs,
        frames: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let Entry { node, newest, .. } = &mut self.peers[at];
        let session = newest.as_mut().expect("a place that frames may be sent to has a session");
        let start = out.bytes.len();
        session.begin(config, &mut out.bytes);
        frames(&mut out.bytes);
        session.seal(&mut out.bytes, start);
        let range = start..out.bytes.len();
        out.datagrams.push((PeerAddr { node: *node, addr: session.addr }, range.clone()));
        range.len()
    }

    /// Has a frame wait until there is a session with this peer.
    pub(crate) fn wait(
        &mut self,
        now: Monotonic,
        to: NodeId,
        frame: &[u8],
        is_rumor: bool,
        counters: &mut Counters,
    ) {
        let kept = self.place(to).is_ok_and(|at| {
            self.peers[at].waiting.get_or_insert_default().put(frame, is_rumor, now)
        });
        counters.limit_waiting_dropped += u64::from(!kept);
    }

    /// Has a summary follow once there is a session with this peer.
    pub(crate) fn owe_summary(&mut self, to: NodeId) {
        if let Ok(at) = self.place(to) {
            self.peers[at].waiting.get_or_insert_default().summary = true;
        }
    }

    /// Where there is a session with a peer, whenever that was heard.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with(&self, node: NodeId) -> Option<usize> {
        self.place(node).ok().filter(|at| self.peers[*at].newest.is_some())
    }

    /// Checks what must hold between any two inputs.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn audit(&self, limits: &Limits) -> Result<(), String> {
        if !self.is_flushed() {
            return Err("answers to handshakes wait after a flush".into());
        }
        // A launch gives a session to each neighbour, whatever the limits.
        match self.peers.len() {
            peers if peers <= peers_max(limits) => Ok(()),
            peers => Err(format!("sessions with {peers} peers")),
        }
    }
}

/// The most peers that there are sessions with: all neighbours, contacts, and as many of whom little is known.
fn peers_max(limits: &Limits) -> usize {
    limits.neighbours_max.saturating_add(limits.contacts_max.saturating_mul(2))
}

fn me(config: &Config) -> Origin {
    Origin { node: config.node, incarnation: config.start.incarnation }
}

/// Appends a hello.
pub(crate) fn say_hello(config: &Config, now: Monotonic, to: PeerAddr, out: &mut Outputs) {
    let initiator = handshake::initiator_nonce(config, to, now);
    let hello = Header::Hello { sender: me(config), receiver: to.node, initiator };
    let start = out.bytes.len();
    header::write(&hello, &mut out.bytes);
    header::seal(&mut out.bytes, start, &config.key.0);
    out.datagrams.push((to, start..out.bytes.len()));
}
