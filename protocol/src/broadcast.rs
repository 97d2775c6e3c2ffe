//! Broadcast: what goes over the links, and what is kept.
//!
//! It knows links and nodes by number, and no address. Membership's decisions reach it as
//! [`LinkChange`]s. Its own frames go to the outbox, by the receiver's number.
//!
//! | File | What it does |
//! |---|---|
//! | `strategy` | decides which links get a copy of a message, one file for each strategy |
//! | `copies` | counts the copies of a message on each link |
//! | `relay` | takes a copy in, delivers it, passes it on |
//! | `acks` | what is in flight, what acknowledges it, asking about what did not come back |
//! | `repair` | asks for what is missing, and sends what others ask for |
//! | `reconcile` | compares notes: summaries, listings, offers |
//! | `send_window` | how many more messages may start here |
//! | `back_pressure` | asks all nodes to hold back where a neighbour lags behind |
//! | `store` | the messages held, and the ids of all that were ever known |
//! | `links`, `exchange` | what is noted of each link and each peer |

use std::collections::BTreeMap;

use crate::effects::Effects;
use crate::ids::link::{LinkChange, LinkState};
use crate::ids::{MessageId, NodeId};
use crate::time::Monotonic;
use crate::time::timers::Due;
use back_pressure::BackPressureState;
use exchange::Exchange;
use links::Links;
use reconcile::Recent;
use repair::Repair;
use send_window::SendWindow;
use store::Store;

mod acks;
mod back_pressure;
pub(crate) mod copies;
pub(crate) mod exchange;
pub(crate) mod links;
mod reconcile;
mod relay;
mod repair;
mod send_window;
pub(crate) mod store;
pub(crate) mod strategy;

pub(crate) use send_window::window_max;

/// The machine that decides what goes over the links.
#[derive(Debug, Default)]
pub(crate) struct Broadcast {
    pub(crate) store: Store,
    pub(crate) links: Links,
    /// Comparing notes with each peer that there is something to note of: mostly none.
    pub(crate) exchanges: BTreeMap<NodeId, Exchange>,
    pub(crate) repair: Repair,
    recent: Recent,
    window: SendWindow,
    back_pressure: BackPressureState,
    /// Acknowledgements that go out with the next flush: to whom, and of which message.
    owed: Vec<(NodeId, MessageId)>,
    /// When anything else than messages in flight is due.
    due: Due,
    /// When to look after messages in flight; a timer of its own, which stops when nothing is.
    ack_due: Due,
    /// Whether events of messages are told, which hold the payload.
    pub(crate) tells_messages: bool,
    /// The sequence number of the last message that started here.
    sequence: u64,
    /// Something was missing somewhere: heartbeats, and summaries with them, should come sooner.
    pub(crate) out_of_step: bool,
}

impl Broadcast {
    pub(crate) fn new() -> Self {
        Self { tells_messages: true, ..Self::default() }
    }

    /// Membership changed a link.
    pub(crate) fn on_link_change(&mut self, now: Monotonic, change: LinkChange) {
        match change {
            LinkChange::Up(link) => {
                let before = self.links.up(link);
                let was_quiet = before.is_some_and(|before| before != LinkState::Alive);
                if was_quiet && link.state == LinkState::Alive {
                    // Messages that waited for it are due, and senders wait for it again.
                    self.due.at(now);
                    self.store.look_again();
                }
            }
            LinkChange::Down(node) => self.links.down(node),
            // The exchange goes first: `stop_asking` then passes the node over.
            LinkChange::Gone(node) => {
                self.links.down(node);
                if self.exchanges.remove(&node).is_some() || self.repair.owes(node) {
                    self.stop_asking(now, node);
                }
            }
        }
    }

    /// Does what is due. `membership_ticked` says that membership just did.
    pub(crate) fn tick(&mut self, fx: &mut Effects, membership_ticked: bool) {
        let is_due = self.due.take_if_over(fx.now);
        if self.ack_due.take_if_over(fx.now) || is_due || membership_ticked {
            self.ask_about_in_flight(fx);
        }
        if is_due {
            self.ask_again(fx);
            self.send_replies(fx);
            self.note_end_of_back_pressure(fx.now);
        }
    }

    /// When the next tick is due.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        let all = [self.due.earliest(), self.ack_due.earliest()];
        all.into_iter().flatten().min()
    }

    /// How many messages are known to exist and not here yet.
    pub(crate) fn missing(&self) -> u64 {
        // A hostile member may offer more ids than there are numbers.
        let offered = |range: u64, more: u64| range.saturating_add(more).saturating_add(1);
        // Peers mostly offer the same messages, so the longest offer counts, not their sum.
        let offers = self.exchanges.values().map(|peer| peer.offers.ids().iter());
        let offers = offers.map(|ranges| ranges.fold(0, |sum, range| offered(sum, range.more)));
        offers.max().unwrap_or(0).saturating_add(self.repair.wanted.len() as u64)
    }

    /// Gives back the memory that is kept for the next messages.
    pub(crate) fn release_buffers(&mut self) {
        self.owed.shrink_to_fit();
        for record in self.links.iter_mut().filter(|record| record.in_flight.messages == 0) {
            record.in_flight.pending = std::collections::VecDeque::new();
        }
    }
}
