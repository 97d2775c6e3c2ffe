//! All that the two machines inside a node may ask for: frames to send, events to tell, counts,
//! random numbers, the time, and the configuration. Nothing else of the outside reaches them.

use std::net::SocketAddr;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use crate::config::Config;
use crate::datagram::outbox::{Encoded, Outbox, Outputs, Packing};
use crate::datagram::sessions::Sessions;
use crate::datagram::wire::{Frame, Rumor};
use crate::ids::{NodeId, Origin, PeerAddr};
use crate::report::{Counters, Event};
use crate::time::{Monotonic, Now, Wall};

/// What both machines of a node share.
#[derive(Debug)]
pub(crate) struct Effects {
    /// The time at this call: what drives timers, and what people read.
    pub(crate) now: Monotonic,
    pub(crate) wall: Wall,
    /// Without the peers that the node began with: they are needed only then.
    pub(crate) config: Config,
    pub(crate) rng: Xoshiro256PlusPlus,
    pub(crate) outbox: Outbox,
    pub(crate) sessions: Sessions,
    pub(crate) counters: Counters,
    pub(crate) events: Vec<Event>,
}

impl Effects {
    pub(crate) fn new(config: &Config, now: Now) -> Self {
        Self {
            now: now.monotonic,
            wall: now.wall,
            rng: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            config: Config { neighbours: Vec::new(), sample: Vec::new(), ..config.clone() },
            outbox: Outbox::default(),
            sessions: Sessions::new(config, now.monotonic),
            counters: Counters::default(),
            events: Vec::new(),
        }
    }

    /// Says what time it is. Every door into the node does.
    pub(crate) fn set_time(&mut self, now: Now) {
        (self.now, self.wall) = (now.monotonic, now.wall);
    }

    /// This life of this node.
    pub(crate) fn me(&self) -> Origin {
        Origin { node: self.config.node, incarnation: self.config.start.incarnation }
    }

    /// Encodes a rumor as this node passes it on.
    pub(crate) fn encode_onward(&mut self, rumor: &Rumor<'_>) -> Encoded {
        let (frame, was_cut) = self.outbox.encode_onward(rumor, &self.config);
        self.counters.limit_paths_cut += u64::from(was_cut);
        frame
    }

    /// Appends what is to be sent and told to `out`. `addr_of` says where a node is.
    pub(crate) fn flush(
        &mut self,
        addr_of: impl Fn(NodeId) -> Option<SocketAddr>,
        out: &mut Outputs,
    ) {
        out.events.append(&mut self.events);
        let Self { config, now, outbox, sessions, counters, .. } = self;
        sessions.release(*now, outbox);
        // Most flushes find nothing to send.
        if !outbox.is_empty() {
            outbox.pack(addr_of, &mut Packing { config, now: *now, sessions, out, counters });
        }
        sessions.flush(out, counters);
    }

    /// Gives back the memory that is kept for the next flush.
    pub(crate) fn release_buffers(&mut self) {
        debug_assert!(self.outbox.is_empty(), "what waits is packed first");
        self.outbox = Outbox::default();
        self.sessions.release_buffers();
        self.events = Vec::new();
    }

    /// Sends a control frame to a peer.
    pub(crate) fn send(&mut self, to: NodeId, frame: &Frame<'_>) {
        self.outbox.send(to, None, frame, &mut self.counters);
    }

    /// Sends a control frame to the address that another frame named, whatever membership knows.
    pub(crate) fn send_to(&mut self, to: PeerAddr, frame: &Frame<'_>) {
        self.outbox.send(to.node, Some(to.addr), frame, &mut self.counters);
    }
}
