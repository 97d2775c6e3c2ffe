//! The flood: a new message goes to every neighbour but the one that it came from.
//!
//! A strategy is asked two questions: a message starts here, a copy came in. It names each link that
//! gets a copy at that moment, and never sends. It knows neither payloads nor timers nor sockets, and
//! cannot put anything off. `acks` and `repair` decide what follows from a copy that is lost.

use crate::broadcast::copies::Copies;
use crate::ids::link::LinkId;

/// A message starts here: one copy to each neighbour. Calls `copy_to` for
/// each.
pub(crate) fn start(
    copies: &mut Copies,
    links: impl IntoIterator<Item = LinkId>,
    mut copy_to: impl FnMut(LinkId, bool),
) {
    for link in links {
        copies.on(link).sent = 1;
        copy_to(link, true);
    }
}

/// A copy came in over `from`: if it counts, one copy to each other neighbour that may get one
/// more, of at most `relays`. Calls `copy_to` for each, and tells it whether that is the first copy
/// to a neighbour not known to have the message; says whether the copy counted.
///
/// A copy counts while `from` has sent no more than `relays` of them.
pub(crate) fn receive(
    copies: &mut Copies,
    from: LinkId,
    relays: u8,
    links: impl IntoIterator<Item = LinkId>,
    mut copy_to: impl FnMut(LinkId, bool),
) -> bool {
    let came = copies.on(from);
    // The copy shows that the sender has the message, whether it counts or not.
    came.acknowledged = true;
    // An honest neighbour sends no more. One that does must not make this node send more, too.
    if came.received >= relays {
        return false;
    }
    came.received += 1;
    // Each copy that counts adds one copy to each other link. So R copies from a neighbour make R
    // on every other link, and no link ever carries more than R each way.
    for link in links.into_iter().filter(|link| *link != from) {
        let copies = copies.on(link);
        if copies.sent < relays {
            copies.sent += 1;
            copy_to(link, copies.sent == 1 && !copies.acknowledged);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Floods one message over links without loss, and counts the copies on each directed link.
    fn flood(neighbours: &[Vec<usize>], origin: usize, relays: u8) -> Vec<Vec<u32>> {
        let links: Vec<Vec<LinkId>> = neighbours
            .iter()
            .map(|n| (0..n.len()).map(|i| LinkId(u32::try_from(i).unwrap())).collect())
            .collect();
        let mut carried: Vec<Vec<u32>> = neighbours.iter().map(|n| vec![0; n.len()]).collect();
        let mut copies = vec![Copies::default(); neighbours.len()];
        let mut under_way = VecDeque::new();
        start(&mut copies[origin], links[origin].iter().copied(), |link, _| {
            under_way.push_back((origin, link))
        });
        while let Some((sender, link)) = under_way.pop_front() {
            carried[sender][link.0 as usize] += 1;
            let node = neighbours[sender][link.0 as usize];
            let from = neighbours[node].iter().position(|n| *n == sender).unwrap();
            let from = LinkId(u32::try_from(from).unwrap());
            receive(&mut copies[node], from, relays, links[node].iter().copied(), |link, _| {
                under_way.push_back((node, link));
            });
        }
        carried
    }

    fn ring(nodes: usize) -> Vec<Vec<usize>> {
        (0..nodes).map(|n| vec![(n + nodes - 1) % nodes, (n + 1) % nodes]).collect()
    }

    #[test]
    fn every_link_carries_exactly_the_relays_limit_each_way() {
        let complete: Vec<Vec<usize>> =
            (0..5).map(|n| (0..5).filter(|other| *other != n).collect()).collect();
        // Two rings joined by one link: a bridge, and still every node has two neighbours.
        let mut bridge = ring(4);
        bridge.extend(ring(4).iter().map(|n| n.iter().map(|other| other + 4).collect()));
        bridge[0].push(4);
        bridge[4].push(0);
        for graph in [ring(3), ring(32), complete, bridge] {
            for relays in [1, 2, 3, 16] {
                for link in flood(&graph, 0, relays).iter().flatten() {
                    assert_eq!(*link, u32::from(relays));
                }
            }
        }
    }

    #[test]
    fn a_leaf_sends_nothing_back() {
        let line = vec![vec![1], vec![0, 2], vec![1]];
        assert_eq!(flood(&line, 0, 3), vec![vec![1], vec![0, 1], vec![0]]);
    }

    #[test]
    fn a_copy_beyond_the_limit_counts_for_nothing() {
        let (mut copies, links) = (Copies::default(), [LinkId(1), LinkId(2)]);
        let mut sent = 0;
        assert!(receive(&mut copies, links[0], 1, links, |_, _| sent += 1));
        assert!(!receive(&mut copies, links[0], 1, links, |_, _| sent += 1));
        assert_eq!(sent, 1);
    }
}
