//! Where nodes lie in a picture: a ring as a ring, everything else so that distances in the
//! picture are like distances in hops.
//!
//! The unit is the diameter of a usual node; the origin is the middle, and y points down, as on
//! a screen. The same arguments give the same places, so the page and the drawing of one network
//! look alike, and so do two drawings of it.
//!
//! The method is stress minimisation by stochastic gradient descent (Zheng, Pawar and Goodman,
//! "Graph drawing by stochastic gradient descent", 2018): pair after pair of nodes, in random
//! order, is moved towards its distance in hops, ever more gently. Then nodes that would cover
//! one another are pushed apart.

use std::f64::consts::PI;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::{self, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::topology::measure::hops;

/// A place: to the right, and down.
pub(super) type Place = (f64, f64);

/// The most pairs of nodes that are looked at, which takes a second. Where there are more, each
/// node is paired with as many others as that allows, drawn at random.
const PAIRS_MAX: usize = 1_000_000;

/// How often each pair is moved.
const ROUNDS: i32 = 40;

/// The step of the last round, for nodes one hop apart; the first moves even the farthest fully.
const LAST_STEP: f64 = 0.1;

/// The gap that is left between two nodes.
const GAP: f64 = 0.35;

/// The room that a node has on average, in diameters each way: enough for links to be seen.
const ROOM: f64 = 2.3;

/// Nodes in pieces that no link joins are drawn as if this many hops lay between them.
const HOPS_APART: u32 = 2;

/// Places in a circle: the first at the top, then clockwise.
pub(super) fn ring(count: usize) -> Vec<Place> {
    if count < 2 {
        return vec![(0.0, 0.0); count];
    }
    let step = 2.0 * PI / count as f64;
    // Neighbours are a chord apart; many have to move closer.
    let gap = if count <= 64 { 0.75 } else { 0.35 };
    let radius = ((1.0 + gap) / (2.0 * (step / 2.0).sin())).max(2.5);
    let place = |index| {
        let (sin, cos) = (step * index as f64).sin_cos();
        (radius * sin, -radius * cos)
    };
    (0..count).map(place).collect()
}

/// Places for nodes with these diameters and links, both by index from 0, each link once.
///
/// Where the links make up a single ring, that is how it is drawn.
pub(super) fn spread(diameters: &[f64], links: &[(usize, usize)]) -> Vec<Place> {
    let neighbours = neighbours(diameters.len(), links);
    if let Some(order) = around(&neighbours) {
        let mut places = vec![(0.0, 0.0); order.len()];
        for (place, node) in ring(order.len()).into_iter().zip(order) {
            places[node] = place;
        }
        return places;
    }
    // Not the network's seed: a picture says nothing about chance.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut pairs = pairs(&neighbours, &mut rng);
    // At first anywhere in a square; no two in the same place.
    let mut anywhere = || (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
    let mut places: Vec<Place> = diameters.iter().map(|_| anywhere()).collect();
    descend(&mut places, &mut pairs, &mut rng);
    enlarge(&mut places, diameters);
    turn(&mut places);
    push_apart(&mut places, diameters);
    centre(&mut places);
    places
}

/// Two nodes, and how many hops they are apart.
type Pair = (usize, usize, f64);

fn neighbours(count: usize, links: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); count];
    for &(a, b) in links {
        neighbours[a].push(b);
        neighbours[b].push(a);
    }
    neighbours
}

/// The nodes in the order of the ring that they are, if they are one.
fn around(neighbours: &[Vec<usize>]) -> Option<Vec<usize>> {
    if neighbours.len() < 3 || neighbours.iter().any(|list| list.len() != 2) {
        return None;
    }
    let (mut before, mut at) = (0, neighbours[0][0]);
    let mut order = vec![0];
    while at != 0 {
        order.push(at);
        let next = neighbours[at].iter().copied().find(|next| *next != before)?;
        (before, at) = (at, next);
    }
    (order.len() == neighbours.len()).then_some(order)
}

