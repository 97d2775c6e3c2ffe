//! Topologies as users see them: shapes, errors, reproducibility, and pictures that Graphviz draws.
//! The rules inside the generators have their tests beside the code.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use gossip::picture;
use gossip::topology::{Adapted, Error, Graph, Kind, build, measure, neighbours, sample};
use harness::finish;

fn random(degree: u32) -> Kind {
    Kind::Random { degree: Some(degree) }
}

const DEFAULT: Kind = Kind::Random { degree: None };

fn built(kind: Kind, nodes: u32, seed: u64) -> Graph {
    let (graph, _) = build(kind, nodes, seed).unwrap();
    assert_sound(&graph, nodes, &format!("{kind}, {nodes} nodes, seed {seed}"));
    graph
}

/// The hops from node 1 to the node farthest from it; `None` if some cannot be reached.
fn farthest(graph: &Graph) -> Option<u32> {
    measure::distances(graph, 1).into_iter().try_fold(0, |most, hops| Some(most.max(hops?)))
}

/// Asserts what holds for every topology: it is numbered as promised, simple and connected.
fn assert_sound(graph: &Graph, nodes: u32, which: &str) {
    let numbers: Vec<u32> = graph.node_weights().copied().collect();
    assert_eq!(numbers, (1..=nodes).collect::<Vec<u32>>(), "{which}: numbers");
    let links = links(graph);
    assert!(links.iter().all(|(a, b)| a < b), "{which}: a node is linked to itself");
    assert!(links.is_sorted_by(|a, b| a < b), "{which}: two nodes are linked twice");
    let ends: usize = (1..=nodes).map(|node| neighbours(graph, node).len()).sum();
    assert_eq!(ends, 2 * links.len(), "{which}: the sum of degrees");
    assert!(farthest(graph).is_some(), "{which}: not connected");
}

fn links(graph: &Graph) -> Vec<(u32, u32)> {
    let ends = graph.edge_indices().map(|link| graph.edge_endpoints(link).unwrap());
    ends.map(|(a, b)| (graph[a], graph[b])).collect()
}

fn degrees(graph: &Graph) -> Vec<usize> {
    graph.node_weights().map(|&node| neighbours(graph, node).len()).collect()
}

mod shapes {
    use super::*;

    #[test]
    fn a_ring_links_each_node_with_the_next() {
        assert_eq!(links(&built(Kind::Circular, 1, 0)), []);
        assert_eq!(links(&built(Kind::Circular, 2, 0)), [(1, 2)]);
        for nodes in [3, 4, 32, 1000] {
            let ring = built(Kind::Circular, nodes, 0);
            assert!(degrees(&ring).iter().all(|&degree| degree == 2));
            assert_eq!(farthest(&ring), Some(nodes / 2));
        }
        assert_eq!(neighbours(&built(Kind::Circular, 32, 0), 1), [2, 32]);
    }

    #[test]
    fn random_topologies_are_regular_simple_and_connected() {
        // Every degree that is possible with up to 14 nodes, and larger ones of each sort.
        let small = (2..=14).flat_map(|nodes| (1..nodes).map(move |degree| (nodes, degree)));
        let possible = small.filter(|(n, d)| n * d % 2 == 0 && (*d > 1 || *n == 2));
        let large = [(64, 2), (64, 3), (64, 31), (64, 32), (64, 62), (64, 63), (65, 32), (65, 34)]
            .into_iter()
            .chain([(200, 5), (200, 17), (200, 100), (1000, 2), (1000, 3), (1000, 5)]);
        for (nodes, degree) in possible.chain(large) {
            for seed in 0..30 {
                let graph = built(random(degree), nodes, seed);
                assert!(
                    degrees(&graph).iter().all(|&d| d == degree as usize),
                    "degree {degree}, {nodes} nodes, seed {seed}: not regular"
                );
            }
        }
    }

