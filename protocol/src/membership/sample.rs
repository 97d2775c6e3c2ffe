//! The sample: a few other nodes, drawn from the whole network, for when all neighbours are gone.
//!
//! It is kept fresh by Cyclon's shuffle (Voulgaris, Gavidia, van Steen 2005): now and then a node
//! takes one entry out, sends that node some of its others, and gets as many back. So dead
//! nodes fall out, and the graph of samples stays random. The same datagram carries a summary, so
//! messages meet again that a partition of the overlay kept apart.

use super::Membership;
use super::peer_list::PeerList;
use super::peers::Standing;
use crate::datagram::wire::Frame;
use crate::effects::Effects;
use crate::ids::{NodeId, PeerAddr};
use crate::time::Monotonic;
use crate::time::timers;

/// How many entries change hands in one shuffle.
const SHUFFLED: usize = 4;

/// Other nodes, for when neighbours are not enough.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Those this node was told of when it started.
    first: PeerList,
    /// Those it has by now.
    pub(crate) list: PeerList,
    /// Those sent away in the last shuffle, to be replaced first.
    shuffled: Vec<NodeId>,
    shuffle_at: Monotonic,
}

impl Sample {
    /// The sample a node starts with: as much of what it was told as its limit allows.
    pub(super) fn new(first: &[PeerAddr], sample_max: usize, shuffle_at: Monotonic) -> Self {
        let first: PeerList = first.iter().take(sample_max).copied().collect();
        Self { list: first.clone(), first, shuffled: Vec::new(), shuffle_at }
    }
}

impl Membership {
    /// Shuffles with a random node when it is time to.
    pub(super) fn shuffle(&mut self, fx: &mut Effects) {
        if self.leaving.is_some() {
            return;
        }
        if self.sample.shuffle_at > fx.now {
            self.due.at(self.sample.shuffle_at);
            return;
        }
        let interval = fx.config.timing.shuffle_interval;
        // Random, so that nodes that started together do not shuffle together.
        self.sample.shuffle_at =
            fx.now + timers::between(&mut fx.rng, interval / 2, interval * 3 / 2);
        self.due.at(self.sample.shuffle_at);
        self.forget_contacts(fx);
        // Where nothing is left of it, the sample starts again with the first one: a node that was
        // cut off for long shuffled with nobody, and gave up one entry each time.
        if self.sample.list.is_empty() {
            self.sample.list = self.sample.first.clone();
        }
        if self.sample.list.is_empty() {
            return;
        }
        // The partner is random, as in Cyclon's basic shuffle: entries have no age here. It leaves
        // the sample, and returns with its answer; so a dead one falls out.
        let mut sample = self.sample.list.to_vec();
        let partner = sample.swap_remove(timers::below(&mut fx.rng, sample.len()));
        self.sample.list = sample.into_iter().collect();
        self.make_room_for_contact(fx);
        self.peers.ensure(partner, fx.now);
        let nodes = self.draw(fx, partner.node);
        fx.send(partner.node, &Frame::Shuffle { nodes, answer: false });
        fx.send(partner.node, &Frame::Component(self.component(fx.now)));
        // A summary and the name of the component go along: see `partition`.
        self.greeted.push(partner.node);
    }

    /// Some entries to send to a node, which are to be replaced first by what comes back.
    fn draw(&mut self, fx: &mut Effects, partner: NodeId) -> Vec<PeerAddr> {
        let mut entries = self.sample.list.to_vec();
        // A partner need not be told of itself.
        entries.retain(|entry| entry.node != partner);
        while entries.len() > SHUFFLED {
            let at = timers::below(&mut fx.rng, entries.len());
            entries.swap_remove(at);
        }
        self.sample.shuffled = entries.iter().map(|entry| entry.node).collect();
        entries
    }

    /// A node offers some entries for some of ours. The asker itself is one of those offered.
    pub(crate) fn on_shuffle(
        &mut self,
        fx: &mut Effects,
        from: NodeId,
        nodes: &[PeerAddr],
        answer: bool,
    ) {
        let Some(asker) = self.peers.get(from).map(|peer| peer.addr) else { return };
        if !answer {
            let nodes = self.draw(fx, from);
            fx.send(from, &Frame::Shuffle { nodes, answer: true });
        }
        let mut sample = self.sample.list.to_vec();
        // No more than honest nodes send, so that one datagram cannot replace the whole sample.
        for entry in nodes.iter().take(SHUFFLED).chain([&asker]) {
            self.keep(fx, *entry, &mut sample);
        }
        self.sample.list = sample.into_iter().collect();
        self.sample.shuffled.clear();
    }

