//! Random graphs in which every node has the same number of links.
//!
//! Each node gets as many link ends as its degree says, and the ends are joined in pairs at
//! random (the pairing model: Bollobás, "A probabilistic proof of an asymptotic formula for the
//! number of labelled regular graphs", 1980). The result is hardly ever simple from degree 5
//! on, so throwing it away and trying again would take forever. It is mended instead: a node
//! linked to itself, or two nodes linked twice, swap ends with another link, which leaves all
//! degrees as they are (McKay and Wormald, "Uniform generation of random regular graphs of
//! moderate degree", 1990). The same swap between two parts that lie on cycles joins them (Viger
//! and Latapy, "Efficient and simple generation of random simple connected graphs with
//! prescribed degree sequence", 2005).
//!
//! Not exactly uniform, since what needed mending has a little more chance of some shapes than
//! of others; every regular connected graph can come up.

use std::collections::HashSet;

use petgraph::unionfind::UnionFind;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::{Generator, Link, ordered};

/// The links of a simple connected graph in which each node has `degree` links, except that
/// node `one_more` has one more.
///
/// The degrees must add up to an even number, and be below `nodes`. Degree 1 is for two nodes.
pub(super) fn links(
    nodes: u32,
    degree: u32,
    one_more: Option<u32>,
    rng: &mut Generator,
) -> Vec<Link> {
    let mut degrees = vec![degree; nodes as usize];
    if let Some(node) = one_more {
        degrees[node as usize] += 1;
    }
    if degree > (nodes - 1) / 2 {
        // With so many links, drawing the few that are absent is quick where drawing those
        // that are there would run out of room for swaps. Linked to at least half of all
        // others, no part of the graph can be without the rest.
        for degree in &mut degrees {
            *degree = nodes - 1 - *degree;
        }
        return complement(nodes, &simple(&degrees, rng));
    }
    let mut links = simple(&degrees, rng);
    connect(nodes, &mut links, rng);
    links
}

/// A random simple graph with these degrees.
fn simple(degrees: &[u32], rng: &mut Generator) -> Vec<Link> {
    let mut ends: Vec<u32> = Vec::new();
    for (node, &degree) in (0u32..).zip(degrees) {
        ends.extend((0..degree).map(|_| node));
    }
    loop {
        ends.shuffle(rng);
        if let Some(links) = pair(&ends, rng) {
            return links;
        }
        // No swap could mend the last pair. With degrees below half of the nodes that takes
        // most pairs to be bad at once: rare in tiny graphs, unheard of in others.
    }
}

/// Joins the ends two by two, and mends what is not simple; `None` if something cannot be.
fn pair(ends: &[u32], rng: &mut Generator) -> Option<Vec<Link>> {
    let mut links = Vec::with_capacity(ends.len() / 2);
    // Only ever asked whether a link is there: no order of a hash table can show.
    let mut present = HashSet::with_capacity(ends.len() / 2);
    let mut bad = Vec::new();
    for pair in ends.chunks_exact(2) {
        let link = (pair[0], pair[1]);
        if link.0 != link.1 && present.insert(ordered(link)) {
            links.push(link);
        } else {
            bad.push(link);
        }
    }
    for link in bad {
        mend(link, &mut links, &mut present, rng)?;
    }
    Some(links)
}

/// Adds a link to a simple graph, keeping all degrees: where it is a loop or there already, it
/// swaps ends with another one. The search begins at a random link.
fn mend(
    (a, b): Link,
    links: &mut Vec<Link>,
    present: &mut HashSet<Link>,
    rng: &mut Generator,
) -> Option<()> {
    let absent = |x, y, present: &HashSet<Link>| x != y && !present.contains(&ordered((x, y)));
    // An earlier swap may have taken the other of two equal links away.
    if absent(a, b, present) {
        present.insert(ordered((a, b)));
        links.push((a, b));
        return Some(());
    }
    if links.is_empty() {
        return None;
    }
    let start = rng.random_range(0..links.len());
    let flip: bool = rng.random();
    let (place, c, d) = (start..links.len()).chain(0..start).find_map(|place| {
        let (x, y) = links[place];
        let [first, second] = if flip { [(y, x), (x, y)] } else { [(x, y), (y, x)] };
        [first, second]
            .into_iter()
            .find(|&(c, d)| absent(a, c, present) && absent(b, d, present))
            .map(|(c, d)| (place, c, d))
    })?;
    // The two new links cannot be one and the same: for that, b would have to be c and a be d,
    // and this link be there already; or the node be linked to itself, and c be d.
    present.remove(&ordered((c, d)));
    present.insert(ordered((a, c)));
    present.insert(ordered((b, d)));
    links[place] = (a, c);
    links.push((b, d));
    Some(())
}