    #[test]
    fn large_random_topologies_are_no_trouble() {
        for (nodes, degree) in [(10_000, 4), (100_000, 4), (100_000, 2), (1000, 499), (400, 399)] {
            let graph = built(random(degree), nodes, 1);
            assert!(degrees(&graph).iter().all(|&d| d == degree as usize));
        }
    }

    #[test]
    fn degree_2_gives_one_single_ring() {
        for seed in 0..200 {
            // `built` asserts that it is connected: so it is one ring.
            let ring = built(random(2), 40, seed);
            assert_eq!(farthest(&ring), Some(20));
        }
    }

    #[test]
    fn every_ring_of_six_is_about_equally_likely() {
        // There are 5!/2 = 60; 6,000 seeds give 100 of each, with a standard deviation of 10.
        let mut seen: BTreeMap<Vec<(u32, u32)>, u32> = BTreeMap::new();
        for seed in 0..6000 {
            *seen.entry(links(&built(random(2), 6, seed))).or_default() += 1;
        }
        assert_eq!(seen.len(), 60);
        assert!(seen.values().all(|times| (50..=150).contains(times)), "{:?}", seen.values());
    }

    #[test]
    fn every_regular_graph_of_six_nodes_and_degree_3_comes_up() {
        // There are 70: 60 prisms and 10 in which two threes are linked crosswise.
        let seen: BTreeSet<_> = (0..3000).map(|seed| links(&built(random(3), 6, seed))).collect();
        assert_eq!(seen.len(), 70);
    }

    #[test]
    fn the_default_degree_is_3_and_adapts() {
        let adapted = |nodes| {
            let (graph, adapted) = build(DEFAULT, nodes, 9).unwrap();
            assert_sound(&graph, nodes, "default");
            let mut degrees = degrees(&graph);
            degrees.sort_unstable();
            (degrees, adapted)
        };
        assert_eq!(adapted(1), (vec![0], vec![Adapted::Degree { degree: 0 }]));
        assert_eq!(adapted(2), (vec![1; 2], vec![Adapted::Degree { degree: 1 }]));
        assert_eq!(adapted(3), (vec![2; 3], vec![Adapted::Degree { degree: 2 }]));
        assert_eq!(adapted(4), (vec![3; 4], vec![]));
        assert_eq!(adapted(16), (vec![3; 16], vec![]));
    }

    #[test]
    fn with_an_odd_number_of_nodes_one_has_a_link_more_and_is_named() {
        let mut named = BTreeSet::new();
        for nodes in [5, 7, 9, 33] {
            for seed in 0..50 {
                let (graph, adapted) = build(DEFAULT, nodes, seed).unwrap();
                assert_sound(&graph, nodes, "default, odd");
                let [Adapted::OneMore { node }] = adapted[..] else { panic!("{adapted:?}") };
                let expected: Vec<usize> =
                    (1..=nodes).map(|other| if other == node { 4 } else { 3 }).collect();
                assert_eq!(degrees(&graph), expected, "{nodes} nodes, seed {seed}");
                named.insert((nodes, node));
            }
        }
        assert!((1..=5).all(|node| named.contains(&(5, node))), "any node may be the one");
    }

    #[test]
    fn powerlaw_topologies_have_hubs_and_no_loose_ends() {
        assert_eq!(links(&built(Kind::Powerlaw, 4, 0)).len(), 6);
        // 20 seeds. The usual degree is 6; with 1,000 nodes, the largest hub had 65 to 159
        // links over 100 seeds.
        for seed in 0..20 {
            let graph = built(Kind::Powerlaw, 1000, seed);
            let mut degrees = degrees(&graph);
            degrees.sort_unstable();
            assert_eq!(links(&graph).len(), 3 * 1000 - 6);
            assert!(degrees[0] == 3 && degrees[500] <= 5, "seed {seed}: most nodes have few");
            assert!(degrees[999] >= 50, "seed {seed}: the largest hub has {}", degrees[999]);
        }
    }
}