/// Every pair of nodes; of very many, a sample in which each node comes up alike.
fn pairs(neighbours: &[Vec<usize>], rng: &mut Xoshiro256PlusPlus) -> Vec<Pair> {
    let count = neighbours.len();
    let all = count * count.saturating_sub(1) / 2;
    let mut pairs = Vec::with_capacity(all.min(PAIRS_MAX));
    for node in 0..count {
        let hops = hops(neighbours, [node]);
        let apart = hops.iter().flatten().max().unwrap_or(&0) + HOPS_APART;
        let mut add = |other: usize| {
            pairs.push((node, other, f64::from(hops[other].unwrap_or(apart))));
        };
        if all <= PAIRS_MAX {
            (node + 1..count).for_each(add);
        } else {
            let others = seq::index::sample(rng, count, PAIRS_MAX / count);
            others.iter().filter(|other| *other != node).for_each(&mut add);
            // Linked nodes are always paired.
            neighbours[node].iter().copied().filter(|next| *next > node).for_each(add);
        }
    }
    pairs
}

fn descend(places: &mut [Place], pairs: &mut [Pair], rng: &mut Xoshiro256PlusPlus) {
    let farthest = pairs.iter().map(|pair| pair.2).fold(1.0, f64::max);
    let first_step = farthest * farthest;
    let shrink = (LAST_STEP / first_step).ln() / f64::from(ROUNDS - 1);
    for round in 0..ROUNDS {
        let step = first_step * (shrink * f64::from(round)).exp();
        pairs.shuffle(rng);
        for &(a, b, hops) in &*pairs {
            let (x, y) = (places[a].0 - places[b].0, places[a].1 - places[b].1);
            let length = x.hypot(y).max(1e-9);
            // Near pairs count more: the weight of a pair is 1 / hops².
            let share = (step / (hops * hops)).min(1.0) * (length - hops) / (2.0 * length);
            places[a] = (places[a].0 - share * x, places[a].1 - share * y);
            places[b] = (places[b].0 + share * x, places[b].1 + share * y);
        }
    }
}

/// From hops to diameters, so that the nodes have room.
fn enlarge(places: &mut [Place], diameters: &[f64]) {
    let ((left, top), (right, bottom)) = extent(places);
    let area = (right - left).max(1.0) * (bottom - top).max(1.0);
    let wanted: f64 = diameters.iter().map(|diameter| (ROOM * diameter).powi(2)).sum();
    // A link is long enough to be seen, however few nodes there are.
    let scale = (wanted / area).sqrt().max(ROOM);
    for place in places {
        *place = (place.0 * scale, place.1 * scale);
    }
}

/// The longest side lies: screens are wide.
fn turn(places: &mut [Place]) {
    let (xx, yy, xy) = places
        .iter()
        .fold((0.0, 0.0, 0.0), |(xx, yy, xy), (x, y)| (xx + x * x, yy + y * y, xy + x * y));
    let (sin, cos) = (0.5 * f64::atan2(2.0 * xy, xx - yy)).sin_cos();
    for place in places {
        *place = (place.0 * cos + place.1 * sin, place.1 * cos - place.0 * sin);
    }
}

/// Moves nodes that are too close away from each other, until none are or patience ends.
fn push_apart(places: &mut [Place], diameters: &[f64]) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    let widest = diameters.iter().copied().fold(1.0, f64::max) + GAP;
    for _ in 0..500 {
        let mut moved = false;
        order.sort_by(|a, b| places[*a].0.total_cmp(&places[*b].0));
        for (at, &a) in order.iter().enumerate() {
            // Sorted from left to right: a node too far right is no neighbour, nor are those after it.
            let near = order[at + 1..].iter().take_while(|b| places[**b].0 - places[a].0 < widest);
            for &b in near.collect::<Vec<_>>() {
                moved |= push(places, a, b, (diameters[a] + diameters[b]) / 2.0 + GAP);
            }
        }
        if !moved {
            return;
        }
    }
}

