//! The sample: a few other nodes, drawn from the whole network, for when all neighbours are gone.
//!
//! It is kept fresh by Cyclon's shuffle (Voulgaris, Gavidia, van Steen 2005): now and then a node
//! takes one entry out, sends that node some of its others, and gets as many back. So the dead
//! fall out, and the graph of who knows whom stays random. The same datagram carries a summary:
//! what a partition of the overlay kept apart meets again here.

use super::Node;
use super::message::{NodeId, PeerAddr};
use super::peers::Standing;
use super::time::Now;
use super::timers;
use super::wire::Frame;

/// How many entries change hands in one shuffle.
const SHUFFLED: usize = 4;

impl Node {
    /// Shuffles with a random node when it is time to.
    pub(super) fn shuffle(&mut self, now: Now) {
        if self.leaving.is_some() {
            return;
        }
        if self.overlay.shuffle_at > now.monotonic {
            self.due.at(self.overlay.shuffle_at);
            return;
        }
        let interval = self.config.timing.shuffle_interval;
        self.overlay.shuffle_at =
            now.monotonic + timers::between(&mut self.rng, interval / 2, interval * 3 / 2);
        self.due.at(self.overlay.shuffle_at);
        self.forget_contacts(now);
        if self.overlay.sample.is_empty() {
            return;
        }
        let pick = timers::below(&mut self.rng, self.overlay.sample.len());
        let partner = self.overlay.sample.swap_remove(pick);
        self.make_room_for_contact();
        let addr = self.peers.ensure(partner, Standing::Contact, now.monotonic).addr;
        let nodes = self.draw(partner.node);
        self.outbox.send(addr, &Frame::Shuffle { nodes, answer: false });
        let summary = self.summary(now);
        self.counters.summaries_sent += 1;
        self.outbox.send(addr, &Frame::Summary(summary));
    }

    /// Some entries to send to a node, which are to be replaced first by what comes back.
    fn draw(&mut self, partner: NodeId) -> Vec<PeerAddr> {
        let mut entries = self.overlay.sample.clone();
        entries.retain(|entry| entry.node != partner);
        while entries.len() > SHUFFLED {
            let at = timers::below(&mut self.rng, entries.len());
            entries.swap_remove(at);
        }
        self.overlay.shuffled = entries.iter().map(|entry| entry.node).collect();
        entries
    }

    /// A node offers some entries for some of ours. The asker itself is one of those offered.
    pub(super) fn on_shuffle(&mut self, from: NodeId, nodes: &[PeerAddr], answer: bool) {
        let Some(asker) = self.peers.get(from).map(|peer| peer.addr) else { return };
        if !answer {
            let nodes = self.draw(from);
            self.outbox.send(asker, &Frame::Shuffle { nodes, answer: true });
        }
        for entry in nodes.iter().take(SHUFFLED).chain([&asker]) {
            self.keep(*entry);
        }
        self.overlay.shuffled.clear();
    }

    /// Takes an entry in: in the place of one that was given away, or of a random one.
    fn keep(&mut self, entry: PeerAddr) {
        let sample = &mut self.overlay.sample;
        if entry.node == self.config.node || sample.iter().any(|known| known.node == entry.node) {
            return;
        }
        if sample.len() < self.config.limits.sample_max {
            sample.push(entry);
            return;
        }
        let given = self.overlay.shuffled.pop();
        let at = given.and_then(|given| sample.iter().position(|known| known.node == given));
        let at = at.unwrap_or_else(|| timers::below(&mut self.rng, sample.len()));
        sample[at] = entry;
    }

    /// Forgets peers that there is nothing left to say to.
    fn forget_contacts(&mut self, now: Now) {
        let memory = self.config.timing.unlinked_memory.max(self.config.timing.shuffle_interval);
        let idle: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|peer| peer.standing == Standing::Contact)
            .filter(|peer| now.monotonic.since(peer.heard) > memory)
            .filter(|peer| peer.unlinked.is_none_or(|at| now.monotonic.since(at) > memory))
            .map(|peer| peer.addr.node)
            .collect();
        for node in idle {
            self.stop_asking(now, node);
            self.peers.remove(node);
        }
    }

    /// Keeps the number of peers that are no neighbours within its limit: of contacts, the one
    /// longest unheard goes; then of those that left; then of the dead.
    pub(super) fn make_room_for_contact(&mut self) {
        let others = self.peers.iter().filter(|peer| !peer.is_linked());
        if others.clone().count() < self.config.limits.contacts_max {
            return;
        }
        let rank = |standing: Standing| match standing {
            Standing::Contact => 0,
            Standing::Removed => 1,
            _ => 2,
        };
        let oldest = others.min_by_key(|peer| (rank(peer.standing), peer.heard));
        if let Some(node) = oldest.map(|peer| peer.addr.node) {
            self.counters.limit_contacts_dropped += 1;
            self.peers.remove(node);
        }
    }
}
