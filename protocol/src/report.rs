//! What a node tells of itself: answers to questions, events, counters. Plain values.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::{Limits, RELAYS_MAX};
use crate::ids::{Incarnation, MessageId, NodeId, Path, PeerAddr};
use crate::time::Wall;

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// It has no bytes.
    #[error("the message is empty")]
    Empty,
    /// It is longer than a datagram carries.
    #[error("the message has {bytes} bytes, and a datagram carries {bytes_max}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// [`Limits::text_bytes_max`].
        bytes_max: usize,
    },
    /// The relays limit is outside 1 to [`RELAYS_MAX`].
    #[error("the relays limit is {relays}, and must be from 1 to {RELAYS_MAX}")]
    Relays {
        /// What was asked for.
        relays: u8,
    },
    /// The node is leaving the network.
    #[error("the node is leaving the network")]
    Leaving,
    /// The send window is closed: too much of what was sent before is still in flight, here or
    /// somewhere in the network. Keep the message, and offer it again after every datagram and
    /// every tick. Nothing is lost by waiting; to go on regardless would overrun the network.
    #[error("the send window is closed")]
    Full,
}

/// Which messages to tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// Those not shown before.
    Unread,
    /// Those shown before.
    Read,
    /// All.
    All,
}

/// A question for messages, answered a page at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageQuery {
    /// Which of them.
    pub which: Which,
    /// Only this many of them, the last to arrive.
    pub last: Option<u64>,
    /// [`MessagePage::next`] of the page before; `None` for the first page.
    pub after: Option<u64>,
}

/// Messages in the order in which they arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePage {
    /// The messages of this page.
    pub messages: Vec<MessageInfo>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<u64>,
}

/// One message, as one node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageInfo {
    /// Its name.
    pub id: MessageId,
    /// Its payload: what was handed to its origin.
    pub payload: Vec<u8>,
    /// When its origin accepted it, by the origin's wall clock.
    pub sent_at: Wall,
    /// When the first copy arrived, by this node's wall clock.
    pub received_at: Wall,
    /// Not shown before this answer.
    pub unread: bool,
    /// The copies a node may send of it on each link.
    pub relays: u8,
    /// The hops of the first copy.
    pub hops: u32,
    /// Whether the first copy, or one it descends from, was sent by repair.
    pub repaired: bool,
    /// The path of every copy kept, first copy first. Each ends with this node.
    pub paths: Vec<PathInfo>,
    /// Flood copies sent.
    pub copies_sent: u32,
    /// Copies sent because they were asked for.
    pub repairs_sent: u32,
    /// Bytes of all copies sent, as frames: without what a datagram adds to them.
    pub bytes_sent: u64,
    /// Copies received, the first included.
    pub copies_received: u32,
}

impl MessageInfo {
    /// The payload as text. Bytes that are no UTF-8 are shown as such.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.payload)
    }
}

/// What a node can say of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holding {
    /// It holds it.
    Held(Box<MessageInfo>),
    /// It knows of it and holds it no more, or never took it: a limit stood in the way.
    Gone,
    /// It never met it.
    Unknown,
}

/// The path of one copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathInfo {
    /// How many links it crossed. Right even where the path was cut.
    pub hops: u32,
    /// From the origin to this node.
    pub path: Path,
}

/// How a peer is seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// A link to it is wanted and not yet confirmed.
    Joining,
    /// It was heard from lately.
    Alive,
    /// It is silent, and being probed.
    Suspected,
    /// It did not answer; still probed, ever more rarely.
    Dead,
    /// It lives, as others say, but the link to it carries nothing; probed like the dead.
    Cut,
    /// It left.
    Removed,
}

/// A neighbour, past ones that died or left included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Its number.
    pub node: NodeId,
    /// Its UDP address.
    pub addr: SocketAddr,
    /// How it is seen from here.
    pub state: PeerState,
    /// Its neighbours, as it last told them.
    pub neighbours: Vec<PeerAddr>,
    /// Messages sent to it that it is not known to have.
    pub in_flight: u32,
    /// Smoothed time for a copy to come back, in microseconds; `None` until measured.
    pub ack_time_us: Option<u64>,
}

/// A node's account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its number.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its neighbours, as [`PeerInfo`].
    pub peers: Vec<PeerInfo>,
    /// Other nodes it has in mind beside neighbours and their neighbours.
    pub sample: Vec<PeerAddr>,
    /// How many different nodes it knows of at all, itself not counted.
    pub known_nodes: u64,
    /// Messages held.
    pub messages: u64,
    /// Messages held and not yet shown.
    pub unread: u64,
    /// Bytes retained for them.
    pub retained_bytes: u64,
    /// Ids known, held or gone.
    pub known_messages: u64,
    /// Messages known to exist and not here yet.
    pub missing: u64,
    /// Its limits.
    pub limits: Limits,
    /// What it counted since it started.
    pub counters: Counters,
}

