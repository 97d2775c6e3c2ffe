//! What a flood costs by theory: the copies that go out if nothing is lost.

use std::collections::VecDeque;

/// The copies that a flood from node `origin` sends over this graph, without loss, with at most
/// `relays` copies on each link in each direction. Exact, leaves and bridges included; where
/// every node has two neighbours or more, it is 2·|E|·R.
///
/// Which copy comes first makes no difference. The copies that go out over a link depend only on how
/// many copies came in over each of the others, never on their order, and never shrinks as more
/// come in: so every order ends with the same numbers.
pub(super) fn copies(adjacent: &[Vec<usize>], origin: usize, relays: u8) -> u64 {
    let mut sent: Vec<Vec<u8>> = adjacent.iter().map(|links| vec![0; links.len()]).collect();
    let mut under_way: VecDeque<(usize, usize)> = VecDeque::new();
    for (link, count) in sent[origin].iter_mut().enumerate() {
        *count = 1;
        under_way.push_back((origin, link));
    }
    while let Some((sender, link)) = under_way.pop_front() {
        let node = adjacent[sender][link];
        for (link, count) in sent[node].iter_mut().enumerate() {
            if adjacent[node][link] != sender && *count < relays {
                *count += 1;
                under_way.push_back((node, link));
            }
        }
    }
    sent.iter().flatten().map(|count| u64::from(*count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(nodes: usize) -> Vec<Vec<usize>> {
        (0..nodes).map(|n| vec![(n + nodes - 1) % nodes, (n + 1) % nodes]).collect()
    }

    #[test]
    fn without_leaves_every_link_carries_the_limit_each_way() {
        let complete: Vec<Vec<usize>> =
            (0..5).map(|n| (0..5).filter(|other| *other != n).collect()).collect();
        for graph in [ring(3), ring(32), complete] {
            let ends: usize = graph.iter().map(Vec::len).sum();
            for relays in [1, 2, 3, 16] {
                assert_eq!(copies(&graph, 0, relays), ends as u64 * u64::from(relays));
            }
        }
    }

    #[test]
    fn leaves_send_nothing_back() {
        assert_eq!(copies(&[vec![1], vec![0, 2], vec![1]], 0, 3), 2);
        assert_eq!(copies(&[vec![]], 0, 3), 0);
        // A triangle with a tail: the tail's link carries R copies out, and none back.
        let mut tail = ring(3);
        tail[0].push(3);
        tail.push(vec![0]);
        assert_eq!(copies(&tail, 1, 3), 3 * 6 + 3);
        // From its end: one copy in, and R back, which go no further.
        assert_eq!(copies(&tail, 3, 3), 3 * 6 + 1 + 3);
    }
}
