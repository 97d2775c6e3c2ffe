//! Datagrams of the four forms, each judged before anything is kept.

use std::net::SocketAddr;

use super::session::Session;
use super::{Datagram, Entry, HELLO_INTERVAL, REPLIES_MAX, Sessions, handshake, me, say_hello};
use crate::config::Config;
use crate::datagram::header::{self, Dropped, Header, Nonce, Nonces, Sealed, SessionId};
use crate::datagram::outbox::Outputs;
use crate::datagram::wire::{self, Frames};
use crate::ids::{NodeId, Origin, PeerAddr};
use crate::report::Counters;
use crate::time::Monotonic;

/// A datagram that came in, and all that is needed to judge it.
pub(super) struct Incoming<'a, 's> {
    pub(super) sessions: &'s mut Sessions,
    pub(super) config: &'s Config,
    pub(super) now: Monotonic,
    pub(super) from: SocketAddr,
    pub(super) datagram: Sealed<'a>,
    pub(super) counters: &'s mut Counters,
}

impl<'a> Incoming<'a, '_> {
    /// Frames in a session that is there.
    pub(super) fn in_session(
        &mut self,
        at: usize,
        id: SessionId,
        counter: u64,
    ) -> Result<Datagram<'a>, Dropped> {
        let entry = &mut self.sessions.peers[at];
        let node = entry.node;
        if entry.is_over(id) {
            return Err(Dropped::Session);
        }
        let session = entry.session(id).ok_or(Dropped::Session)?;
        let incarnation = session.incarnation;
        match session.take(self.now, self.from, counter, &self.datagram) {
            Ok(is_newest) => {
                // The peer uses the other session, and may never have got the first datagram of the newest.
                if entry
                    .newest
                    .as_ref()
                    .is_some_and(|newest| newest.id() != id && newest.is_unconfirmed())
                {
                    entry.swap();
                }
                self.frames(Origin { node, incarnation }, is_newest)
            }
            Err(reason) => {
                if reason == Dropped::Elsewhere {
                    self.ask_who_is_there(at);
                }
                Err(reason)
            }
        }
    }

    /// A member's datagram came from an address that is not its own: it moved, or somebody sends what it sent.
    /// Only the node itself can answer.
    fn ask_who_is_there(&mut self, at: usize) {
        let is_time = |asked: Monotonic| self.now.since(asked) >= HELLO_INTERVAL;
        if self.sessions.peers[at].asked_elsewhere.is_none_or(is_time) && self.may_reply() {
            self.sessions.peers[at].asked_elsewhere = Some(self.now);
            self.say_hello(at, self.from);
        }
    }

    fn say_hello(&mut self, at: usize, addr: SocketAddr) {
        let there = PeerAddr { node: self.sessions.peers[at].node, addr };
        say_hello(self.config, self.now, there, &mut self.sessions.replies);
        self.counters.hellos_sent += 1;
    }

    /// Frames, and the nonces of a session that may be there or not.
    pub(super) fn opens(
        &mut self,
        sender: Origin,
        nonces: Nonces,
        counter: u64,
    ) -> Result<Datagram<'a>, Dropped> {
        let Self { config, now, from, .. } = *self;
        let secret = handshake::agreed(&config.key, sender, me(config), nonces);
        if let Ok(at) = self.sessions.place(sender.node)
            && self.sessions.peers[at].session(secret.id).is_some()
        {
            return self.in_session(at, secret.id, counter);
        }
        let there = PeerAddr { node: sender.node, addr: from };
        if !handshake::is_our_welcome(config, there, now, nonces) {
            return Err(Dropped::Session);
        }
        let mut session = Session::new(secret, sender.incarnation, from, None, now);
        let is_newest = session.take(now, from, counter, &self.datagram)?;
        let datagram = self.frames(sender, is_newest)?;
        self.make(sender, session)?;
        Ok(datagram)
    }

    /// A peer that has no session asks for one. It may be a recording, so nothing is kept but the answer.
    pub(super) fn says_hello(
        &mut self,
        sender: Origin,
        receiver: NodeId,
        initiator: Nonce,
    ) -> Result<(), Dropped> {
        let Self { config, now, from, .. } = *self;
        if receiver != config.node {
            return Err(Dropped::Session);
        }
        if !self.datagram.is_tagged(&config.key.0) {
            return Err(Dropped::Tag);
        }
        let entry = self.sessions.place(sender.node).ok().map(|at| &self.sessions.peers[at]);
        if entry.is_some_and(|entry| sender.incarnation < entry.incarnation()) {
            return Err(Dropped::Stale);
        }
        // Where the peer was heard just now, the welcome goes there: a copy of a hello
        // from elsewhere diverts nothing.
        let heard = entry.and_then(Entry::heard);
        let heard = heard.filter(|session| now.since(session.heard) < config.timing.suspect_after);
        let to = PeerAddr { node: sender.node, addr: heard.map_or(from, |session| session.addr) };
        if self.may_reply() {
            let responder = handshake::responder_nonce(config, to, now, initiator);
            let nonces = Nonces { initiator, responder };
            let key = handshake::agreed(&config.key, sender, me(config), nonces).key;
            let welcome = Header::Welcome { sender: me(config), receiver: sender.node, nonces };
            let Outputs { bytes, datagrams, .. } = &mut self.sessions.replies;
            let start = bytes.len();
            header::write(&welcome, bytes);
            header::seal(bytes, start, &key);
            datagrams.push((to, start..bytes.len()));
            self.counters.welcomes_sent += 1;
        }
        Ok(())
    }

    /// An answer to a hello of this node, from where that went, within the last seconds.
    pub(super) fn welcomes(
        &mut self,
        sender: Origin,
        receiver: NodeId,
        nonces: Nonces,
    ) -> Result<Option<Datagram<'a>>, Dropped> {
        let Self { config, now, from, .. } = *self;
        let there = PeerAddr { node: sender.node, addr: from };
        if receiver != config.node || !handshake::is_our_hello(config, there, now, nonces.initiator)
        {
            return Err(Dropped::Session);
        }
        let secret = handshake::agreed(&config.key, me(config), sender, nonces);
        if !self.datagram.is_tagged(&secret.key) {
            return Err(Dropped::Tag);
        }
        if let Ok(at) = self.sessions.place(sender.node)
            && self.sessions.peers[at].is_heard_there(sender, from, now, config)
        {
            return Ok(None);
        }
        if let Ok(at) = self.sessions.place(sender.node)
            && let Some(session) = self.sessions.peers[at].session(secret.id)
        {
            let (is_unconfirmed, entry) = (session.is_unconfirmed(), &mut self.sessions.peers[at]);
            // The peer answers again, so it does not have the one in use.
            if is_unconfirmed && entry.before.as_ref().is_some_and(|s| s.id() == secret.id) {
                entry.swap();
            }
            return Ok(None);
        }
        let session = Session::new(secret, sender.incarnation, from, Some(nonces), now);
        self.make(sender, session)?;
        let (sender, incarnation) = (there, sender.incarnation);
        Ok(Some(Datagram { sender, incarnation, is_newest: true, frames: Frames::new() }))
    }

    /// Enters a new session.
    fn make(&mut self, peer: Origin, session: Session) -> Result<(), Dropped> {
        let Some(at) = self.sessions.ensure(self.config, self.now, peer.node) else {
            return Err(Dropped::Refused);
        };
        let entry = &mut self.sessions.peers[at];
        if peer.incarnation < entry.incarnation() {
            return Err(Dropped::Stale);
        }
        if !entry.renew(session) {
            return Err(Dropped::Refused);
        }
        self.counters.sessions_made += 1;
        if entry.has_waiting(self.now) {
            self.sessions.released.push(peer.node);
        }
        if entry.waiting.as_mut().is_some_and(|waiting| std::mem::take(&mut waiting.summary)) {
            self.sessions.owed.push(peer.node);
        }
        // Is it still where it was met? Then somebody passed on its handshake (RFC 9000, section 9.3.3).
        if let Some(home) = entry.home.as_deref().copied()
            && self.may_reply()
        {
            self.say_hello(at, home);
        }
        Ok(())
    }

    fn frames(&self, sender: Origin, is_newest: bool) -> Result<Datagram<'a>, Dropped> {
        let frames = wire::parse(sender.node, self.datagram.frames).ok_or(Dropped::Malformed)?;
        let Origin { node, incarnation } = sender;
        Ok(Datagram { sender: PeerAddr { node, addr: self.from }, incarnation, is_newest, frames })
    }

    /// Whether there is room for one more answer. An answer that does not fit is lost, as on the way.
    fn may_reply(&mut self) -> bool {
        let may = self.sessions.replies.datagrams.len() < REPLIES_MAX;
        self.counters.limit_control_dropped += u64::from(!may);
        may
    }
}