/// Declares the counters once: the struct, their sum, their list by name.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a node counts from its start on. All are totals.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Adds another node's counts to these.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Each counter with its name, in the order of declaration.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counters! {
    /// Datagrams handed to the socket.
    datagrams_sent,
    /// Their bytes.
    bytes_sent,
    /// Datagrams that came in, whatever they held.
    datagrams_received,
    /// Their bytes.
    bytes_received,
    /// Flood copies sent.
    rumors_sent,
    /// Their bytes, as frames.
    rumor_bytes_sent,
    /// Datagrams sent that held at least one rumor.
    rumor_datagrams_sent,
    /// Copies received, repaired ones included.
    rumors_received,
    /// Copies received of messages already here.
    rumors_duplicate,
    /// Messages delivered: the first copy of each, and those that started here.
    delivered,
    /// Messages that started here.
    accepted,
    /// Rumors sent because they were asked for.
    repairs_sent,
    /// Rumors received because they were asked for.
    repairs_received,
    /// Datagrams sent that held only control frames.
    control_datagrams_sent,
    /// Their bytes.
    control_bytes_sent,
    /// Summaries sent.
    summaries_sent,
    /// Summaries that differed from our own account.
    summaries_differing,
    /// Range listings sent.
    ranges_sent,
    /// Questions about messages in flight sent.
    haves_sent,
    /// Requests for messages sent.
    wants_sent,
    /// Requests to take in no new texts for a moment, started here or passed on.
    back_pressure_sent,
    /// Probes sent, direct and through others.
    probes_sent,
    /// Requests for a session sent.
    hellos_sent,
    /// Answers to requests for a session sent.
    welcomes_sent,
    /// Sessions made with other nodes, those of the launch not counted.
    sessions_made,
    /// Neighbours that came under suspicion.
    peers_suspected,
    /// Neighbours declared dead.
    peers_dead,
    /// Dead peers that came back.
    peers_returned,
    /// Links made after the start.
    links_made,
    /// Links dropped while their other end lived.
    links_dropped,
    /// Links given up because they carried nothing, one way at least, while their other end lived.
    links_broken,
    /// Dropped: empty, and not our own wake-up call.
    dropped_empty,
    /// Dropped: too short, or without our magic bytes.
    dropped_magic,
    /// Dropped: another version of the wire format.
    dropped_version,
    /// Dropped: the tag is not of the key that it should be of.
    dropped_tag,
    /// Dropped: malformed.
    dropped_malformed,
    /// Dropped: of a session that is not known here, or no longer.
    dropped_session,
    /// Dropped: it was here before, or others overtook it long ago.
    dropped_replayed,
    /// Dropped: not from the address of its session.
    dropped_elsewhere,
    /// Dropped: claims to come from this very node.
    dropped_own,
    /// Dropped: from an earlier incarnation of its sender.
    dropped_stale,
    /// Rumors dropped: text or path beyond a limit of this node.
    dropped_oversize,
    /// Datagrams the socket refused to send: lost, like any other.
    send_errors,
    /// Errors of the socket while receiving.
    receive_errors,
    /// Datagrams dropped, delayed or changed by injected faults.
    faults_applied,
    /// Texts refused at submission.
    limit_text_refused,
    /// Times that texts handed in had to wait because of [`Limits::in_flight_max`].
    limit_in_flight_held_up,
    /// Messages evicted that a neighbour, not a suspected one, was not known to have.
    limit_in_flight_evicted,
    /// Messages evicted by [`Limits::messages_max`].
    limit_messages_evicted,
    /// Messages evicted by [`Limits::retained_bytes_max`].
    limit_bytes_evicted,
    /// Paths not kept because of [`Limits::paths_max`].
    limit_paths_dropped,
    /// Paths cut in their middle.
    limit_paths_cut,
    /// Messages and offers refused by [`Limits::id_ranges_max`].
    limit_ranges_refused,
    /// Links refused by [`Limits::neighbours_max`].
    limit_neighbours_refused,
    /// Requests cut short by [`Limits::repair_replies_max`].
    limit_repair_replies_cut,
    /// Sessions not made, since there are too many with others or with this peer.
    limit_sessions_refused,
    /// Frames dropped because too many bytes of them waited for a session.
    limit_waiting_dropped,
    /// Control frames dropped because too many bytes of them were to be sent at once.
    limit_control_dropped,
    /// Peers forgotten by [`Limits::contacts_max`].
    limit_contacts_dropped,
    /// Delayed datagrams dropped by [`Limits::delayed_datagrams_max`].
    limit_delayed_dropped,
}

/// Something that happened, told as it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A message started here.
    Accepted {
        /// Its name.
        id: MessageId,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// The first copy of a message came in.
    Delivered {
        /// Its name.
        id: MessageId,
        /// Its payload.
        payload: Vec<u8>,
        /// The neighbour it came from.
        from: NodeId,
        /// The links it crossed.
        hops: u32,
        /// Time since it was sent, by the wall clocks of both ends; zero if they disagree.
        latency_us: u64,
    },
    /// A neighbour was silent for long, and is suspected.
    PeerSuspected {
        /// Which.
        node: NodeId,
    },
    /// A neighbour did not answer any probe.
    PeerDead {
        /// Which.
        node: NodeId,
    },
    /// A neighbour said that it leaves.
    PeerLeft {
        /// Which.
        node: NodeId,
    },
    /// A suspected or lost neighbour was heard from, or a new one for the first time.
    PeerAlive {
        /// Which.
        node: NodeId,
    },
    /// A link was made.
    LinkMade {
        /// To whom.
        node: NodeId,
    },
    /// A link was given up, though its other end lives.
    LinkDropped {
        /// To whom.
        node: NodeId,
    },
    /// A link was given up because it carries nothing, one way at least. Its other end lives.
    LinkBroken {
        /// To whom.
        node: NodeId,
    },
    /// A limit was reached for the first time.
    LimitHit {
        /// The name of its counter.
        limit: String,
    },
}

impl Event {
    /// The payload of the message that it is about; empty for all others.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Accepted { payload, .. } | Self::Delivered { payload, .. } => payload,
            _ => &[],
        }
    }
}