    /// Takes an entry in: in the place of one that was given away, or of a random one.
    fn keep(&mut self, fx: &mut Effects, entry: PeerAddr, sample: &mut Vec<PeerAddr>) {
        if entry.node == fx.config.node || sample.iter().any(|known| known.node == entry.node) {
            return;
        }
        if sample.len() < fx.config.limits.sample_max {
            sample.push(entry);
            return;
        }
        // The partner keeps the entries it was sent, so these can go here: no node is lost from
        // all samples at once.
        let given = self.sample.shuffled.pop();
        let at = given.and_then(|given| sample.iter().position(|known| known.node == given));
        let at = at.unwrap_or_else(|| timers::below(&mut fx.rng, sample.len()));
        sample[at] = entry;
    }

    /// Forgets peers that there is nothing left to say to.
    fn forget_contacts(&mut self, fx: &Effects) {
        // A contact stays while a link given up lately is remembered, and until a shuffle is
        // answered.
        let memory = fx.config.timing.unlinked_memory.max(fx.config.timing.shuffle_interval);
        let idle: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|peer| peer.standing == Standing::Contact)
            .filter(|peer| fx.now.since(peer.heard) > memory)
            .filter(|peer| peer.changes.unlinked.is_none_or(|at| fx.now.since(at) > memory))
            .map(|peer| peer.addr.node)
            .collect();
        for node in idle {
            self.forget(node);
        }
    }

    /// Keeps the number of peers that are no neighbours within its limit: of contacts, the one
    /// longest unheard goes; then of those that left; then of the dead.
    pub(super) fn make_room_for_contact(&mut self, fx: &mut Effects) {
        let others = self.peers.iter().filter(|peer| !peer.is_linked());
        if others.clone().count() < fx.config.limits.contacts_max {
            return;
        }
        // A dead neighbour matters most: it is probed until it returns.
        let rank = |standing: Standing| match standing {
            Standing::Contact => 0,
            Standing::Removed => 1,
            _ => 2,
        };
        let oldest = others.min_by_key(|peer| (rank(peer.standing), peer.heard));
        if let Some(node) = oldest.map(|peer| peer.addr.node) {
            fx.counters.limit_contacts_dropped += 1;
            self.forget(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::table::{Table, addr};
    use std::time::Duration;

    #[test]
    fn the_dead_fall_out_of_the_samples_and_all_others_stay_known() {
        let sample = |config: &mut crate::Config| {
            let me = config.node.0;
            config.sample = (1..=8).map(|step| addr((me + step * 3) % 30 + 1)).collect();
            config.sample.retain(|peer| peer.node != config.node);
            config.limits_mut().sample_max = 8;
        };
        let links: Vec<(u32, u32)> = (1..=30).map(|n| (n, n % 30 + 1)).collect();
        let mut table = Table::with(30, &links, sample);
        table.run(Duration::from_secs(10));
        table.kill(7);
        let shuffles = table.node(1).fx.config.timing.shuffle_interval * 50;
        table.run(shuffles);
        let mut known = vec![0; 31];
        for node in table.nodes.iter().flatten() {
            let status = node.status();
            assert!(status.sample.len() <= 8);
            assert!(status.known_nodes < 20, "{}", status.known_nodes);
            for entry in &status.sample {
                known[entry.node.0 as usize] += 1;
            }
        }
        assert_eq!(known[7], 0, "{known:?}");
        assert!((1..=30).filter(|node| *node != 7).all(|node| known[node] > 0), "{known:?}");
    }

    #[test]
    fn a_sample_larger_than_its_limit_is_cut_at_the_start() {
        let mut table = Table::with(2, &[(1, 2)], |config| {
            config.sample = (3..=30).map(addr).collect();
            config.limits_mut().sample_max = 8;
        });
        assert_eq!(table.node(1).status().sample.len(), 8);
        table.node(1).audit().unwrap();
    }

    #[test]
    fn contacts_are_few_however_many_strangers_say_hello() {
        let mut table = Table::with(2, &[(1, 2)], |config| config.limits_mut().contacts_max = 5);
        table.run(Duration::from_secs(1));
        for stranger in 100..200 {
            table.feed(1, stranger, &[super::Frame::Probe { on_behalf_of: None }]);
        }
        assert!(table.node(1).membership.peers.iter().count() <= 6);
        assert_eq!(table.neighbours(1), vec![2]);
    }
}