mod seeds {
    use super::*;

    const KINDS: [Kind; 3] = [Kind::Powerlaw, DEFAULT, Kind::Random { degree: Some(4) }];

    #[test]
    fn the_same_seed_gives_the_same_graph() {
        for kind in KINDS {
            for nodes in [5, 33, 300] {
                assert_eq!(links(&built(kind, nodes, 7)), links(&built(kind, nodes, 7)));
            }
        }
    }

    #[test]
    fn different_seeds_give_different_graphs() {
        for kind in KINDS {
            let graphs: BTreeSet<_> = (0..50).map(|seed| links(&built(kind, 33, seed))).collect();
            assert_eq!(graphs.len(), 50, "{kind}");
        }
    }

    /// These change only if a generator does. Then a seed that somebody wrote down means
    /// another network, which is a change to tell users of.
    #[test]
    fn these_seeds_give_these_graphs() {
        let written = |kind, nodes| {
            let links = links(&built(kind, nodes, 1));
            links.iter().map(|(a, b)| format!("{a}-{b}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(written(random(3), 8), "1-2 1-3 1-6 2-4 2-7 3-5 3-6 4-5 4-8 5-7 6-8 7-8");
        assert_eq!(
            written(Kind::Powerlaw, 7),
            "1-2 1-3 1-4 1-6 2-3 2-4 2-5 2-6 2-7 3-4 3-5 3-7 4-5 4-6 5-7"
        );
        assert_eq!(written(DEFAULT, 5), "1-2 1-4 1-5 2-3 2-5 3-4 3-5 4-5");
        assert_eq!(sample(1000, 5, 4, 1), [434, 219, 886, 591]);
    }
}

mod errors {
    use super::*;

    fn error(kind: Kind, nodes: u32) -> Error {
        build(kind, nodes, 1).map(|_| ()).unwrap_err()
    }

    #[test]
    fn an_impossible_topology_is_refused_with_the_reason() {
        assert_eq!(error(random(0), 8), Error::NoLinks);
        assert_eq!(error(random(1), 3), Error::OnlyPairs { nodes: 3 });
        assert_eq!(error(random(1), 8), Error::OnlyPairs { nodes: 8 });
        assert_eq!(error(random(1), 1), Error::DegreeTooHigh { degree: 1, nodes: 1 });
        assert_eq!(error(random(8), 8), Error::DegreeTooHigh { degree: 8, nodes: 8 });
        assert_eq!(error(random(9), 8), Error::DegreeTooHigh { degree: 9, nodes: 8 });
        assert_eq!(error(random(3), 5), Error::OddEnds { degree: 3, nodes: 5 });
        assert_eq!(error(Kind::Powerlaw, 3), Error::TooFewForPowerlaw { nodes: 3 });
        assert_eq!(error(random(60_000), 65_000), Error::TooManyLinks { links: 1_950_000_000 });
        for kind in [Kind::Circular, Kind::Powerlaw, DEFAULT, random(0), random(3)] {
            assert_eq!(error(kind, 0), Error::NoNodes);
        }
    }

    #[test]
    fn topologies_at_the_limit_of_the_possible_are_built() {
        assert_eq!(links(&built(random(1), 2, 1)), [(1, 2)]);
        assert_eq!(links(&built(random(7), 8, 1)).len(), 28);
        assert_eq!(links(&built(random(2), 3, 1)).len(), 3);
        assert_eq!(links(&built(Kind::Powerlaw, 4, 1)).len(), 6);
    }

    #[test]
    fn reasons_are_in_lower_case_and_without_a_full_stop() {
        let reasons = [
            (Error::NoNodes, "a network has at least one node"),
            (Error::NoLinks, "no node would have a neighbour to pass messages on to"),
            (
                Error::OnlyPairs { nodes: 8 },
                "nodes would be linked in pairs, which stay apart from one another",
            ),
            (
                Error::DegreeTooHigh { degree: 9, nodes: 8 },
                "a node has at most 7 others to link to",
            ),
            (
                Error::OddEnds { degree: 3, nodes: 5 },
                "each link has two ends, and 5 × 3 ends is an odd number",
            ),
            (Error::TooFewForPowerlaw { nodes: 3 }, "it begins with 4 nodes"),
            (Error::TooManyLinks { links: 30_000_000 }, "no more than 20000000 are allowed"),
        ];
        for (error, reason) in reasons {
            assert_eq!(error.to_string(), reason);
        }
    }
}

mod samples {
    use super::*;

    #[test]
    fn a_sample_is_of_others_and_each_at_most_once() {
        for node in 1..=100 {
            let drawn = sample(100, node, 16, 3);
            let different: BTreeSet<u32> = drawn.iter().copied().collect();
            assert_eq!(different.len(), 16);
            assert!(different.iter().all(|other| (1..=100).contains(other) && *other != node));
            assert_eq!(drawn, sample(100, node, 16, 3), "same arguments, same sample");
            assert_ne!(drawn, sample(100, node, 16, 4), "another seed, another sample");
        }
    }

    #[test]
    fn a_sample_of_a_small_network_is_all_others() {
        assert!(sample(1, 1, 16, 3).is_empty());
        let mut drawn = sample(9, 4, 16, 3);
        drawn.sort_unstable();
        assert_eq!(drawn, [1, 2, 3, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn all_others_are_about_equally_likely() {
        // 1,000 nodes draw 16 each: every node is drawn 16 times on average, with a standard
        // deviation of 4.
        let mut times = [0; 1000];
        for node in 1..=1000 {
            for other in sample(1000, node, 16, 5) {
                times[other as usize - 1] += 1;
            }
        }
        assert!(times.iter().all(|times| (2..=40).contains(times)), "{times:?}");
    }
}

mod pictures {
    use super::*;

    struct Drawn {
        number: u32,
        at: (f64, f64),
        inches: f64,
    }

    /// Has Graphviz lay the DOT text out, as plain `dot -T… FILE` would.
    fn laid_out(dot: &str) -> (Vec<Drawn>, Vec<(u32, u32)>) {
        let plain = graphviz("-Tplain", dot);
        let (mut nodes, mut links) = (Vec::new(), Vec::new());
        for line in plain.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["node", name, x, y, width, ..] => nodes.push(Drawn {
                    number: name.parse().unwrap(),
                    at: (x.parse().unwrap(), y.parse().unwrap()),
                    inches: width.parse().unwrap(),
                }),
                ["edge", a, b, ..] => links.push((a.parse().unwrap(), b.parse().unwrap())),
                _ => {}
            }
        }
        nodes.sort_by_key(|node| node.number);
        links.sort_unstable();
        (nodes, links)
    }

    fn dot(graph: &Graph, kind: Kind, title: &str) -> String {
        picture::dot::to_dot(&picture::topology(graph, kind, title))
    }

    fn graphviz(format: &str, dot: &str) -> String {
        let mut child = Command::new("dot")
            .arg(format)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs Graphviz' `dot`, which scripts/test installs");
        // It reads everything before it writes anything, so this does not block.
        child.stdin.take().unwrap().write_all(dot.as_bytes()).unwrap();
        let run = finish(child);
        assert_eq!(run.code, Some(0), "dot failed: {}", run.stderr);
        let about_us = |line: &str| line.starts_with("Warning") || line.starts_with("Error");
        assert!(!run.stderr.lines().any(about_us), "dot complained: {}", run.stderr);
        run.stdout
    }

    fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
        (a.0 - b.0).hypot(a.1 - b.1)
    }

    fn assert_drawn_whole(kind: Kind, nodes: u32) {
        let graph = built(kind, nodes, 7);
        let (drawn, drawn_links) = laid_out(&dot(&graph, kind, "default"));
        let numbers: Vec<u32> = drawn.iter().map(|node| node.number).collect();
        assert_eq!(numbers, (1..=nodes).collect::<Vec<u32>>(), "{kind}, {nodes} nodes");
        assert_eq!(drawn_links, links(&graph), "{kind}, {nodes} nodes");
        for (place, a) in drawn.iter().enumerate() {
            for b in &drawn[place + 1..] {
                assert!(
                    distance(a.at, b.at) > (a.inches + b.inches) / 2.0,
                    "{kind}, {nodes} nodes: {} and {} overlap",
                    a.number,
                    b.number
                );
            }
        }
    }

    #[test]
    fn small_graphs_are_drawn_whole_and_no_node_hides_another() {
        for (kind, nodes) in [(DEFAULT, 1), (DEFAULT, 2), (DEFAULT, 5), (Kind::Powerlaw, 4)] {
            assert_drawn_whole(kind, nodes);
        }
        assert_drawn_whole(random(15), 16);
        assert_drawn_whole(random(5), 32);
        assert_drawn_whole(Kind::Powerlaw, 32);
    }

    #[test]
    fn graphs_of_64_nodes_are_drawn_whole_and_no_node_hides_another() {
        assert_drawn_whole(random(3), 64);
    }

    #[test]
    fn large_graphs_are_drawn_whole_and_no_node_hides_another() {
        // Either side of where links are led round nodes.
        assert_drawn_whole(Kind::Powerlaw, 256);
        assert_drawn_whole(Kind::Powerlaw, 401);
    }

    #[test]
    fn a_ring_is_drawn_as_a_ring() {
        for nodes in [3u32, 8, 32, 64, 256, 1000] {
            let ring = built(Kind::Circular, nodes, 0);
            let (drawn, drawn_links) = laid_out(&dot(&ring, Kind::Circular, "default"));
            assert_eq!(drawn_links, links(&ring));
            let count = f64::from(nodes);
            let sum = drawn.iter().fold((0.0, 0.0), |s, n| (s.0 + n.at.0, s.1 + n.at.1));
            let centre = (sum.0 / count, sum.1 / count);
            let radius = distance(drawn[0].at, centre);
            let step = distance(drawn[0].at, drawn[1].at);
            // Graphviz writes five digits, which is little for neighbours far from the origin.
            for (node, next) in drawn.iter().zip(drawn.iter().cycle().skip(1)) {
                assert!((distance(node.at, centre) / radius - 1.0).abs() < 0.01, "{nodes} nodes");
                assert!((distance(node.at, next.at) / step - 1.0).abs() < 0.05, "{nodes} nodes");
            }
            assert!(step > drawn[0].inches, "{nodes} nodes: neighbours overlap");
            assert!(drawn[0].at.1 - centre.1 > 0.99 * radius, "node 1 is at the top");
            assert!(drawn[1].at.0 > drawn[0].at.0, "and the numbers go clockwise");
        }
    }

    #[test]
    fn rings_of_one_and_two_are_drawn_too() {
        for nodes in [1, 2] {
            let ring = built(Kind::Circular, nodes, 0);
            let (drawn, drawn_links) = laid_out(&dot(&ring, Kind::Circular, "default"));
            assert_eq!((drawn.len(), drawn_links), (nodes as usize, links(&ring)));
        }
    }

    #[test]
    fn any_title_is_shown_as_it_is() {
        let ring = built(Kind::Circular, 3, 0);
        let title = "a\"; \\N \\\" <b> &lt; 🍌\n}";
        let svg = graphviz("-Tsvg", &dot(&ring, Kind::Circular, title));
        assert!(
            svg.contains(
                "a&quot;; \\N \\&quot; &lt;b&gt; &amp;lt; 🍌 }: circular, 3 nodes, 3 links"
            ),
            "{svg}"
        );
    }

    #[test]
    fn the_same_graph_gives_the_same_text() {
        let text = |seed| dot(&built(Kind::Powerlaw, 50, seed), Kind::Powerlaw, "default");
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}