/// Moves two nodes to at least this distance. Tells whether that was needed.
fn push(places: &mut [Place], a: usize, b: usize, wanted: f64) -> bool {
    let (x, y) = (places[a].0 - places[b].0, places[a].1 - places[b].1);
    let length = x.hypot(y);
    if length > wanted - 1e-3 {
        return false;
    }
    let (x, y) = if length > 1e-9 { (x / length, y / length) } else { (1.0, 0.0) };
    let half = (wanted - length) / 2.0;
    places[a] = (places[a].0 + half * x, places[a].1 + half * y);
    places[b] = (places[b].0 - half * x, places[b].1 - half * y);
    true
}

fn centre(places: &mut [Place]) {
    let ((left, top), (right, bottom)) = extent(places);
    let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
    for place in places {
        *place = (place.0 - x, place.1 - y);
    }
}

/// The corners of the smallest upright rectangle around places: top left, bottom right.
pub(super) fn extent(places: &[Place]) -> (Place, Place) {
    let Some(&first) = places.first() else { return ((0.0, 0.0), (0.0, 0.0)) };
    places.iter().fold((first, first), |(low, high), place| {
        let low = (low.0.min(place.0), low.1.min(place.1));
        (low, (high.0.max(place.0), high.1.max(place.1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(places: &[Place], a: usize, b: usize) -> f64 {
        (places[a].0 - places[b].0).hypot(places[a].1 - places[b].1)
    }

    fn grid(side: usize) -> Vec<(usize, usize)> {
        let across = (0..side * side).filter(|n| n % side + 1 < side).map(|n| (n, n + 1));
        let down = (0..side * (side - 1)).map(|n| (n, n + side));
        across.chain(down).collect()
    }

    #[test]
    fn links_that_are_a_ring_are_drawn_as_one_in_their_order() {
        let places = spread(&[1.0; 4], &[(0, 2), (2, 1), (1, 3), (3, 0)]);
        assert!(apart(&places, 0, 1) > 1.3 * apart(&places, 0, 2), "{places:?}");
        assert!(places[0].1 < places[1].1, "the first is at the top");
        // Two rings are not one.
        let two = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)];
        assert!(around(&neighbours(6, &two)).is_none());
    }

    #[test]
    fn a_grid_unfolds() {
        let places = spread(&[1.0; 49], &grid(7));
        // Corners of the grid lie outside, and opposite ones far apart.
        assert!(apart(&places, 0, 48) > 5.0 * apart(&places, 0, 1));
        assert!(apart(&places, 6, 42) > 5.0 * apart(&places, 0, 1));
    }

    #[test]
    fn no_node_covers_another_not_even_in_pieces_or_among_very_many() {
        let grid = grid(35);
        for (count, links) in [(1, &[][..]), (2, &[]), (9, &[(0, 1), (4, 5)]), (1225, &grid)] {
            let diameters: Vec<f64> = (0..count).map(|n| 1.0 + f64::from(n % 3) / 2.0).collect();
            let places = spread(&diameters, links);
            for a in 0..diameters.len() {
                for b in a + 1..diameters.len() {
                    let touching = (diameters[a] + diameters[b]) / 2.0;
                    assert!(apart(&places, a, b) > touching, "{count} nodes: {a} and {b}");
                }
            }
        }
    }

    #[test]
    fn a_large_grid_unfolds_from_a_sample_of_pairs() {
        let side = 50;
        let places = spread(&vec![1.0; side * side], &grid(side));
        assert!(apart(&places, 0, side * side - 1) > 25.0 * apart(&places, 0, 1));
    }

    #[test]
    fn the_same_links_give_the_same_places() {
        assert_eq!(spread(&[1.0; 100], &grid(10)), spread(&[1.0; 100], &grid(10)));
    }
}
