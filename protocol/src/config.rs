//! Every limit and every interval of a node: its name, its default, and where that comes from.
//!
//! Defaults only; command-line options that change them are parsed elsewhere.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, PeerAddr, Start};

/// The secret that a network's members share. Datagrams without its tag are dropped.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(pub [u8; 32]);

impl std::fmt::Debug for Key {
    /// Shows nothing: keys must not end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What a node is built from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Its number.
    pub node: NodeId,
    /// Which start of that node this is.
    pub start: Start,
    /// Bytes drawn anew for each launch, where this node and all its first neighbours are started together as the
    /// same incarnation; `None` otherwise. These nodes begin with sessions that are made of them, so they are never used for another start.
    pub launch: Option<[u8; 16]>,
    /// The network's key.
    pub key: Key,
    /// All its randomness follows from this number.
    pub seed: u64,
    /// The neighbours it begins with.
    pub neighbours: Vec<PeerAddr>,
    /// Other nodes it knows of, drawn uniformly from the whole network: the way back when its
    /// neighbours die together.
    pub sample: Vec<PeerAddr>,
    /// What it may use. Shared, where one process has many nodes.
    pub limits: Arc<Limits>,
    /// When it acts.
    pub timing: Arc<Timing>,
}

impl Config {
    /// A node with default limits and timing, and nobody to talk to. No other start of this node
    /// may have the same [`Start`], and each has a higher incarnation than those before it.
    #[must_use]
    pub fn new(node: NodeId, start: Start, key: Key, seed: u64) -> Self {
        Self {
            node,
            start,
            launch: None,
            key,
            seed,
            neighbours: Vec::new(),
            sample: Vec::new(),
            limits: Arc::default(),
            timing: Arc::default(),
        }
    }

    /// What it may use, to be changed for this node alone.
    pub fn limits_mut(&mut self) -> &mut Limits {
        Arc::make_mut(&mut self.limits)
    }

    /// When it acts, to be changed for this node alone.
    pub fn timing_mut(&mut self) -> &mut Timing {
        Arc::make_mut(&mut self.timing)
    }
}

/// Why a configuration makes no sense. Fields are named as in [`Limits`] and [`Timing`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The number 0 is never a node.
    #[error("a node's number is 1 or more")]
    NodeZero,
    /// No incarnation is 0: that stands for a peer not heard from yet.
    #[error("an incarnation is 1 or more")]
    IncarnationZero,
    /// A neighbour or a node of the sample is the node itself, or has the number 0.
    #[error("node {node} cannot be a peer here")]
    Peer {
        /// Its number.
        node: NodeId,
    },
    /// A limit or an interval of zero leaves nothing to work with.
    #[error("{limit} is zero")]
    Zero {
        /// The limit or interval.
        limit: &'static str,
    },
    /// An interval is longer than arithmetic allows.
    #[error("{interval} is {value:?}, and {most:?} is the most")]
    TooLong {
        /// The interval.
        interval: &'static str,
        /// Its value.
        value: Duration,
        /// The longest that is accepted.
        most: Duration,
    },
    /// A limit is larger than datagrams, or arithmetic, allow.
    #[error("{limit} is at most {most}, and not {value}")]
    TooLarge {
        /// The limit.
        limit: &'static str,
        /// Its value.
        value: u64,
        /// The largest that is accepted.
        most: u64,
    },
    /// A text that is accepted would not fit what is retained.
    #[error(
        "text_bytes_max is {text_bytes_max} and retained_bytes_max {retained_bytes_max}: a message \
         that is accepted must fit what is retained"
    )]
    TextNotRetained {
        /// [`Limits::text_bytes_max`].
        text_bytes_max: usize,
        /// [`Limits::retained_bytes_max`].
        retained_bytes_max: usize,
    },
    /// The least of an interval is longer than its most.
    #[error("{least} is {low:?}, longer than {most}, {high:?}")]
    Order {
        /// The interval that must not be the longer one.
        least: &'static str,
        /// Its value.
        low: Duration,
        /// The interval that must not be the shorter one.
        most: &'static str,
        /// Its value.
        high: Duration,
    },
}