/// Joins all parts of a simple graph, keeping all degrees. Every part must have a cycle, as it
/// has where every node has two links or more.
///
/// A link that closes a cycle may go without cutting its part in two. So two parts, each
/// missing one such link, are whole; the four ends, joined crosswise, make them one, in which
/// the second of the new links closes a cycle again.
fn connect(nodes: u32, links: &mut [Link], rng: &mut Generator) {
    let mut parts = UnionFind::<u32>::new(nodes as usize);
    let closing: Vec<usize> = (0..links.len())
        .filter(|&place| {
            let (a, b) = links[place];
            !parts.union(a, b)
        })
        .collect();
    // The links that close a cycle in the part of the first of them, which takes in all others.
    let mut ours: Vec<usize> = Vec::new();
    for place in closing {
        let Some(&one) = ours.first() else {
            ours.push(place);
            continue;
        };
        if parts.equiv(links[place].0, links[one].0) {
            ours.push(place);
            continue;
        }
        let other = ours[rng.random_range(0..ours.len())];
        let (a, b) = links[other];
        let (c, d) = if rng.random() { links[place] } else { (links[place].1, links[place].0) };
        // Which of the two counts as closing is a matter of choice.
        links[place] = (a, c);
        links[other] = (b, d);
        parts.union(a, c);
    }
}

/// All links that are not among `links`.
fn complement(nodes: u32, links: &[Link]) -> Vec<Link> {
    let present: HashSet<Link> = links.iter().copied().map(ordered).collect();
    (0..nodes)
        .flat_map(|a| (a + 1..nodes).map(move |b| (a, b)))
        .filter(|link| !present.contains(link))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_loop_is_mended_by_a_swap() {
        let mut links = vec![(1, 2)];
        let mut present = HashSet::from([(1, 2)]);
        let mut rng = Generator::seed_from_u64(1);
        mend((0, 0), &mut links, &mut present, &mut rng).unwrap();
        links.iter_mut().for_each(|link| *link = ordered(*link));
        links.sort_unstable();
        assert_eq!(links, [(0, 1), (0, 2)]);
    }

    #[test]
    fn a_second_link_between_two_nodes_is_mended_by_a_swap() {
        let mut links = vec![(0, 1), (2, 3)];
        let mut present = HashSet::from([(0, 1), (2, 3)]);
        let mut rng = Generator::seed_from_u64(1);
        mend((1, 0), &mut links, &mut present, &mut rng).unwrap();
        assert_eq!(present.len(), 3);
        assert!(present.contains(&(0, 1)) && !present.contains(&(2, 3)));
    }

    #[test]
    fn ends_that_no_swap_can_mend_give_no_links() {
        let mut rng = Generator::seed_from_u64(1);
        assert_eq!(pair(&[0, 0], &mut rng), None);
        assert_eq!(pair(&[0, 1, 0, 1], &mut rng), None);
    }

    #[test]
    fn many_rings_become_one() {
        for seed in 0..100 {
            let mut rng = Generator::seed_from_u64(seed);
            // 20 triangles, degree 2.
            let mut links: Vec<Link> = (0..20u32)
                .flat_map(|n| [(3 * n, 3 * n + 1), (3 * n + 1, 3 * n + 2), (3 * n + 2, 3 * n)])
                .collect();
            connect(60, &mut links, &mut rng);
            let mut parts = UnionFind::<u32>::new(60);
            let joined = links.iter().filter(|link| parts.union(link.0, link.1)).count();
            assert_eq!(joined, 59, "seed {seed}: not one part");
            let different: HashSet<Link> = links.iter().copied().map(ordered).collect();
            assert_eq!(different.len(), 60, "seed {seed}: not simple");
        }
    }
}