impl Config {
    /// Whether a node can be built from this. A node that was built from anything else need not do
    /// what it should, and may panic.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.node == NodeId(0) {
            return Err(ConfigError::NodeZero);
        }
        if self.start.incarnation == 0 {
            return Err(ConfigError::IncarnationZero);
        }
        let mut peers = self.neighbours.iter().chain(&self.sample).map(|peer| peer.node);
        if let Some(node) = peers.find(|node| *node == self.node || *node == NodeId(0)) {
            return Err(ConfigError::Peer { node });
        }
        self.limits.validate()?;
        self.timing.validate()
    }
}

/// Declares limits or intervals once: each with its default and the most that is accepted, where
/// that is another than for the rest. Those behind `and` are of another kind, and not checked.
macro_rules! table {
    (
        $(#[$about:meta])+ $table:ident: $kind:ty, at most $mostly:expr;
        $($(#[$doc:meta])+ $name:ident = $default:expr $(, at most $most:expr)?;)*
        $(and $(#[$other_doc:meta])+ $other:ident: $other_kind:ty = $other_default:expr;)*
    ) => {
        $(#[$about])+
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $table {
            $($(#[$doc])+ pub $name: $kind,)*
            $($(#[$other_doc])+ pub $other: $other_kind,)*
        }

        impl Default for $table {
            fn default() -> Self {
                Self { $($name: $default,)* $($other: $other_default,)* }
            }
        }

        impl $table {
            /// Each with its name, its value, and the most that is accepted.
            fn list(&self) -> Vec<(&'static str, $kind, $kind)> {
                // The first of one or two: its own bound comes before that of the rest.
                vec![$((stringify!($name), self.$name, [$($most,)? $mostly][0]),)*]
            }
        }
    };
}

/// The largest payload of a UDP datagram over IPv4: 65,535 less 20 bytes of IP and 8 of UDP.
pub const UDP_PAYLOAD_BYTES_MAX: usize = 65_507;

/// The most copies of one message that a node may send on one link: what `--relays` accepts.
pub const RELAYS_MAX: u8 = 16;

table! {
    /// The bounds on a node's memory and traffic. Limits at which something is lost have a counter that says how often
    /// they were hit.
    Limits: usize, at most LIMIT_MAX;

    /// The longest payload of a message, in bytes; the program sends texts in UTF-8.
    ///
    /// Leaves room in a datagram of [`UDP_PAYLOAD_BYTES_MAX`] for headers, tag and a path.
    text_bytes_max = TEXT_BYTES_MAX, at most TEXT_BYTES_MAX;
    /// The largest datagram made by packing several frames together. One frame alone may exceed it.
    /// Larger datagrams cost fewer system calls. To other hosts no more than 1,200 bytes are packed
    /// together in any case: a path may drop fragments. 1,200 to 8,192 is sane, and
    /// [`UDP_PAYLOAD_BYTES_MAX`] the most.
    packed_datagram_bytes_max = 8_192, at most UDP_PAYLOAD_BYTES_MAX;
    /// The most messages in flight to any neighbour that is not suspected: the largest send window.
    /// More keep a fast network busy; fewer have a sender wait sooner. 64 to 1,024 is sane.
    in_flight_max = 256;
    /// The most nodes on a path; a longer one is cut in its middle. A path costs one to five bytes
    /// for each node, in every copy. 16 to 1,024 is sane. Fewer than 2 count as 2: both ends always
    /// stay.
    path_nodes_max = 1_024;
    /// The most paths kept per message, among them always the first, a shortest and a longest. More
    /// show more of the network, and take memory. 3 to 64 is sane; more than 65,535 count as that.
    paths_max = 16;
    /// The most messages retained; beyond it the oldest are evicted. More give slow neighbours more
    /// time and newcomers more history, and take memory. 1,000 to 1,000,000 is sane.
    messages_max = 100_000;
    /// The most bytes retained (texts, paths and counts); beyond it the oldest are evicted. The
    /// trade-off is that of `messages_max`. 1 MiB to 1 GiB is sane. At least `text_bytes_max`, and
    /// without an upper bound.
    retained_bytes_max = 64 << 20, at most usize::MAX;
    /// The most ranges of ids known; a message that would need one more is refused. A complete
    /// history takes one range for each incarnation that ever sent. So it must exceed their number
    /// by far: ten times is sane. A range takes 16 bytes or more.
    id_ranges_max = 100_000;
    /// The most neighbours. Each costs a copy of every message, heartbeats and some memory. Twice
    /// the largest degree of the topology or more is sane.
    neighbours_max = 256;
    /// How many other nodes to keep in mind beside neighbours and theirs. More make it likelier
    /// that one of them lives when all neighbours are dead; each takes some bytes. 8 to 64 is sane.
    /// This is the cache of Cyclon (Voulgaris, Gavidia, van Steen 2005).
    sample_max = 16;
    /// The most messages asked of one peer at a time. More fetch a history faster; fewer keep
    /// bursts short on slow links. 16 to 1,024 is sane, the largest being what one frame asks for.
    wanted_per_peer_max = 256;
    /// The most bytes of messages sent in answer to requests within one `repair_reply_interval`;
    /// one message may exceed it. More let newcomers catch up faster; more than a socket buffer
    /// holds at once is lost. 8 KiB to 128 KiB is sane.
    repair_reply_bytes_max = 64 << 10;
    /// The most messages that wait to be sent because they were asked for; a peer asks again for
    /// the rest. More spare repeated requests, for some bytes each. One or more times
    /// `wanted_per_peer_max` for each neighbour that may catch up at a time is sane.
    repair_replies_max = 4_096;
    /// The most peers kept in mind that are no neighbours: dead ones, contacts. With too few a dead
    /// neighbour is forgotten, and must find its own way back. 32 to 1,024 is sane.
    contacts_max = 64;
    /// The most datagrams held back by injected delays; further ones are dropped. Datagrams sent
    /// per second times the delay is sane. Without faults none is held.
    delayed_datagrams_max = 10_000;
}

/// The longest text that a datagram carries beside headers, tag and a path.
const TEXT_BYTES_MAX: usize = 60_000;

/// No other limit is beyond this, so that two may be multiplied.
const LIMIT_MAX: usize = u32::MAX as usize;

impl Limits {
    /// Whether a node can work with these.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (limit, value, most) in self.list() {
            if value == 0 {
                return Err(ConfigError::Zero { limit });
            }
            if value > most {
                let (value, most) = (value as u64, most as u64);
                return Err(ConfigError::TooLarge { limit, value, most });
            }
        }
        let Self { text_bytes_max, retained_bytes_max, .. } = *self;
        if text_bytes_max > retained_bytes_max {
            return Err(ConfigError::TextNotRetained { text_bytes_max, retained_bytes_max });
        }
        Ok(())
    }
}

table! {
    /// When a node acts by itself. All intervals are measured on the monotonic clock.
    ///
    /// No interval is longer than 136 years, and a `…_min` must not be longer than its `…_max`. Sane ranges
    /// are for networks with round trips of up to some tens of milliseconds. A default without a
    /// source is a choice of this program.
    Timing: Duration, at most INTERVAL_MAX;

    /// The shortest interval between two summaries (Trickle's Imin, RFC 6206). A shorter one finds
    /// differences sooner, and costs datagrams while there are any. 20 ms to 1 s is sane.
    summary_interval_min = Duration::from_millis(100);
    /// The longest: the heartbeat of an idle network (Trickle's Imax). A longer one costs less, and
    /// has `suspect_after` grow with it. 500 ms to 1 minute is sane.
    summary_interval_max = Duration::from_millis(1_250);
    /// Messages that arrived within this time are listed in a summary by id, so that a message
    /// under way does not look like one that is missing. A longer window makes summaries longer, a
    /// shorter one gives false alarms. A few times the time of a flood is sane.
    recent_window = Duration::from_millis(500);
    /// The least time a message may stay in flight on a link before it is asked about. A shorter
    /// time repairs losses sooner, and asks in vain after every hiccup of a processor. 5 ms to 1 s
    /// is sane; TCP has 1 s (RFC 6298), since it sends the data again, while here an id is sent.
    ack_timeout_min = Duration::from_millis(20);
    /// The most, however long copies take to come back. On a large ring that is once round. If too
    /// short, messages are asked about that are still on their way; if too long, losses are noticed
    /// late. 1 s to 1 minute is sane.
    ack_timeout_max = Duration::from_secs(10);
    /// How long a copy is assumed to take to come back over a link until that was measured. Each
    /// message that turns out to be lost lowers it meanwhile. If too short, the first messages are
    /// asked about in vain; if too long, their losses are noticed late. One or two round trips are
    /// sane.
    ack_time_initial = Duration::from_millis(25);
    /// The least time before a message in flight is asked about again; grows after a few times. A
    /// shorter one asks again before the answer can be here. Two round trips or more are sane.
    ack_retry_min = Duration::from_millis(40);
    /// The most. A longer one spares a dead link; a shorter one finds sooner that it is back. 500
    /// ms to 10 s is sane.
    ack_retry_max = Duration::from_secs(1);
    /// The time between two answers of [`Limits::repair_reply_bytes_max`] each. Both together are
    /// the rate of repair: 64 KiB in 5 ms are 13 MB/s. 1 to 100 ms is sane.
    repair_reply_interval = Duration::from_millis(5);
    /// How long to wait for the answer to a listing before listing again. A listing takes some 10
    /// KB, so a repeated one is dear; a lost one delays repair this long. 100 ms to 5 s is sane.
    listing_timeout = Duration::from_millis(500);
    /// How long to wait at least for a message asked for, before asking again or elsewhere. A
    /// shorter one repairs sooner, and gets some messages twice. Three round trips or more are
    /// sane.
    want_timeout = Duration::from_millis(60);
    /// A neighbour silent for this long is suspected, and probed. A shorter time finds the dead
    /// sooner, and probes the living more often. Longer than `summary_interval_max`, the heartbeat,
    /// or idle neighbours are always suspects; up to 1 minute is sane.
    suspect_after = Duration::from_millis(2_000);
    /// The time between two probes of a suspect. With `probes` it decides how soon a suspect is
    /// dead: here within 2 s. Longer than a round trip through a third node, up to 1 s, is sane.
    probe_interval = Duration::from_millis(160);
    /// How long a neighbour never yet heard from is waited for. If too short, a network that starts
    /// slowly loses links; if too long, a node that never starts is missed late. The longest time
    /// between the first and the last start, up to minutes, is sane.
    first_contact_timeout = Duration::from_secs(30);
    /// How long a node asked to stand in for a dead neighbour is waited for, before the next is
    /// asked. A shorter one closes large gaps sooner, and gives up on slow nodes. A few heartbeats
    /// of `summary_interval_min`, up to 10 s, are sane.
    stand_in_timeout = Duration::from_millis(1_500);
    /// A link given up is not taken up again for this long unless its other end asks anew. Longer
    /// than late datagrams are under way, or a heartbeat brings the link back. 1 s to 1 minute is
    /// sane.
    unlinked_memory = Duration::from_secs(10);
    /// How long a node that leaves waits for the acknowledgement of its messages. If too short,
    /// neighbours may lack its last messages; if too long, a node with a dead neighbour ends late.
    /// 100 ms to 10 s is sane.
    leave_timeout = Duration::from_secs(1);
    /// A node whose own tick came this late takes itself for absent, not others for silent
    /// (Lifeguard, Dadgar et al. 2018). A shorter one does so at every hiccup, and finds the dead
    /// late; a longer one blames others for its own pauses. 100 ms to half of `suspect_after` is sane.
    late_tick = Duration::from_millis(500);
    /// The shortest time between two probes of a dead peer. A shorter one finds sooner that it is
    /// back. 500 ms to 10 s is sane.
    dead_probe_interval_min = Duration::from_secs(1);
    /// The longest: after a long partition, a link returns this late at worst. A longer one costs
    /// less for peers that never return. 10 s to 10 minutes is sane.
    dead_probe_interval_max = Duration::from_secs(30);
    /// How often a node trades entries of its sample with a random node that is not its neighbour,
    /// and compares notes with it. A shorter one keeps the sample fresher and heals partitions
    /// sooner, for a few datagrams each time. 1 s to 1 minute is sane.
    shuffle_interval = Duration::from_secs(12);
    and
    /// After this many unanswered probes a suspect is dead to this node; after three times as many,
    /// if others have heard from it meanwhile, its link is given up. With 20 % loss a direct round trip fails in 36 of 100 cases, and twelve in a row about five times in a million. 3 to
    /// 20 is sane. Probes are those of SWIM (Das et al. 2002).
    probes: u32 = 12;
}

impl Timing {
    /// Whether a node can work with these.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let all = self.list();
        for &(interval, value, most) in &all {
            if value.is_zero() {
                return Err(ConfigError::Zero { limit: interval });
            }
            if value > most {
                return Err(ConfigError::TooLong { interval, value, most });
            }
        }
        for &(least, low, _) in &all {
            let Some(stem) = least.strip_suffix("_min") else { continue };
            let most = all.iter().find(|(name, ..)| name.strip_suffix("_max") == Some(stem));
            if let Some(&(most, high, _)) = most.filter(|(_, high, _)| low > *high) {
                return Err(ConfigError::Order { least, low, most, high });
            }
        }
        Ok(())
    }
}

/// No interval is longer than this, some 136 years, so that it may be multiplied.
const INTERVAL_MAX: Duration = Duration::from_secs(u32::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(change: impl Fn(&mut Config)) -> Result<(), ConfigError> {
        let mut config = Config::new(NodeId(1), crate::testing::start(1), Key([1; 32]), 1);
        change(&mut config);
        config.validate()
    }

    #[test]
    fn the_defaults_make_sense() {
        assert_eq!(validated(|_| ()), Ok(()));
    }

    #[test]
    fn a_contradiction_is_named() {
        let refused = |change: fn(&mut Config)| validated(change).unwrap_err().to_string();
        assert_eq!(refused(|c| c.node = NodeId(0)), "a node's number is 1 or more");
        assert_eq!(refused(|c| c.start.incarnation = 0), "an incarnation is 1 or more");
        assert_eq!(refused(|c| c.limits_mut().paths_max = 0), "paths_max is zero");
        let most = "text_bytes_max is at most 60000, and not 60001";
        assert_eq!(refused(|c| c.limits_mut().text_bytes_max += 1), most);
        let retained = "text_bytes_max is 60000 and retained_bytes_max 9: a message that is accepted must fit \
                        what is retained";
        assert_eq!(refused(|c| c.limits_mut().retained_bytes_max = 9), retained);
        assert_eq!(
            refused(|c| c.timing_mut().want_timeout = Duration::ZERO),
            "want_timeout is zero"
        );
        assert!(refused(|c| c.timing_mut().want_timeout = Duration::MAX).contains("is the most"));
        let peer = |node| PeerAddr { node: NodeId(node), addr: ([127, 0, 0, 1], 1).into() };
        let (own, zero) = (peer(1), peer(0));
        assert!(validated(|c| c.neighbours.push(own)).is_err());
        assert!(validated(|c| c.sample.push(zero)).is_err());
        let order = "ack_retry_min is 40ms, longer than ack_retry_max, 1ms";
        assert_eq!(refused(|c| c.timing_mut().ack_retry_max = Duration::from_millis(1)), order);
    }
}
